package cluster_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
)

// model is a set of slots the plainest way there is.
type model map[int]bool

func (m model) set() cluster.SlotSet { return cluster.SlotsOf(slices.Collect(maps.Keys(m))...) }

func (m model) slots() []int { return slices.Sorted(maps.Keys(m)) }

// models draws sets with long runs, holes, and slots at either end: what
// clusters have, and where mistakes by one are made.
func models() *rapid.Generator[model] {
	slot := rapid.OneOf(rapid.IntRange(0, cluster.SlotCount-1), rapid.IntRange(0, 40), rapid.IntRange(cluster.SlotCount-40, cluster.SlotCount-1))
	return rapid.Custom(func(t *rapid.T) model {
		m := make(model)
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			first := slot.Draw(t, "first")
			for s := first; s < min(first+rapid.IntRange(1, 60).Draw(t, "length"), cluster.SlotCount); s++ {
				m[s] = true
			}
		}
		for range rapid.IntRange(0, 8).Draw(t, "holes") {
			delete(m, slot.Draw(t, "hole"))
		}
		return m
	})
}

// same holds a set against a model, and its form against what SlotSet says of
// itself: sorted ranges that neither touch nor overlap.
func same(t *rapid.T, what string, want model, got cluster.SlotSet) {
	if diff := cmp.Diff(want.slots(), got.Slots()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
	if got.Len() != len(want) || got.Empty() != (len(want) == 0) {
		t.Fatalf("%s: length %d, empty %v", what, got.Len(), got.Empty())
	}
	checkForm(t, got)
}

func checkForm(t interface{ Fatalf(string, ...any) }, s cluster.SlotSet) {
	last := -2
	for _, r := range s.Ranges() {
		if r.First <= last+1 || r.First > r.Last || r.Last >= cluster.SlotCount {
			t.Fatalf("range %s after slot %d", r, last)
		}
		last = r.Last
	}
}

// TestSlotSetAlgebra promises that every operation is the one of sets, and
// leaves its operands alone.
func TestSlotSetAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := models().Draw(t, "a"), models().Draw(t, "b")
		sa, sb := a.set(), b.set()
		union, both, left := maps.Clone(a), make(model), make(model)
		maps.Copy(union, b)
		for s := range a {
			if b[s] {
				both[s] = true
			} else {
				left[s] = true
			}
		}
		same(t, "a", a, sa)
		same(t, "a and b", union, sa.Union(sb))
		same(t, "in both", both, sa.Intersect(sb))
		same(t, "a without b", left, sa.Minus(sb))
		same(t, "a afterwards", a, sa)
		same(t, "b afterwards", b, sb)
		if !sa.Equal(a.set()) || sa.Equal(sb) != maps.Equal(a, b) {
			t.Fatalf("equal: %s, %s", sa, sb)
		}
	})
}

// TestSlotSetTake promises the lowest slots, as many as asked for or all.
func TestSlotSetTake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := models().Draw(t, "m")
		n := rapid.IntRange(-1, cluster.SlotCount+1).Draw(t, "n")
		want := make(model)
		for i, s := range m.slots() {
			if i < n {
				want[s] = true
			}
		}
		same(t, "taken", want, m.set().Take(n))
	})
}

// TestSlotSetHas promises an answer for any number, slot or not.
func TestSlotSetHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := models().Draw(t, "m")
		s := m.set()
		for slot := -2; slot < cluster.SlotCount+2; slot++ {
			if s.Has(slot) != m[slot] {
				t.Fatalf("slot %d: %v", slot, s.Has(slot))
			}
		}
	})
}

// TestSlotSetText promises that a set survives being written down, as text and
// in JSON: plans are saved.
func TestSlotSetText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := models().Draw(t, "m")
		s := m.set()
		again, err := cluster.ParseSlotSet(s.String())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "parsed", m, again)
		type holder struct {
			Slots cluster.SlotSet `json:"slots,omitzero"`
		}
		written, err := json.Marshal(holder{s})
		if err != nil {
			t.Fatal(err)
		}
		if s.Empty() != (string(written) == "{}") {
			t.Fatalf("written as %s", written)
		}
		var read holder
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatal(err)
		}
		same(t, "read back", m, read.Slots)
	})
}

// TestSlotSetOwnsItsSlots promises that nobody can change a set from outside.
func TestSlotSetOwnsItsSlots(t *testing.T) {
	given := []cluster.SlotRange{{First: 5, Last: 6}, {First: 0, Last: 1}}
	s := cluster.NewSlotSet(given...)
	given[0].Last = 100
	s.Ranges()[0].Last = 100
	if got := s.String(); got != "0-1,5-6" {
		t.Errorf("the set became %s", got)
	}
	if given[1].First != 0 {
		t.Error("the caller's ranges were sorted")
	}
}

// TestSlotSetStopsEarly promises that a loop may break off.
func TestSlotSetStopsEarly(t *testing.T) {
	var seen []int
	for s := range cluster.AllSlots().All() {
		if seen = append(seen, s); len(seen) == 3 {
			break
		}
	}
	if !slices.Equal(seen, []int{0, 1, 2}) {
		t.Errorf("saw %v", seen)
	}
}

func TestNewSlotSetPanics(t *testing.T) {
	for _, r := range []cluster.SlotRange{{-1, 5}, {0, cluster.SlotCount}, {6, 5}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("range %v was accepted", r)
				}
			}()
			cluster.NewSlotSet(r)
		}()
	}
}

func TestParseSlotSet(t *testing.T) {
	tests := []struct {
		name, text, want string
		ok               bool
	}{
		{"nothing", "", "", true},
		{"spaces", "  ", "", true},
		{"one slot", "7", "7", true},
		{"the last slot", "16383", "16383", true},
		{"all", "0-16383", "0-16383", true},
		{"ranges that touch are one", "0-5,6-9", "0-9", true},
		{"unsorted, overlapping, with spaces", " 9 , 3-5,4-7", "3-7,9", true},
		{"leading zeros", "007", "7", true},
		{"slot 16384", "16384", "", false},
		{"range beyond the last slot", "0-16384", "", false},
		{"backwards", "9-3", "", false},
		{"negative", "-3", "", false},
		{"open range", "3-", "", false},
		{"two dashes", "1-2-3", "", false},
		{"signed", "+3", "", false},
		{"trailing comma", "1,", "", false},
		{"only a comma", ",", "", false},
		{"words", "all", "", false},
		{"spaces inside a range", "1 - 3", "", false},
		{"more digits than any number has", strings.Repeat("9", 100), "", false},
		{"fraction", "1.5", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cluster.ParseSlotSet(tt.text)
			if (err == nil) != tt.ok || got.String() != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
			var unmarshalled cluster.SlotSet
			if err := unmarshalled.UnmarshalText([]byte(tt.text)); (err == nil) != tt.ok || !unmarshalled.Equal(got) {
				t.Errorf("unmarshalled %s, %v", unmarshalled, err)
			}
		})
	}
}

func TestSlotRange(t *testing.T) {
	if got := (cluster.SlotRange{First: 7, Last: 7}); got.String() != "7" || got.Len() != 1 {
		t.Errorf("%s, %d", got, got.Len())
	}
	if got := (cluster.SlotRange{First: 0, Last: 16383}); got.String() != "0-16383" || got.Len() != 16384 {
		t.Errorf("%s, %d", got, got.Len())
	}
}

// FuzzParseSlotSet promises that what is accepted is a set that prints itself
// so that it is accepted again.
func FuzzParseSlotSet(f *testing.F) {
	for _, s := range []string{"", "7", "0-16383", "0-6,8,10-99,101-5460", "5-3", "16384", "1,,2", "-", "0-1-2", " 3 , 4", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := cluster.ParseSlotSet(in)
		if err != nil {
			if !s.Empty() {
				t.Errorf("slots %s came with an error", s)
			}
			return
		}
		checkForm(t, s)
		again, err := cluster.ParseSlotSet(s.String())
		if err != nil || !again.Equal(s) {
			t.Errorf("%q became %s and then %s, %v", in, s, again, err)
		}
	})
}

// BenchmarkSlotSetMinus is an operation on two fragmented sets.
func BenchmarkSlotSetMinus(b *testing.B) {
	var even []int
	for s := 0; s < cluster.SlotCount; s += 2 {
		even = append(even, s)
	}
	fragments := cluster.SlotsOf(even...)
	b.ReportAllocs()
	for b.Loop() {
		cluster.AllSlots().Minus(fragments)
	}
}
