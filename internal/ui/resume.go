package ui

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// ResumePlan shows a plan that finishes interrupted work.
type ResumePlan struct {
	Plan  plan.Plan
	State cluster.State // of the cluster now; without it nothing is said of what is done
}

// Text writes a line for each step.
func (v ResumePlan) Text(p *Page) {
	p.Line("Ready to finish what was interrupted:")
	for _, s := range v.Plan.Steps {
		p.Line("    %s%s", inShort(v.Plan, s), v.left(s))
	}
	if v.Plan.Cost.Slots > 0 {
		p.Line("%s", cost(v.Plan))
	}
	if left := v.remaining(); left < v.Plan.Cost.Slots {
		p.Line("Of these, %s are left.", count(int64(left), "slot"))
	}
	p.remarks(v.Plan)
}

func (v ResumePlan) remaining() int {
	left := 0
	for _, s := range v.Plan.Steps {
		switch {
		case s.Action != plan.MoveSlots:
		case v.State.Members == nil:
			left += s.Slots.Len()
		default:
			left += plan.Remaining(s, v.State).Len()
		}
	}
	return left
}

// left says how much of a step is not done, where it was begun.
func (v ResumePlan) left(s plan.Step) string {
	if v.State.Members == nil {
		return ""
	}
	if status, _ := v.Plan.Status(s, v.State); status == plan.Done {
		return ": done"
	}
	if left := plan.Remaining(s, v.State); s.Action == plan.MoveSlots && left.Len() < s.Slots.Len() {
		return fmt.Sprintf(": %s left", count(int64(left.Len()), "slot"))
	}
	return ""
}
