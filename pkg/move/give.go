package move

import (
	"context"
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// GivesFirst reports whether a source with some features gives slots up before a
// target with others claims them. Servers that tell their replicas need it not.
func (o Options) GivesFirst(from, to cluster.Features) bool {
	return o.Finalise == SourceFirst && !from.ReplicatedSetSlot && !to.ReplicatedSetSlot
}

// give lets the source give the slots up before the target claims them. In one
// transaction with MIGRATING, which only an owner may say, NODE is refused by a
// source that still has a key; an OK to NODE alone would prove nothing.
func (m *mover) give(ctx context.Context, slots []int) error {
	if err := m.src.mayTransact(ctx); err != nil {
		return err
	}
	var cmds []driver.Command
	for _, slot := range slots {
		cmds = append(cmds, setSlot(slot, "MIGRATING", string(m.dst.id)), setSlot(slot, "NODE", string(m.dst.id)))
	}
	results, err := m.src.transact(ctx, cmds...)
	if driver.IsTransport(err) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %s did not give the slots: %w", errLookAgain, m.src.addr, err)
	}
	if len(results) != len(cmds) {
		return fmt.Errorf("%w: %s did not give the slots", errLookAgain, m.src.addr)
	}
	for i, result := range results {
		if result != "OK" {
			return fmt.Errorf("%w: %s did not give slot %d: %v", errLookAgain, m.src.addr, slots[i/2], result)
		}
	}
	return nil
}

// given reports whether the source has given a slot up for the target, which has
// not claimed it yet: whoever did that was stopped in between. Nobody can write
// to such a slot.
func (m *mover) given(slot int) bool {
	target, ok := m.src.view.Get(m.dst.id)
	return ok && target.Slots.Has(slot) && m.dst.view.Self().Importing[slot] == m.src.id
}

// joined reports whether the source has become a replica of the target, as one
// that gives its last slot away does.
func (m *mover) joined() bool {
	self := m.src.view.Self()
	return !self.IsMaster() && self.MasterID == m.dst.id
}

// claimGiven lets the target claim slots that the source gave up, if that left
// no key behind. A source that gave its last slot up is the target's replica by
// now: what it holds is the target's.
func (m *mover) claimGiven(ctx context.Context, slots []int) error {
	if len(slots) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.dst.setWithin(len(slots)))
	defer cancel()
	replies, err := m.src.do(ctx, append(driver.CountCommands(m.databases, slots), driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	counts, err := driver.ReadCounts(replies, m.databases, slots)
	if err != nil {
		return fmt.Errorf("%s: counting keys: %w", m.src.addr, err)
	}
	if err := m.src.readView(replies[len(replies)-1]); err != nil {
		return err
	}
	if self := m.src.view.Self(); !self.IsMaster() && !m.joined() {
		return fmt.Errorf("%s gave slots %s up and is a replica of %s now", m.src.addr, cluster.SlotsOf(slots...), self.MasterID)
	}
	for _, slot := range slots {
		if !m.given(slot) {
			return fmt.Errorf("%w: slot %d is not given up by %s any more", errLookAgain, slot, m.src.addr)
		}
		if counts[slot] > 0 && !m.joined() {
			return fmt.Errorf("%s gave slot %d up with %d keys left in it", m.src.addr, slot, counts[slot])
		}
	}
	if err := m.secure(ctx); err != nil {
		return err
	}
	m.report(Progress{Notice: fmt.Sprintf("slots %s had been given up by %s and not been claimed yet", cluster.SlotsOf(slots...), m.src.addr)})
	return m.claim(ctx, slots)
}
