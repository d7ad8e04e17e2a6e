package ui

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// MovePlan shows a plan that moves slots between the nodes of a state.
type MovePlan struct {
	Plan  plan.Plan
	State cluster.State
}

// Text writes redis-trib's lines, and who has which slots before and after.
func (v MovePlan) Text(p *Page) {
	p.Line("Ready to move %d slots.", v.Plan.Cost.Slots)
	v.ends(p)
	v.moves(p)
	p.Blank()
	v.bars(p)
	p.Blank()
	p.Line("%s", cost(v.Plan))
	p.remarks(v.Plan)
}

func (v MovePlan) ends(p *Page) {
	var sources, targets []cluster.NodeID
	for _, s := range v.Plan.Steps {
		if s.Action == plan.MoveSlots {
			sources = addOnce(sources, s.From)
			targets = addOnce(targets, s.To)
		}
	}
	p.Line("  Source nodes:")
	v.blocks(p, sources)
	p.Line("  Destination node:")
	v.blocks(p, targets)
}

func (v MovePlan) blocks(p *Page, ids []cluster.NodeID) {
	for _, id := range ids {
		if m, ok := v.State.Get(id); ok {
			p.block("    ", nodeOf(v.State, m))
		}
	}
}

func addOnce(ids []cluster.NodeID, id cluster.NodeID) []cluster.NodeID {
	for _, have := range ids {
		if have == id {
			return ids
		}
	}
	return append(ids, id)
}

func (v MovePlan) moves(p *Page) {
	p.Line("  Resharding plan:")
	for _, s := range v.Plan.Steps {
		if s.Action != plan.MoveSlots {
			p.Line("    %s", v.Plan.Describe(s))
			continue
		}
		for _, r := range s.Slots.Ranges() {
			noun := "slots"
			if r.Len() == 1 {
				noun = "slot"
			}
			p.Line("    Moving %s %s from %s", noun, r, s.From)
		}
	}
}

func cost(p plan.Plan) string {
	slots := count(int64(p.Cost.Slots), "slot")
	if p.Cost.Keys < 0 {
		return "In all " + slots + "; keys were not counted."
	}
	return fmt.Sprintf("In all %s with %s.", slots, count(p.Cost.Keys, "key"))
}

// change is what a node gives and gets.
type change struct {
	lost, gained cluster.SlotSet
}

func (v MovePlan) bars(p *Page) {
	changes := make(map[cluster.NodeID]change)
	for _, s := range v.Plan.Steps {
		if s.Action != plan.MoveSlots {
			continue
		}
		from, to := changes[s.From], changes[s.To]
		from.lost = from.lost.Union(s.Slots)
		to.gained = to.gained.Union(s.Slots)
		changes[s.From], changes[s.To] = from, to
	}
	width := 0
	for _, m := range v.State.Members {
		width = max(width, len(m.Addr.String()))
	}
	p.ruler(width + 8)
	for _, m := range v.State.Masters() {
		if c, ok := changes[m.ID]; ok {
			p.beforeAfter(width, m, c)
		}
	}
}

func (p *Page) beforeAfter(width int, m cluster.Member, c change) {
	before := m.Slots()
	after := before.Minus(c.lost).Union(c.gained)
	p.raw(fmt.Sprintf("  %-*s  before  %s  %5d", width, Safe(m.Addr.String()),
		p.style.bar(before, c.lost, p.style.warn), before.Len()))
	p.raw(fmt.Sprintf("  %-*s  after   %s  %5d", width, "",
		p.style.bar(after, c.gained, p.style.good), after.Len()))
}
