package observe

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// How much of each node is looked at: what a server answers in a millisecond
// or two.
const (
	sampledSlots     = 8
	sampledKeys      = 8 // of each slot
	sampledDatabases = 4
	biggestKept      = 10
)

// Sample is what a few keys of each node say about all of them.
type Sample struct {
	Average map[cluster.NodeID]int64 // bytes of memory that a key takes; a node that could not be sampled is absent
	Biggest []Key                    // the biggest keys that were seen, the biggest one first
}

// Key is one key of a sample.
type Key struct {
	Node  cluster.NodeID
	DB    int
	Slot  int
	Name  string
	Bytes int64
}

// Sizes samples how much memory keys take, in the slots that which names for
// each member: a few keys of a few slots that are spread over them, the same
// ones every time. Slots that were counted and have no keys are passed over. A
// member that refuses or fails is absent from the sample.
func Sizes(ctx context.Context, d driver.Dialer, s cluster.State, which func(cluster.Member) cluster.SlotSet) Sample {
	sample := Sample{Average: make(map[cluster.NodeID]int64)}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, m := range s.Members {
		slots := spread(filled(m, which(m)), sampledSlots)
		if !m.Reachable() || len(slots) == 0 {
			continue
		}
		g.Go(func() error {
			keys := sizesOn(ctx, d, m, slots)
			mu.Lock()
			defer mu.Unlock()
			sample.add(m.ID, keys)
			return nil
		})
	}
	g.Wait()
	return sample
}

// filled are the slots that may have keys.
func filled(m cluster.Member, slots cluster.SlotSet) []int {
	return slices.DeleteFunc(slots.Slots(), func(slot int) bool {
		keys, counted := m.KeysIn(slot)
		return counted && keys == 0
	})
}

// spread chooses n of the slots, at even distances.
func spread(slots []int, n int) []int {
	if len(slots) <= n {
		return slots
	}
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = slots[i*len(slots)/n]
	}
	return chosen
}

func (s *Sample) add(id cluster.NodeID, keys []Key) {
	if len(keys) == 0 {
		return
	}
	sum := int64(0)
	for _, k := range keys {
		sum += k.Bytes
	}
	s.Average[id] = sum / int64(len(keys))
	s.Biggest = append(s.Biggest, keys...)
	slices.SortFunc(s.Biggest, func(a, b Key) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Node, b.Node), cmp.Compare(a.DB, b.DB), cmp.Compare(a.Name, b.Name))
	})
	s.Biggest = s.Biggest[:min(len(s.Biggest), biggestKept)]
}

// sizesOn asks one node, within one deadline for everything.
func sizesOn(ctx context.Context, d driver.Dialer, m cluster.Member, slots []int) []Key {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, m.Addr, "")
	if err != nil {
		return nil
	}
	defer conn.Close()
	var all []Key
	for _, db := range m.Keyspace[:min(len(m.Keyspace), sampledDatabases)] {
		if len(m.Databases) > 1 {
			if _, err := driver.Call(ctx, conn, "SELECT", strconv.Itoa(db.DB)); err != nil {
				return all
			}
		}
		keys := listed(ctx, conn, Key{Node: m.ID, DB: db.DB}, slots)
		all = append(all, measured(ctx, conn, keys)...)
	}
	return all
}

// listed are the keys to look at; like says where they are.
func listed(ctx context.Context, conn driver.Conn, like Key, slots []int) []Key {
	cmds := make([]driver.Command, len(slots))
	for i, slot := range slots {
		cmds[i] = driver.Cmd("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(sampledKeys))
	}
	replies, _ := conn.Do(ctx, cmds...)
	var keys []Key
	for i, r := range replies {
		names, _ := r.Strings()
		for _, name := range names {
			like.Slot, like.Name = slots[i], name
			keys = append(keys, like)
		}
	}
	return keys
}

// measured are those keys whose size the server told: one may have expired, and
// MEMORY USAGE may be forbidden.
func measured(ctx context.Context, conn driver.Conn, keys []Key) []Key {
	if len(keys) == 0 {
		return nil
	}
	cmds := make([]driver.Command, len(keys))
	for i, k := range keys {
		cmds[i] = driver.Cmd("MEMORY", "USAGE", k.Name)
	}
	replies, _ := conn.Do(ctx, cmds...)
	var known []Key
	for i, r := range replies {
		if bytes, err := r.Int(); err == nil {
			keys[i].Bytes = bytes
			known = append(known, keys[i])
		}
	}
	return known
}
