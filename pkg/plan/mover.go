package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Method is how slots are moved.
type Method string

// The methods. A classic move takes the keys over one by one while the slot is
// open; an atomic one is carried out by the servers themselves.
const (
	MethodAuto    Method = "auto" // atomic where both ends can, else classic
	MethodClassic Method = "classic"
	MethodAtomic  Method = "atomic"
)

// Methods are all of them.
func Methods() []Method { return []Method{MethodAuto, MethodClassic, MethodAtomic} }

// MoverOptions say how slots are to be moved.
type MoverOptions struct {
	Method  Method // default MethodAuto
	Classic string // what else is asked for that only a classic move can do; empty for nothing
}

// Mover is how the slots of one pair of nodes are moved, and why.
type Mover struct {
	From     cluster.NodeID  `json:"from"`
	To       cluster.NodeID  `json:"to"`
	Method   Method          `json:"method"` // classic or atomic
	Dialect  cluster.Dialect `json:"dialect,omitempty"`
	Why      string          `json:"why"`
	Obstacle bool            `json:"-"` // it was asked for, and Why it cannot be
}

// MoverOf chooses how slots move from one node to another.
func MoverOf(from, to cluster.Member, o MoverOptions) Mover {
	m := Mover{From: from.ID, To: to.ID, Method: MethodClassic, Why: "it was asked for"}
	if o.Method == MethodClassic {
		return m
	}
	obstacle := notAtomic(from, to)
	if obstacle == "" && o.Classic != "" {
		obstacle = o.Classic + " needs it"
	}
	switch {
	case obstacle == "":
		m.Method, m.Dialect, m.Why = MethodAtomic, from.Features.Atomic, "both nodes have "+from.Features.Atomic.String()
	case o.Method == MethodAtomic:
		m.Method, m.Why, m.Obstacle = MethodAtomic, obstacle, true
	default:
		m.Why = obstacle
	}
	return m
}

// notAtomic is why two nodes cannot move slots by themselves; empty where they
// can.
func notAtomic(from, to cluster.Member) string {
	for _, m := range []cluster.Member{from, to} {
		if m.Features.Atomic == cluster.NoDialect {
			return fmt.Sprintf("%s (%s) has %s", m.Addr, m.Server, cluster.NoDialect)
		}
	}
	switch {
	case from.Features.Atomic != to.Features.Atomic:
		return fmt.Sprintf("%s has %s, and %s has %s", from.Addr, from.Features.Atomic, to.Addr, to.Features.Atomic)
	case to.Admission.DemandsPassword && !from.Admission.HasPassword:
		return fmt.Sprintf("%s demands a password and %s has none to show (primaryauth)", to.Addr, from.Addr)
	}
	for _, m := range []cluster.Member{from, to} {
		if names := m.Admission.Modules; names != nil {
			return fmt.Sprintf("%s has loaded what forbids it: module %s", m.Addr, strings.Join(names, ", "))
		}
	}
	return ""
}

// Movers are how the slots of a plan are moved, pair by pair, in the order of its
// steps.
func (p Plan) Movers(s cluster.State, o MoverOptions) []Mover {
	var movers []Mover
	for _, step := range p.Steps {
		pair := func(m Mover) bool { return m.From == step.From && m.To == step.To }
		if step.Action != MoveSlots || slices.ContainsFunc(movers, pair) {
			continue
		}
		from, _ := s.Get(step.From)
		to, _ := s.Get(step.To)
		movers = append(movers, MoverOf(from, to, o))
	}
	return movers
}

const hintJob = "wait until it is done: trib status shows it, and trib resume waits for it"

// Unmovable refuses a plan that asks for an atomic move where there is none, or
// that gets in the way of one that the servers carry out now. One between the
// ends of a step, of nothing but its slots, is what the step would do anyway.
func (p Plan) Unmovable(s cluster.State, o MoverOptions) *Refusal {
	r := &Refusal{}
	for _, m := range p.Movers(s, o) {
		if m.Obstacle {
			r.Reasons = append(r.Reasons, fmt.Sprintf("no atomic move from %s to %s: %s", p.Addr(m.From), p.Addr(m.To), m.Why))
			r.Hint = "--method auto takes the classic move where there is no other"
		}
	}
	for _, j := range s.Running() {
		if p.disturbs(j, s, o) {
			r.Reasons = append(r.Reasons, DescribeJob(j, s))
			r.Hint = hintJob
		}
	}
	if r.Reasons == nil {
		return nil
	}
	return r
}

// DescribeJob says which slots servers move by themselves, and how far they are.
func DescribeJob(j cluster.Job, s cluster.State) string {
	text := fmt.Sprintf("%s and %s are moving slots %s by themselves (%s", name(s, j.From), name(s, j.To), j.Slots, j.State)
	if j.Message != "" {
		text += ": " + j.Message
	}
	return text + ")"
}

// DescribeFailure says which slots servers did not move, and why.
func DescribeFailure(j cluster.Job, s cluster.State) string {
	return fmt.Sprintf("moving slots %s from %s to %s came to nothing (%s: %s); they are where they were",
		j.Slots, name(s, j.From), name(s, j.To), j.State, cmp.Or(j.Message, "no reason given"))
}

// GivenUp are the jobs that came to nothing and were the last for their slots,
// which are still where they were.
func GivenUp(s cluster.State) []cluster.Job {
	var given []cluster.Job
	for _, m := range s.Members {
		var later cluster.SlotSet
		for _, j := range m.Jobs {
			failed := j.Stage() == cluster.JobFailed || j.Stage() == cluster.JobCancelled
			if failed && j.From == m.ID && j.Export && j.Slots.Intersect(later).Empty() && j.Slots.Minus(m.Slots()).Empty() {
				given = append(given, j)
			}
			later = later.Union(j.Slots)
		}
	}
	return given
}

// disturbs reports whether a step would get in the way of a job.
func (p Plan) disturbs(j cluster.Job, s cluster.State, o MoverOptions) bool {
	if p.Kind == KindFix && len(p.Steps) > 0 {
		return true
	}
	touched := false
	for _, step := range p.Steps {
		if p.adopts(step, j, s, o) {
			return false
		}
		for _, id := range []cluster.NodeID{step.Node, step.Master, step.From, step.To} {
			touched = touched || id != "" && (id == j.From || id == j.To)
		}
	}
	return touched
}

func (p Plan) adopts(step Step, j cluster.Job, s cluster.State, o MoverOptions) bool {
	if step.Action != MoveSlots || step.From != j.From || step.To != j.To || !j.Slots.Minus(step.Slots).Empty() {
		return false
	}
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	m := MoverOf(from, to, o)
	return m.Method == MethodAtomic && !m.Obstacle
}
