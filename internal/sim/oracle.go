package sim

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Violation is a broken P2: a tool's command gave a slot to one node while
// another master held keys of it that nothing protected.
type Violation struct {
	Command string
	Slot    int
	To      cluster.NodeID // who got the slot
	Holder  *Node
	Keys    int
}

// String says who gave what to whom, over whose keys.
func (v Violation) String() string {
	return fmt.Sprintf("%s gave slot %d to %s while %s held %d keys of it without importing it", v.Command, v.Slot, v.To.Short(), v.Holder, v.Keys)
}

// Violations are the breaches of P2 so far: commands of tools that gave a slot
// away while another master, dead or alive, held keys of it without importing
// it. They are looked for when the command is carried out, just before its
// effect.
func (c *Cluster) Violations() []Violation {
	defer c.enter()()
	return slices.Clone(c.violations)
}

// checkClaim notes the slots whose keys are in danger once to owns them.
func (r *request) checkClaim(to cluster.NodeID, slots ...int) {
	if r.dialer == nil {
		return
	}
	for _, slot := range slots {
		for _, h := range r.c.nodes {
			keys := h.countKeys(slot)
			related := h == r.n || h.peer(to) != nil
			if keys == 0 || h.self.id == to || !related || !h.isMaster() || h.importing[slot] != nil || h.superseded() {
				continue
			}
			v := Violation{shorten(r.args), slot, to, h, keys}
			r.c.violations = append(r.c.violations, v)
			r.c.note("P2: %s", v)
		}
	}
}

// superseded: the node was failed over and has not heard of it; what it holds
// is out of date, and lost to it already.
func (n *Node) superseded() bool {
	return slices.ContainsFunc(n.c.nodes, func(m *Node) bool {
		return m != n && m.isMaster() && m.self.shard == n.self.shard && m.self.epoch > n.self.epoch
	})
}

// checkMeeting is checkClaim for all slots that either side brings along.
func (r *request) checkMeeting(addr cluster.Addr) {
	m := r.c.nodeAt(addr)
	if r.dialer == nil || m == nil || m == r.n {
		return
	}
	for _, pair := range [][2]*Node{{m, r.n}, {r.n, m}} {
		for slot := range pair[0].self.slots.all() {
			for _, h := range r.c.nodes {
				r.checkStranger(pair[0], pair[1], h, slot)
			}
		}
	}
}

// checkStranger: by meeting, h on one side hears of a claim of the other side.
func (r *request) checkStranger(claimer, met, h *Node, slot int) {
	keys := h.countKeys(slot)
	hears := h == met || h.peer(met.self.id) != nil
	if keys == 0 || !hears || !h.isMaster() || h.peer(claimer.self.id) != nil || h.importing[slot] != nil {
		return
	}
	v := Violation{shorten(r.args), slot, claimer.self.id, h, keys}
	r.c.violations = append(r.c.violations, v)
	r.c.note("P2: %s", v)
}

// Copy is one node's value of a key.
type Copy struct {
	Node   *Node
	DB     int
	Values []string // a list's items, or a string
	TTL    bool     // has an expiry
}

// Copies are all values that a key has on masters, in the order of the nodes;
// expired ones are left out.
func (c *Cluster) Copies(key string) []Copy {
	defer c.enter()()
	var out []Copy
	for _, n := range c.nodes {
		for i, db := range n.dbs {
			if e := db.get(key); e != nil && n.isMaster() && !e.expired(c.now) {
				out = append(out, Copy{n, i, e.values(), !e.expire.IsZero()})
			}
		}
	}
	return out
}

func (e *entry) values() []string {
	if e.list {
		return slices.Clone(e.items)
	}
	return []string{e.text}
}

// Owner is who owns a slot in n's view: empty where nobody does.
func (n *Node) Owner(slot int) cluster.NodeID {
	defer n.c.enter()()
	if p := n.ownerOf(slot); p != nil {
		return p.id
	}
	return ""
}

// Migrating is the node to which n migrates a slot; empty for none.
func (n *Node) Migrating(slot int) cluster.NodeID { return n.openPeer(n.migrating, slot) }

// Importing is the node from which n imports a slot; empty for none.
func (n *Node) Importing(slot int) cluster.NodeID { return n.openPeer(n.importing, slot) }

func (n *Node) openPeer(open map[int]*peer, slot int) cluster.NodeID {
	defer n.c.enter()()
	if p := open[slot]; p != nil {
		return p.id
	}
	return ""
}

// Open are the slots that n has open in either direction, lowest first.
func (n *Node) Open() []int {
	defer n.c.enter()()
	return n.openSlots()
}

// Slots are the slots that n claims itself.
func (n *Node) Slots() cluster.SlotSet {
	defer n.c.enter()()
	return cluster.SlotsOf(slices.Collect(n.self.slots.all())...)
}

// Keys are the keys of a slot in one database, sorted.
func (n *Node) Keys(db, slot int) []string {
	defer n.c.enter()()
	return n.dbs[db].keys(slot)
}

// KeyCount is the number of keys in all databases.
func (n *Node) KeyCount() int {
	defer n.c.enter()()
	return n.keyCount()
}

// IsMaster reports whether the node calls itself a master.
func (n *Node) IsMaster() bool {
	defer n.c.enter()()
	return n.isMaster()
}

// Alive reports whether the process runs; a paused one does.
func (n *Node) Alive() bool {
	defer n.c.enter()()
	return n.alive
}

// Epoch is the node's config epoch.
func (n *Node) Epoch() uint64 {
	defer n.c.enter()()
	return n.self.epoch
}

// Offset is the replication offset: written by a master, applied by a replica.
func (n *Node) Offset() int64 {
	defer n.c.enter()()
	if n.link != nil {
		return n.link.applied
	}
	return n.offset
}

// View is the node's CLUSTER NODES.
func (n *Node) View() string {
	defer n.c.enter()()
	return n.nodesText()
}

// ClientNames are the names of the connections that a node has, oldest first.
func (n *Node) ClientNames() []string {
	defer n.c.enter()()
	var names []string
	for _, s := range n.sessions {
		if s.name != "" {
			names = append(names, s.name)
		}
	}
	return names
}
