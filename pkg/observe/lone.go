package observe

import (
	"context"
	"strconv"
	"sync"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// comparedKeys is how many keys of a node are looked for at their owners at most:
// what both answer within a second or two.
const comparedKeys = 100_000

// lone looks for the keys that masters hold of slots which another node owns, and
// counts those that the owner does not have. What cannot be compared now, or is
// too much, is left out.
func lone(ctx context.Context, d driver.Dialer, s cluster.State) {
	g := newGate()
	var wg sync.WaitGroup
	for i := range s.Members {
		m := &s.Members[i]
		byOwner := straySlots(s, *m)
		if len(byOwner) == 0 {
			continue
		}
		wg.Go(func() {
			defer g.enter()()
			m.LoneKeys = make(map[int]int64)
			for owner, slots := range byOwner {
				compareWith(ctx, d, *m, owner, slots)
			}
		})
	}
	wg.Wait()
}

// straySlots are the slots of which a master has keys, by who owns them instead;
// none where that are too many keys.
func straySlots(s cluster.State, m cluster.Member) map[cluster.Addr][]int {
	byOwner := make(map[cluster.Addr][]int)
	var sum int64
	for slot, keys := range m.SlotKeys {
		if keys == 0 || m.Slots().Has(slot) || !m.IsMaster() {
			continue
		}
		if owners := s.Owners(slot); len(owners) == 1 {
			byOwner[owners[0].Addr] = append(byOwner[owners[0].Addr], slot)
			sum += keys
		}
	}
	if sum > comparedKeys {
		return nil
	}
	return byOwner
}

// compareWith notes for each of the slots how many keys the owner lacks, if it
// can be found out for all databases.
func compareWith(ctx context.Context, d driver.Dialer, m cluster.Member, owner cluster.Addr, slots []int) {
	ctx, cancel := context.WithTimeout(ctx, 2*driver.ProbeTimeout)
	defer cancel()
	found := make(map[int]int64, len(slots))
	for _, db := range m.Databases {
		keys, err := keysOf(ctx, d, m, db, slots)
		if err != nil {
			return
		}
		for i, n := range missing(ctx, d, owner, selectDB(m, db), keys) {
			found[slots[i]] += n
		}
		if len(found) < len(slots) {
			return
		}
	}
	for slot, n := range found {
		m.LoneKeys[slot] = n
	}
}

// keysOf are the keys that a node has in one database, slot by slot.
func keysOf(ctx context.Context, d driver.Dialer, m cluster.Member, db int, slots []int) ([][]string, error) {
	cmds := selectDB(m, db)
	skip := len(cmds)
	for _, slot := range slots {
		cmds = append(cmds, driver.Cmd("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(comparedKeys)))
	}
	replies, err := ask(ctx, d, m.Addr, cmds)
	if err != nil {
		return nil, err
	}
	keys := make([][]string, len(slots))
	for i := range slots {
		if keys[i], err = replies[skip+i].Strings(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// missing counts, list by list, the keys that a node does not have; it is nil
// where the node does not say.
func missing(ctx context.Context, d driver.Dialer, addr cluster.Addr, cmds []driver.Command, lists [][]string) []int64 {
	skip := len(cmds)
	for _, keys := range lists {
		for _, key := range keys {
			cmds = append(cmds, driver.Cmd("EXISTS", key))
		}
	}
	replies, err := ask(ctx, d, addr, cmds)
	if err != nil {
		return nil
	}
	replies = replies[skip:]
	counts := make([]int64, len(lists))
	for i, keys := range lists {
		counts[i] = int64(len(keys))
		for _, r := range replies[:len(keys)] {
			has, err := r.Int()
			if err != nil {
				return nil
			}
			counts[i] -= has
		}
		replies = replies[len(keys):]
	}
	return counts
}

func ask(ctx context.Context, d driver.Dialer, addr cluster.Addr, cmds []driver.Command) ([]driver.Reply, error) {
	if len(cmds) == 0 {
		return nil, nil
	}
	conn, err := d.Dial(ctx, addr, "")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(ctx, cmds...)
}

// selectDB is empty where there is but one database.
func selectDB(m cluster.Member, db int) []driver.Command {
	if len(m.Databases) < 2 {
		return nil
	}
	return []driver.Command{driver.Cmd("SELECT", strconv.Itoa(db))}
}
