package sim

import (
	"iter"
	"math/bits"

	"github.com/trib-dev/trib/pkg/cluster"
)

// slotBits is a set of slots as the servers send it: one bit for each.
type slotBits [cluster.SlotCount / 64]uint64

func (b *slotBits) add(slot int)      { b[slot/64] |= 1 << (slot % 64) }
func (b *slotBits) remove(slot int)   { b[slot/64] &^= 1 << (slot % 64) }
func (b *slotBits) has(slot int) bool { return b[slot/64]>>(slot%64)&1 == 1 }
func (b *slotBits) empty() bool       { return *b == slotBits{} }

func (b *slotBits) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// minus is what is in b and not in c.
func (b *slotBits) minus(c *slotBits) *slotBits {
	var out slotBits
	for i := range b {
		out[i] = b[i] &^ c[i]
	}
	return &out
}

// all yields the slots, lowest first.
func (b *slotBits) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}
