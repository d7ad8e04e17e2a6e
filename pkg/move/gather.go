package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// errand is what a mover does with slots.
type errand int

const (
	moves  errand = iota
	brings        // keys to the owner of their slots, see Gather
	drops         // keys that the owner has too, see Drop
	wipes         // all keys, but for those that differ, see Discard
	pins          // only the first step of these three, see Pin
)

// gathers reports whether the source does not own the slots.
func (m *mover) gathers() bool { return m.errand != moves }

// drops reports whether keys are to be deleted at the source, not moved.
func (m *mover) drops() bool { return m.errand == drops || m.errand == wipes }

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
	return newGathering(d, name, from, to, o, report, brings).gather(ctx, slots)
}

// Drop is Gather, except that nothing comes over: keys are deleted at the holder
// of which the owner is proven to have an equal one. Those that it lacks are a
// *ConflictError, as differing ones are, unless o decides.
func Drop(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	return newGathering(d, name, from, to, o, report, drops).gather(ctx, slots)
}

// Discard is Drop of keys that the owner lacks, too: they are lost.
func Discard(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	return newGathering(d, name, from, to, o, report, wipes).gather(ctx, slots)
}

// Pin lets from hold on to its keys of slots that it must not own: it gives up
// what claim it has and imports them from to, whether to has claimed them yet or
// not. From then on it loses no key when it hears of another owner.
func Pin(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member, slots cluster.SlotSet, o Options) error {
	c := newGathering(d, name, from, to, o, func(Progress) {}, pins)
	return c.lanes(ctx, c.chunks(slots, pinnedAtOnce), 1, &leftovers{})
}

// pinnedAtOnce is how many slots a node is told to import at a time: as many as
// it bears in one burst.
const pinnedAtOnce = emptyWindow

func newGathering(d driver.Dialer, name string, from, to cluster.Member, o Options, report func(Progress), e errand) *classic {
	return &classic{dialer: d, name: name, from: from, to: to, o: o.withDefaults(from), report: oneAtATime(report), errand: e}
}

// gather works in lanes, as a move does: one compares or carries keys while
// another opens and closes its slots.
func (c *classic) gather(ctx context.Context, slots cluster.SlotSet) error {
	windows := c.chunks(slots, c.o.Window)
	var left leftovers
	err := c.lanes(ctx, windows, min(c.o.Lanes, len(windows)), &left)
	for _, text := range c.tally.texts(c.from.Addr, c.to.Addr) {
		c.report(Progress{Notice: text})
	}
	return errors.Join(err, left.err())
}

// chunks are windows of slots, few at a time where SETSLOT waits for replicas.
func (c *classic) chunks(slots cluster.SlotSet, most int) [][]int {
	if c.from.Features.ReplicatedSetSlot {
		most = min(most, emptyWindowReplicated)
	}
	return slices.Collect(slices.Chunk(slots.Slots(), most))
}

// tally counts what was deleted at the holder without a move.
type tally struct{ equal, given atomic.Int64 }

func (t *tally) note(found comparison) {
	t.equal.Add(int64(len(found.equal)))
	t.given.Add(int64(len(found.given)))
}

func (t *tally) texts(from, to cluster.Addr) []string {
	var texts []string
	if n := t.equal.Load(); n > 0 {
		texts = append(texts, fmt.Sprintf("%d keys were deleted on %s of which %s has an equal copy", n, from, to))
	}
	if n := t.given.Load(); n > 0 {
		texts = append(texts, fmt.Sprintf("%d keys were deleted on %s that %s does not have", n, from, to))
	}
	return texts
}

// lone is what becomes of a key that the target lacks. A move has no choice: the
// target is to have all that the source has.
func (m *mover) lone(c Conflict) Winner {
	switch m.errand {
	case drops:
		return m.o.decide(c)
	case wipes:
		return TargetWins
	}
	return SourceWins
}

// gather brings a window of slots from whatever state it is in to its end.
func (m *mover) gather(ctx context.Context, slots []int) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	if m.errand == pins {
		return m.pin(ctx, slots)
	}
	for _, slot := range slots {
		if !m.dst.owns(slot) {
			return fmt.Errorf("%s does not own slot %d", m.dst.addr, slot)
		}
	}
	if err := m.targetSeen(); err != nil {
		return err
	}
	if err := m.pin(ctx, slots); err != nil {
		return err
	}
	m.inHand = slots
	if err := m.checkPinned(slots); err != nil {
		return err
	}
	if err := m.askStanding(ctx); err != nil {
		return err
	}
	m.scale.forget()
	var conflicts []Conflict
	for _, db := range m.databases {
		err := m.gatherDB(ctx, db, slots)
		if e, ok := errors.AsType[*ConflictError](err); ok {
			conflicts = append(conflicts, e.Conflicts...)
		} else if err != nil {
			return err
		}
	}
	if err := m.unpin(ctx, without(slots, conflicts)); err != nil {
		return err
	}
	return conflictError(conflicts)
}

// without are the slots in which nothing needs a decision.
func without(slots []int, conflicts []Conflict) []int {
	return slices.DeleteFunc(slices.Clone(slots), func(slot int) bool {
		return slices.ContainsFunc(conflicts, func(c Conflict) bool { return c.Slot == slot })
	})
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
		return fmt.Errorf("%w: %w", errLookAgain, err) // it may have heard of an owner in the meantime
	}
	if err := m.src.readView(replies[len(cmds)]); err != nil {
		return err
	}
	return m.pinned(slots)
}

func (m *mover) pinned(slots []int) error {
	for _, slot := range slots {
		if m.src.owns(slot) || m.src.view.Self().Importing[slot] != m.dst.id {
			return fmt.Errorf("%w: %s does not import slot %d after it was told so", errLookAgain, m.src.addr, slot)
		}
	}
	return nil
}

// checkPinned is checkOpen of a holder. Its view of the slots is what it was told,
// so that the owner's own failover shows in the rest of it.
func (m *mover) checkPinned(slots []int) error {
	if err := m.pinned(slots); err != nil {
		return err
	}
	if err := m.targetSeen(); err != nil {
		return err
	}
	m.fenced = time.Now()
	return nil
}

// pinSlot ends a claim and then imports. A node that imports a slot and has no
// owner for it in its view refuses everything, so it is told the owner last; but
// not before there is one, since Valkey 8 takes a slot that it imports when it
// sees that the owner which it knows does not claim it.
func (m *mover) pinSlot(slot int) []driver.Command {
	seen, _ := m.src.view.Get(m.dst.id)
	imports, told := m.src.view.Self().Importing[slot] == m.dst.id, seen.Slots.Has(slot)
	if imports && told == m.dst.owns(slot) {
		return nil
	}
	var cmds []driver.Command
	if m.src.owns(slot) {
		cmds = append(cmds, m.src.setSlots([]int{slot}, "STABLE")...)
	}
	if m.src.owns(slot) || told && !m.dst.owns(slot) {
		cmds = append(cmds, driver.Cmd("CLUSTER", "DELSLOTS", strconv.Itoa(slot)))
	}
	cmds = append(cmds, m.src.setSlots([]int{slot}, "IMPORTING", string(m.dst.id))...)
	if !m.dst.owns(slot) {
		return cmds
	}
	return append(cmds, m.src.setSlots([]int{slot}, "NODE", string(m.dst.id))...)
}

// gatherDB works off the keys of one database. What needs a decision stays, and
// is passed over, so that all of it is named at once.
func (m *mover) gatherDB(ctx context.Context, db int, slots []int) error {
	var left []Conflict
	known := make(map[string]bool) // the keys of these
	var before []string
	for idle := 0; idle < rounds; idle++ {
		listed, err := m.unsettled(ctx, db, slots, known)
		if err != nil {
			return err
		}
		if len(listed) == 0 {
			return conflictError(left)
		}
		if keys := keysOf(listed); !slices.Equal(keys, before) {
			before, idle = keys, 0
		}
		err = m.sendAll(ctx, listed)
		if e, ok := errors.AsType[*ConflictError](err); ok {
			left = append(left, e.Conflicts...)
			for _, c := range e.Conflicts {
				known[c.Key] = true
			}
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s still has keys after %d rounds", errLookAgain, m.src.addr, rounds)
}

// unsettled lists and weighs keys that are not known to need a decision. The
// server lists from the beginning, so what is passed over must fit in. Those that
// are to be deleted are weighed, too: all values of a batch are read at once.
func (m *mover) unsettled(ctx context.Context, db int, slots []int, known map[string]bool) ([]batch, error) {
	listed, err := m.listKeys(ctx, db, slots, m.o.Batch+2*len(known))
	if err != nil {
		return nil, err
	}
	for i := range listed {
		listed[i].keys = slices.DeleteFunc(listed[i].keys, func(key string) bool { return known[key] })
	}
	listed = m.scale.moving(listed)
	return listed, m.weigh(ctx, db, keysOf(listed))
}

func conflictError(conflicts []Conflict) error {
	if conflicts == nil {
		return nil
	}
	return &ConflictError{conflicts}
}

// unpin closes the slots at the holder, if no key is left there.
func (m *mover) unpin(ctx context.Context, slots []int) error {
	if len(slots) == 0 {
		return nil
	}
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
