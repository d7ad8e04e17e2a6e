package sim

import (
	"maps"
	"slices"
	"time"
)

// link is a replica's connection to its master.
type link struct {
	synced  bool   // has had a full copy; only then may it be promoted
	up      bool   // the connection stands
	run     string // the master's process that it was made to
	applied int64  // how much of the master's stream the replica has taken in
	acked   int64  // how much of it the master knows to be taken in
	acking  bool   // an acknowledgement is on its way
	stream  []write
	lag     time.Duration // negative: nothing arrives
	lagSet  bool
}

// write is one change on its way to a replica.
type write struct {
	at     time.Time
	offset int64
	apply  func(*Node)
}

// change carries out a change of n's data and sends it to its replicas.
func (n *Node) change(size int, apply func(*Node)) {
	apply(n)
	n.stream(size, apply)
}

// stream sends a change to n's replicas only.
func (n *Node) stream(size int, apply func(*Node)) {
	n.offset += int64(size + 30)
	for _, r := range n.replicas() {
		r.link.stream = append(r.link.stream, write{n.c.now, n.offset, apply})
		r.expectStream()
	}
}

// replicas are the nodes whose link to n stands.
func (n *Node) replicas() []*Node {
	var out []*Node
	for _, r := range n.c.nodes {
		if r.alive && r.link != nil && r.link.up && r.self.master.id == n.self.id && r.link.run == n.runID {
			out = append(out, r)
		}
	}
	return out
}

func (n *Node) replicaLag() time.Duration {
	if n.link.lagSet {
		return n.link.lag
	}
	return n.c.o.ReplicaLag
}

// ReplicaLag sets how far a replica runs behind its master from now on; what
// has been sent already is delayed, too. With a negative lag nothing arrives.
func (n *Node) ReplicaLag(d time.Duration) {
	defer n.c.enter()()
	if n.link != nil {
		n.link.lag, n.link.lagSet = d, true
		n.expectStream()
	}
}

func (n *Node) expectStream() {
	lag := n.replicaLag()
	switch {
	case lag == 0:
		n.catchUp()
	case lag > 0:
		n.c.after(lag, n.catchUp)
	}
}

// catchUp takes in what has arrived from the master.
func (n *Node) catchUp() {
	if n.link == nil || !n.link.up || !n.live() {
		return
	}
	lag := n.replicaLag()
	if lag >= 0 {
		n.takeIn(n.c.now.Add(-lag))
	}
}

// takeIn applies what was sent until then.
func (n *Node) takeIn(until time.Time) {
	l := n.link
	for len(l.stream) > 0 && !l.stream[0].at.After(until) {
		w := l.stream[0]
		l.stream = l.stream[1:]
		w.apply(n)
		l.applied = w.offset
	}
	if l.acked < l.applied && !l.acking {
		l.acking = true
		n.c.after(n.untilAck(), func() { l.acking, l.acked = false, l.applied })
	}
}

// untilAck: replicas acknowledge once a second, whatever they receive.
func (n *Node) untilAck() time.Duration {
	since := n.c.now.Sub(n.c.born) % n.c.o.AckInterval
	return n.c.o.AckInterval - since
}

// acknowledgedNow is what a master learns by asking, as WAIT does.
func (n *Node) acknowledgedNow() int64 {
	if n.live() && n.link.up {
		n.link.acked = n.link.applied
	}
	return n.link.acked
}

// acknowledged counts the replicas that have taken in n's stream up to offset.
func (n *Node) acknowledged(offset int64) int {
	count := 0
	for _, r := range n.replicas() {
		if r.acknowledgedNow() >= offset {
			count++
		}
	}
	return count
}

// follow makes n a replica of p. Open slots are closed; the data stays until
// the full sync replaces it.
func (n *Node) follow(p *peer) {
	n.self.master, n.self.shard = p, p.shard
	clear(n.migrating)
	clear(n.importing)
	n.link = &link{}
	n.resync()
}

// resync plans a full sync.
func (n *Node) resync() {
	l := n.link
	n.c.after(n.c.o.GossipDelay, func() {
		if n.link == l && n.live() && !l.up {
			n.syncNow()
		}
	})
}

// syncNow copies the master's data, if the master is there and is one.
func (n *Node) syncNow() {
	m := n.c.nodeOf(n.self.master)
	if m == nil || !m.live() || !m.isMaster() {
		return
	}
	if n.keyCount() > 0 && n.c.now.After(n.c.born) {
		n.c.note("%s replaces its %d keys by those of %s", n, n.keyCount(), m)
	}
	n.dbs = cloneDatabases(m.dbs)
	n.functions = slices.Clone(m.functions)
	l := &link{synced: true, up: true, run: m.runID, applied: m.offset, acked: m.offset}
	if n.link != nil {
		l.lag, l.lagSet = n.link.lag, n.link.lagSet
	}
	n.link = l
	if n.rules.valkey8 {
		n.inheritOpenSlots(m)
	}
}

func (n *Node) inheritOpenSlots(m *Node) {
	translate := func(open map[int]*peer) map[int]*peer {
		out := maps.Clone(open)
		for s, p := range out {
			if out[s] = n.peer(p.id); out[s] == nil {
				delete(out, s)
			}
		}
		return out
	}
	n.migrating, n.importing = translate(m.migrating), translate(m.importing)
	n.version++
}

// Failover promotes a replica as CLUSTER FAILOVER does: its master stops, lets
// it catch up, and hands over. Nothing is lost.
func (n *Node) Failover() {
	defer n.c.enter()()
	n.handOver()
}

// Takeover promotes a replica with what it has, without asking anybody. Its
// master serves clients until it hears of it.
func (n *Node) Takeover() {
	defer n.c.enter()()
	if n.link != nil {
		n.promote(false)
	}
}

func (n *Node) handOver() {
	if n.link == nil || !n.link.synced {
		return
	}
	m := n.c.nodeOf(n.self.master)
	if m == nil || !m.live() {
		return // the master has to agree
	}
	n.takeIn(n.c.now)
	n.promote(true)
	m.receive(n.header())
}

// promote makes a replica the master of its master's slots. Elected replicas
// get an epoch that a majority agreed to, others the next one they know of.
func (n *Node) promote(elected bool) {
	old := n.self.master
	if elected {
		for _, m := range n.c.nodes {
			if m.live() && n.peer(m.self.id) != nil {
				n.epoch = max(n.epoch, m.epoch)
			}
		}
	}
	n.self.master = nil
	n.self.epoch = 0
	n.bump()
	n.offset, n.link = n.link.applied, nil
	for s := range old.slots.all() {
		n.bind(s, n.self)
	}
	n.c.note("%s is promoted, epoch %d", n, n.self.epoch)
	n.broadcast()
	n.touched()
}
