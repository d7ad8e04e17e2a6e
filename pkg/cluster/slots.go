package cluster

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// SlotCount is the number of hash slots of every cluster.
const SlotCount = 16384

// SlotRange is a run of slots, both ends included.
type SlotRange struct {
	First, Last int
}

// Len is the number of slots in the range.
func (r SlotRange) Len() int { return r.Last - r.First + 1 }

// String is "7" for one slot and "0-5460" for more.
func (r SlotRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(r.First)
	}
	return strconv.Itoa(r.First) + "-" + strconv.Itoa(r.Last)
}

// SlotSet is an immutable set of slots; the zero value is the empty set. It is
// kept as sorted ranges: a view of a thousand nodes holds a thousand sets, and
// almost all of them are one range.
type SlotSet struct {
	ranges []SlotRange
}

// AllSlots is the set of all 16384 slots.
func AllSlots() SlotSet { return SlotSet{[]SlotRange{{0, SlotCount - 1}}} }

// NewSlotSet unites ranges, in any order and overlapping or not. Ranges that
// reach outside 0 to 16383 or run backwards are a programming error and panic;
// text from outside goes through [ParseSlotSet].
func NewSlotSet(ranges ...SlotRange) SlotSet {
	for _, r := range ranges {
		if r.First < 0 || r.Last >= SlotCount || r.First > r.Last {
			panic(fmt.Sprintf("cluster: slot range %d-%d", r.First, r.Last))
		}
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b SlotRange) int { return cmp.Compare(a.First, b.First) })
	var merged []SlotRange
	for _, r := range sorted {
		merged = appendRange(merged, r)
	}
	return SlotSet{merged}
}

// SlotsOf is the set of the given slots.
func SlotsOf(slots ...int) SlotSet {
	ranges := make([]SlotRange, len(slots))
	for i, s := range slots {
		ranges[i] = SlotRange{s, s}
	}
	return NewSlotSet(ranges...)
}

// appendRange adds a range that begins no earlier than the last one.
func appendRange(ranges []SlotRange, r SlotRange) []SlotRange {
	if n := len(ranges); n > 0 && r.First <= ranges[n-1].Last+1 {
		ranges[n-1].Last = max(ranges[n-1].Last, r.Last)
		return ranges
	}
	return append(ranges, r)
}

// ParseSlotSet reads "0-100,200" (spaces around commas allowed); the empty
// text is the empty set.
func ParseSlotSet(s string) (SlotSet, error) {
	if strings.TrimSpace(s) == "" {
		return SlotSet{}, nil
	}
	var ranges []SlotRange
	for part := range strings.SplitSeq(s, ",") {
		r, err := ParseSlotRange(strings.TrimSpace(part))
		if err != nil {
			return SlotSet{}, err
		}
		ranges = append(ranges, r)
	}
	return NewSlotSet(ranges...), nil
}

// ParseSlotRange reads "7" or "0-100".
func ParseSlotRange(s string) (SlotRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errA := ParseSlot(first)
	b, errB := ParseSlot(last)
	if errA != nil || errB != nil || a > b {
		return SlotRange{}, fmt.Errorf("slots %q: want a slot or a range within 0-%d", clip(s), SlotCount-1)
	}
	return SlotRange{a, b}, nil
}

// ParseSlot reads one slot number, 0 to 16383.
func ParseSlot(s string) (int, error) {
	n, err := parseNumber(s, SlotCount-1)
	if err != nil || s == "" {
		return 0, fmt.Errorf("slot %q: want a number from 0 to %d", clip(s), SlotCount-1)
	}
	return n, nil
}

// Len is the number of slots in the set.
func (s SlotSet) Len() int {
	n := 0
	for _, r := range s.ranges {
		n += r.Len()
	}
	return n
}

// Empty reports whether the set has no slots.
func (s SlotSet) Empty() bool { return len(s.ranges) == 0 }

// Has reports whether slot is in the set.
func (s SlotSet) Has(slot int) bool {
	i, found := slices.BinarySearchFunc(s.ranges, slot, func(r SlotRange, slot int) int {
		return cmp.Compare(r.First, slot)
	})
	return found || i > 0 && slot <= s.ranges[i-1].Last
}

// Ranges is the set as sorted ranges that neither touch nor overlap.
func (s SlotSet) Ranges() []SlotRange { return slices.Clone(s.ranges) }

// All yields the slots, lowest first.
func (s SlotSet) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, r := range s.ranges {
			for slot := r.First; slot <= r.Last; slot++ {
				if !yield(slot) {
					return
				}
			}
		}
	}
}

// Slots is the set as a list, lowest first.
func (s SlotSet) Slots() []int { return slices.Collect(s.All()) }

// Take is the set of the n lowest slots, or the whole set where it has fewer.
func (s SlotSet) Take(n int) SlotSet {
	var taken []SlotRange
	for _, r := range s.ranges {
		if n <= 0 {
			break
		}
		r.Last = min(r.Last, r.First+n-1)
		taken = append(taken, r)
		n -= r.Len()
	}
	return SlotSet{taken}
}

// Union is the set of slots that are in either set.
func (s SlotSet) Union(t SlotSet) SlotSet {
	return NewSlotSet(slices.Concat(s.ranges, t.ranges)...)
}

// Intersect is the set of slots that are in both sets.
func (s SlotSet) Intersect(t SlotSet) SlotSet {
	var out []SlotRange
	for i, j := 0, 0; i < len(s.ranges) && j < len(t.ranges); {
		a, b := s.ranges[i], t.ranges[j]
		if lo, hi := max(a.First, b.First), min(a.Last, b.Last); lo <= hi {
			out = append(out, SlotRange{lo, hi})
		}
		if a.Last < b.Last {
			i++
		} else {
			j++
		}
	}
	return SlotSet{out}
}

// Minus is the set of slots that are in s and not in t.
func (s SlotSet) Minus(t SlotSet) SlotSet {
	return s.Intersect(t.complement())
}

func (s SlotSet) complement() SlotSet {
	var out []SlotRange
	next := 0
	for _, r := range s.ranges {
		if next < r.First {
			out = append(out, SlotRange{next, r.First - 1})
		}
		next = r.Last + 1
	}
	if next < SlotCount {
		out = append(out, SlotRange{next, SlotCount - 1})
	}
	return SlotSet{out}
}

// Equal reports whether both sets have the same slots.
func (s SlotSet) Equal(t SlotSet) bool { return slices.Equal(s.ranges, t.ranges) }

// String is the set as "0-100,200", the form that ParseSlotSet reads.
func (s SlotSet) String() string {
	parts := make([]string, len(s.ranges))
	for i, r := range s.ranges {
		parts[i] = r.String()
	}
	return strings.Join(parts, ",")
}

// MarshalText writes the set as String does.
func (s SlotSet) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseSlotSet reads.
func (s *SlotSet) UnmarshalText(text []byte) error {
	set, err := ParseSlotSet(string(text))
	if err != nil {
		return err
	}
	*s = set
	return nil
}
