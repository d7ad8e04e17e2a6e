package move

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

func setSlot(slot int, args ...string) driver.Command {
	return append(driver.Cmd("CLUSTER", "SETSLOT", strconv.Itoa(slot)), args...)
}

// SetSlots are CLUSTER SETSLOT for every slot, in the words of the server that is
// told. One that replicates SETSLOT waits for its replicas, 2 s for each slot unless
// it is told otherwise: a window would take longer than any deadline.
func SetSlots(server cluster.Features, slots []int, args ...string) []driver.Command {
	if server.ReplicatedSetSlot {
		args = append(args, "TIMEOUT", strconv.FormatInt(setSlotTimeout.Milliseconds(), 10))
	}
	cmds := make([]driver.Command, len(slots))
	for i, slot := range slots {
		cmds[i] = setSlot(slot, args...)
	}
	return cmds
}

// SetSlotsWithin is how long so many of them may take, and what comes along.
func SetSlotsWithin(server cluster.Features, slots int) time.Duration {
	if server.ReplicatedSetSlot {
		return repliesWithin + time.Duration(slots)*setSlotTimeout
	}
	return repliesWithin
}

func (e *end) setSlots(slots []int, args ...string) []driver.Command {
	return SetSlots(e.server, slots, args...)
}

// open makes the target import and then the source migrate: in this order,
// since a client that the source sends away must be let in. Both are read back.
func (m *mover) open(ctx context.Context, slots []int) error {
	ctx, cancel := context.WithTimeout(ctx, m.src.setWithin(2*len(slots)))
	defer cancel()
	if err := m.mayOpenNow(ctx, slots); err != nil {
		return err
	}
	fresh, err := m.freshSlots(ctx, slots)
	if err != nil {
		return err
	}
	if err := m.importSlots(ctx, slots); err != nil {
		return err
	}
	migrate := m.src.setSlots(slots, "MIGRATING", string(m.dst.id))
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

// mayOpenNow is mayOpen by what the source says now: keys may have been weighed
// for long.
func (m *mover) mayOpenNow(ctx context.Context, slots []int) error {
	if time.Since(m.src.viewed) >= fenceEvery {
		if err := m.src.viewAgain(ctx); err != nil {
			return err
		}
	}
	return m.mayOpen(slots)
}

// mayOpen refuses slots that somebody else is moving elsewhere.
func (m *mover) mayOpen(slots []int) error {
	if err := m.targetSeen(); err != nil {
		return err
	}
	for _, slot := range slots {
		to, ok := m.src.view.Self().Migrating[slot]
		switch {
		case !ok || to == m.dst.id || wasReplacedBy(m.src.view, to, m.dst.id):
		case wasReplacedBy(m.dst.view, to, m.dst.id):
			return fmt.Errorf("%w: %s has not heard yet that %s took over from %s", errLookAgain, m.src.addr, m.dst.addr, to)
		case hasNoSlots(m.dst.view, to):
			return fmt.Errorf("%w: %s sends slot %d to %s, which has no slots any more, and who took over is not known there yet", errLookAgain, m.src.addr, slot, to)
		default:
			return fmt.Errorf("slot %d is migrating from %s to another node, %s", slot, m.src.addr, to)
		}
	}
	return nil
}

// wasReplacedBy reports whether somebody sees old as a replica of its successor,
// or as failed and without slots, which its successor may have taken: it was failed
// over. The successor is the first to know.
func wasReplacedBy(v cluster.View, old, successor cluster.NodeID) bool {
	n, ok := v.Get(old)
	return ok && (n.MasterID == successor || n.Flags.Has(cluster.FlagFailed) && n.Slots.Empty() && mayReplace(v, n, successor))
}

// mayReplace reports whether a node may have taken a failed one's slots. Servers
// since Redis 7.2 tell who is of one shard; on older ones nobody takes the place of
// a node that never had slots, and whoever takes another's has a higher epoch.
func mayReplace(v cluster.View, failed cluster.Node, successor cluster.NodeID) bool {
	n, _ := v.Get(successor)
	if a, b := failed.Aux["shard-id"], n.Aux["shard-id"]; a != "" && b != "" {
		return a == b
	}
	return failed.Epoch > 0 && n.Epoch > failed.Epoch
}

// hasNoSlots reports whether somebody sees a node as a master without slots. Right after a
// failover those who have heard of the new owner have not all heard of the old one
// that it is a replica now.
func hasNoSlots(v cluster.View, id cluster.NodeID) bool {
	n, ok := v.Get(id)
	return ok && n.IsMaster() && n.Slots.Empty()
}

// freshSlots are the slots that are closed at both ends and have no key on the
// target: whatever the target will hold of them comes from this process or from
// clients that the source sends there. Keys that the target holds of a closed
// slot are refused: nobody can reach them now, and the claim would bring them
// back, whatever was deleted or overwritten since.
func (m *mover) freshSlots(ctx context.Context, slots []int) (fresh []int, err error) {
	replies, err := m.consult(ctx, driver.CountCommands(m.databases, slots)...)
	if err != nil {
		return nil, err
	}
	counts, err := driver.ReadCounts(replies, m.databases, slots)
	if err != nil {
		return nil, fmt.Errorf("%s: counting keys: %w", m.dst.addr, err)
	}
	for _, slot := range slots {
		_, imported := m.dst.view.Self().Importing[slot]
		_, migrated := m.src.view.Self().Migrating[slot]
		switch {
		case imported || migrated:
		case counts[slot] > 0:
			return nil, fmt.Errorf("%s holds %d keys of slot %d without owning it; they have to be dealt with before the slot moves there",
				m.dst.addr, counts[slot], slot)
		default:
			fresh = append(fresh, slot)
		}
	}
	return fresh, nil
}

func (m *mover) importSlots(ctx context.Context, slots []int) error {
	moved, err := m.inherited(slots)
	if err != nil {
		return err
	}
	if err := m.sendAway(ctx, moved); err != nil {
		return err
	}
	imports := m.dst.setSlots(moved, "NODE", string(m.src.id))
	imports = append(imports, m.dst.setSlots(slots, "IMPORTING", string(m.src.id))...)
	replies, err := m.dst.do(ctx, append(imports, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return err
	}
	if err := m.dst.allOK(imports, replies); err != nil {
		return err
	}
	return m.dst.readView(replies[len(imports)])
}

// rebindAll rebinds the slots that a target imports from a master which was
// failed over, before any lane works: as long as one of them has no owner in its
// view, it lets nobody in.
func (m *mover) rebindAll(ctx context.Context, slots []int) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	stale := slices.DeleteFunc(slices.Clone(slots), func(slot int) bool {
		from, importing := m.dst.view.Self().Importing[slot]
		return !importing || from == m.src.id && m.bound(slot) || !m.src.owns(slot)
	})
	if len(stale) == 0 {
		return nil
	}
	if err := m.mayOpen(stale); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.dst.setWithin(3*len(stale)))
	defer cancel()
	return m.importSlots(ctx, stale)
}

// sendAway makes a source that took over from another migrate what that one did,
// before the target is told anything: it must not make anew what the target has of
// the slots. And whoever finds them open at one end only, after a kill, finds this
// end, which says where their keys went; keys that a target imports from nobody
// would pass for strays.
func (m *mover) sendAway(ctx context.Context, slots []int) error {
	if len(slots) == 0 {
		return nil
	}
	cmds := m.src.setSlots(slots, "MIGRATING", string(m.dst.id))
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return err
	}
	return m.src.allOK(cmds, replies)
}

// bound reports whether the target's view has the source as the slot's owner. It
// has nobody where the source was failed over, even if it is the owner again.
func (m *mover) bound(slot int) bool {
	src, ok := m.dst.view.Get(m.src.id)
	return ok && src.Slots.Has(slot)
}

// inherited are the slots that the target imports from a master which was failed
// over, so that it has to be told who owns them now. An importing node ignores
// gossip about the slot, and without an owner in its view MIGRATE ends in
// CLUSTERDOWN. Where the failed one is not back yet, the target sees it as the
// owner still. What it imports from anybody else is somebody else's work.
func (m *mover) inherited(slots []int) (moved []int, err error) {
	for _, slot := range slots {
		from, ok := m.dst.view.Self().Importing[slot]
		if !ok || from == m.src.id && m.bound(slot) {
			continue
		}
		if from == m.src.id {
			moved = append(moved, slot)
			continue
		}
		// A slot that the target imports stays with the failed owner in its view.
		failed, _ := m.dst.view.Get(from)
		if !failed.Flags.Has(cluster.FlagFailed) && !wasReplacedBy(m.dst.view, from, m.src.id) {
			if wasReplacedBy(m.src.view, from, m.src.id) {
				return nil, fmt.Errorf("%w: %s has not heard yet that %s took over from %s", errLookAgain, m.dst.addr, m.src.addr, from)
			}
			if hasNoSlots(m.src.view, from) {
				return nil, fmt.Errorf("%w: %s imports slot %d from %s, which has no slots any more, and who took over is not known there yet", errLookAgain, m.dst.addr, slot, from)
			}
			return nil, fmt.Errorf("slot %d is imported by %s from another node, %s", slot, m.dst.addr, from)
		}
		moved = append(moved, slot)
	}
	return moved, nil
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
	if err := m.targetSeen(); err != nil {
		return err
	}
	m.fenced = time.Now()
	return nil
}

// targetSeen demands that the source sees the target as the healthy master that
// the target takes itself for. One that was failed over and has not heard of it
// still takes keys, and is wiped when it does. Until it says that it is a replica,
// its slots tell, which its successor has with a higher epoch, and the successor, which
// was its replica. That the source knows another epoch of the target means nothing:
// other moves raise it. A holder may still claim what a repair gave to the owner.
func (m *mover) targetSeen() error {
	dst, ok := m.src.view.Get(m.dst.id)
	switch {
	case !ok || !dst.IsMaster():
		return fmt.Errorf("%w: %s does not see %s as a master", errLookAgain, m.src.addr, m.dst.addr)
	case dst.Flags&(cluster.FlagFailed|cluster.FlagSuspect) != 0:
		return fmt.Errorf("%w: %s calls %s failed", errDown, m.src.addr, m.dst.addr)
	}
	self := m.dst.view.Self()
	for _, n := range m.src.view.Nodes {
		if before, _ := m.dst.view.Get(n.ID); before.MasterID == m.dst.id && n.IsMaster() {
			return fmt.Errorf("%w: %s takes %s for its replica, which %s sees as a master", errLookAgain, m.dst.addr, n.Addr, m.src.addr)
		}
		if n.ID != m.dst.id && !(m.gathers() && n.ID == m.src.id) && n.Epoch > self.Epoch && !n.Slots.Intersect(self.Slots).Empty() {
			return fmt.Errorf("%w: %s sees %s as the owner of slots that %s takes for its own", errLookAgain, m.src.addr, n.Addr, m.dst.addr)
		}
	}
	return nil
}
