package plan

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Resume plans to finish every slot move that was interrupted, from nothing
// but what the nodes say. It always rolls forward: a slot that is open goes to
// the node that it was on its way to, since keys may be on both sides and only
// the open state keeps clients able to find them.
//
// s must have keys counted for the open slots. What cannot be finished without
// a decision is refused. A plan without steps means that nothing is open.
func Resume(s cluster.State) (Plan, error) {
	p := Plan{Version: Version, Kind: KindResume}
	r := newResumer(s)
	for slot := range r.open().All() {
		if problem := r.finish(slot); problem != "" {
			r.problems = append(r.problems, fmt.Sprintf("slot %d: %s", slot, problem))
		}
	}
	if r.problems != nil {
		return Plan{}, &Refusal{Reasons: r.problems, Hint: hintFix}
	}
	p.Reasons = r.jobs()
	r.writeTo(&p)
	p.seal(s)
	return p, nil
}

const hintFix = "trib check shows the whole state; trib fix repairs more, and decides with --foreign-keys about keys that may be stale"

type resumer struct {
	s        cluster.State
	moves    map[pair][]int // slots
	closes   map[cluster.NodeID][]int
	begun    []Step // to gather keys: a node that imported for that got no slot
	thief    string // why nobody may move anything
	problems []string
}

func newResumer(s cluster.State) resumer {
	return resumer{s: s, thief: thief(s), moves: make(map[pair][]int), closes: make(map[cluster.NodeID][]int)}
}

// thief is why no move is safe: from Valkey 8 on a node takes the slots that it
// imports when their source gains or loses any others, whoever owns them. One that
// is at work and has not answered may have such a leftover.
func thief(s cluster.State) string {
	valkey8 := slices.ContainsFunc(s.Members, func(m cluster.Member) bool { return m.Features.ReplicatedSetSlot })
	for _, m := range s.Unreachable() {
		if valkey8 && seenAtWork(s, m.ID) {
			return fmt.Sprintf("%s does not answer and may import slots from nodes that would gain or lose some now", m.Addr)
		}
	}
	return ""
}

// seenAtWork reports whether some node sees another as a healthy master.
func seenAtWork(s cluster.State, id cluster.NodeID) bool {
	return slices.ContainsFunc(s.Members, func(m cluster.Member) bool {
		n, ok := m.View.Get(id)
		return ok && n.IsMaster() && n.Linked && n.Flags&(cluster.FlagFailed|cluster.FlagSuspect) == 0
	})
}

// open are the slots that any master calls open. A replica may repeat its
// master's open slots (Valkey 8); they are the master's to close.
func (r *resumer) open() cluster.SlotSet {
	var open cluster.SlotSet
	for _, m := range r.s.Masters() {
		open = open.Union(m.OpenSlots())
	}
	return open
}

// jobs adds what the servers move by themselves, which is to be waited for, and
// says so.
func (r *resumer) jobs() []string {
	var reasons []string
	for _, j := range r.s.Running() {
		from, _ := r.s.Get(j.From)
		to, _ := r.s.Get(j.To)
		if !from.IsMaster() || !to.IsMaster() || j.Slots.Minus(to.Slots()).Empty() {
			continue
		}
		key := pair{j.From, j.To}
		r.moves[key] = append(r.moves[key], j.Slots.Slots()...)
		reasons = append(reasons, DescribeJob(j, r.s)+": that is waited for")
	}
	return reasons
}

// finish decides what becomes of one open slot; it returns what keeps it from
// deciding.
func (r *resumer) finish(slot int) string {
	owners := r.s.Owners(slot)
	if len(owners) == 0 && r.finishGiven(slot) {
		return ""
	}
	if len(owners) == 0 && r.thief != "" {
		return r.thief
	}
	if len(owners) != 1 {
		return fmt.Sprintf("%d reachable masters say that they own it", len(owners))
	}
	home, strays, problem := r.slot(slot, owners[0])
	for _, m := range strays {
		if m.OpenSlots().Has(slot) {
			return doubt(slot, owners[0], m, home)
		}
	}
	return problem
}

// slot rolls a slot forward that has one owner, to the node where its keys will
// be. Strays are the other masters with keys of it, which may be stale.
func (r *resumer) slot(slot int, owner cluster.Member) (home cluster.NodeID, strays []cluster.Member, problem string) {
	if home, problem = r.target(slot, owner); problem != "" {
		return "", nil, problem
	}
	if r.thief != "" && home != owner.ID {
		return "", nil, r.thief
	}
	var closes []cluster.NodeID
	for _, m := range r.s.Masters() {
		keys, counted := m.KeysIn(slot)
		open, involved := m.OpenSlots().Has(slot), m.ID == owner.ID || m.ID == home
		switch {
		case involved && home != owner.ID:
		case !involved && open && !counted:
			return "", nil, fmt.Sprintf("the keys of slot %d on %s were not counted", slot, m.Addr)
		case !involved && keys > 0:
			strays = append(strays, m)
		case open:
			closes = append(closes, m.ID)
		}
	}
	for _, id := range closes {
		r.closes[id] = append(r.closes[id], slot)
	}
	if home != owner.ID {
		r.moves[pair{owner.ID, home}] = append(r.moves[pair{owner.ID, home}], slot)
	}
	return home, strays, ""
}

// finishGiven plans for a slot that was given up and not claimed, where it is
// clear who is to claim it and nobody else has keys of it.
func (r *resumer) finishGiven(slot int) bool {
	var source, target cluster.NodeID
	for _, m := range r.s.Members {
		from, importing := m.View.Self().Importing[slot]
		if !importing || !m.IsMaster() {
			if keys, counted := m.KeysIn(slot); m.IsMaster() && (!counted || keys > 0) {
				return false
			}
			continue
		}
		giver, _ := r.s.Get(from)
		if target != "" || !given(giver, m).Has(slot) {
			return false
		}
		source, target = from, m.ID
	}
	if target == "" || r.thief != "" {
		return false
	}
	r.moves[pair{source, target}] = append(r.moves[pair{source, target}], slot)
	return true
}

// target is where the slot was going: where its owner says, else the one node
// of which it is clear that the slot was on its way there: one that imports it
// from a node whose place the owner took, or from the owner and has no keys yet. It
// is the owner where only leftovers of a finished move are open, where the target
// has become a replica of the owner, and where several could have been the target:
// what they hold is foreign.
func (r *resumer) target(slot int, owner cluster.Member) (cluster.NodeID, string) {
	if to, ok := owner.View.Self().Migrating[slot]; ok {
		if heir := r.successor(slot, owner, to); heir != "" {
			return heir, ""
		}
		return r.presentMaster(to)
	}
	var importers []cluster.Member
	var heirs []cluster.NodeID
	for _, m := range r.s.Masters() {
		from, importing := m.View.Self().Importing[slot]
		switch {
		case !importing || m.ID == owner.ID || begun(r.begun, r.s, slot, pair{m.ID, owner.ID}) != "":
		case from == owner.ID:
			importers = append(importers, m)
		case r.tookPlace(owner, from):
			heirs = append(heirs, m.ID)
		}
	}
	if len(heirs) == 0 && len(importers) == 1 && holdsNone(importers[0], slot) {
		return importers[0].ID, ""
	}
	if len(heirs) == 1 {
		return heirs[0], ""
	}
	return owner.ID, ""
}

// tookPlace reports whether an owner may have been promoted in place of a node: it
// is a replica of the owner now, or is dead and has nothing but slots that are open,
// of which whoever imports them hears no news.
func (r *resumer) tookPlace(owner cluster.Member, of cluster.NodeID) bool {
	if old, _ := r.s.Get(of); old.Reachable() {
		return replicates(r.s, of, owner.ID)
	}
	return Dead(r.s, of) && slotsSeen(r.s, of).Minus(r.open()).Empty() && mayReplace(r.s, owner, of)
}

func holdsNone(m cluster.Member, slot int) bool {
	keys, counted := m.KeysIn(slot)
	return counted && keys == 0
}

// doubt is why keys of an open slot on a node that is no part of its move do not
// prove that the slot was on its way there: one that was restarted with old data
// imports every slot of which it finds keys from the owner that it knows, and
// these keys are stale. It is proof where the node has no keys yet, or imports
// from one that was a master and is none now: the owner took its place, and does
// not know of the move.
func doubt(slot int, owner, m cluster.Member, home cluster.NodeID) string {
	keys, _ := m.KeysIn(slot)
	if _, importing := m.View.Self().Importing[slot]; !importing || home != owner.ID {
		return fmt.Sprintf("%s holds %d keys of slot %d without a claim to it", m.Addr, keys, slot)
	}
	return fmt.Sprintf("%s imports it and holds %d keys, but %s does not migrate it: whether these keys are newer or stale cannot be told",
		m.Addr, keys, owner.Addr)
}

// presentMaster follows a target that was failed over to the replica that took
// its place.
func (r *resumer) presentMaster(id cluster.NodeID) (cluster.NodeID, string) {
	m, ok := r.s.Get(id)
	if !ok {
		return "", fmt.Sprintf("its target %s is not known", id.Short())
	}
	if !m.Reachable() {
		return "", fmt.Sprintf("its target %s does not answer: %s", name(r.s, id), m.Unreachable)
	}
	if m.IsMaster() {
		return id, ""
	}
	master, _ := r.s.Get(m.View.Self().MasterID)
	if !master.IsMaster() {
		return "", fmt.Sprintf("its target %s is a replica of a node that does not answer", m.Addr)
	}
	return master.ID, ""
}

func mayHoldKeys(m cluster.Member, slot int) string {
	n, counted := m.KeysIn(slot)
	if !counted {
		return fmt.Sprintf("the keys of slot %d on %s were not counted", slot, m.Addr)
	}
	if n > 0 {
		return fmt.Sprintf("%s holds %d keys of slot %d without a claim to it", m.Addr, n, slot)
	}
	return ""
}

func (r *resumer) writeTo(p *Plan) {
	for _, m := range r.s.Members {
		if slots := r.closes[m.ID]; slots != nil {
			p.Steps = append(p.Steps, Step{Action: CloseSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
	}
	p.Steps = append(p.Steps, r.steps(MoveSlots, r.moves)...)
	r.nameNodes(p)
}

// steps are those of one action, in the order of the members as far as that lets
// many go at the same time: no node may be source and target at once. The lowest
// bit in which the places of the two differ tells who can, so that n members
// take two rounds for each bit of n at most.
func (r *resumer) steps(action Action, of map[pair][]int) []Step {
	rounds := make([][]Step, 2*bits.Len(uint(len(r.s.Members))))
	for i, from := range r.s.Members {
		for j, to := range r.s.Members {
			if slots := of[pair{from.ID, to.ID}]; len(slots) > 0 {
				bit := bits.TrailingZeros(uint(i ^ j))
				round := 2*bit + i>>bit&1
				rounds[round] = append(rounds[round], Step{Action: action, From: from.ID, To: to.ID, Slots: cluster.SlotsOf(slots...)})
			}
		}
	}
	return slices.Concat(rounds...)
}

// nameNodes adds the nodes that steps name.
func (r *resumer) nameNodes(p *Plan) {
	for _, m := range r.s.Members {
		if p.names(m.ID) {
			p.Nodes = append(p.Nodes, nodeOf(m))
		}
	}
}

func (p *Plan) names(id cluster.NodeID) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Node == id || s.Master == id || s.From == id || s.To == id
	})
}
