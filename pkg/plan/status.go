package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Status is where a step stands in a state of the cluster.
type Status int

// A step is done, can be done now, or is in the way of something that the plan
// did not expect: a plan with a blocked step is stale.
const (
	Done Status = iota
	Ready
	Blocked
)

func (s Status) String() string {
	return [...]string{"done", "ready", "blocked"}[s]
}

// Status says where a step stands, and why where it is blocked. It judges the
// step alone: that the steps before it come first is for who carries them out.
func (p Plan) Status(step Step, s cluster.State) (Status, string) {
	if p.movedByLeaver(step, s) {
		return Done, ""
	}
	for _, id := range step.subjects() {
		if m, ok := s.Get(id); !ok || !m.Reachable() {
			return Blocked, p.absent(id, s)
		}
	}
	status, why := p.judge(step, s)
	if status == Ready && p.Kind == KindCreate {
		return p.stillFresh(step, s)
	}
	return status, why
}

// stillFresh blocks a step of create whose nodes have got something since the
// plan was made that it did not put there: another create, say, whose cluster
// this one would be merged with.
func (p Plan) stillFresh(step Step, s cluster.State) (Status, string) {
	ids := step.subjects()
	if step.Action == Join {
		ids = nil
		for _, n := range p.Nodes {
			ids = append(ids, n.ID)
		}
	}
	for _, id := range ids {
		m, _ := s.Get(id)
		if problems := p.obstacles(m); problems != nil {
			return Blocked, fmt.Sprintf("%s %s", m.Addr, problems[0])
		}
	}
	return Ready, ""
}

func (p Plan) judge(step Step, s cluster.State) (Status, string) {
	switch step.Action {
	case SetEpoch:
		return p.epochStatus(step, s)
	case AssignSlots:
		return p.assignStatus(step, s)
	case Join:
		return p.joinStatus(s)
	case Replicate:
		return p.replicateStatus(step, s)
	case MoveSlots:
		return p.moveStatus(step, s)
	case CloseSlots:
		return p.closeStatus(step, s)
	case PinSlots:
		return p.pinStatus(step, s)
	case ClaimSlots:
		return p.claimStatus(step, s)
	case GatherKeys, DropKeys, DiscardKeys:
		return p.gatherStatus(step, s)
	case BumpEpoch:
		return p.bumpStatus(step, s)
	case Meet:
		return p.meetStatus(step, s)
	case CopyFunctions:
		return p.copyStatus(step, s)
	case Reset, Renew:
		return p.resetStatus(step, s)
	case Forget:
		return p.forgetStatus(step, s)
	case Failover:
		return p.failoverStatus(step, s)
	}
	return Blocked, fmt.Sprintf("unknown action %q", step.Action)
}

// subjects are the nodes that must answer before the step can be judged.
func (step Step) subjects() []cluster.NodeID {
	switch step.Action {
	case MoveSlots, PinSlots, GatherKeys, DropKeys, DiscardKeys:
		return []cluster.NodeID{step.From, step.To}
	case Join, Reset, Renew, Forget:
		return nil
	}
	return []cluster.NodeID{step.Node}
}

// epochStatus takes any epoch for the right one: nodes bump theirs when two
// collide, and the servers refuse to set an epoch a second time.
func (p Plan) epochStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	if m.View.Self().Epoch != 0 || len(m.View.Nodes) > 1 {
		return Done, ""
	}
	return Ready, ""
}

func (p Plan) assignStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	switch slots := m.Slots(); {
	case slots.Equal(step.Slots):
		return Done, ""
	case !m.IsMaster():
		return Blocked, roleChanged(m, s)
	case !slots.Empty():
		return Blocked, fmt.Sprintf("%s; the plan gives it %s", differs("slots of "+m.Addr.String(), "none", slots), step.Slots)
	}
	return Ready, ""
}

func (p Plan) joinStatus(s cluster.State) (Status, string) {
	for _, n := range p.Nodes {
		m, ok := s.Get(n.ID)
		if !ok || !m.Reachable() {
			return Blocked, fmt.Sprintf("%s does not answer", n.Addr)
		}
		if len(p.Strangers(m.View)) > 0 {
			return Ready, ""
		}
	}
	return Done, ""
}

// Strangers are the nodes of the plan that a view does not hold as met.
func (p Plan) Strangers(v cluster.View) []Node {
	met := make(map[cluster.NodeID]bool, len(v.Nodes))
	for _, n := range v.Nodes {
		met[n.ID] = !n.Flags.Has(cluster.FlagHandshake)
	}
	var strangers []Node
	for _, n := range p.Nodes {
		if !met[n.ID] {
			strangers = append(strangers, n)
		}
	}
	return strangers
}

func (p Plan) replicateStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	switch self := m.View.Self(); {
	case self.MasterID == step.Master:
		return Done, ""
	case !self.Slots.Empty():
		return Blocked, differs("slots of "+m.Addr.String(), "none", self.Slots) + "; a node with slots cannot become a replica"
	}
	return Ready, ""
}

func (p Plan) moveStatus(step Step, s cluster.State) (Status, string) {
	if !Remaining(step, s).Empty() {
		return p.canMove(step, s)
	}
	return Done, ""
}

// Remaining are the slots of a move-slots step that are not settled: not owned
// by the target alone, or still open at one of the ends.
func Remaining(step Step, s cluster.State) cluster.SlotSet {
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	settled := to.Slots().Minus(from.Slots()).Minus(from.OpenSlots()).Minus(to.OpenSlots())
	return step.Slots.Minus(settled)
}

func (p Plan) canMove(step Step, s cluster.State) (Status, string) {
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	if !to.IsMaster() {
		return Blocked, roleChanged(to, s)
	}
	left := Remaining(step, s)
	if lost := left.Minus(from.Slots()).Minus(to.Slots()).Minus(given(from, to)); !lost.Empty() {
		return Blocked, ownersChanged(lost, from, s)
	}
	for slot := range left.All() {
		for _, m := range s.Owners(slot) {
			if m.ID != step.From && m.ID != step.To {
				return Blocked, differs(fmt.Sprintf("owner of slot %d", slot), from.Addr, "also "+m.Addr.String())
			}
		}
		peer, ok := from.View.Self().Migrating[slot]
		if ok && peer != step.To && !replicates(s, peer, step.To) && !replaced(s, peer) && from.Slots().Has(slot) {
			return Blocked, differs(fmt.Sprintf("target of slot %d, which %s is migrating", slot, from.Addr), to.Addr, addrOf(s, peer))
		}
	}
	return Ready, ""
}

// given are the slots that a source has given up for a target that imports them
// and has not claimed them yet: the two were told in this order, and whoever did
// that was stopped in between.
func given(from, to cluster.Member) cluster.SlotSet {
	target, _ := from.View.Get(to.ID)
	var slots []int
	for slot, peer := range to.View.Self().Importing {
		if peer == from.ID && target.Slots.Has(slot) && !from.Slots().Has(slot) {
			slots = append(slots, slot)
		}
	}
	return cluster.SlotsOf(slots...)
}

// replicates reports whether a node is a replica of master now: it was failed
// over, and what was meant for it is meant for its successor.
func replicates(s cluster.State, id, master cluster.NodeID) bool {
	m, ok := s.Get(id)
	return ok && m.Reachable() && m.View.Self().MasterID == master
}

func (p Plan) closeStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	open := m.OpenSlots().Intersect(step.Slots)
	if open.Empty() {
		return Done, ""
	}
	for slot := range open.All() {
		if m.Slots().Has(slot) {
			to, migrating := m.View.Self().Migrating[slot]
			if migrating && !replicates(s, to, m.ID) && !(step.Dead && Dead(s, to)) {
				return Blocked, fmt.Sprintf("%s is migrating slot %d to %s", m.Addr, slot, to)
			}
			continue
		}
		if problem := mayHoldKeys(m, slot); problem != "" {
			return Blocked, problem
		}
	}
	return Ready, ""
}
