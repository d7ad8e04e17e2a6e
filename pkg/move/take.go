package move

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	if err := m.secure(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.dst.setWithin(len(slots)))
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
		if _, err := m.consult(ctx); err != nil {
			return false, err
		}
	}
	if m.o.GivesFirst(m.src.server, m.dst.server) {
		if err := m.give(ctx, slots); err != nil {
			return false, err
		}
	}
	return true, m.claim(ctx, slots)
}

// claim tells the target that the slots are its own.
func (m *mover) claim(ctx context.Context, slots []int) error {
	if err := m.dst.connect(ctx); err != nil {
		return err // nothing was sent
	}
	m.claimed = true
	claim := m.dst.setSlots(slots, "NODE", string(m.dst.id))
	replies, err := m.dst.do(ctx, append(claim, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	if err := m.dst.allOK(claim, replies); err != nil {
		return err
	}
	return m.checkTaken(slots, replies[len(claim)])
}

// secure consults the target, and waits for its replicas where it has any.
// Whatever moved the last keys, this process or one that was killed: nobody
// claims a slot whose keys only the target has.
func (m *mover) secure(ctx context.Context) error {
	if _, err := m.consult(ctx); err != nil {
		return err
	}
	m.noteReplicas()
	if m.needed() == 0 {
		return nil
	}
	if err := m.awaitReplicas(ctx); err != nil {
		return err
	}
	_, err := m.consult(ctx)
	return err
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

// guard proves in one round trip that the slots are empty in every database,
// and that the source is still, after that was counted, the master that owns
// them and has them open towards the target alone.
func (m *mover) guard(ctx context.Context, slots []int) (empty bool, err error) {
	count := driver.CountCommands(m.databases, slots)
	cmds := append(count, driver.Cmd("INFO", "keyspace"), driver.Cmd("CLUSTER", "INFO"), driver.Cmd("ROLE"), driver.Cmd("CLUSTER", "NODES"))
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return false, err
	}
	counted, replies := replies[:len(count)], replies[len(count):]
	if err := m.src.readView(replies[3]); err != nil {
		return false, err
	}
	if err := m.checkOpen(slots); err != nil {
		return false, err
	}
	if !isMasterRole(replies[2]) {
		return false, fmt.Errorf("%w: %s is no master", errLookAgain, m.src.addr)
	}
	if err := stateOK(m.src, replies[1]); err != nil {
		return false, err
	}
	counts, err := driver.ReadCounts(counted, m.databases, slots)
	if err != nil {
		return false, fmt.Errorf("%s: counting keys: %w", m.src.addr, err)
	}
	for _, slot := range slots {
		if counts[slot] > 0 {
			return false, nil
		}
	}
	return m.noOtherKeys(slots, replies[0])
}

// noOtherKeys looks for keys where nobody counted. A database that was not known
// is drained too. And a source that loses its last slot becomes a replica of the
// target and is wiped, so it must not hold any key then.
func (m *mover) noOtherKeys(slots []int, keyspace driver.Reply) (bool, error) {
	dbs, err := keyspaceOf(keyspace)
	if err != nil {
		return false, fmt.Errorf("%s: INFO keyspace: %w", m.src.addr, err)
	}
	left := m.src.view.Self().Slots.Minus(m.dst.view.Self().Slots).Minus(cluster.SlotsOf(slots...))
	for _, db := range dbs {
		if !slices.Contains(m.databases, db.DB) {
			m.databases = append(slices.Clone(m.databases), db.DB)
			return false, nil
		}
		if left.Empty() && db.Keys > 0 {
			return false, fmt.Errorf("%s would lose its last slot and be wiped, but it still holds %d keys in database %d of slots that it does not own",
				m.src.addr, db.Keys, db.DB)
		}
	}
	return true, nil
}

// keyspaceOf reads INFO keyspace, of which nothing but the heading is left when
// there are no keys.
func keyspaceOf(r driver.Reply) ([]cluster.DBKeys, error) {
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "# Keyspace" {
		return nil, nil
	}
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return nil, err
	}
	return info.Keyspace()
}

// consult asks the target what the source cannot know: whether it was deposed. A
// master that is cut off from the others goes on to call itself owner while its
// replica takes writes. It also reads again what the target imports, and how far
// its replicas are. The replies are those to the commands that go along.
func (m *mover) consult(ctx context.Context, along ...driver.Command) ([]driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	replies, err := m.dst.do(ctx, append(along, driver.Cmd("INFO", "replication"), driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return nil, err
	}
	extra, replies := replies[:len(along)], replies[len(along):]
	if err := m.dst.readView(replies[1]); err != nil {
		return nil, err
	}
	if m.standing, err = readReplication(replies[0]); err != nil {
		return nil, err
	}
	return extra, m.undeposed()
}

// undeposed demands that the target sees the source as the healthy master that it
// was when it was looked at, or that the source has joined it.
func (m *mover) undeposed() error {
	if m.joined() {
		return nil
	}
	src, ok := m.dst.view.Get(m.src.id)
	if ok && src.Flags&(cluster.FlagFailed|cluster.FlagSuspect) != 0 {
		return fmt.Errorf("%w: %s calls %s failed", errDown, m.dst.addr, m.src.addr)
	}
	if !ok || !src.IsMaster() || src.Epoch != m.src.seen.epoch {
		return fmt.Errorf("%w: %s does not see %s as a master with epoch %d",
			errLookAgain, m.dst.addr, m.src.addr, m.src.seen.epoch)
	}
	return nil
}

// stateOK demands that a node sees a majority: one that does not is the last to
// know what became of its slots.
func stateOK(e *end, r driver.Reply) error {
	text, err := r.Text()
	if err != nil {
		return fmt.Errorf("%s: CLUSTER INFO: %w", e.addr, err)
	}
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return fmt.Errorf("%s: %w", e.addr, err)
	}
	if info["cluster_state"] != "ok" {
		return fmt.Errorf("%w for %s", errDown, e.addr)
	}
	return nil
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
	ctx, cancel := context.WithTimeout(ctx, m.src.setWithin(len(slots)))
	defer cancel()
	before, heirs := m.src.view.Self(), replicasOf(m.src.view, m.src.id)
	letGo := m.src.setSlots(slots, "NODE", string(m.dst.id))
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
	if err := m.acknowledged(ctx, heirs, cluster.SlotsOf(slots...)); err != nil {
		return err
	}
	m.claimed = false
	return nil
}

// hearing is how long the source's replicas may take to hear of a claim.
const hearing = 100 * time.Millisecond

// acknowledged waits until the source's replicas see that the target owns the
// slots. One that is promoted before it has heard of the claim claims them too,
// with an epoch that may be the higher one, and then the target deletes what it has
// got: no order of commands prevents that, so it is looked for before anything is
// called moved. Redis before 7.0 does not send its claims to all at once; there
// nobody is waited for.
func (m *mover) acknowledged(ctx context.Context, heirs []cluster.Node, slots cluster.SlotSet) error {
	until := time.Now().Add(hearing)
	for _, r := range heirs {
		for {
			v, err := m.watchers.view(ctx, r.Addr)
			if err != nil {
				break // it is dead or deaf; whoever verifies the plan asks it again
			}
			self := v.Self()
			if back := self.Slots.Intersect(slots); !back.Empty() {
				return fmt.Errorf("%s was promoted while slots %s were handed over and has taken them back: keys that %s had got of them may be lost",
					r.Addr, back, m.dst.addr)
			}
			target, _ := v.Get(m.dst.id)
			heard := slots.Minus(target.Slots).Empty()
			if heard || !m.dst.server.AddSlotsRange || time.Now().After(until) || sleep(ctx, replicaPoll) != nil {
				break
			}
		}
	}
	return nil
}

// replicasOf are the replicas of a node that are alive in a view.
func replicasOf(v cluster.View, id cluster.NodeID) []cluster.Node {
	return slices.DeleteFunc(slices.Clone(v.Nodes), func(n cluster.Node) bool {
		return n.MasterID != id || !n.Addr.Known() || n.Flags&(cluster.FlagFailed|cluster.FlagSuspect) != 0
	})
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
