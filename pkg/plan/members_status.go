package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// describeMember says in words what a step does with a member as a whole.
func (p Plan) describeMember(s Step) string {
	switch s.Action {
	case Meet:
		return fmt.Sprintf("let %s meet the cluster", p.Addr(s.Node))
	case CopyFunctions:
		return fmt.Sprintf("copy the functions of %s to %s", p.Addr(s.From), p.Addr(s.Node))
	case Reset:
		return fmt.Sprintf("reset %s: it forgets the cluster, and its data where it is a replica", p.Addr(s.Node))
	case Renew:
		return fmt.Sprintf("give %s a new id", p.Addr(s.Node))
	case Forget:
		if s.Master != "" {
			return fmt.Sprintf("let its master %s forget %s first", p.Addr(s.Master), p.Addr(s.Node))
		}
		return fmt.Sprintf("let every node forget %s (%s)", p.Addr(s.Node), s.Node)
	case Failover:
		return fmt.Sprintf("make %s the master in place of %s%s", p.Addr(s.Node), p.Addr(s.Master), s.Mode.how())
	}
	return string(s.Action)
}

func (m FailoverMode) how() string {
	switch m {
	case Force:
		return ", without asking it"
	case Takeover:
		return ", without asking anybody"
	}
	return ""
}

// meetStatus: a node has met the others when it knows all nodes of the plan,
// and all know it. Until then it must bring nothing along.
func (p Plan) meetStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	strange := false
	for _, n := range p.Nodes {
		other, ok := s.Get(n.ID)
		if !ok || !other.Reachable() {
			return Blocked, fmt.Sprintf("%s does not answer", n.Addr)
		}
		strange = strange || !met(other.View, step.Node) || !met(m.View, n.ID)
	}
	if !strange {
		return Done, ""
	}
	if both := disputed(s, m, Dead); p.Kind == KindFix && !both.Empty() {
		return Blocked, fmt.Sprintf("others claim slots %s of %s as well", both, m.Addr)
	}
	if problems := burdens(s, m); len(Knowing(s, m.ID)) == 0 && problems != nil {
		return Blocked, fmt.Sprintf("%s: %s", m.Addr, problems[0])
	}
	return Ready, ""
}

// copyStatus takes any functions for the right ones: the node had none when it
// met the others.
func (p Plan) copyStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	source, ok := s.Get(step.From)
	switch {
	case m.Functions > 0:
		return Done, ""
	case !ok || !source.Reachable():
		return Blocked, fmt.Sprintf("%s, whose functions are copied, does not answer", p.Addr(step.From))
	}
	return Ready, ""
}

// resetStatus: slots that the plan moves away before do not stand in the way.
// Whom nobody knows, and who does not answer under its id, is a stranger; it
// has a new id when it does not.
func (p Plan) resetStatus(step Step, s cluster.State) (Status, string) {
	m, known := s.Get(step.Node)
	switch moved := p.movedFrom(step.Node); {
	case !known, !m.Reachable() && len(Knowing(s, m.ID)) == 0:
		return Done, ""
	case !m.Reachable():
		return Blocked, fmt.Sprintf("%s does not answer", m.Addr)
	case !m.Slots().Minus(moved).Empty():
		return Blocked, fmt.Sprintf("%s has slots %s", m.Addr, m.Slots().Minus(moved))
	case alone(m) && m.Slots().Empty() && step.Action == Reset:
		return Done, ""
	case m.IsMaster() && m.Keys() > 0 && moved.Empty():
		return Blocked, fmt.Sprintf("%s has %s", m.Addr, count(int(m.Keys()), "key"))
	}
	if r := lastCopy(s, m); r != nil {
		return Blocked, r.Error()
	}
	return Ready, ""
}

func (p Plan) movedFrom(id cluster.NodeID) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, step := range p.Steps {
		if step.Action == MoveSlots && step.From == id {
			slots = slots.Union(step.Slots)
		}
	}
	return slots
}

// movedByLeaver reports whether a step moved slots away from a node that has
// left since, as the plan wants it: it cannot be asked any more.
func (p Plan) movedByLeaver(step Step, s cluster.State) bool {
	leaves := slices.ContainsFunc(p.Steps, func(other Step) bool { return other.Action == Forget && other.Node == step.From })
	if step.Action != MoveSlots || !leaves || len(Knowing(s, step.From)) > 0 {
		return false
	}
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	return from.Slots().Empty() && step.Slots.Minus(to.Slots()).Empty()
}

func (p Plan) forgetStatus(step Step, s cluster.State) (Status, string) {
	if len(ToForget(step, s)) == 0 {
		return Done, ""
	}
	if kept := slotsSeen(s, step.Node).Minus(p.movedFrom(step.Node)); !kept.Empty() {
		return Blocked, fmt.Sprintf("%s has slots %s", p.Addr(step.Node), kept)
	}
	if p.Kind == KindFix && !Dead(s, step.Node) {
		return Blocked, fmt.Sprintf("%s is alive", p.Addr(step.Node))
	}
	for _, r := range s.ReplicasOf(step.Node) {
		rehomed := slices.ContainsFunc(p.Steps, func(other Step) bool { return other.Action == Replicate && other.Node == r.ID })
		if !rehomed {
			return Blocked, fmt.Sprintf("%s replicates it", r.Addr)
		}
	}
	return Ready, ""
}

// failoverStatus: it is done when the old master, if it answers, has seen it. A
// repair does not replace a master that has come back: nobody asked for that.
func (p Plan) failoverStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	old, _ := s.Get(step.Master)
	switch self := m.View.Self(); {
	case m.IsMaster() && !old.IsMaster():
		return Done, ""
	case m.IsMaster():
		return Ready, "" // the old master has not heard of it yet
	case self.MasterID != step.Master:
		return Blocked, fmt.Sprintf("%s is a replica of %s now", m.Addr, self.MasterID)
	case p.Kind == KindFix && !Dead(s, step.Master):
		return Blocked, fmt.Sprintf("%s is alive", p.Addr(step.Master))
	}
	return Ready, ""
}
