package plan

import (
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
)

// allowed is the promise of a rebalance, apart from the arithmetic that keeps
// it: within threshold percent of the share, or less than one slot off it.
func allowed(loads []load, threshold Decimal, i, slots int) bool {
	total, weight := 0, Decimal(0)
	for _, l := range loads {
		total += l.slots
		weight += l.weight
	}
	share := big.NewRat(int64(total)*int64(loads[i].weight), int64(weight))
	off := new(big.Rat).Sub(big.NewRat(int64(slots), 1), share)
	off.Abs(off)
	most := new(big.Rat).Mul(share, big.NewRat(int64(threshold), int64(MaxThreshold)))
	return off.Cmp(big.NewRat(1, 1)) < 0 || off.Cmp(most) <= 0
}

func drawLoads(t *rapid.T, masters, slots int) ([]load, Decimal) {
	weights := rapid.SampledFrom([][]Decimal{{One}, {0, One}, {0, One / 2, One, 3 * One}, {1, One / 3, MaxWeight}}).Draw(t, "weights")
	loads := make([]load, masters)
	total := Decimal(0)
	for i := range loads {
		loads[i].weight = rapid.SampledFrom(weights).Draw(t, "weight")
		loads[i].slots = rapid.IntRange(0, slots).Draw(t, "slots")
		total += loads[i].weight
	}
	if total == 0 {
		loads[0].weight = One
	}
	return loads, rapid.SampledFrom([]Decimal{0, One / 2, 2 * One, 10 * One, 33_333_333, MaxThreshold}).Draw(t, "threshold")
}

// TestBandsKeepThePromise promises that the bands hold exactly what is allowed.
func TestBandsKeepThePromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loads, threshold := drawLoads(t, rapid.IntRange(1, 6).Draw(t, "masters"), 3000)
		setBands(loads, threshold)
		for i, l := range loads {
			for slots := max(l.least-2, 0); slots <= l.most+2; slots++ {
				if in := l.least <= slots && slots <= l.most; in != allowed(loads, threshold, i, slots) {
					t.Fatalf("%+v: %d slots: %v", l, slots, in)
				}
			}
		}
	})
}

// fewest is how many slots must move, found by trying every distribution.
func fewest(loads []load, threshold Decimal, i, left, moved, best int) int {
	if moved >= best {
		return best
	}
	if i == len(loads) {
		if left == 0 {
			return moved
		}
		return best
	}
	for slots := 0; slots <= left; slots++ {
		if allowed(loads, threshold, i, slots) {
			best = fewest(loads, threshold, i+1, left-slots, moved+max(loads[i].slots-slots, 0), best)
		}
	}
	return best
}

// TestFewestMoves promises that no distribution in which everybody is within
// the threshold takes fewer moves.
func TestFewestMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loads, threshold := drawLoads(t, rapid.IntRange(1, 4).Draw(t, "masters"), 9)
		setBands(loads, threshold)
		moved, total, sum := 0, 0, 0
		for i, goal := range goals(loads) {
			if !allowed(loads, threshold, i, goal) {
				t.Fatalf("%+v gets %d", loads[i], goal)
			}
			moved += max(loads[i].slots-goal, 0)
			total += loads[i].slots
			sum += goal
		}
		if sum != total {
			t.Fatalf("%d slots of %d", sum, total)
		}
		if best := fewest(loads, threshold, 0, total, 0, total+1); moved != best {
			t.Fatalf("%d slots move, %d are enough: %+v to %v", moved, best, loads, goals(loads))
		}
	})
}

// TestRaiseLevels promises that whoever gets slots has at most one more than
// anybody else with the same weight who could have got it.
func TestRaiseLevels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loads := make([]load, rapid.IntRange(1, 9).Draw(t, "masters"))
		goals := make([]int, len(loads))
		for i := range loads {
			goals[i] = rapid.IntRange(0, 100).Draw(t, "slots")
			loads[i] = load{weight: One, slots: goals[i], most: cluster.SlotCount}
		}
		raise(loads, goals, rapid.IntRange(0, 500).Draw(t, "more"))
		for i := range goals {
			if goals[i] > loads[i].slots && goals[i] > slices.Min(goals)+1 {
				t.Fatalf("%v from %+v", goals, loads)
			}
		}
	})
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name       string
		give, take []int
		want       []flow
	}{
		{"nobody", nil, nil, nil},
		{"nothing", []int{0, 0}, []int{0, 0}, nil},
		{"one to one", []int{7, 0}, []int{0, 7}, []flow{{0, 1, 7}}},
		{"who fits exactly comes together", []int{5, 3, 0, 0}, []int{0, 0, 3, 5}, []flow{{0, 3, 5}, {1, 2, 3}}},
		{"one to many", []int{9, 0, 0}, []int{0, 4, 5}, []flow{{0, 2, 5}, {0, 1, 4}}},
		{"many to one", []int{4, 5, 0}, []int{0, 0, 9}, []flow{{1, 2, 5}, {0, 2, 4}}},
		{"a taker fits a smaller giver", []int{6, 4, 0, 0, 0}, []int{0, 0, 4, 3, 3}, []flow{{1, 2, 4}, {0, 3, 3}, {0, 4, 3}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, match(tt.give, tt.take), cmp.AllowUnexported(flow{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPick(t *testing.T) {
	tests := []struct {
		name, from, to string
		n              int
		want           string
	}{
		{"the lowest of one range", "100-199", "", 10, "100-109"},
		{"what touches from below", "100-199", "0-99", 10, "100-109"},
		{"what touches from above", "100-199", "200-299", 10, "190-199"},
		{"a whole range rather than a part", "0-99,500-509", "", 10, "500-509"},
		{"the shortest range that is long enough", "0-99,500-549", "", 10, "500-509"},
		{"what touches, then whole ranges, then a part", "0-9,100-104,200-299", "10-20", 20, "0-9,100-104,200-204"},
		{"everything", "0-9,16383", "5000", 11, "0-9,16383"},
		{"the first and the last slot", "0,16383", "1-16382", 2, "0,16383"},
		{"a part of what touches", "0-9,20-29", "10-19", 15, "0-9,20-24"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, err := cluster.ParseSlotSet(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			to, err := cluster.ParseSlotSet(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			if got := pick(from, to, tt.n).String(); got != tt.want {
				t.Errorf("picked %s, want %s", got, tt.want)
			}
		})
	}
}

// TestPickIsExact promises as many slots as wanted, all of them the giver's,
// and that neither side is torn into more than one piece more.
func TestPickIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ranges [3][]cluster.SlotRange
		for first := 0; first < cluster.SlotCount; {
			last := min(first+rapid.IntRange(1, 3000).Draw(t, "run"), cluster.SlotCount) - 1
			i := rapid.IntRange(0, 2).Draw(t, "owner")
			ranges[i] = append(ranges[i], cluster.SlotRange{First: first, Last: last})
			first = last + 1
		}
		from, to := cluster.NewSlotSet(ranges[0]...), cluster.NewSlotSet(ranges[1]...)
		n := rapid.IntRange(0, from.Len()).Draw(t, "n")
		picked := pick(from, to, n)
		if picked.Len() != n || !picked.Minus(from).Empty() {
			t.Fatalf("%s of %s, want %d", picked, from, n)
		}
		before := len(from.Ranges()) + len(to.Ranges())
		if after := len(from.Minus(picked).Ranges()) + len(to.Union(picked).Ranges()); after > before+1 {
			t.Fatalf("%d ranges became %d", before, after)
		}
	})
}

func TestDecimal(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1": "1", "0.5": "0.5", "1.125": "1.125", "007": "7", "2.50": "2.5", "1000000": "1000000", "0.000": "0", "0.333333": "0.333333", "999999999.999999": "999999999.999999",
	} {
		d, err := ParseDecimal(text)
		if err != nil || d.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, d, err, want)
		}
		if again, err := ParseDecimal(d.String()); err != nil || again != d {
			t.Errorf("%q does not survive: %v, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "abc", "-5", "+5", "1e3", "0x10", "1_000", ".5", "5.", "1.2345678", "1,5", " 1", "9999999999", "NaN", "Inf", "1.-5", "٣"} {
		if d, err := ParseDecimal(text); err == nil {
			t.Errorf("%q was read as %s", text, d)
		}
	}
	for d, want := range map[Decimal]string{2 * One: "2.00", 0: "0.00", 1_125_000: "1.13", 12_340_000: "12.34", One / 3: "0.33", 4999: "0.00", 5000: "0.01"} {
		if got := d.Fixed(); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
