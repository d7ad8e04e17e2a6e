package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// touched says that n's view or its own claims changed: after GossipDelay n and
// everybody else exchange PING and PONG, which may make others hear of the
// change, or make n accept now what it refused before.
func (n *Node) touched() {
	n.version++
	for _, m := range n.c.nodes {
		n.c.ping(n, m)
		if m.link != nil && !m.link.up && m.self.master.id == n.self.id {
			m.resync()
		}
	}
}

// broadcast sends n's claims to everybody without waiting for the next ping.
// What is on its way is what n says now: it may arrive after n has changed its
// mind.
func (n *Node) broadcast() {
	h := n.header()
	for _, m := range n.c.nodes {
		if m != n {
			n.c.after(n.c.o.BusDelay, func() { m.receive(h) })
		}
	}
}

// header is what a node says of itself in every message, and its gossip.
type header struct {
	from    *Node
	version uint64 // of the sender's view
	id      cluster.NodeID
	shard   cluster.NodeID
	master  cluster.NodeID // empty for a master
	current uint64         // the highest epoch that it knows
	config  uint64         // its config epoch, or its master's
	claims  slotBits
	known   []acquaintance
	shunned map[cluster.NodeID]time.Time // nodes that were forgotten, until when
}

// acquaintance is what gossip says of a third node.
type acquaintance struct {
	id, shard cluster.NodeID
	addr      cluster.Addr
}

func (n *Node) header() *header {
	h := &header{from: n, version: n.version, id: n.self.id, shard: n.self.shard, current: n.epoch, config: n.shownEpoch(n.self)}
	if n.self.master != nil {
		h.master = n.self.master.id
	}
	if n.isMaster() {
		h.claims = n.self.slots
	}
	for _, p := range n.peers[1:] {
		if !p.handshake {
			h.known = append(h.known, acquaintance{p.id, p.shard, p.addr})
		}
	}
	if n.rules.passesForget {
		h.shunned = maps.Clone(n.banned)
	}
	return h
}

// ping plans one exchange between two nodes; there is never more than one on its
// way.
func (c *Cluster) ping(from, to *Node) {
	pair := [2]int{min(from.index, to.index), max(from.index, to.index)}
	if from == to || c.inFlight[pair] {
		return
	}
	c.inFlight[pair] = true
	delay := c.o.GossipDelay
	if c.o.GossipJitter > 0 {
		delay += time.Duration(c.jitter.Int64N(int64(c.o.GossipJitter)))
	}
	c.after(delay, func() {
		delete(c.inFlight, pair)
		c.exchange(from, to)
	})
}

// exchange is a PING and its PONG. The receiver answers before it looks at what
// it was told: two nodes may take a slot from each other in one exchange.
func (c *Cluster) exchange(from, to *Node) {
	if !from.live() || !to.live() {
		return
	}
	ping, pong := from.headerFor(to), to.headerFor(from)
	to.receive(ping)
	from.receive(pong)
}

// headerFor is nil where nothing has changed since the last message.
func (n *Node) headerFor(to *Node) *header {
	if to.heard[n] == [2]uint64{n.version, to.version} {
		return nil
	}
	return n.header()
}

// receive takes in a message. A sender that the receiver does not know is not
// listened to; what was overtaken by a newer message is dropped, as one
// connection never reorders.
func (n *Node) receive(h *header) {
	if h == nil {
		return
	}
	p := n.peer(h.id)
	if !h.from.alive || !n.live() || p == nil || p.handshake || p == n.self || n.heard[h.from][0] > h.version {
		return
	}
	if n.hear(h, p) {
		n.touched()
	}
	n.heard[h.from] = [2]uint64{h.version, n.version}
}

// hear takes in what another node says, and reports whether that changed
// anything.
func (n *Node) hear(h *header, p *peer) bool {
	changed := raise(&n.epoch, h.current)
	changed = raise(&p.epoch, h.config) || changed
	changed = n.forgive(p) || changed
	changed = n.hearRole(h, p) || changed
	if p.master == nil {
		changed = n.hearClaims(h, p) || changed
		changed = n.resolveCollision(p) || changed
	}
	changed = n.hearForgotten(h) || changed
	changed = n.hearGossip(h) || changed
	return n.followGrandmaster() || changed
}

func raise(epoch *uint64, to uint64) bool {
	if to <= *epoch {
		return false
	}
	*epoch = to
	return true
}

// hearRole learns that p is a master, or whose replica it is.
func (n *Node) hearRole(h *header, p *peer) bool {
	if h.master == "" {
		changed := p.master != nil
		p.master, p.shard = nil, h.shard
		return changed
	}
	m := n.peer(h.master)
	if m == nil || p.master == m {
		return false
	}
	if p.master == nil {
		n.hearDemotion(h, p, m)
	}
	p.master, p.shard = m, h.shard
	return true
}

// hearDemotion: what p still owned goes. Since Redis 7.2 it goes to the new
// master of the same shard, even in a slot that listens to no claims; on Valkey
// 8 the open slots that point at p go along.
func (n *Node) hearDemotion(h *header, p, m *peer) {
	failover := n.rules.shards && p.shard == h.shard && m.shard == h.shard
	if failover && n.rules.valkey8 {
		replaceValue(n.migrating, p, m)
		replaceValue(n.importing, p, m)
	}
	for s := range p.slots.all() {
		if failover {
			n.bind(s, m)
		} else {
			n.bind(s, nil)
		}
	}
	if failover && m != n.self && h.config > m.epoch { // who follows may be behind on its master
		m.master, m.epoch = nil, h.config
	}
}

func replaceValue(open map[int]*peer, old, new *peer) {
	for s, q := range open {
		if q == old {
			open[s] = new
		}
	}
}

// hearClaims applies the slots in a master's header.
func (n *Node) hearClaims(h *header, p *peer) bool {
	news := p.slots != h.claims
	changed, newer := n.applyClaims(p, h.config, &h.claims)
	if newer != nil {
		n.sendUpdate(h.from, newer)
	}
	changed = n.hearDisowned(p, &h.claims) || changed
	return news && n.hearGivenUp(p, &h.claims) || changed
}

// sendUpdate tells a node that claims a slot with an old epoch who has it.
func (n *Node) sendUpdate(to *Node, owner *peer) {
	id, epoch, claims := owner.id, owner.epoch, owner.slots
	n.c.after(n.c.o.BusDelay, func() {
		p := to.peer(id)
		if !n.live() || !to.live() || p == nil || p == to.self || p.epoch >= epoch {
			return
		}
		p.master, p.epoch = nil, epoch
		to.applyClaims(p, epoch, &claims)
		to.touched()
	})
}

// resolveCollision: of two masters with the same config epoch the one with the
// smaller id takes a new one.
func (n *Node) resolveCollision(p *peer) bool {
	if !n.isMaster() || p.epoch != n.self.epoch || p.id <= n.self.id {
		return false
	}
	n.epoch++
	n.self.epoch = n.epoch
	n.c.note("%s and %s had the same config epoch, now %d", n, p.addr, n.self.epoch)
	return true
}

// hearGossip learns of nodes that the sender knows, unless they have been
// forgotten within the last minute.
func (n *Node) hearGossip(h *header) bool {
	changed := false
	for _, q := range h.known {
		if n.peer(q.id) != nil || n.isBanned(q.id) {
			continue
		}
		n.learn(q.id, q.addr).shard = q.shard
		changed = true
	}
	return changed
}

// hearForgotten forgets whom the sender has forgotten, for as long, but for
// itself and its master. A node that has been met again is forgotten again.
func (n *Node) hearForgotten(h *header) bool {
	changed := false
	for _, id := range slices.Sorted(maps.Keys(h.shunned)) {
		until, p := h.shunned[id], n.peer(id)
		if !n.rules.passesForget || p == nil || p == n.self || p == n.self.master || !n.c.now.Before(until) {
			continue
		}
		n.unlearn(p)
		n.banned[id] = until
		changed = true
	}
	return changed
}

func (n *Node) isBanned(id cluster.NodeID) bool { return n.c.now.Before(n.banned[id]) }

// followGrandmaster: a replica of a replica follows that one's master.
func (n *Node) followGrandmaster() bool {
	m := n.self.master
	if m == nil || m.master == nil || m.master == n.self {
		return false
	}
	n.follow(m.master)
	return true
}

// meet begins a handshake. Each side learns the other's id from its first
// answer; until then a made-up id stands for it.
func (n *Node) meet(addr cluster.Addr) {
	if n.knows(addr) {
		return
	}
	p := n.learn(n.c.newID(), addr)
	p.handshake = true
	n.version++
	n.c.after(n.c.o.GossipDelay, func() { n.shake(p) })
	n.c.after(max(n.c.o.NodeTimeout, time.Second), func() {
		if p.handshake && n.peer(p.id) == p {
			n.unlearn(p)
			n.version++
		}
	})
}

func (n *Node) knows(addr cluster.Addr) bool {
	for _, p := range n.peers {
		if p.addr == addr && n.c.nodeAt(addr) != nil && (p.handshake || p.id == n.c.nodeAt(addr).self.id) {
			return true
		}
	}
	return false
}

// shake is the arrival of MEET or PING at p's address, and of the answer.
func (n *Node) shake(p *peer) {
	m := n.c.nodeAt(p.addr)
	if n.peer(p.id) != p || !p.handshake || m == nil || m == n || !m.live() || !n.live() {
		return
	}
	if n.peer(m.self.id) != nil {
		n.unlearn(p) // met before under another address or by gossip
	} else {
		p.id, p.handshake = m.self.id, false
		p.shard = m.self.shard
	}
	if m.peer(n.self.id) == nil {
		m.meet(n.self.addr)
	}
	m.touched()
	n.touched()
}
