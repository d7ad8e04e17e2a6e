package move

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Policy says what becomes of slots with big keys.
type Policy string

// The policies. A key that would block a node for half of the node timeout can
// have it failed over in the middle of a MIGRATE; only BigMove moves such a key.
const (
	BigWarn Policy = "warn" // say so and move them; leave slots with dangerous ones
	BigSkip Policy = "skip" // leave their slots where they are
	BigMove Policy = "move" // move them, whatever it takes
)

// BigKeys says which keys count as big and what becomes of their slots.
type BigKeys struct {
	Policy  Policy // default BigWarn
	Bytes   int64  // of memory; default 16 MiB
	Members int64  // of a collection; default 100,000
}

const (
	defaultBigBytes   = 16 << 20
	defaultBigMembers = 100_000
)

func (b BigKeys) withDefaults() BigKeys {
	if b.Policy == "" {
		b.Policy = BigWarn
	}
	if b.Bytes == 0 {
		b.Bytes = defaultBigBytes
	}
	if b.Members == 0 {
		b.Members = defaultBigMembers
	}
	return b
}

// BigKey is a key that blocks both nodes for long when it moves.
type BigKey struct {
	Slot    int           `json:"slot"`
	DB      int           `json:"db"`
	Key     string        `json:"key"`
	Bytes   int64         `json:"bytes"`
	Members int64         `json:"members,omitempty"`
	Blocks  time.Duration `json:"blocks_ns"` // for about this long
}

func (b BigKey) String() string {
	text := fmt.Sprintf("key %.80q of slot %d (%d bytes", b.Key, b.Slot, b.Bytes)
	if b.Members > 0 {
		text += fmt.Sprintf(", %d members", b.Members)
	}
	return text + fmt.Sprintf(") blocks both nodes for about %s", b.Blocks.Round(time.Millisecond))
}

// BigKeysError is a move that left slots where they are because of big keys, and
// moved all others.
type BigKeysError struct {
	Keys []BigKey
}

func (e *BigKeysError) Error() string {
	var texts []string
	for _, k := range e.Keys[:min(len(e.Keys), 5)] {
		texts = append(texts, k.String())
	}
	return fmt.Sprintf("slots %s were left where they are: %s", e.Slots(), strings.Join(texts, "; "))
}

// Slots are the slots that were left.
func (e *BigKeysError) Slots() cluster.SlotSet {
	var slots []int
	for _, k := range e.Keys {
		slots = append(slots, k.Slot)
	}
	return cluster.SlotsOf(slots...)
}

func bigKeysError(left []BigKey) error {
	if len(left) == 0 {
		return nil
	}
	slices.SortStableFunc(left, func(a, b BigKey) int { return a.Slot - b.Slot })
	return &BigKeysError{left}
}

// What moving takes: measured on Redis 7.0 are 4 ms for a string of 1 MiB, and
// 0.7 to 1 microsecond for a member of a sorted set or hash.
const (
	perByte   = 4 * time.Nanosecond
	perMember = time.Microsecond
)

func blocks(bytes, members int64) time.Duration {
	return max(time.Duration(bytes)*perByte, time.Duration(members)*perMember)
}

// scale knows the sizes of keys, and judges them.
type scale struct {
	o         BigKeys
	dangerous time.Duration // what a key may block at most; 0 where that is not known

	sizes  map[keyName]int64 // of keys in the window in hand, in bytes
	peeked map[int][]batch   // by database: the keys of the window that were listed before it was opened
	probed map[int]bool      // slots that need not be probed again
	told   map[keyName]bool  // big keys that were named or counted
	left   []BigKey          // why slots are left where they are
	blind  bool              // the server does not tell sizes
}

type keyName struct {
	db  int
	key string
}

func newScale(o BigKeys, dangerous time.Duration) scale {
	return scale{o: o, dangerous: dangerous, sizes: make(map[keyName]int64), peeked: make(map[int][]batch), probed: make(map[int]bool), told: make(map[keyName]bool)}
}

// cut takes as many keys off a listing as one MIGRATE may carry.
func (s *scale) cut(whole *batch, p pace) batch {
	b := batch{slot: whole.slot, db: whole.db}
	n := 0
	for n < len(whole.keys) && n < p.keys {
		size := s.sizes[keyName{whole.db, whole.keys[n]}]
		if n > 0 && b.bytes+size > p.bytes {
			break
		}
		b.bytes += size
		n++
	}
	b.keys, whole.keys = whole.keys[:n], whole.keys[n:]
	return b
}

// unknown are the keys of which the sizes are not known.
func (s *scale) unknown(db int, keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		_, ok := s.sizes[keyName{db, key}]
		return ok
	})
}

// suspects are the keys that may be big.
func (s *scale) suspects(b batch) []string {
	return slices.DeleteFunc(slices.Clone(b.keys), func(key string) bool {
		return s.sizes[keyName{b.db, key}] < min(suspicious, s.o.Bytes)
	})
}

func (s *scale) isBig(k BigKey) bool { return k.Bytes >= s.o.Bytes || k.Members >= s.o.Members }

// stays reports whether the slot of a big key is left where it is.
func (s *scale) stays(k BigKey) bool {
	return s.o.Policy == BigSkip || s.dangerous > 0 && k.Blocks >= s.dangerous
}

func (s *scale) leaves(slot int) bool {
	return slices.ContainsFunc(s.left, func(k BigKey) bool { return k.Slot == slot })
}

// forget drops what is known of the keys of the last window.
func (s *scale) forget() {
	clear(s.sizes)
	clear(s.peeked)
}

// moving are the listings of slots that are not left where they are.
func (s *scale) moving(listed []batch) []batch {
	return slices.DeleteFunc(listed, func(b batch) bool { return s.leaves(b.slot) || len(b.keys) == 0 })
}
