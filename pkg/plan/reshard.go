package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ReshardOptions say which slots to move where: a number of them, or slots that
// are named.
type ReshardOptions struct {
	From  []cluster.NodeID // empty means all masters but To
	To    cluster.NodeID
	Slots int             // exactly so many, 1 to 16384; 0 where they are named
	Named cluster.SlotSet // these, each from its present owner
	Keys  []string        // and the slots of these keys
}

// Reshard plans to move exactly o.Slots slots to one master. Each source gives
// in proportion to the slots that it has, fractions going to the largest
// remainders, and gives its lowest-numbered slots.
//
// Slots that an interrupted move left open between a source and the target
// come first and count: so the same command again finishes what was begun.
// Slots open anywhere else are refused; they belong to somebody's unfinished
// work. s must have keys counted for the open slots.
//
// Where slots are named, by number or by a key, exactly these are moved.
func Reshard(s cluster.State, o ReshardOptions) (Plan, error) {
	switch named := !o.named().Empty(); {
	case named && o.Slots != 0:
		return Plan{}, fmt.Errorf("slots are named, and %d of any: want one or the other", o.Slots)
	case named:
		return reshardNamed(s, o)
	}
	if o.Slots < 1 || o.Slots > cluster.SlotCount {
		return Plan{}, fmt.Errorf("%d slots: want 1 to %d", o.Slots, cluster.SlotCount)
	}
	to, sources, refusal := reshardEnds(s, o)
	if refusal != nil {
		return Plan{}, refusal
	}
	begun, refusal := begunMoves(s, sources, to)
	if refusal != nil {
		return Plan{}, refusal
	}
	shares, refusal := shareOut(sources, begun, o.Slots)
	if refusal != nil {
		return Plan{}, refusal
	}
	p := Plan{Version: Version, Kind: KindReshard, Nodes: []Node{nodeOf(to)}}
	for i, m := range sources {
		p.addMove(m, to, begun[i].Union(m.Slots().Minus(begun[i]).Take(shares[i])))
		if !begun[i].Empty() {
			p.Reasons = append(p.Reasons, begunReason(begun[i], m))
		}
	}
	p.seal(s)
	return p, nil
}

func (p *Plan) addMove(from, to cluster.Member, slots cluster.SlotSet) {
	if slots.Empty() {
		return
	}
	p.Nodes = append(p.Nodes, nodeOf(from))
	p.Steps = append(p.Steps, Step{Action: MoveSlots, From: from.ID, To: to.ID, Slots: slots})
}

// seal adds what follows from the steps: cost, fingerprint and what the nodes
// have.
func (p *Plan) seal(s cluster.State) {
	for i, n := range p.Nodes {
		m, _ := s.Get(n.ID)
		p.Nodes[i].Slots = m.Slots()
	}
	facts := []string{string(p.Kind)}
	for _, step := range p.Steps {
		facts = append(facts, fmt.Sprintf("%s %s %s %s %s", step.Action, step.Node, step.From, step.To, step.Slots))
		if step.Action == MoveSlots {
			p.Cost.addCost(s, step)
		}
	}
	p.Fingerprint = fingerprint(facts)
}

func reshardEnds(s cluster.State, o ReshardOptions) (to cluster.Member, sources []cluster.Member, r *Refusal) {
	to, _ = s.Get(o.To)
	if why := unfit(s, o.To); why != "" {
		return to, nil, refuse("the target %s %s", name(s, o.To), why)
	}
	if len(o.From) == 0 {
		return to, slices.DeleteFunc(s.Masters(), func(m cluster.Member) bool {
			return m.ID == to.ID || m.Slots().Empty()
		}), nil
	}
	for _, id := range o.From {
		m, _ := s.Get(id)
		switch why := unfit(s, id); {
		case why != "":
			return to, nil, refuse("the source %s %s", name(s, id), why)
		case id == to.ID:
			return to, nil, refuse("%s is both source and target", m.Addr)
		case slices.ContainsFunc(sources, func(x cluster.Member) bool { return x.ID == id }):
			return to, nil, refuse("the source %s is named twice", m.Addr)
		}
		sources = append(sources, m)
	}
	return to, sources, nil
}

// unfit says why a node can be neither source nor target.
func unfit(s cluster.State, id cluster.NodeID) string {
	switch m, ok := s.Get(id); {
	case !ok:
		return "is not a node of the cluster"
	case !m.Reachable():
		return "does not answer: " + m.Unreachable
	case !m.IsMaster():
		return "is not a master"
	}
	return ""
}

func name(s cluster.State, id cluster.NodeID) string {
	if m, ok := s.Get(id); ok {
		return fmt.Sprintf("%s (%s)", m.Addr, id.Short())
	}
	return string(id)
}

// begunMoves are, for each source, the slots that are open between it and the
// target.
func begunMoves(s cluster.State, sources []cluster.Member, to cluster.Member) ([]cluster.SlotSet, *Refusal) {
	begun := make([]cluster.SlotSet, len(sources))
	var all cluster.SlotSet
	for i, m := range sources {
		begun[i] = between(m, to)
		all = all.Union(begun[i])
	}
	if r := noOpenBut(s, all); r != nil {
		return nil, r
	}
	return begun, nil
}

func between(from, to cluster.Member) cluster.SlotSet {
	var open []int
	for slot, peer := range from.View.Self().Migrating {
		// The target has it where the tool died between the claim and the release.
		if peer == to.ID && (from.Slots().Has(slot) || to.Slots().Has(slot)) {
			open = append(open, slot)
		}
	}
	for slot, peer := range to.View.Self().Importing {
		// With keys on the target and a source that does not migrate, nobody knows
		// which side is right; see Resume.
		keys, counted := to.KeysIn(slot)
		if peer == from.ID && from.Slots().Has(slot) && counted && keys == 0 {
			open = append(open, slot)
		}
	}
	return cluster.SlotsOf(open...)
}

// shareOut says how many slots each source gives beside the ones that it has
// begun to give.
func shareOut(sources []cluster.Member, begun []cluster.SlotSet, want int) ([]int, *Refusal) {
	free := make([]int, len(sources))
	total := 0
	for i, m := range sources {
		free[i] = m.Slots().Minus(begun[i]).Len()
		total += free[i]
		want -= begun[i].Len()
	}
	want = max(want, 0)
	if want > total {
		return nil, refuse("%d slots are wanted and the sources have %d", want, total)
	}
	return largestRemainder(free, want), nil
}

// largestRemainder divides want in proportion to weights: whole parts first,
// then one more for the largest fractions, ties to the larger weight and then
// to the earlier one. want must not exceed the sum of the weights.
func largestRemainder(weights []int, want int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	shares := make([]int, len(weights))
	if total == 0 {
		return shares
	}
	order := make([]int, len(weights))
	left := want
	for i, w := range weights {
		shares[i] = w * want / total
		left -= shares[i]
		order[i] = i
	}
	fraction := func(i int) int { return weights[i] * want % total }
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(fraction(b), fraction(a)), cmp.Compare(weights[b], weights[a]))
	})
	for _, i := range order[:left] {
		shares[i]++
	}
	return shares
}
