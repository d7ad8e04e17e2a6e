package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// transfer collects moves between masters: those that somebody has begun
// already, and those that are to come.
type transfer struct {
	masters []cluster.Member
	own     []cluster.SlotSet // after all moves so far
	moves   map[link]cluster.SlotSet
}

// link is from whom to whom, by their places among the masters.
type link struct{ from, to int }

func (l link) compare(m link) int {
	return cmp.Or(cmp.Compare(l.from, m.from), cmp.Compare(l.to, m.to))
}

// newTransfer begins with what is open between the masters. Slots that are open
// in any other way, or that two of them claim, are refused: they belong to
// somebody's unfinished work.
func newTransfer(s cluster.State, masters []cluster.Member) (*transfer, *Refusal) {
	t := &transfer{masters: masters, moves: make(map[link]cluster.SlotSet)}
	for _, m := range masters {
		t.own = append(t.own, m.Slots())
	}
	var begun cluster.SlotSet
	for _, l := range openLinks(masters) {
		slots := between(masters[l.from], masters[l.to])
		if twice := slots.Intersect(begun); !twice.Empty() {
			return nil, openElsewhere(twice, masters[l.from])
		}
		begun = begun.Union(slots)
		if !slots.Empty() {
			t.add(l, slots)
		}
	}
	if r := noOpenBut(s, begun); r != nil {
		return nil, r
	}
	return t, t.disjoint()
}

// openLinks are the pairs of masters of which one says that a slot is open
// between them.
func openLinks(masters []cluster.Member) []link {
	place := make(map[cluster.NodeID]int, len(masters))
	for i, m := range masters {
		place[m.ID] = i
	}
	links := make(map[link]bool)
	for i, m := range masters {
		self := m.View.Self()
		for _, peer := range self.Migrating {
			if to, ok := place[peer]; ok && to != i {
				links[link{i, to}] = true
			}
		}
		for _, peer := range self.Importing {
			if from, ok := place[peer]; ok && from != i {
				links[link{from, i}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(links), link.compare)
}

// disjoint refuses slots that two masters claim.
func (t *transfer) disjoint() *Refusal {
	var seen cluster.SlotSet
	for i, m := range t.masters {
		if twice := seen.Intersect(t.own[i]); !twice.Empty() {
			return refuse("slots %s are claimed by %s and by another master", twice, m.Addr)
		}
		seen = seen.Union(t.own[i])
	}
	return nil
}

func (t *transfer) add(l link, slots cluster.SlotSet) {
	t.own[l.from] = t.own[l.from].Minus(slots)
	t.own[l.to] = t.own[l.to].Union(slots)
	t.moves[l] = t.moves[l].Union(slots)
}

// carry moves slots from those who give so many to those who take so many.
func (t *transfer) carry(give, take []int) {
	for _, f := range match(give, take) {
		t.add(link{f.from, f.to}, pick(t.own[f.from], t.own[f.to], f.slots))
	}
}

// oneWay refuses moves by which a master would both give and get: what
// somebody began goes against what is to come.
func (t *transfer) oneWay() *Refusal {
	gives := make(map[int]bool)
	for l := range t.moves {
		gives[l.from] = true
	}
	for _, l := range t.links() {
		if gives[l.to] {
			r := refuse("%s would give and get slots, since some are open on it that are not on the way to balance", t.masters[l.to].Addr)
			r.Hint = hintResume
			return r
		}
	}
	return nil
}

func (t *transfer) links() []link { return slices.SortedFunc(maps.Keys(t.moves), link.compare) }

// slots is how many slots move.
func (t *transfer) slots() int {
	n := 0
	for _, slots := range t.moves {
		n += slots.Len()
	}
	return n
}

// writeTo adds a step for each pair and the nodes that they name, both in the
// order of the masters.
func (t *transfer) writeTo(p *Plan) {
	for _, l := range t.links() {
		p.Steps = append(p.Steps, Step{Action: MoveSlots, From: t.masters[l.from].ID, To: t.masters[l.to].ID, Slots: t.moves[l]})
	}
	for _, m := range t.masters {
		if p.names(m.ID) {
			p.Nodes = append(p.Nodes, nodeOf(m))
		}
	}
}

// begunReasons say what is finished first; they hold before any other move is
// added.
func (t *transfer) begunReasons() []string {
	var reasons []string
	for _, l := range t.links() {
		reasons = append(reasons, begunReason(t.moves[l], t.masters[l.from]))
	}
	return reasons
}

func begunReason(slots cluster.SlotSet, from cluster.Member) string {
	return fmt.Sprintf("slots %s are already on their way from %s and are finished first", slots, from.Addr)
}

const hintResume = "finish the interrupted move first: trib resume"

// noOpenBut refuses slots that any master calls open, but for those given.
func noOpenBut(s cluster.State, begun cluster.SlotSet) *Refusal {
	for _, m := range s.Masters() {
		if other := m.OpenSlots().Minus(begun); !other.Empty() {
			return openElsewhere(other, m)
		}
	}
	return nil
}

func openElsewhere(slots cluster.SlotSet, m cluster.Member) *Refusal {
	r := refuse("slots %s are open on %s", slots, m.Addr)
	r.Hint = hintResume
	return r
}
