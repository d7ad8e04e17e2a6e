package ui

import (
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// MovePlan shows a plan that moves slots between the nodes of a state.
type MovePlan struct {
	Plan  plan.Plan
	State cluster.State
	Saved bool // the state is no more than what the plan says of its nodes
}

// Text writes redis-trib's lines, and who has which slots before and after. A
// plan without steps has reasons only.
func (v MovePlan) Text(p *Page) {
	if len(v.Plan.Steps) == 0 {
		p.remarks(v.Plan)
		return
	}
	p.Line("Ready to move %d slots.", v.Plan.Cost.Slots)
	v.ends(p)
	v.moves(p)
	v.picture(p)
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

// cost is "In all 5 slots with 12 keys, about 1.2 KiB, in about 0.4s."
func cost(p plan.Plan) string {
	text := "In all " + count(int64(p.Cost.Slots), "slot")
	if p.Cost.Keys < 0 {
		return text + "; keys were not counted."
	}
	text += " with " + count(p.Cost.Keys, "key")
	if p.Cost.Bytes > 0 {
		text += ", about " + byteSize(p.Cost.Bytes)
	}
	if p.Cost.EstimateMS > 0 {
		text += ", in about " + span(time.Duration(max(p.Cost.EstimateMS, 100))*time.Millisecond)
	}
	return text + "."
}

// change is what becomes of one node.
type change struct {
	node         cluster.Member
	lost, gained cluster.SlotSet
	had, keys    *int64 // before and afterwards; nil where they are not known
}

func (c change) before() cluster.SlotSet { return c.node.Slots() }
func (c change) after() cluster.SlotSet  { return c.before().Minus(c.lost).Union(c.gained) }

// changes are the nodes that give or get slots, in the order of the state.
func (v MovePlan) changes() []change {
	var out []change
	for _, m := range v.State.Masters() {
		c := change{node: m, had: new(m.Keys()), keys: new(m.Keys())}
		if v.Saved {
			c.had, c.keys = nil, nil
		}
		for _, s := range v.Plan.Steps {
			if s.Action == plan.MoveSlots && (s.From == m.ID || s.To == m.ID) {
				v.count(&c, s)
			}
		}
		if !c.lost.Empty() || !c.gained.Empty() {
			out = append(out, c)
		}
	}
	return out
}

// count adds a step to what becomes of one of its ends.
func (v MovePlan) count(c *change, s plan.Step) {
	sign := int64(1)
	if s.From == c.node.ID {
		c.lost, sign = c.lost.Union(s.Slots), -1
	} else {
		c.gained = c.gained.Union(s.Slots)
	}
	from, _ := v.State.Get(s.From)
	for slot := range s.Slots.All() {
		keys, counted := from.KeysIn(slot)
		if !counted {
			c.keys = nil
		}
		if c.keys != nil {
			*c.keys += sign * keys
		}
	}
}

// manyNodes is from how many nodes on a line for each is more telling than two
// bars.
const manyNodes = 20

// picture shows who has what before and after.
func (v MovePlan) picture(p *Page) {
	changes := v.changes()
	if len(changes) == 0 {
		return
	}
	p.Blank()
	if len(changes) > manyNodes {
		p.numbers(changes)
	} else {
		p.bars(changes)
	}
	p.Blank()
}

func (p *Page) bars(changes []change) {
	width := 0
	for _, c := range changes {
		width = max(width, len(Safe(c.node.Addr.String())))
	}
	p.raw(p.style.dim(p.style.ruler(width+8) + fmt.Sprintf("  %5s  %10s", "slots", "keys")))
	for _, c := range changes {
		before, after := c.before(), c.after()
		p.raw(fmt.Sprintf("  %-*s  before  %s  %5d  %10s", width, Safe(c.node.Addr.String()),
			p.style.bar(before, c.lost, p.style.warn), before.Len(), maybe(c.had)))
		p.raw(fmt.Sprintf("  %-*s  after   %s  %5d  %10s", width, "",
			p.style.bar(after, c.gained, p.style.good), after.Len(), maybe(c.keys)))
	}
}

// numbers is the table without bars.
func (p *Page) numbers(changes []change) {
	var rows [][]string
	for _, c := range changes {
		rows = append(rows, []string{
			c.node.Addr.String(), fmt.Sprint(c.before().Len()), fmt.Sprint(c.after().Len()),
			fmt.Sprintf("%+d", c.gained.Len()-c.lost.Len()), maybe(c.had), maybe(c.keys),
		})
	}
	p.table([]string{"node", "slots before", "after", "change", "keys before", "after"}, rows, 1, 2, 3, 4, 5)
}

// maybe is a number, or a question mark where it is not known.
func maybe(n *int64) string {
	if n == nil {
		return "?"
	}
	return grouped(*n)
}

// RebalancePlan shows a plan that shares slots out.
type RebalancePlan struct {
	MovePlan
	Options plan.RebalanceOptions
}

// Text writes redis-cli's lines, and who has which slots before and after.
func (v RebalancePlan) Text(p *Page) {
	masters, weight := v.Options.Scope(v.State)
	v.pairs(p, fmt.Sprintf(">>> Rebalancing across %d nodes. Total weight = %s", masters, weight.Fixed()))
}

// Balanced says in redis-cli's words that there is nothing to do.
func (v RebalancePlan) Balanced(p *Page) {
	p.Line("*** No rebalancing needed! All nodes are within the %s%% threshold.", v.Options.Threshold.Fixed())
	p.remarks(v.Plan)
}

// DrainPlan shows a plan that empties a node.
type DrainPlan struct {
	MovePlan
	Node cluster.Member
}

// Text writes the same lines as for a rebalance.
func (v DrainPlan) Text(p *Page) {
	v.pairs(p, fmt.Sprintf(">>> Draining %s. Its %s go to other masters", v.Node.Addr, count(int64(v.Node.Slots().Len()), "slot")))
}

// pairs writes a plan from many to many. One without steps has reasons only.
func (v MovePlan) pairs(p *Page, heading string) {
	if len(v.Plan.Steps) == 0 {
		p.remarks(v.Plan)
		return
	}
	p.Line("%s", heading)
	for _, s := range v.Plan.Steps {
		p.Line("Moving %d slots from %s to %s", s.Slots.Len(), v.Plan.Addr(s.From), v.Plan.Addr(s.To))
	}
	v.picture(p)
	p.Line("%s", cost(v.Plan))
	p.remarks(v.Plan)
}
