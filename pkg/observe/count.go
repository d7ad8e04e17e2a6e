package observe

import (
	"context"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Count adds to each member of s the number of keys that it holds of the slots
// that which names for it, over all its databases. A member that fails on the
// way becomes unreachable.
func Count(ctx context.Context, d driver.Dialer, s cluster.State, which func(cluster.Member) cluster.SlotSet) {
	var g errgroup.Group
	g.SetLimit(parallel)
	for i := range s.Members {
		m := &s.Members[i]
		slots := which(*m)
		if !m.Reachable() || slots.Empty() {
			continue
		}
		g.Go(func() error {
			if err := countOn(ctx, d, m, slots); err != nil {
				m.Unreachable = reason(err, m.Addr)
			}
			return nil
		})
	}
	g.Wait()
}

func countOn(ctx context.Context, d driver.Dialer, m *cluster.Member, slots cluster.SlotSet) error {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, m.Addr, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	counts, err := KeysInSlots(ctx, conn, m.Databases, slots.Slots())
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

// KeysInSlots counts keys by slot over the databases, in one round trip. Every
// slot is in the result. The connection is left in database 0.
func KeysInSlots(ctx context.Context, conn driver.Conn, databases, slots []int) (map[int]int64, error) {
	replies, err := conn.Do(ctx, CountCommands(databases, slots)...)
	if err != nil {
		return nil, err
	}
	return ReadCounts(replies, databases, slots)
}

// CountCommands are the commands whose replies ReadCounts reads. A server with
// one database is never told to select it.
func CountCommands(databases, slots []int) []driver.Command {
	var cmds []driver.Command
	for _, db := range databases {
		if len(databases) > 1 {
			cmds = append(cmds, driver.Cmd("SELECT", strconv.Itoa(db)))
		}
		for _, slot := range slots {
			cmds = append(cmds, driver.Cmd("CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot)))
		}
	}
	if len(databases) > 1 {
		cmds = append(cmds, driver.Cmd("SELECT", "0"))
	}
	return cmds
}

// ReadCounts adds up the replies to CountCommands. Any refused command makes
// the count an error: a slot is never taken for empty because it could not be
// counted.
func ReadCounts(replies []driver.Reply, databases, slots []int) (map[int]int64, error) {
	counts := make(map[int]int64, len(slots))
	for range databases {
		if len(databases) > 1 {
			if err := replies[0].OK(); err != nil {
				return nil, err
			}
			replies = replies[1:]
		}
		for i, slot := range slots {
			n, err := replies[i].Int()
			if err != nil {
				return nil, err
			}
			counts[slot] += n
		}
		replies = replies[len(slots):]
	}
	return counts, nil
}

// ForCheck counts what health needs: the keys of the slots that each master
// owns and, only where these are not all the keys that it has, those of every
// other slot.
func ForCheck(ctx context.Context, d driver.Dialer, s cluster.State) {
	Count(ctx, d, s, func(m cluster.Member) cluster.SlotSet {
		if !m.IsMaster() {
			return cluster.SlotSet{}
		}
		return m.Slots()
	})
	Count(ctx, d, s, func(m cluster.Member) cluster.SlotSet {
		if !m.IsMaster() || m.Keys() == counted(m) {
			return cluster.SlotSet{}
		}
		return cluster.AllSlots().Minus(m.Slots())
	})
}

func counted(m cluster.Member) int64 {
	var n int64
	for _, keys := range m.SlotKeys {
		n += keys
	}
	return n
}
