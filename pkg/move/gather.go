package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Gather brings keys of slots from a node that holds them without owning the
// slots to the one that owns them. from gives up what claim it has to the slots;
// to must own them. Keys that the owner lacks are moved, equal ones are deleted
// at the holder, and differing ones are a *ConflictError unless o decides.
//
// The holder imports the slots meanwhile: a master that holds keys of a slot
// which it does not own and does not import deletes them when it hears the
// owner's claim, and refuses to MIGRATE them. Clients write to the owner all the
// time, so nothing there is ever replaced, except where o decides that.
//
// It may be stopped anywhere, and called again.
func Gather(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	c := &classic{dialer: d, name: name, from: from, to: to, o: o.withDefaults(from), report: report}
	m := c.newMover()
	defer m.close()
	m.gathers = true
	return m.each(ctx, slots)
}

// Pin lets from hold on to its keys of slots that it must not own: it gives up
// what claim it has and imports them from to, whether to has claimed them yet or
// not. From then on it loses no key when it hears of another owner.
func Pin(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member, slots cluster.SlotSet, o Options) error {
	c := &classic{dialer: d, name: name, from: from, to: to, o: o.withDefaults(from), report: func(Progress) {}}
	m := c.newMover()
	defer m.close()
	m.gathers, m.pinsOnly = true, true
	return m.each(ctx, slots)
}

// each insists on every window of slots.
func (m *mover) each(ctx context.Context, slots cluster.SlotSet) error {
	for window := range slices.Chunk(slots.Slots(), m.o.Window) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := m.insist(ctx, window); err != nil {
			return err
		}
	}
	return nil
}

// gather brings a window of slots from whatever state it is in to its end.
func (m *mover) gather(ctx context.Context, slots []int) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	if m.pinsOnly {
		return m.pin(ctx, slots)
	}
	for _, slot := range slots {
		if !m.dst.owns(slot) {
			return fmt.Errorf("%s does not own slot %d", m.dst.addr, slot)
		}
	}
	if err := m.pin(ctx, slots); err != nil {
		return err
	}
	if err := m.askStanding(ctx); err != nil {
		return err
	}
	var conflicts []Conflict
	for _, db := range m.databases {
		err := m.gatherDB(ctx, db, slots)
		var e *ConflictError
		if errors.As(err, &e) {
			conflicts = append(conflicts, e.Conflicts...)
		} else if err != nil {
			return err
		}
	}
	if conflicts != nil {
		return &ConflictError{conflicts}
	}
	return m.unpin(ctx, slots)
}

// pin makes the holder import the slots, after it gave up its claim to them.
func (m *mover) pin(ctx context.Context, slots []int) error {
	if !m.src.seen.master {
		return fmt.Errorf("%s is not a master: its keys are its master's", m.src.addr)
	}
	ctx, cancel := context.WithTimeout(ctx, m.src.setWithin(2*len(slots)))
	defer cancel()
	var cmds []driver.Command
	for _, slot := range slots {
		cmds = append(cmds, m.pinSlot(slot)...)
	}
	replies, err := m.src.do(ctx, append(cmds, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	if err := m.src.allOK(cmds, replies); err != nil {
		return err
	}
	if err := m.src.readView(replies[len(cmds)]); err != nil {
		return err
	}
	for _, slot := range slots {
		if m.src.owns(slot) || m.src.view.Self().Importing[slot] != m.dst.id {
			return fmt.Errorf("%w: %s does not import slot %d after it was told so", errLookAgain, m.src.addr, slot)
		}
	}
	return nil
}

// pinSlot ends a claim and then imports. A node that imports a slot and has no
// owner for it in its view refuses everything, so it is told the owner last.
func (m *mover) pinSlot(slot int) []driver.Command {
	self := m.src.view.Self()
	seen, _ := m.src.view.Get(m.dst.id)
	if self.Importing[slot] == m.dst.id && seen.Slots.Has(slot) {
		return nil
	}
	number := strconv.Itoa(slot)
	var cmds []driver.Command
	if m.src.owns(slot) {
		cmds = append(cmds, m.src.setSlots([]int{slot}, "STABLE")...)
		cmds = append(cmds, driver.Cmd("CLUSTER", "DELSLOTS", number))
	}
	cmds = append(cmds, m.src.setSlots([]int{slot}, "IMPORTING", string(m.dst.id))...)
	return append(cmds, m.src.setSlots([]int{slot}, "NODE", string(m.dst.id))...)
}

func (m *mover) gatherDB(ctx context.Context, db int, slots []int) error {
	for range rounds {
		listed, err := m.listKeys(ctx, db, slots, m.o.Batch)
		if err != nil {
			return err
		}
		if listed = m.scale.moving(listed); len(listed) == 0 {
			return nil
		}
		if err := m.sendAll(ctx, listed); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s still has keys after %d rounds", errLookAgain, m.src.addr, rounds)
}

// unpin closes the slots at the holder, if no key is left there.
func (m *mover) unpin(ctx context.Context, slots []int) error {
	ctx, cancel := context.WithTimeout(ctx, m.src.setWithin(len(slots)))
	defer cancel()
	replies, err := m.src.do(ctx, driver.CountCommands(m.databases, slots)...)
	if err != nil {
		return err
	}
	counts, err := driver.ReadCounts(replies, m.databases, slots)
	if err != nil {
		return fmt.Errorf("%s: counting keys: %w", m.src.addr, err)
	}
	for _, slot := range slots {
		if counts[slot] > 0 {
			return fmt.Errorf("%w: %s still has %d keys of slot %d", errLookAgain, m.src.addr, counts[slot], slot)
		}
	}
	stable := m.src.setSlots(slots, "STABLE")
	replies, err = m.src.do(ctx, stable...)
	if err != nil {
		return err
	}
	return m.src.allOK(stable, replies)
}
