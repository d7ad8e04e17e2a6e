package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

func clusterCommands() map[string]command {
	return map[string]command{
		"CLUSTER NODES": {arity: 2, run: func(r *request) any { return r.n.nodesText() }},
		"CLUSTER INFO":  {arity: 2, run: func(r *request) any { return r.n.clusterInfo() }},
		"CLUSTER SLOTS": {arity: 2, run: cmdClusterSlots},
		"CLUSTER MYID":  {arity: 2, run: func(r *request) any { return string(r.n.self.id) }},
	}
}

// nodesText is CLUSTER NODES: the node's opinion of everybody.
func (n *Node) nodesText() string {
	var b strings.Builder
	for _, p := range n.peers {
		link, master := "connected", "-"
		if m := n.c.nodeOf(p); m == nil || !m.alive || p.handshake {
			link = "disconnected"
		}
		if p.master != nil {
			master = string(p.master.id)
		}
		fmt.Fprintf(&b, "%s %s@%d%s %s %s 0 %d %d %s", p.id, p.addr, p.addr.Port+cluster.BusPortOffset, n.auxText(p),
			n.flagsText(p), master, n.c.now.UnixMilli(), n.shownEpoch(p), link)
		writeRanges(&b, &p.slots)
		if p == n.self {
			n.writeOpenSlots(&b)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// auxText is ",hostname,shard-id=..." where the server has such fields.
func (n *Node) auxText(p *peer) string {
	if n.rules.shards {
		return ",,tls-port=0,shard-id=" + string(p.shard)
	}
	return ""
}

func (n *Node) flagsText(p *peer) string {
	var flags []string
	add := func(name string, set bool) {
		if set {
			flags = append(flags, name)
		}
	}
	add("myself", p == n.self)
	add("master", p.master == nil && !p.handshake)
	add("slave", p.master != nil)
	add("fail?", p.suspect)
	add("fail", p.failed)
	add("handshake", p.handshake)
	return strings.Join(flags, ",")
}

// shownEpoch: a replica's line shows its master's epoch.
func (n *Node) shownEpoch(p *peer) uint64 {
	if p.master != nil {
		return p.master.epoch
	}
	return p.epoch
}

func writeRanges(b *strings.Builder, slots *slotBits) {
	r := cluster.SlotRange{First: -1}
	flush := func() {
		if r.First >= 0 {
			b.WriteByte(' ')
			b.WriteString(r.String())
		}
	}
	for s := range slots.all() {
		if r.First < 0 || s != r.Last+1 {
			flush()
			r.First = s
		}
		r.Last = s
	}
	flush()
}

func (n *Node) writeOpenSlots(b *strings.Builder) {
	for _, s := range n.openSlots() {
		if p := n.migrating[s]; p != nil {
			fmt.Fprintf(b, " [%d->-%s]", s, p.id)
		} else if p := n.importing[s]; p != nil {
			fmt.Fprintf(b, " [%d-<-%s]", s, p.id)
		}
	}
}

// cmdClusterSlots is what cluster clients find their way by: each range with its
// owner and the owner's replicas.
func cmdClusterSlots(r *request) any {
	out := []any{}
	for _, p := range r.n.peers {
		for _, rg := range cluster.SlotsOf(slices.Collect(p.slots.all())...).Ranges() {
			row := []any{int64(rg.First), int64(rg.Last), p.slotsEntry()}
			for _, q := range r.n.peers {
				if q.master == p && !q.failed {
					row = append(row, q.slotsEntry())
				}
			}
			out = append(out, row)
		}
	}
	return out
}

func (p *peer) slotsEntry() []any {
	return []any{p.addr.Host, int64(p.addr.Port), string(p.id)}
}

func (n *Node) clusterInfo() string {
	state := "ok"
	if n.isDown() {
		state = "fail"
	}
	size, assigned, suspect, failed := 0, 0, 0, 0
	for _, p := range n.peers {
		count := p.slots.count()
		assigned += count
		if count > 0 {
			size++
		}
		if p.suspect {
			suspect += count
		}
		if p.failed {
			failed += count
		}
	}
	return infoText(
		"cluster_state", state, "cluster_slots_assigned", assigned, "cluster_slots_ok", assigned-suspect-failed,
		"cluster_slots_pfail", suspect, "cluster_slots_fail", failed, "cluster_known_nodes", len(n.peers),
		"cluster_size", size, "cluster_current_epoch", n.epoch, "cluster_my_epoch", n.shownEpoch(n.self),
	)
}
