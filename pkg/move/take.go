package move

import (
	"context"
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// lease is how long a guard's proof is trusted, beyond a round trip to the
// source. A source that is failed over within it may take writes that the
// target's claim deletes: this is the named residual of finalising at the
// target first.
const lease = 50 * time.Millisecond

// take gives drained slots to the target: guard, then NODE on the target
// within the lease. It reports false where the slots must be drained again.
func (m *mover) take(ctx context.Context, slots []int) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	for {
		asked := time.Now()
		empty, err := m.guard(ctx, slots)
		if err != nil || !empty {
			return false, err
		}
		if time.Since(asked) <= lease+m.src.trips {
			break
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("%w: %s answers too slowly to prove that slots are empty", errLookAgain, m.src.addr)
		}
	}
	claim := setSlots(slots, "NODE", string(m.dst.id))
	replies, err := m.dst.do(ctx, append(claim, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return false, err
	}
	if err := m.dst.allOK(claim, replies); err != nil {
		return false, err
	}
	return true, m.checkTaken(slots, replies[len(claim)])
}

func (m *mover) checkTaken(slots []int, view driver.Reply) error {
	if err := m.dst.readView(view); err != nil {
		return err
	}
	self := m.dst.view.Self()
	if missing := cluster.SlotsOf(slots...).Minus(self.Slots); !missing.Empty() {
		return fmt.Errorf("%w: %s said OK and does not own slots %s", errLookAgain, m.dst.addr, missing)
	}
	return nil
}

// guard proves in one round trip that the source is still the master that owns
// the slots, that they are still open towards the target alone, and that they
// are empty in every database. The open state is read before it is set again,
// so that another operator's hand is seen and not painted over.
func (m *mover) guard(ctx context.Context, slots []int) (empty bool, err error) {
	migrate := setSlots(slots, "MIGRATING", string(m.dst.id))
	count := driver.CountCommands(m.databases, slots)
	cmds := append([]driver.Command{{"CLUSTER", "NODES"}}, migrate...)
	cmds = append(append(cmds, count...), driver.Cmd("INFO", "keyspace"), driver.Cmd("ROLE"))
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return false, err
	}
	if err := m.src.readView(replies[0]); err != nil {
		return false, err
	}
	if err := m.checkOpen(slots); err != nil {
		return false, err
	}
	if err := m.src.allOK(migrate, replies[1:]); err != nil {
		return false, fmt.Errorf("%w: %w", errLookAgain, err)
	}
	if !isMasterRole(replies[len(replies)-1]) {
		return false, fmt.Errorf("%w: %s is no master", errLookAgain, m.src.addr)
	}
	counts, err := driver.ReadCounts(replies[1+len(migrate):], m.databases, slots)
	if err != nil {
		return false, fmt.Errorf("%s: counting keys: %w", m.src.addr, err)
	}
	for _, slot := range slots {
		if counts[slot] > 0 {
			return false, nil
		}
	}
	return true, m.mayLoseLast(replies[len(replies)-2])
}

// mayLoseLast refuses to take a source's last slot while it holds any key: it
// becomes a replica of the target and its data is wiped.
func (m *mover) mayLoseLast(keyspace driver.Reply) error {
	if !m.last {
		return nil
	}
	text, err := keyspace.Text()
	if err != nil {
		return fmt.Errorf("%s: INFO keyspace: %w", m.src.addr, err)
	}
	dbs, err := cluster.Info.Keyspace(infoOrNone(text))
	if err != nil {
		return err
	}
	for _, db := range dbs {
		if db.Keys > 0 {
			return fmt.Errorf("%s would lose its last slot and be wiped, but it still holds %d keys in database %d of slots that it does not own",
				m.src.addr, db.Keys, db.DB)
		}
	}
	return nil
}

// infoOrNone reads an INFO section that is allowed to have no fields.
func infoOrNone(text string) cluster.Info {
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return cluster.Info{}
	}
	return info
}

func isMasterRole(r driver.Reply) bool {
	parts, ok := r.Value.([]any)
	return ok && len(parts) > 0 && parts[0] == "master"
}

// release tells the source that its slots are gone. The target's claim has
// told it already, or will; what it says here is read again and not believed: a
// node that is no owner any more answers OK as well, and one that lost its last
// slot has become a replica and refuses.
func (m *mover) release(ctx context.Context, slots []int) error {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	before := m.src.view.Self()
	letGo := setSlots(slots, "NODE", string(m.dst.id))
	replies, err := m.src.do(ctx, append(letGo, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	if err := m.src.readView(replies[len(letGo)]); err != nil {
		return err
	}
	self := m.src.view.Self()
	if kept := self.Slots.Intersect(cluster.SlotsOf(slots...)); !kept.Empty() {
		return fmt.Errorf("%w: %s still claims slots %s: %w", errLookAgain, m.src.addr, kept, firstErr(letGo, replies))
	}
	m.noteChanges(before, self)
	return nil
}

func firstErr(cmds []driver.Command, replies []driver.Reply) error {
	if err := driver.FirstErr(replies[:len(cmds)]); err != nil {
		return err
	}
	return fmt.Errorf("though it said OK")
}

func (m *mover) noteChanges(before, after cluster.Node) {
	switch {
	case before.IsMaster() && !after.IsMaster() && after.MasterID == m.dst.id:
		m.report(Progress{Notice: fmt.Sprintf("%s gave away its last slot and is now a replica of %s", m.src.addr, m.dst.addr)})
	case before.IsMaster() && !after.IsMaster():
		m.report(Progress{Notice: fmt.Sprintf("%s was failed over while slots were handed over: what its replica acknowledged within about %s may be lost", m.src.addr, lease)})
	}
}
