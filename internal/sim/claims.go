package sim

// applyClaims is the rule by which slots change hands: a claim wins where the
// slot is unassigned or the claimer's config epoch is higher. It also returns an
// owner that has a higher epoch than the claimer, where there is one.
func (n *Node) applyClaims(p *peer, epoch uint64, claims *slotBits) (changed bool, newer *peer) {
	mine := n.self
	if n.self.master != nil {
		mine = n.self.master
	}
	var dirty []int
	lost := false
	if p.slots != *claims {
		n.confirmClaims(p, claims)
	}
	for s := range claims.minus(&p.slots).all() {
		old := n.ownerOf(s)
		if n.importing[s] != nil && !n.rules.valkey8 {
			continue // on Redis it listens to nobody but the operator
		}
		if old != nil && old.epoch >= epoch && !n.unclaimed[s] {
			if old.epoch > epoch {
				newer = old
			}
			continue
		}
		if old == n.self && n.countKeys(s) > 0 {
			dirty = append(dirty, s)
		}
		lost = lost || old == mine
		n.retarget(s, old, p)
		n.bind(s, p)
		changed = true
	}
	n.afterLoss(p, mine, lost, dirty)
	return changed, newer
}

// confirmClaims: what p has and claims is not unclaimed any more. Servers look at
// claims only where these are news: a slot that was given up and is claimed again
// by the same node stays unclaimed.
func (n *Node) confirmClaims(p *peer, claims *slotBits) {
	for s := range n.unclaimed {
		if n.ownerOf(s) == p && claims.has(s) {
			delete(n.unclaimed, s)
		}
	}
}

// retarget keeps Valkey's open slots pointed at the right node: a failover in
// the owner's shard redirects them, another shard's claim closes them. Redis
// leaves them as they are, so that a node that lost its slot by gossip goes on
// saying that it migrates it.
func (n *Node) retarget(slot int, old, p *peer) {
	if !n.rules.valkey8 {
		return
	}
	failover := old != nil && old.shard == p.shard
	switch source := n.importing[slot]; {
	case source == nil || source == p:
	case source.shard == p.shard:
		n.importing[slot] = p
	case !failover:
		delete(n.importing, slot)
	}
	if p.shard != n.self.shard {
		delete(n.migrating, slot)
	}
}

// afterLoss is what a claim does to the loser: who lost its last slot becomes
// the claimer's replica and is wiped by the full sync; everybody else deletes
// the keys of the slots that it lost.
func (n *Node) afterLoss(p, mine *peer, lost bool, dirty []int) {
	if lost && mine.slots.empty() {
		n.c.note("%s lost its last slot and becomes a replica of %s", n, p.addr)
		n.follow(p)
		return
	}
	for _, s := range dirty {
		n.c.note("%s DELETES %d keys of slot %d, claimed by %s with epoch %d", n, n.countKeys(s), s, p.addr, p.epoch)
		n.deleteSlot(s)
	}
}

// hearDisowned notices slots that p is believed to own and does not claim. They
// stay bound to it; Redis 7.0 and Valkey let any claimer have them.
func (n *Node) hearDisowned(p *peer, claims *slotBits) bool {
	if !n.rules.unclaimed {
		return false
	}
	changed := false
	for s := range p.slots.minus(claims).all() {
		if !n.unclaimed[s] && !(n.rules.valkey8 && n.isMaster() && n.importing[s] == p) {
			n.unclaimed[s] = true
			changed = true
		}
	}
	return changed
}

// hearGivenUp: a master on Valkey 8 takes the slots that it imports from p when p
// says anything new of its slots and does not claim these, whosever they are.
func (n *Node) hearGivenUp(p *peer, claims *slotBits) bool {
	if !n.rules.valkey8 || !n.isMaster() {
		return false
	}
	changed := false
	for _, s := range n.openSlots() {
		if n.importing[s] == p && !claims.has(s) && p != n.self {
			n.c.note("%s takes slot %d, which %s gave up", n, s, p.addr)
			n.takeImported(s)
			changed = true
		}
	}
	return changed
}

// takeImported makes n the owner of a slot that it was importing. The epoch is
// raised without asking anybody, so that the claim wins.
func (n *Node) takeImported(slot int) {
	delete(n.importing, slot)
	n.bind(slot, n.self)
	n.bump()
	if n.rules.modern {
		n.broadcast()
	}
}

// bump gives n the highest config epoch that it knows of, unless it has it
// alone. What others have taken in the meantime it cannot know.
func (n *Node) bump() bool {
	highest := n.epoch
	for _, p := range n.peers {
		highest = max(highest, p.epoch)
	}
	if n.self.epoch != 0 && n.self.epoch == highest {
		return false
	}
	n.epoch = highest + 1
	n.self.epoch = n.epoch
	return true
}
