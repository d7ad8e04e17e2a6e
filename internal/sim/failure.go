package sim

import (
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Crash ends the process at once. Connections are reset; nodes.conf and the
// data survive for Restart.
func (n *Node) Crash() {
	defer n.c.enter()()
	if n.alive {
		n.c.note("%s crashes", n)
		n.crash()
	}
}

func (n *Node) crash() {
	n.alive, n.paused, n.busy = false, false, nil
	for _, s := range slices.Clone(n.sessions) {
		s.close()
	}
	unread := n.inbox
	n.inbox = nil
	for _, k := range unread {
		if k.gone != nil {
			k.gone()
		}
	}
	for _, r := range n.replicas() {
		r.link.up, r.link.stream = false, nil // what had not arrived never will
	}
	n.silent()
}

// Restart starts a crashed node again with the view that it had, and with its
// data where keepData is set. A master with keys of slots that it does not own
// imports them, or takes them where they are nobody's.
func (n *Node) Restart(keepData bool) {
	defer n.c.enter()()
	if n.alive {
		return
	}
	n.c.note("%s restarts", n)
	n.alive = true
	n.boot()
	n.rejoining = n.c.now.Add(rejoinDelay)
	if !keepData {
		n.dbs = newDatabases(n.c.o.Databases)
	}
	if n.isMaster() {
		n.claimStrays()
	} else {
		n.link = &link{}
		n.resync()
	}
	n.spokeUp()
}

func (n *Node) claimStrays() {
	for s := range cluster.SlotCount {
		if n.countKeys(s) == 0 {
			continue
		}
		switch p := n.ownerOf(s); {
		case p == n.self || n.importing[s] != nil:
		case p == nil:
			n.bind(s, n.self)
		default:
			n.importing[s] = p
		}
	}
}

// Pause stops the process as SIGSTOP does: connections stay open, what is sent
// waits in the socket and is carried out by Resume, even where nobody waits for
// the answer any more.
func (n *Node) Pause() {
	defer n.c.enter()()
	if n.alive && !n.paused {
		n.c.note("%s is paused", n)
		n.paused = true
		n.silent()
	}
}

// Resume ends Pause.
func (n *Node) Resume() {
	defer n.c.enter()()
	if n.paused {
		n.c.note("%s resumes", n)
		n.paused = false
		n.drainInbox()
		n.catchUp()
		n.spokeUp()
	}
}

// silent lets the others find out that n does not answer.
func (n *Node) silent() {
	n.silence++
	silence := n.silence
	n.c.after(n.c.o.NodeTimeout, func() {
		if n.silence != silence {
			return
		}
		for _, m := range n.c.nodes {
			if p := m.peer(n.self.id); p != nil && m.live() {
				p.suspect = true
				m.touched()
			}
		}
		n.c.after(n.c.o.GossipDelay, func() { n.judge(silence) })
	})
}

// judge marks n as failed for everybody who knows that most masters suspect it.
func (n *Node) judge(silence int) {
	if n.silence != silence {
		return
	}
	failed := false
	for _, m := range n.c.nodes {
		p := m.peer(n.self.id)
		if p == nil || !m.live() || !m.majority(func(v *peer) bool { return n.suspectedBy(v) }) {
			continue
		}
		p.suspect, p.failed, p.failedAt = false, true, n.c.now
		m.touched()
		failed = true
	}
	if failed && n.isMaster() && !n.c.o.NoAutoFailover {
		n.c.note("%s has failed", n)
		n.c.after(n.c.o.FailoverDelay, func() { n.electReplica(silence) })
	}
}

func (n *Node) suspectedBy(v *peer) bool {
	m := n.c.nodeOf(v)
	if m == nil || !m.live() {
		return false
	}
	p := m.peer(n.self.id)
	return p != nil && (p.suspect || p.failed)
}

// majority reports whether most of the masters that have slots in n's view
// satisfy holds.
func (n *Node) majority(holds func(*peer) bool) bool {
	owners, count := 0, 0
	for _, p := range n.peers {
		if p.slots.empty() {
			continue
		}
		owners++
		if holds(p) {
			count++
		}
	}
	return count > owners/2
}

// electReplica promotes the replica that has most of a failed master's data.
func (n *Node) electReplica(silence int) {
	if n.silence != silence {
		return
	}
	var best *Node
	for _, r := range n.c.nodes {
		if r.live() && r.link != nil && r.self.master.id == n.self.id && r.self.master.failed && r.canElect() &&
			r.link.synced && !r.self.master.slots.empty() && (best == nil || r.link.applied > best.link.applied) {
			best = r
		}
	}
	if best != nil {
		best.promote(true)
	}
}

func (n *Node) canElect() bool {
	return n.majority(func(p *peer) bool { m := n.c.nodeOf(p); return m != nil && m.live() })
}

// spokeUp lets the others hear that n is there again.
func (n *Node) spokeUp() {
	n.silence++
	n.touched()
}

// forgive clears what p was accused of, now that it has been heard. A failed
// master that still owns slots is believed only when its replicas have had time
// to take them.
func (n *Node) forgive(p *peer) bool {
	changed := p.suspect
	p.suspect = false
	if !p.failed {
		return changed
	}
	if wait := p.failedAt.Add(2 * n.c.o.NodeTimeout).Sub(n.c.now); p.master == nil && !p.slots.empty() && wait > 0 {
		n.c.after(wait, n.touched)
		return changed
	}
	p.failed = false
	return true
}

// isDown is cluster_state:fail: a slot without a serving owner, unless partial
// coverage is allowed, or no majority of masters.
func (n *Node) isDown() bool {
	if n.isMaster() && n.c.now.Before(n.rejoining) {
		return true
	}
	if n.health != n.version {
		n.health, n.down = n.version, n.computeDown()
	}
	return n.down
}

func (n *Node) computeDown() bool {
	if !n.c.o.PartialCoverage {
		assigned := 0
		for _, p := range n.peers {
			assigned += p.slots.count()
			if p.failed && !p.slots.empty() {
				return true
			}
		}
		if assigned < cluster.SlotCount {
			return true
		}
	}
	return !n.majority(func(p *peer) bool { return !p.suspect && !p.failed })
}
