package sim

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

func clusterCommands() map[string]command {
	return map[string]command{
		"CLUSTER NODES": {2, nil, false, func(r *request) any { return r.n.nodesText() }},
		"CLUSTER INFO":  {2, nil, false, func(r *request) any { return r.n.clusterInfo() }},
		"CLUSTER MYID":  {2, nil, false, func(r *request) any { return string(r.n.self.id) }},
	}
}

// nodesText is CLUSTER NODES: the node's opinion of everybody.
func (n *Node) nodesText() string {
	slots := make(map[*peer][]int)
	for s, p := range n.owner {
		if p != nil {
			slots[p] = append(slots[p], s)
		}
	}
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
		writeRanges(&b, slots[p])
		if p == n.self {
			n.writeOpenSlots(&b)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// auxText is ",hostname,shard-id=..." where the server has such fields.
func (n *Node) auxText(p *peer) string {
	if n.server.AtLeast("redis", 7, 2) {
		return ",,tls-port=0,shard-id=" + string(p.shard)
	}
	if n.valkey8() {
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

func writeRanges(b *strings.Builder, slots []int) {
	for i := 0; i < len(slots); {
		j := i
		for j+1 < len(slots) && slots[j+1] == slots[j]+1 {
			j++
		}
		b.WriteByte(' ')
		b.WriteString(cluster.SlotRange{First: slots[i], Last: slots[j]}.String())
		i = j + 1
	}
}

func (n *Node) writeOpenSlots(b *strings.Builder) {
	for s := range n.owner {
		if p := n.migrating[s]; p != nil {
			fmt.Fprintf(b, " [%d->-%s]", s, p.id)
		} else if p := n.importing[s]; p != nil {
			fmt.Fprintf(b, " [%d-<-%s]", s, p.id)
		}
	}
}

func (n *Node) clusterInfo() string {
	state := "ok"
	if n.isDown() {
		state = "fail"
	}
	assigned, suspect, failed := 0, 0, 0
	owners := make(map[*peer]bool)
	for _, p := range n.owner {
		if p == nil {
			continue
		}
		owners[p] = true
		assigned++
		if p.suspect {
			suspect++
		}
		if p.failed {
			failed++
		}
	}
	return infoText(
		"cluster_state", state, "cluster_slots_assigned", assigned, "cluster_slots_ok", assigned-suspect-failed,
		"cluster_slots_pfail", suspect, "cluster_slots_fail", failed, "cluster_known_nodes", len(n.peers),
		"cluster_size", len(owners), "cluster_current_epoch", n.epoch, "cluster_my_epoch", n.shownEpoch(n.self),
	)
}
