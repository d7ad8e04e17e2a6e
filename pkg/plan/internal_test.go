package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLargestRemainder(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		want    int
		shares  []int
	}{
		{"nothing wanted", []int{5, 5}, 0, []int{0, 0}},
		{"nobody", nil, 0, []int{}},
		{"nobody has anything", []int{0, 0}, 0, []int{0, 0}},
		{"everything", []int{3, 0, 4}, 7, []int{3, 0, 4}},
		{"11 of three equal sources", []int{100, 100, 100}, 11, []int{4, 4, 3}},
		{"5 of ten equal sources", []int{9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, 5, []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}},
		{"105 of ten equal sources", []int{1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638}, 105, []int{11, 11, 11, 11, 11, 10, 10, 10, 10, 10}},
		{"343 of one", []int{5461}, 343, []int{343}},
		{"the largest fraction gets more", []int{3, 3, 4}, 5, []int{2, 1, 2}},
		{"a tie of fractions goes to the larger weight", []int{1, 2, 7}, 5, []int{0, 1, 4}},
		{"a tie goes to the larger one", []int{1, 3}, 2, []int{0, 2}},
		{"one", []int{1, 16383}, 1, []int{0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.shares, largestRemainder(tt.weights, tt.want)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLargestRemainderIsFair promises exactly as many as wanted, nobody more
// than they have, and nobody a whole one off their fair share.
func TestLargestRemainderIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 250).Draw(t, "weights")
		total := 0
		for _, w := range weights {
			total += w
		}
		want := rapid.IntRange(0, total).Draw(t, "want")
		got := 0
		for i, share := range largestRemainder(weights, want) {
			got += share
			if share < 0 || share > weights[i] {
				t.Fatalf("share %d of %d", share, weights[i])
			}
			if off := share*total - weights[i]*want; total > 0 && (off <= -total || off >= total) {
				t.Fatalf("share %d of %d, %d wanted of %d", share, weights[i], want, total)
			}
		}
		if got != want {
			t.Fatalf("%d given, %d wanted", got, want)
		}
	})
}

// TestFingerprintTellsFactsApart promises that what differs in any fact has
// another fingerprint.
func TestFingerprintTellsFactsApart(t *testing.T) {
	seen := make(map[string][]string)
	for _, facts := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"ab"}, {}, {"a", ""}} {
		f := fingerprint(facts)
		if twin, ok := seen[f]; ok {
			t.Errorf("%q and %q have fingerprint %s", facts, twin, f)
		}
		seen[f] = facts
		if again := fingerprint(facts); again != f || len(f) != 16 {
			t.Errorf("fingerprints %s and %s", f, again)
		}
	}
}
