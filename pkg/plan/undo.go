package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Undo plans the inverse of a plan's slot moves, as far as they were done: the
// slots that a move's target owns now go back to its source. Other steps cannot
// be undone; a warning names each. A plan without steps means that there is
// nothing to move back.
//
// It refuses where a slot has moved on, or is open in another direction than
// back. s must have keys counted for the open slots.
func Undo(p Plan, s cluster.State) (Plan, error) {
	u := undoer{s: s, back: Plan{Version: Version, Kind: KindUndo}}
	for _, step := range slices.Backward(p.Steps) {
		if step.Action != MoveSlots {
			u.back.Warnings = append(u.back.Warnings, "this cannot be undone: "+p.Describe(step))
			continue
		}
		if problem := u.move(p, step); problem != "" {
			u.problems = append(u.problems, problem)
		}
	}
	if u.problems != nil {
		return Plan{}, &Refusal{Reasons: u.problems, Hint: "trib resume finishes open slots; trib reshard moves slots from where they are now"}
	}
	u.back.seal(s)
	return u.back, nil
}

type undoer struct {
	s        cluster.State
	back     Plan
	problems []string
}

// move plans one move back; it returns what keeps it from doing so.
func (u *undoer) move(p Plan, step Step) string {
	for _, id := range step.subjects() {
		m, ok := u.s.Get(id)
		switch {
		case !ok || !m.Reachable():
			return p.absent(id, u.s)
		case !m.IsMaster():
			return roleChanged(m, u.s)
		}
	}
	source, _ := u.s.Get(step.From)
	target, _ := u.s.Get(step.To)
	if gone := step.Slots.Minus(source.Slots()).Minus(target.Slots()); !gone.Empty() {
		return ownersChanged(gone, target, u.s)
	}
	begun := between(target, source).Intersect(step.Slots)
	if open := u.open().Intersect(step.Slots).Minus(begun); !open.Empty() {
		return fmt.Sprintf("slots %s are open, and not on their way back from %s to %s", open, target.Addr, source.Addr)
	}
	u.add(target, source, begun.Union(target.Slots().Intersect(step.Slots)))
	return ""
}

func (u *undoer) open() cluster.SlotSet {
	var open cluster.SlotSet
	for _, m := range u.s.Masters() {
		open = open.Union(m.OpenSlots())
	}
	return open
}

func (u *undoer) add(from, to cluster.Member, slots cluster.SlotSet) {
	if slots.Empty() {
		return
	}
	for _, m := range []cluster.Member{from, to} {
		if u.back.Addr(m.ID) == (cluster.Addr{}) {
			u.back.Nodes = append(u.back.Nodes, nodeOf(m))
		}
	}
	u.back.Steps = append(u.back.Steps, Step{Action: MoveSlots, From: from.ID, To: to.ID, Slots: slots})
}
