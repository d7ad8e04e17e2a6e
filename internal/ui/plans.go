package ui

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/plan"
)

// SavedPlan is a plan from a file. Its JSON form is the plan's own.
type SavedPlan struct {
	plan.Plan
	Show func(*Page) `json:"-"`
}

// Text writes the plan as it was shown when it was made, and what tells it from
// others.
func (v SavedPlan) Text(p *Page) {
	v.Show(p)
	p.Line("Plan %s, kind %s, version %d.", v.Fingerprint, v.Kind, v.Version)
}

// StepPlan shows a plan of any kind.
type StepPlan struct {
	Plan plan.Plan
}

// Text writes a line for each step.
func (v StepPlan) Text(p *Page) {
	p.Line("Ready to do:")
	for _, s := range v.Plan.Steps {
		p.Line("    %s", inShort(v.Plan, s))
	}
	if v.Plan.Cost.Slots > 0 {
		p.Line("%s", cost(v.Plan))
	}
	p.remarks(v.Plan)
}

// inShort describes a step with as many slots as people read; JSON has them all.
func inShort(p plan.Plan, s plan.Step) string {
	ranges := s.Slots.Ranges()
	if len(ranges) <= shown {
		return p.Describe(s)
	}
	var texts []string
	left := s.Slots.Len()
	for _, r := range ranges[:shown] {
		texts = append(texts, r.String())
		left -= r.Last - r.First + 1
	}
	return strings.Replace(p.Describe(s), s.Slots.String(), fmt.Sprintf("%s and %d more", strings.Join(texts, ","), left), 1)
}
