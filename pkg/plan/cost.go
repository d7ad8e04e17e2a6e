package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Cost is what carrying out a plan amounts to.
type Cost struct {
	Slots int   `json:"slots"` // slots that change their owner
	Keys  int64 `json:"keys"`  // keys in them when the plan was made; -1 where not counted

	// By a sample of keys, so roughly; absent where none was taken, -1 where it
	// could not be.
	Bytes      int64 `json:"bytes,omitempty"`       // memory that the keys take
	EstimateMS int64 `json:"estimate_ms,omitempty"` // time that the moves take
}

// What moving takes, roughly, in microseconds on servers that have nothing else
// to do: for each slot, for each key, and for each KiB of keys. A server that
// waits for its replicas before it answers SETSLOT takes much longer for a slot.
// Measured on loopback; a network, a throttle and a node that is busy add to it.
const (
	microsPerSlot       = 500
	microsPerWaitedSlot = 10_000
	microsPerKey        = 7
	microsPerKiB        = 4

	microsPerAtomicSlot = 60
	microsPerAtomicKey  = 1
	microsPerAtomicKiB  = 2
)

// rate is what a slot, a key, and a KiB of keys take.
func (m Mover) rate(s cluster.State, step Step) (slot, key, kib int64) {
	if m.Method == MethodAtomic {
		return microsPerAtomicSlot, microsPerAtomicKey, microsPerAtomicKiB
	}
	return microsPerSlotOf(s, step), microsPerKey, microsPerKiB
}

func microsPerSlotOf(s cluster.State, step Step) int64 {
	for _, id := range []cluster.NodeID{step.From, step.To} {
		if m, ok := s.Get(id); ok && m.Features.ReplicatedSetSlot && len(s.ReplicasOf(id)) > 0 {
			return microsPerWaitedSlot
		}
	}
	return microsPerSlot
}

// addCost counts what a step moves; once the keys are not known anywhere the
// whole number is not known.
func (c *Cost) addCost(s cluster.State, step Step) {
	c.Slots += step.Slots.Len()
	keys := keysOf(s, step)
	if c.Keys < 0 || keys < 0 {
		c.Keys = -1
		return
	}
	c.Keys += keys
}

// keysOf is how many keys a step moves, -1 where they were not counted.
func keysOf(s cluster.State, step Step) int64 {
	from, _ := s.Get(step.From)
	sum := int64(0)
	for slot := range step.Slots.All() {
		keys, counted := from.KeysIn(slot)
		if !counted {
			return -1
		}
		sum += keys
	}
	return sum
}

// Estimate adds to the cost how much memory the keys take and how long the
// moves will, given the average bytes of a key on each source, as far as it is
// known, and how the slots are to be moved. Moves between different nodes go at the same time, so the busiest
// node's work is what counts.
func (p *Plan) Estimate(s cluster.State, average map[cluster.NodeID]int64, o MoverOptions) {
	if p.Cost.Keys < 0 {
		p.Cost.Bytes, p.Cost.EstimateMS = -1, -1
		return
	}
	p.Cost.Bytes = 0
	micros := make(map[cluster.NodeID]int64)
	for _, step := range p.Steps {
		if step.Action != MoveSlots {
			continue
		}
		keys := keysOf(s, step)
		size, known := average[step.From]
		if p.Cost.Bytes < 0 || keys > 0 && !known {
			p.Cost.Bytes = -1
		} else {
			p.Cost.Bytes += keys * size
		}
		from, _ := s.Get(step.From)
		to, _ := s.Get(step.To)
		perSlot, perKey, perKiB := MoverOf(from, to, o).rate(s, step)
		work := perSlot*int64(step.Slots.Len()) + perKey*keys + perKiB*keys*size/1024
		micros[step.From] += work
		micros[step.To] += work
	}
	p.Cost.EstimateMS = 0
	for _, m := range micros {
		p.Cost.EstimateMS = max(p.Cost.EstimateMS, m/1000+1)
	}
}

// bigKey is from where on a key is worth a warning: one MIGRATE with it blocks
// both of its nodes for some tens of milliseconds.
const bigKey = 16 << 20

// WarnOfBigKey adds a warning for a key that blocks its nodes while it moves,
// where it is one.
func (p *Plan) WarnOfBigKey(node cluster.NodeID, key string, bytes int64) {
	if bytes < bigKey {
		return
	}
	p.Warnings = append(p.Warnings, fmt.Sprintf("key %.80q on %s takes %d MiB: its nodes serve nobody while it moves; there may be more like it",
		key, p.Addr(node), bytes>>20))
}
