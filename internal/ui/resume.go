package ui

import (
	"github.com/trib-dev/trib/pkg/plan"
)

// ResumePlan shows a plan that finishes interrupted work.
type ResumePlan struct {
	Plan plan.Plan
}

// Text writes a line for each step.
func (v ResumePlan) Text(p *Page) {
	p.Line("Ready to finish what was interrupted:")
	for _, s := range v.Plan.Steps {
		p.Line("    %s", v.Plan.Describe(s))
	}
	if v.Plan.Cost.Slots > 0 {
		p.Line("%s", cost(v.Plan))
	}
	p.remarks(v.Plan)
}
