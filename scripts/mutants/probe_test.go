package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLeaves(t *testing.T) {
	got := leaves([]string{"TestA", "TestA/b", "TestA/b/c", "TestAB", "TestD"})
	if diff := cmp.Diff([]string{"TestA/b/c", "TestAB", "TestD"}, got); diff != "" {
		t.Error(diff)
	}
	if got, want := pattern("TestA/b.c"), `^TestA$/^b\.c$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestChoose: what noticed a mutant of the same function goes first, and then one
// part of each test before the second part of any.
func TestChoose(t *testing.T) {
	met := map[int]bool{7: true}
	w := &work{budget: 10 * time.Second, luck: make(map[string]int), probes: ranked([]*probe{
		{Test: "Slow/1", Cost: 3 * time.Second, Met: met},
		{Test: "Slow/2", Cost: time.Second, Met: met},
		{Test: "Quick", Cost: time.Second, Met: met},
		{Test: "Elsewhere", Cost: time.Second, Met: map[int]bool{8: true}},
		{Test: "Lucky", Cost: 4 * time.Second, Met: met},
		{Test: "Slow/3", Cost: 9 * time.Second, Met: met},
	})}
	w.praise(verdict{Mutant: "a.go f delete: x", By: w.probes[4].String()})
	var got []string
	for _, p := range w.choose(mutant{Number: 7, File: "a.go", Func: "f", Kind: "negate"}) {
		got = append(got, p.Test)
	}
	if diff := cmp.Diff([]string{"Lucky", "Quick", "Slow/1", "Slow/2"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestTranslated: tests are measured for the mutants of then, and used for those
// of now.
func TestTranslated(t *testing.T) {
	w := &work{mutants: []mutant{
		{Number: 1, File: "a.go", Func: "f", Kind: "delete", Text: "new"},
		{Number: 2, File: "a.go", Func: "f", Kind: "delete", Text: "old"},
		{Number: 3, File: "a.go", Func: "f", Kind: "delete", Text: "unmet"},
		{Number: 4, File: "a.go", Func: "g", Kind: "delete", Text: "new"},
		{Number: 5, File: "a.go", Func: "h", Kind: "delete", Text: "new"},
	}}
	kept := measured{
		Names:  []string{"a.go f delete: gone", "a.go f delete: old", "a.go f delete: unmet", "a.go h delete: gone"},
		Probes: []*probe{{Test: "Test", Met: map[int]bool{2: true}}},
	}
	got := w.translated(kept)[0].Met
	if diff := cmp.Diff(map[int]bool{1: true, 2: true, 4: true}, got); diff != "" {
		t.Error(diff)
	}
}
