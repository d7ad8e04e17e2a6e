package plan

import (
	"fmt"
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
	r := resumer{s: s, moves: make(map[[2]cluster.NodeID][]int), closes: make(map[cluster.NodeID][]int)}
	for slot := range r.open().All() {
		if problem := r.slot(slot); problem != "" {
			r.problems = append(r.problems, fmt.Sprintf("slot %d: %s", slot, problem))
		}
	}
	if r.problems != nil {
		return Plan{}, &Refusal{Reasons: r.problems, Hint: "trib check shows the whole state"}
	}
	p.Reasons = r.jobs()
	r.writeTo(&p)
	p.seal(s)
	return p, nil
}

type resumer struct {
	s        cluster.State
	moves    map[[2]cluster.NodeID][]int // from, to -> slots
	closes   map[cluster.NodeID][]int
	problems []string
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
		key := [2]cluster.NodeID{j.From, j.To}
		r.moves[key] = append(r.moves[key], j.Slots.Slots()...)
		reasons = append(reasons, DescribeJob(j, r.s)+": that is waited for")
	}
	return reasons
}

// slot decides what becomes of one open slot; it returns what keeps it from
// deciding.
func (r *resumer) slot(slot int) string {
	owners := r.s.Owners(slot)
	if len(owners) == 0 && r.finishGiven(slot) {
		return ""
	}
	if len(owners) != 1 {
		return fmt.Sprintf("%d reachable masters say that they own it", len(owners))
	}
	owner := owners[0]
	target, problem := r.target(slot, owner)
	if problem != "" {
		return problem
	}
	if target != "" {
		key := [2]cluster.NodeID{owner.ID, target}
		r.moves[key] = append(r.moves[key], slot)
	}
	return r.closeOthers(slot, owner.ID, target)
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
		if target != "" || !giver.Reachable() || !given(giver, m).Has(slot) {
			return false
		}
		source, target = from, m.ID
	}
	if target == "" {
		return false
	}
	key := [2]cluster.NodeID{source, target}
	r.moves[key] = append(r.moves[key], slot)
	return true
}

// target is where the slot was going: where its owner says, else the one node
// that imports it. Nowhere, where only leftovers of a finished move are open, or
// where the target has become a replica of the owner.
func (r *resumer) target(slot int, owner cluster.Member) (cluster.NodeID, string) {
	if to, ok := owner.View.Self().Migrating[slot]; ok {
		master, problem := r.presentMaster(to)
		if master == owner.ID {
			master = ""
		}
		return master, problem
	}
	var importers []cluster.Member
	for _, m := range r.s.Masters() {
		if _, ok := m.View.Self().Importing[slot]; ok && m.ID != owner.ID {
			importers = append(importers, m)
		}
	}
	switch len(importers) {
	case 0:
		return "", ""
	case 1:
		return importers[0].ID, r.doubt(slot, owner, importers[0])
	}
	return "", fmt.Sprintf("%d nodes import it", len(importers))
}

// doubt is why an importing node alone does not prove that the slot was on its
// way there: one that was restarted with old data imports every slot of which it
// finds keys from the owner that it knows, and these keys are stale. It is proof
// where the node has no keys yet, or imports from one that was a master and is
// none now: the owner took its place, and does not know of the move.
func (r *resumer) doubt(slot int, owner, importer cluster.Member) string {
	keys, counted := importer.KeysIn(slot)
	from := importer.View.Self().Importing[slot]
	source, _ := r.s.Get(from)
	if counted && keys == 0 || from != owner.ID && !source.IsMaster() {
		return ""
	}
	return fmt.Sprintf("%s imports it and holds %d keys, but %s does not migrate it: whether these keys are newer or stale cannot be told",
		importer.Addr, keys, owner.Addr)
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
	master, ok := r.s.Get(m.View.Self().MasterID)
	if !ok || !master.IsMaster() {
		return "", fmt.Sprintf("its target %s is a replica of a node that does not answer", m.Addr)
	}
	return master.ID, ""
}

// closeOthers clears the slot's open state on nodes that take no part in the
// move. A node that holds keys of the slot is left alone: its open state is
// what protects them.
func (r *resumer) closeOthers(slot int, owner, target cluster.NodeID) string {
	for _, m := range r.s.Masters() {
		uninvolved := m.ID != target && (m.ID != owner || target == "")
		if !uninvolved || !m.OpenSlots().Has(slot) {
			continue
		}
		if m.ID != owner {
			if problem := mayHoldKeys(m, slot); problem != "" {
				return problem
			}
		}
		r.closes[m.ID] = append(r.closes[m.ID], slot)
	}
	return ""
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
		p.Nodes = append(p.Nodes, nodeOf(m))
	}
	for _, m := range r.s.Members {
		if slots := r.closes[m.ID]; slots != nil {
			p.Steps = append(p.Steps, Step{Action: CloseSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
	}
	for _, from := range r.s.Members {
		for _, to := range r.s.Members {
			if slots := r.moves[[2]cluster.NodeID{from.ID, to.ID}]; slots != nil {
				p.Steps = append(p.Steps, Step{Action: MoveSlots, From: from.ID, To: to.ID, Slots: cluster.SlotsOf(slots...)})
			}
		}
	}
	p.Nodes = slices.DeleteFunc(p.Nodes, func(n Node) bool { return !p.names(n.ID) })
}

func (p *Plan) names(id cluster.NodeID) bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Node == id || s.Master == id || s.From == id || s.To == id
	})
}
