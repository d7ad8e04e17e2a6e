package move

import (
	"context"
	"fmt"
	"strconv"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

func setSlot(slot int, args ...string) driver.Command {
	return append(driver.Cmd("CLUSTER", "SETSLOT", strconv.Itoa(slot)), args...)
}

func setSlots(slots []int, args ...string) []driver.Command {
	cmds := make([]driver.Command, len(slots))
	for i, slot := range slots {
		cmds[i] = setSlot(slot, args...)
	}
	return cmds
}

// open makes the target import and then the source migrate: in this order,
// since a client that the source sends away must be let in. Both are read back.
func (m *mover) open(ctx context.Context, slots []int) error {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	if err := m.mayOpen(slots); err != nil {
		return err
	}
	fresh, err := m.importSlots(ctx, slots)
	if err != nil {
		return err
	}
	migrate := setSlots(slots, "MIGRATING", string(m.dst.id))
	replies, err := m.src.do(ctx, append(migrate, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	if err := m.src.allOK(migrate, replies); err != nil {
		return err
	}
	if err := m.src.readView(replies[len(migrate)]); err != nil {
		return err
	}
	if err := m.checkOpen(slots); err != nil {
		return err
	}
	for _, slot := range fresh {
		m.ours[slot] = true
	}
	m.openers = m.src.seen
	return nil
}

// mayOpen refuses slots that somebody else is moving elsewhere.
func (m *mover) mayOpen(slots []int) error {
	for _, slot := range slots {
		if to, ok := m.src.view.Self().Migrating[slot]; ok && to != m.dst.id && !m.wasReplacedBy(to, m.dst.id) {
			return fmt.Errorf("slot %d is migrating from %s to another node, %s", slot, m.src.addr, to)
		}
	}
	return nil
}

// wasReplacedBy reports whether the source sees old as a replica of its
// successor: the target was failed over.
func (m *mover) wasReplacedBy(old, successor cluster.NodeID) bool {
	n, ok := m.src.view.Get(old)
	return ok && n.MasterID == successor
}

// importSlots opens the target's side and returns the slots that were closed
// at both ends and had no key on the target: whatever the target will hold of
// them came from this process or from clients that the source sent there.
func (m *mover) importSlots(ctx context.Context, slots []int) (fresh []int, err error) {
	count := driver.CountCommands(m.databases, slots)
	rebind := m.rebind(slots)
	imports := append(rebind, setSlots(slots, "IMPORTING", string(m.src.id))...)
	cmds := append(append(count, imports...), driver.Cmd("CLUSTER", "NODES"))
	replies, err := m.dst.do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	counts, err := driver.ReadCounts(replies, m.databases, slots)
	if err != nil {
		return nil, fmt.Errorf("%s: counting keys: %w", m.dst.addr, err)
	}
	if err := m.dst.allOK(imports, replies[len(count):]); err != nil {
		return nil, err
	}
	before := m.dst.view.Self()
	for _, slot := range slots {
		_, imported := before.Importing[slot]
		_, migrated := m.src.view.Self().Migrating[slot]
		if !imported && !migrated && counts[slot] == 0 {
			fresh = append(fresh, slot)
		}
	}
	return fresh, m.dst.readView(replies[len(replies)-1])
}

// rebind tells a target that imports from a master which was failed over who
// owns the slot now. An importing node ignores gossip about the slot, and
// without an owner in its view MIGRATE ends in CLUSTERDOWN.
func (m *mover) rebind(slots []int) []driver.Command {
	var cmds []driver.Command
	for _, slot := range slots {
		if from, ok := m.dst.view.Self().Importing[slot]; ok && from != m.src.id {
			cmds = append(cmds, setSlot(slot, "NODE", string(m.src.id)))
		}
	}
	return cmds
}

// checkOpen holds what both ends say of themselves against what they were told.
func (m *mover) checkOpen(slots []int) error {
	src, dst := m.src.view.Self(), m.dst.view.Self()
	for _, slot := range slots {
		if src.Migrating[slot] != m.dst.id || dst.Importing[slot] != m.src.id || !src.Slots.Has(slot) {
			return fmt.Errorf("%w: slot %d is not open from %s to %s after it was opened", errLookAgain, slot, m.src.addr, m.dst.addr)
		}
	}
	if !src.IsMaster() || src.Epoch != m.src.seen.epoch {
		return fmt.Errorf("%w: %s was a master with epoch %d", errLookAgain, m.src.addr, m.src.seen.epoch)
	}
	return nil
}
