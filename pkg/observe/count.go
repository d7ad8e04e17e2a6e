package observe

import (
	"context"
	"sync"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Count adds to each member of s the number of keys that it holds of the slots
// that which names for it, over all its databases. A member that fails on the
// way becomes unreachable.
func Count(ctx context.Context, d driver.Dialer, s cluster.State, which func(cluster.Member) cluster.SlotSet) {
	g := newGate()
	var wg sync.WaitGroup
	for i := range s.Members {
		m := &s.Members[i]
		slots := which(*m)
		if !m.Reachable() || slots.Empty() {
			continue
		}
		wg.Go(func() {
			defer g.enter()()
			if err := countOn(ctx, d, m, slots); err != nil {
				m.Unreachable, m.Cause = reason(err, m.Addr), causeOf(err)
			}
		})
	}
	wg.Wait()
}

func countOn(ctx context.Context, d driver.Dialer, m *cluster.Member, slots cluster.SlotSet) error {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, m.Addr, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	return count(ctx, conn, m, slots)
}

func count(ctx context.Context, conn driver.Conn, m *cluster.Member, slots cluster.SlotSet) error {
	counts, err := driver.KeysInSlots(ctx, conn, m.Databases, slots.Slots())
	if err != nil {
		return err
	}
	if m.SlotKeys == nil {
		m.SlotKeys = make(map[int]int64, len(counts))
	}
	for slot, n := range counts {
		m.SlotKeys[slot] = n
	}
	return nil
}

// ForCheck counts what health needs: the keys of the slots that each master
// owns and, only where these are not all the keys that it has, those of every
// other slot.
func ForCheck(ctx context.Context, d driver.Dialer, s cluster.State) {
	Count(ctx, d, s, ownSlots)
	Count(ctx, d, s, doubtfulSlots)
}

// ownSlots are the slots that a master owns.
func ownSlots(m cluster.Member) cluster.SlotSet {
	if !m.IsMaster() {
		return cluster.SlotSet{}
	}
	return m.Slots()
}

// doubtfulSlots are all others of a master that has more or fewer keys than were
// counted.
func doubtfulSlots(m cluster.Member) cluster.SlotSet {
	if !m.IsMaster() || m.Keys() == counted(m) {
		return cluster.SlotSet{}
	}
	return cluster.AllSlots().Minus(m.Slots())
}

// countForCheck is ForCheck of one member, over a connection to it.
func countForCheck(ctx context.Context, conn driver.Conn, m *cluster.Member) error {
	for _, which := range []func(cluster.Member) cluster.SlotSet{ownSlots, doubtfulSlots} {
		slots := which(*m)
		if slots.Empty() {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
		err := count(ctx, conn, m, slots)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// ForResume counts what plan.Resume needs: the keys that each master holds of
// every slot that any master calls open. One that takes no part in a move may
// hold some too.
func ForResume(ctx context.Context, d driver.Dialer, s cluster.State) {
	var open cluster.SlotSet
	for _, m := range s.Masters() {
		open = open.Union(m.OpenSlots())
	}
	Count(ctx, d, s, func(m cluster.Member) cluster.SlotSet {
		if !m.IsMaster() {
			return cluster.SlotSet{}
		}
		return open
	})
}

func counted(m cluster.Member) int64 {
	var n int64
	for _, keys := range m.SlotKeys {
		n += keys
	}
	return n
}
