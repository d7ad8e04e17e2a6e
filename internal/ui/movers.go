package ui

import (
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// Movers show how the slots of a plan move.
type Movers struct {
	Plan   plan.Plan
	State  cluster.State
	Movers []plan.Mover
}

// Text writes a line for all pairs together where they are alike, and for each
// otherwise. Of servers that know nothing but the classic way nothing is said.
func (v Movers) Text(p *Page) {
	choice := func(m cluster.Member) bool { return m.Features.Atomic != cluster.NoDialect }
	if len(v.Movers) == 0 || !slices.ContainsFunc(v.State.Members, choice) {
		return
	}
	first := v.Movers[0]
	alike := func(m plan.Mover) bool { return m.Method == first.Method && m.Why == first.Why }
	if !slices.ContainsFunc(v.Movers, func(m plan.Mover) bool { return !alike(m) }) {
		p.Line("Method: %s, since %s.", methodOf(first), first.Why)
		return
	}
	for _, m := range v.Movers {
		p.Line("Method from %s to %s: %s, since %s.", v.Plan.Addr(m.From), v.Plan.Addr(m.To), methodOf(m), m.Why)
	}
}

func methodOf(m plan.Mover) string {
	if m.Obstacle {
		return "none"
	}
	return string(m.Method)
}
