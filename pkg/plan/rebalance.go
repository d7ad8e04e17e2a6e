package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// RebalanceOptions say what a balanced cluster is. The zero value shares the
// slots exactly among the masters that have some.
type RebalanceOptions struct {
	Weights         map[cluster.NodeID]Decimal // a master's share beside the others'; 1 where it is absent, 0 gives everything away
	Threshold       Decimal                    // percent of its share that a master may have more or less; 0 is exact
	UseEmptyMasters bool                       // masters without slots get some too; one with a weight does in any case
	Exclude         []cluster.NodeID           // masters that neither give nor get
	MaxSlots        int                        // at most so many slots are moved; 0 for no limit
}

// Rebalance plans to bring every master within the threshold of its share of
// the slots, with the fewest moves that do so, and none where all are within it
// already. So one may have more than another by what the threshold allows; with
// a threshold of 0 a master differs from its share by less than one slot. No
// master is source and target.
//
// Slots that an interrupted move left open between two masters which take part
// come first and count, so the same command again finishes what was begun. Slots
// open anywhere else are refused. s must have keys counted for the open slots.
func Rebalance(s cluster.State, o RebalanceOptions) (Plan, error) {
	if err := o.valid(); err != nil {
		return Plan{}, err
	}
	masters, refusal := o.masters(s)
	if refusal != nil {
		return Plan{}, refusal
	}
	t, refusal := newTransfer(s, masters)
	if refusal != nil {
		return Plan{}, refusal
	}
	p := Plan{Version: Version, Kind: KindRebalance, Reasons: t.begunReasons()}
	for _, m := range s.Members {
		if o.gaveAll(s, m.ID) {
			p.Reasons = append(p.Reasons, fmt.Sprintf("%s is a replica: it has no slots", m.Addr))
		}
	}
	loads := o.loads(t)
	left := t.towards(loads, o.MaxSlots)
	if r := t.oneWay(); r != nil {
		return Plan{}, r
	}
	t.writeTo(&p)
	if len(p.Steps) > 0 {
		p.Reasons = append(p.Reasons, bandReasons(loads)...)
	}
	if left > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("no more than %d slots are to move: the same rebalance again moves the %d that are left", o.MaxSlots, left))
	}
	p.seal(s)
	return p, nil
}

func (o RebalanceOptions) valid() error {
	for id, w := range o.Weights {
		if w < 0 || w > MaxWeight {
			return fmt.Errorf("weight %s of %s: want 0 to %s", w, id.Short(), MaxWeight)
		}
	}
	switch {
	case o.Threshold < 0 || o.Threshold > MaxThreshold:
		return fmt.Errorf("threshold %s: want 0 to %s percent", o.Threshold, MaxThreshold)
	case o.MaxSlots < 0 || o.MaxSlots > cluster.SlotCount:
		return fmt.Errorf("at most %d slots: want 0 to %d", o.MaxSlots, cluster.SlotCount)
	}
	return nil
}

// masters are those that take part.
func (o RebalanceOptions) masters(s cluster.State) ([]cluster.Member, *Refusal) {
	if r := o.named(s); r != nil {
		return nil, r
	}
	var masters []cluster.Member
	var weight Decimal
	for _, m := range s.Masters() {
		if o.takesPart(m) {
			masters = append(masters, m)
			weight += o.weight(m.ID)
		}
	}
	if len(masters) > 0 && weight == 0 {
		return nil, refuse("no master has a weight above 0: nobody is left to get the slots")
	}
	return masters, nil
}

// named refuses names that are no masters, or that are to stand aside and have
// a weight.
func (o RebalanceOptions) named(s cluster.State) *Refusal {
	for _, id := range slices.Concat(slices.Sorted(maps.Keys(o.Weights)), o.Exclude) {
		if why := unfit(s, id); why != "" && !o.gaveAll(s, id) {
			return refuse("%s %s", name(s, id), why)
		}
	}
	for _, id := range o.Exclude {
		if _, ok := o.Weights[id]; ok {
			return refuse("%s has a weight and is excluded", name(s, id))
		}
	}
	return nil
}

// gaveAll reports whether a node that is to have nothing is a replica: servers
// before Valkey 8 make one of a master that gave its last slot, and the same
// command again must not stumble over that.
func (o RebalanceOptions) gaveAll(s cluster.State, id cluster.NodeID) bool {
	w, weighed := o.Weights[id]
	m, ok := s.Get(id)
	return weighed && w == 0 && ok && m.Reachable() && !m.IsMaster()
}

func (o RebalanceOptions) takesPart(m cluster.Member) bool {
	_, weighed := o.Weights[m.ID]
	return !slices.Contains(o.Exclude, m.ID) && (!m.Slots().Empty() || weighed || o.UseEmptyMasters)
}

func (o RebalanceOptions) weight(id cluster.NodeID) Decimal {
	if w, ok := o.Weights[id]; ok {
		return w
	}
	return One
}

// Scope is how many masters a rebalance is across, and what they weigh
// together.
func (o RebalanceOptions) Scope(s cluster.State) (masters int, weight Decimal) {
	for _, m := range s.Masters() {
		if o.takesPart(m) {
			masters++
			weight += o.weight(m.ID)
		}
	}
	return masters, weight
}

func (o RebalanceOptions) loads(t *transfer) []load {
	loads := make([]load, len(t.masters))
	for i, m := range t.masters {
		loads[i] = load{weight: o.weight(m.ID), slots: t.own[i].Len()}
	}
	if len(loads) > 0 {
		setBands(loads, o.Threshold)
	}
	return loads
}

// towards adds the moves after which all loads fit, up to a limit for all moves
// where it is not 0; it returns how many are left.
func (t *transfer) towards(loads []load, limit int) int {
	give, take := make([]int, len(loads)), make([]int, len(loads))
	total := 0
	for i, goal := range goals(loads) {
		give[i] = max(loads[i].slots-goal, 0)
		take[i] = max(goal-loads[i].slots, 0)
		total += give[i]
	}
	n := total
	if limit > 0 {
		n = min(total, max(limit-t.slots(), 0))
	}
	t.carry(largestRemainder(give, n), largestRemainder(take, n))
	return total - n
}

// bandReasons say what is allowed, once for each weight.
func bandReasons(loads []load) []string {
	type band struct {
		weight      Decimal
		least, most int
	}
	masters := make(map[band]int)
	var order []band
	for _, l := range loads {
		b := band{l.weight, l.least, l.most}
		if masters[b]++; masters[b] == 1 {
			order = append(order, b)
		}
	}
	var reasons []string
	for _, b := range order {
		noun := "masters"
		if masters[b] == 1 {
			noun = "master"
		}
		reasons = append(reasons, fmt.Sprintf("%d %s of weight %s may have %s slots", masters[b], noun, b.weight, span(b.least, b.most)))
	}
	return reasons
}

func span(least, most int) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return strings.Join([]string{fmt.Sprint(least), fmt.Sprint(most)}, " to ")
}
