package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// pinStatus takes a slot for pinned that the holder gave up and imports, and
// knows the owner of if there is one. Once all believe the owner, that is past.
func (p Plan) pinStatus(step Step, s cluster.State) (Status, string) {
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	switch {
	case p.gaveAll(step.From, s):
		return Done, ""
	case !from.IsMaster():
		return Blocked, roleChanged(from, s)
	}
	if lost := step.Slots.Intersect(from.Slots()).Minus(to.Slots()); !lost.Empty() {
		return Blocked, fmt.Sprintf("%s has come to own slots %s alone", from.Addr, lost)
	}
	seen, _ := from.View.Get(step.To)
	past := Claimed(Step{Node: step.To, Slots: step.Slots}, s)
	for slot := range step.Slots.All() {
		told := seen.Slots.Has(slot) || !to.Slots().Has(slot)
		pinned := from.View.Self().Importing[slot] == step.To && told
		if !pinned && !past {
			return Ready, ""
		}
	}
	return Done, ""
}

// gaveAll reports whether a node has become a replica of one to which the plan
// moves slots of it: it gave its last one away, which it does only when it holds no
// key any more.
func (p Plan) gaveAll(id cluster.NodeID, s cluster.State) bool {
	return slices.ContainsFunc(p.Steps, func(step Step) bool {
		return step.Action == MoveSlots && step.From == id && replicates(s, id, step.To)
	})
}

// claimStatus counts a claim as done when every master believes it.
func (p Plan) claimStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	if !m.IsMaster() {
		return Blocked, roleChanged(m, s)
	}
	for _, other := range s.Masters() {
		taken := step.Slots.Intersect(other.Slots()).Minus(p.pinned(other.ID, step.Node))
		if other.ID != step.Node && !taken.Empty() {
			return Blocked, differs(fmt.Sprintf("owner of slots %s", taken), "nobody", other.Addr)
		}
	}
	if !Claimed(step, s) {
		return Ready, ""
	}
	return Done, ""
}

// pinned are the slots that the plan pins on a node in favour of an owner.
func (p Plan) pinned(from, to cluster.NodeID) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, step := range p.Steps {
		if step.Action == PinSlots && step.From == from && step.To == to {
			slots = slots.Union(step.Slots)
		}
	}
	return slots
}

// Claimed reports whether every master sees the slots of a claim with its node.
func Claimed(step Step, s cluster.State) bool {
	for _, m := range s.Masters() {
		seen, _ := m.View.Get(step.Node)
		if !step.Slots.Minus(seen.Slots).Empty() {
			return false
		}
	}
	return true
}

// gatherStatus asks for the keys where they were counted. Where they were not,
// the slots that the holder neither owns nor imports count as gathered.
func (p Plan) gatherStatus(step Step, s cluster.State) (Status, string) {
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	switch {
	case p.gaveAll(step.From, s):
		return Done, ""
	case !from.IsMaster():
		return Blocked, roleChanged(from, s)
	}
	if lost := step.Slots.Minus(to.Slots()).Minus(p.given(step.To)); !lost.Empty() {
		return Blocked, ownersChanged(lost, to, s)
	}
	for slot := range step.Slots.All() {
		keys, _ := from.KeysIn(slot)
		if keys > 0 || from.Slots().Has(slot) || from.OpenSlots().Has(slot) {
			return Ready, ""
		}
	}
	return Done, ""
}

// given are the slots that the plan gives to a node.
func (p Plan) given(id cluster.NodeID) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, step := range p.Steps {
		if step.Action == ClaimSlots && step.Node == id || step.Action == MoveSlots && step.To == id {
			slots = slots.Union(step.Slots)
		}
	}
	return slots
}
