package plan

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// load is one master as it is balanced against others: all in whole numbers,
// which is exact within the bounds of Decimal.
type load struct {
	weight      Decimal
	slots       int // now
	least, most int // that it may have in the end
}

// setBands sets what each load may have: its share of all slots by weight,
// threshold percent more or less. A share that is not whole may be rounded
// either way, however narrow the threshold; so a threshold of 0 is exact, and
// there is always a way to fit all.
func setBands(loads []load, threshold Decimal) {
	var slots, weight int64
	for _, l := range loads {
		slots += int64(l.slots)
		weight += int64(l.weight)
	}
	for i, l := range loads {
		share := slots * int64(l.weight)
		low, rest := percent(share, MaxThreshold-threshold)
		high, _ := percent(share, MaxThreshold+threshold)
		loads[i].least = int(min(ceil(low+min(rest, 1), weight), share/weight))
		loads[i].most = int(max(high/weight, ceil(share, weight)))
	}
}

// percent is a part of n, rounded down, and what that leaves out.
func percent(n int64, part Decimal) (whole, rest int64) {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	q, r := bits.Div64(hi, lo, uint64(MaxThreshold))
	return int64(q), int64(r)
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// goals are how many slots each load has after the fewest moves that make all
// of them fit. Whatever is too many somewhere must leave and whatever is
// missing somewhere must come, so no plan moves fewer slots than the larger of
// the two; and no more are needed. Where one is larger than the other, the
// difference goes to those who have least for their weight, or comes from those
// who have most. Nobody both gives and gets.
func goals(loads []load) []int {
	goals := make([]int, len(loads))
	over, under := 0, 0
	for i, l := range loads {
		goals[i] = min(max(l.slots, l.least), l.most)
		over += max(l.slots-l.most, 0)
		under += max(l.least-l.slots, 0)
	}
	raise(loads, goals, over-under)
	lower(loads, goals, under-over)
	return goals
}

// raise gives n more slots to loads that give none, one by one to whoever has
// least for its weight.
func raise(loads []load, goals []int, n int) {
	can := func(i int) bool { return goals[i] >= loads[i].slots && goals[i] < loads[i].most }
	deal(loads, n, can, func(i int) { goals[i]++ }, func(i, j int) int64 {
		return int64(goals[i]+1)*int64(loads[j].weight) - int64(goals[j]+1)*int64(loads[i].weight)
	})
}

// lower takes n more slots from loads that get none, one by one from whoever
// has most for its weight.
func lower(loads []load, goals []int, n int) {
	can := func(i int) bool { return goals[i] <= loads[i].slots && goals[i] > loads[i].least }
	deal(loads, n, can, func(i int) { goals[i]-- }, func(i, j int) int64 {
		return int64(goals[j])*int64(loads[i].weight) - int64(goals[i])*int64(loads[j].weight)
	})
}

// deal calls step n times, always for the load that comes first among those
// that can; the earlier one where two are equal.
func deal(loads []load, n int, can func(int) bool, step func(int), order func(i, j int) int64) {
	q := &queue{before: func(i, j int) bool { return cmp.Or(order(i, j), int64(i-j)) < 0 }}
	for i := range loads {
		if can(i) {
			q.items = append(q.items, i)
		}
	}
	heap.Init(q)
	for ; n > 0 && q.Len() > 0; n-- {
		first := q.items[0]
		step(first)
		if can(first) {
			heap.Fix(q, 0)
		} else {
			heap.Pop(q)
		}
	}
}

// queue is a heap of indexes.
type queue struct {
	items  []int
	before func(i, j int) bool
}

func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Less(a, b int) bool { return q.before(q.items[a], q.items[b]) }
func (q *queue) Swap(a, b int)      { q.items[a], q.items[b] = q.items[b], q.items[a] }
func (q *queue) Push(x any)         { q.items = append(q.items, x.(int)) }

func (q *queue) Pop() any {
	last := len(q.items) - 1
	x := q.items[last]
	q.items = q.items[:last]
	return x
}

// flow is how many slots go from one load to another.
type flow struct{ from, to, slots int }

// match pairs those who give with those who get, in few pairs: the largest
// giver with whoever wants exactly as much, or else with the largest taker.
func match(give, take []int) []flow {
	give, take = slices.Clone(give), slices.Clone(take)
	var flows []flow
	for {
		from, to := largest(give), largest(take)
		if from < 0 || to < 0 || give[from] == 0 || take[to] == 0 {
			return flows
		}
		if exact := slices.Index(take, give[from]); exact >= 0 {
			to = exact
		} else if exact := slices.Index(give, take[to]); exact >= 0 {
			from = exact
		}
		n := min(give[from], take[to])
		give[from] -= n
		take[to] -= n
		flows = append(flows, flow{from, to, n})
	}
}

func largest(numbers []int) int {
	best := -1
	for i, n := range numbers {
		if best < 0 || n > numbers[best] {
			best = i
		}
	}
	return best
}

// pick chooses n of the slots that from has, so that they are few ranges in
// the end: first those that touch a range of the one who gets them, then whole
// ranges, the longest first, and last a part of the shortest range that is long
// enough.
func pick(from, to cluster.SlotSet, n int) cluster.SlotSet {
	var picked, rest []cluster.SlotRange
	for _, r := range from.Ranges() {
		part, left := cut(r, to, n)
		n -= part.Len()
		picked = appendSome(picked, part)
		rest = appendSome(rest, left)
	}
	slices.SortStableFunc(rest, func(a, b cluster.SlotRange) int { return cmp.Compare(b.Len(), a.Len()) })
	longer := cluster.SlotRange{}
	for _, r := range rest {
		switch {
		case n == 0:
		case r.Len() <= n:
			picked = append(picked, r)
			n -= r.Len()
		default:
			longer = r
		}
	}
	picked = appendSome(picked, cluster.SlotRange{First: longer.First, Last: longer.First + n - 1})
	return cluster.NewSlotSet(picked...)
}

// cut takes up to n slots from the end of a range that touches to, if one does.
func cut(r cluster.SlotRange, to cluster.SlotSet, n int) (part, left cluster.SlotRange) {
	n = min(n, r.Len())
	switch {
	case to.Has(r.First - 1):
		return cluster.SlotRange{First: r.First, Last: r.First + n - 1}, cluster.SlotRange{First: r.First + n, Last: r.Last}
	case to.Has(r.Last + 1):
		return cluster.SlotRange{First: r.Last - n + 1, Last: r.Last}, cluster.SlotRange{First: r.First, Last: r.Last - n}
	}
	return cluster.SlotRange{Last: -1}, r
}

func appendSome(ranges []cluster.SlotRange, r cluster.SlotRange) []cluster.SlotRange {
	if r.Len() == 0 {
		return ranges
	}
	return append(ranges, r)
}
