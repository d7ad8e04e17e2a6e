package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// layout is a cluster without views: what each master owns, and which slots are
// open from one to another.
type layout struct {
	slots []cluster.SlotSet
	open  map[int]int // slot -> target
	both  map[int]bool
}

// drawLayout deals the slots in runs to some masters. Some masters may have
// none, and there may be one target of many open slots.
func drawLayout(t *rapid.T, masters int) layout {
	l := layout{slots: make([]cluster.SlotSet, masters), open: make(map[int]int), both: make(map[int]bool)}
	ranges := make([][]cluster.SlotRange, masters)
	longest := rapid.SampledFrom([]int{1200, 6000, 16384}).Draw(t, "longest run")
	for first := 0; first < cluster.SlotCount; {
		last := min(first+rapid.IntRange(1, longest).Draw(t, "run"), cluster.SlotCount) - 1
		m := rapid.IntRange(0, masters-1).Draw(t, "owner")
		ranges[m] = append(ranges[m], cluster.SlotRange{First: first, Last: last})
		first = last + 1
	}
	for i := range ranges {
		l.slots[i] = cluster.NewSlotSet(ranges[i]...)
	}
	return l
}

func (l layout) owner(slot int) int {
	return slices.IndexFunc(l.slots, func(s cluster.SlotSet) bool { return s.Has(slot) })
}

// state is the layout as its masters see it.
func (l layout) state() cluster.State {
	var s cluster.State
	for i, own := range l.slots {
		self := cluster.Node{
			ID: master(i), Addr: cluster.Addr{Host: fmt.Sprintf("10.0.%d.%d", i/100, i%100), Port: 7000},
			Flags: cluster.FlagMyself | cluster.FlagMaster, Slots: own,
			Migrating: make(map[int]cluster.NodeID), Importing: make(map[int]cluster.NodeID),
		}
		for slot, to := range l.open {
			if own.Has(slot) {
				self.Migrating[slot] = master(to)
			}
			if to == i && l.both[slot] {
				self.Importing[slot] = master(l.owner(slot))
			}
		}
		s.Members = append(s.Members, cluster.Member{ID: self.ID, Addr: self.Addr, View: cluster.View{Nodes: []cluster.Node{self}}})
	}
	return s
}

func master(i int) cluster.NodeID { return cluster.NodeID(fmt.Sprintf("%040x", i+1)) }

// after is the layout once a plan's moves are done.
func (l layout) after(p plan.Plan) layout {
	next := layout{slots: slices.Clone(l.slots)}
	for _, step := range p.Steps {
		for i := range next.slots {
			switch master(i) {
			case step.From:
				next.slots[i] = next.slots[i].Minus(step.Slots)
			case step.To:
				next.slots[i] = next.slots[i].Union(step.Slots)
			}
		}
	}
	return next
}

// TestReshardMovesExactlyN promises, over random clusters: exactly as many
// slots as asked for, the lowest ones of each source, shares by what the
// sources have, and every slot with one owner afterwards.
func TestReshardMovesExactlyN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		masters := rapid.OneOf(rapid.IntRange(2, 12), rapid.Just(201)).Draw(t, "masters")
		l := drawLayout(t, masters)
		o := drawReshard(t, l)
		p, err := plan.Reshard(l.state(), o)
		if err != nil {
			t.Fatal(err)
		}
		checkReshard(t, l, o, p)
	})
}

// drawReshard asks for no more than there is.
func drawReshard(t *rapid.T, l layout) plan.ReshardOptions {
	to := rapid.IntRange(0, len(l.slots)-1).Draw(t, "to")
	o := plan.ReshardOptions{To: master(to)}
	available := cluster.SlotCount - l.slots[to].Len()
	if rapid.Bool().Draw(t, "some sources") {
		available = 0
		for i, own := range l.slots {
			if i != to && rapid.Bool().Draw(t, "source") {
				o.From = append(o.From, master(i))
				available += own.Len()
			}
		}
	}
	if available == 0 {
		t.Skip("nothing to move")
	}
	o.Slots = rapid.OneOf(rapid.IntRange(1, min(available, 20)), rapid.IntRange(1, available)).Draw(t, "slots")
	return o
}

func checkReshard(t *rapid.T, l layout, o plan.ReshardOptions, p plan.Plan) {
	total, moved := 0, cluster.SlotSet{}
	for i, own := range l.slots {
		if master(i) != o.To && (o.From == nil || slices.Contains(o.From, master(i))) {
			total += own.Len()
		}
	}
	for _, step := range p.Steps {
		own := l.slotsOf(step.From)
		if step.Action != plan.MoveSlots || step.To != o.To || o.From != nil && !slices.Contains(o.From, step.From) {
			t.Fatalf("step %+v", step)
		}
		n := step.Slots.Len()
		if n == 0 || !step.Slots.Equal(own.Take(n)) {
			t.Fatalf("slots %s of %s: want the lowest ones", step.Slots, own)
		}
		if off := n*total - own.Len()*o.Slots; off <= -total || off >= total {
			t.Fatalf("%d slots from a source with %d of %d, %d wanted", n, own.Len(), total, o.Slots)
		}
		if !moved.Intersect(step.Slots).Empty() {
			t.Fatalf("slots %s move twice", moved.Intersect(step.Slots))
		}
		moved = moved.Union(step.Slots)
	}
	if moved.Len() != o.Slots || p.Cost.Slots != o.Slots {
		t.Fatalf("%d slots move, cost %d, %d wanted", moved.Len(), p.Cost.Slots, o.Slots)
	}
	checkOneOwner(t, l.after(p))
	for _, step := range p.Steps {
		if status, why := p.Status(step, l.state()); status != plan.Ready {
			t.Fatalf("before: %s, %s", status, why)
		}
		if status, why := p.Status(step, l.after(p).state()); status != plan.Done {
			t.Fatalf("afterwards: %s, %s", status, why)
		}
	}
}

func (l layout) slotsOf(id cluster.NodeID) cluster.SlotSet {
	for i, own := range l.slots {
		if master(i) == id {
			return own
		}
	}
	return cluster.SlotSet{}
}

func checkOneOwner(t *rapid.T, l layout) {
	total, all := 0, cluster.SlotSet{}
	for _, own := range l.slots {
		total += own.Len()
		all = all.Union(own)
	}
	if total != cluster.SlotCount || all.Len() != cluster.SlotCount {
		t.Fatalf("%d slots with owners, %d distinct ones", total, all.Len())
	}
}

// TestReshardFinishesWhatWasBegun promises that slots which are open from a
// source to the target are moved before any other and count; and that the
// command of a killed tool, given again, ends with no slot open that its plan
// does not name.
func TestReshardFinishesWhatWasBegun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t, rapid.IntRange(2, 8).Draw(t, "masters"))
		to := rapid.IntRange(0, len(l.slots)-1).Draw(t, "to")
		for range rapid.IntRange(1, 10).Draw(t, "open") {
			slot := rapid.IntRange(0, cluster.SlotCount-1).Draw(t, "slot")
			if l.owner(slot) != to {
				l.open[slot], l.both[slot] = to, rapid.Bool().Draw(t, "both sides")
			}
		}
		available := cluster.SlotCount - l.slots[to].Len()
		if available == 0 {
			t.Skip("nothing to move")
		}
		want := rapid.OneOf(rapid.IntRange(1, min(available, 20)), rapid.IntRange(1, available)).Draw(t, "slots")
		p, err := plan.Reshard(l.state(), plan.ReshardOptions{To: master(to), Slots: want})
		if err != nil {
			t.Fatal(err)
		}
		var moved cluster.SlotSet
		for _, step := range p.Steps {
			moved = moved.Union(step.Slots)
		}
		for slot := range l.open {
			if !moved.Has(slot) {
				t.Fatalf("slot %d is open and not moved", slot)
			}
		}
		if moved.Len() != max(want, len(l.open)) {
			t.Fatalf("%d slots move, %d wanted, %d open", moved.Len(), want, len(l.open))
		}
		checkOneOwner(t, l.after(p))
	})
}

// TestReshardRefusesForeignWork promises that a slot which is open in any other
// direction keeps the plan from being made, with the node named.
func TestReshardRefusesForeignWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t, rapid.IntRange(3, 8).Draw(t, "masters"))
		to := rapid.IntRange(0, len(l.slots)-1).Draw(t, "to")
		slot := rapid.IntRange(0, cluster.SlotCount-1).Draw(t, "slot")
		other := rapid.IntRange(0, len(l.slots)-1).Draw(t, "other")
		if other == to || other == l.owner(slot) {
			t.Skip("not foreign")
		}
		l.open[slot] = other
		_, err := plan.Reshard(l.state(), plan.ReshardOptions{To: master(to), Slots: 1})
		var r *plan.Refusal
		if !errors.As(err, &r) || r.Hint == "" {
			t.Fatalf("error %v, want a refusal with a hint", err)
		}
		s := l.state()
		owner, _ := s.Get(master(l.owner(slot)))
		if want := fmt.Sprintf("slots %d are open on %s", slot, owner.Addr); r.Error() != want {
			t.Fatalf("refused with %q, want %q", r, want)
		}
	})
}

// TestResumeTouchesOpenSlotsOnly promises that resume moves each open slot from
// its owner to where it was going, and nothing else.
func TestResumeTouchesOpenSlotsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t, rapid.IntRange(2, 8).Draw(t, "masters"))
		for range rapid.IntRange(0, 12).Draw(t, "open") {
			slot := rapid.IntRange(0, cluster.SlotCount-1).Draw(t, "slot")
			if to := rapid.IntRange(0, len(l.slots)-1).Draw(t, "to"); to != l.owner(slot) {
				l.open[slot], l.both[slot] = to, rapid.Bool().Draw(t, "both sides")
			}
		}
		p, err := plan.Resume(l.state())
		if err != nil {
			t.Fatal(err)
		}
		moved := make(map[int]int)
		for _, step := range p.Steps {
			for slot := range step.Slots.All() {
				if step.Action != plan.MoveSlots || step.From != master(l.owner(slot)) || step.To != master(l.open[slot]) {
					t.Fatalf("slot %d, open to %d: %+v", slot, l.open[slot], step)
				}
				moved[slot] = l.open[slot]
			}
		}
		if diff := cmp.Diff(l.open, moved); diff != "" {
			t.Fatalf("(-open +moved):\n%s", diff)
		}
		again, err := plan.Resume(l.after(p).state())
		if err != nil || len(again.Steps) > 0 {
			t.Fatalf("resumed again: %+v, %v", again.Steps, err)
		}
	})
}

// TestManyMasters promises even ranges and exact shares where others round:
// each slot has one owner with 3 to 1000 masters, and none has two more than
// another.
func TestManyMasters(t *testing.T) {
	for _, n := range []int{3, 4, 5, 7, 10, 100, 128, 201, 333, 999, 1000} {
		s := fresh(n)
		p, err := plan.Create(s, plan.CreateOptions{Addrs: addrs(s)})
		if err != nil {
			t.Fatal(err)
		}
		all, least, most := cluster.SlotSet{}, cluster.SlotCount, 0
		for _, step := range p.Steps {
			if step.Action != plan.AssignSlots {
				continue
			}
			if len(step.Slots.Ranges()) != 1 || !all.Intersect(step.Slots).Empty() {
				t.Errorf("%d masters: slots %s", n, step.Slots)
			}
			all = all.Union(step.Slots)
			least, most = min(least, step.Slots.Len()), max(most, step.Slots.Len())
		}
		if !all.Equal(cluster.AllSlots()) || most-least > 1 {
			t.Errorf("%d masters: slots %s, %d to %d each", n, all, least, most)
		}
	}
}

// TestCreateAdmitsItsOwnWork promises that create continues from wherever it
// was killed: whatever part of a plan is done, the same plan is made, its done
// steps are done and none is blocked.
func TestCreateAdmitsItsOwnWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := fresh(rapid.IntRange(6, 9).Draw(t, "nodes"))
		o := drawWishes(t, addrs(s))
		p, err := plan.Create(s, o)
		if err != nil {
			t.Fatal(err)
		}
		done := make([]bool, len(p.Steps))
		for i, step := range p.Steps {
			if step.Action == plan.Join {
				joinSome(t, &s, p)
				continue
			}
			if done[i] = rapid.Bool().Draw(t, "done"); done[i] {
				carryOut(&s, step)
			}
		}
		again, err := plan.Create(s, o)
		if err != nil {
			t.Fatalf("refused to continue: %v", err)
		}
		a, _ := json.Marshal(p)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("another plan:\n%s\n%s", a, b)
		}
		for i, step := range p.Steps {
			status, why := again.Status(step, s)
			if status == plan.Blocked || done[i] && status != plan.Done {
				t.Fatalf("%s is %s: %s", p.Describe(step), status, why)
			}
		}
	})
}

// drawWishes are those for a new cluster; there may be none.
func drawWishes(t *rapid.T, addrs []cluster.Addr) plan.CreateOptions {
	o := plan.CreateOptions{Addrs: addrs, Replicas: 1}
	if rapid.Bool().Draw(t, "zones") {
		o.Zones = make(map[string]string)
		for _, addr := range addrs {
			o.Zones[addr.Host] = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "zone")
		}
	}
	if rapid.Bool().Draw(t, "wishes") {
		o.ReplicaOf = map[cluster.Addr]cluster.Addr{addrs[0]: addrs[1]}
		o.Slots = map[cluster.Addr]cluster.SlotSet{addrs[1]: cluster.SlotsOf(3, 5, 700)}
		o.Weights = map[cluster.Addr]int{addrs[4]: rapid.IntRange(1, 9).Draw(t, "weight")}
	}
	return o
}

// TestCreateFingerprints promises that wishes which make another plan give it
// another fingerprint.
func TestCreateFingerprints(t *testing.T) {
	s := fresh(8)
	a := addrs(s)
	seen, zones := make(map[string]string), make(map[string]string)
	for i, addr := range a {
		zones[addr.Host] = string("xy"[i%2])
	}
	for name, o := range map[string]plan.CreateOptions{
		"none":        {Addrs: a},
		"replicas":    {Addrs: a, Replicas: 1},
		"zones":       {Addrs: a, Replicas: 1, Zones: zones},
		"pairs":       {Addrs: a, Replicas: 1, ReplicaOf: map[cluster.Addr]cluster.Addr{a[0]: a[1]}},
		"slots":       {Addrs: a, Replicas: 1, Slots: map[cluster.Addr]cluster.SlotSet{a[0]: cluster.SlotsOf(1)}},
		"weights":     {Addrs: a, Replicas: 1, Weights: map[cluster.Addr]int{a[0]: 2}},
		"fewer nodes": {Addrs: a[:7], Replicas: 1},
	} {
		p, err := plan.Create(s, o)
		if err != nil {
			t.Fatal(err)
		}
		if twin, twice := seen[p.Fingerprint]; twice {
			t.Errorf("%s and %s have the same fingerprint", name, twin)
		}
		seen[p.Fingerprint] = name
	}
}

// self changes what the member with an id says of itself.
func self(s *cluster.State, id cluster.NodeID, change func(*cluster.Node)) {
	for i, m := range s.Members {
		if m.ID == id {
			change(&s.Members[i].View.Nodes[0])
		}
	}
}

func carryOut(s *cluster.State, step plan.Step) {
	self(s, step.Node, func(n *cluster.Node) {
		switch step.Action {
		case plan.SetEpoch:
			n.Epoch = step.Epoch
		case plan.AssignSlots:
			n.Slots = step.Slots
		case plan.Replicate:
			n.Flags, n.MasterID = cluster.FlagMyself|cluster.FlagReplica, step.Master
		}
	})
}

// joinSome lets some nodes know some others, or be in handshake with them.
func joinSome(t *rapid.T, s *cluster.State, p plan.Plan) {
	for i := range s.Members {
		m := &s.Members[i]
		m.View.Nodes = slices.Clone(m.View.Nodes)
		for j, n := range p.Nodes {
			if n.ID == m.ID {
				continue
			}
			switch rapid.IntRange(0, 2).Draw(t, "known") {
			case 1:
				m.View.Nodes = append(m.View.Nodes, cluster.Node{ID: n.ID, Addr: n.Addr, Flags: cluster.FlagMaster})
			case 2:
				made := cluster.NodeID(fmt.Sprintf("%040x", 1<<40+i*100+j))
				m.View.Nodes = append(m.View.Nodes, cluster.Node{ID: made, Addr: n.Addr, Flags: cluster.FlagHandshake})
			}
		}
	}
}

// TestFingerprintIsStable promises that our own progress, new epochs and
// changed counts do not change a plan's fingerprint, and that another plan has
// another one.
func TestFingerprintIsStable(t *testing.T) {
	const text = `
		a 10.0.0.1:7000 0-5460 epoch=%d keys=0:%d migrating=%s
		b 10.0.0.2:7000 5461-10922
		c 10.0.0.3:7000 10923-16383`
	make := func(epoch, keys int, open string, slots int) string {
		s := parseState(fmt.Sprintf(text, epoch, keys, open))
		p, err := plan.Reshard(s, plan.ReshardOptions{From: []cluster.NodeID{nodeID("a")}, To: nodeID("b"), Slots: slots})
		if err != nil {
			t.Fatal(err)
		}
		return p.Fingerprint
	}
	want := make(1, 0, "", 3)
	for name, got := range map[string]string{
		"epoch":    make(9, 0, "", 3),
		"keys":     make(1, 500, "", 3),
		"progress": make(1, 0, "0:b,1:b", 3),
	} {
		if got != want {
			t.Errorf("another %s made another fingerprint", name)
		}
	}
	if make(1, 0, "", 4) == want {
		t.Error("another number of slots has the same fingerprint")
	}
}

// BenchmarkReshard1000 plans on a cluster of 1,000 masters.
func BenchmarkReshard1000(b *testing.B) {
	l := layout{slots: make([]cluster.SlotSet, 1000)}
	for i := range 1000 {
		l.slots[i] = cluster.NewSlotSet(cluster.SlotRange{First: i * cluster.SlotCount / 1000, Last: (i+1)*cluster.SlotCount/1000 - 1})
	}
	s := l.state()
	for b.Loop() {
		if _, err := plan.Reshard(s, plan.ReshardOptions{To: master(7), Slots: 5000}); err != nil {
			b.Fatal(err)
		}
	}
}
