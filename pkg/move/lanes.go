package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// classic is one classic move of slots between two masters.
type classic struct {
	dialer   driver.Dialer
	name     string
	from, to cluster.Member
	o        Options
	report   func(Progress)
	notes    sync.Once
	errand   errand
	tally    tally
}

func oneAtATime(report func(Progress)) func(Progress) {
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		report(p)
	}
}

// databases are those of the end that has more of them.
func (c *classic) databases() []int {
	if len(c.to.Databases) > len(c.from.Databases) {
		return c.to.Databases
	}
	return c.from.Databases
}

// run moves slots, and looks at the end whether the target has them still.
func (c *classic) run(ctx context.Context, slots cluster.SlotSet) error {
	var moved cluster.SlotSet
	report := c.report
	c.report = oneAtATime(func(p Progress) {
		moved = moved.Union(p.Slots)
		report(p)
	})
	err := c.work(ctx, slots)
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, c.takenBack(ctx, moved))
}

// takenBack says so where slots that had moved are somebody else's again. A replica
// of the source that was promoted before it had heard of them has them, and where
// claims travel by gossip alone that may be some windows later. The source, which
// is its replica then, is the first to know.
func (c *classic) takenBack(ctx context.Context, moved cluster.SlotSet) error {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	m := c.newMover()
	defer m.close()
	if moved.Empty() || m.src.look(ctx) != nil {
		return nil // whoever verifies the plan asks others
	}
	for _, n := range m.src.view.Nodes {
		if back := n.Slots.Intersect(moved); n.ID == m.src.view.Self().MasterID && n.ID != c.to.ID && !back.Empty() {
			return fmt.Errorf("%s, which was promoted, has taken back slots %s that had moved to %s: keys of them may be lost", n.Addr, back, c.to.Addr)
		}
	}
	return nil
}

// work moves windows in lanes, so that one lane's keys travel while another
// opens and closes its slots. The last window goes alone: whether the source
// gives away its last slot must not be asked by two who both still see the
// other's slots.
func (c *classic) work(ctx context.Context, slots cluster.SlotSet) error {
	if err := c.rebind(ctx, slots); err != nil {
		return err
	}
	windows := c.windows(ctx, slots)
	if len(windows) == 0 {
		return nil
	}
	last := len(windows) - 1
	var left leftovers
	if err := c.lanes(ctx, windows[:last], min(c.o.Lanes, last), &left); err != nil {
		return errors.Join(err, left.err())
	}
	return errors.Join(c.lanes(ctx, windows[last:], 1, &left), left.err())
}

// leftovers are what does not keep the other windows from moving.
type leftovers struct {
	mu        sync.Mutex
	big       []BigKey
	conflicts []Conflict
}

func (l *leftovers) add(m *mover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.big = append(l.big, m.scale.left...)
	l.conflicts = append(l.conflicts, m.conflicts...)
}

func (l *leftovers) err() error {
	var conflicts error
	if l.conflicts != nil {
		conflicts = &ConflictError{l.conflicts}
	}
	return errors.Join(conflicts, bigKeysError(l.big))
}

func (c *classic) rebind(ctx context.Context, slots cluster.SlotSet) error {
	m := c.newMover()
	defer m.close()
	return m.persist(ctx, slots.Slots(), m.rebindAll)
}

// lanes works windows off; it ends with the first error that is not for people
// to decide.
func (c *classic) lanes(ctx context.Context, windows [][]int, lanes int, left *leftovers) error {
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan []int, len(windows))
	for _, window := range windows {
		queue <- window
	}
	close(queue)
	for range lanes {
		g.Go(func() error {
			m := c.newMover()
			defer m.close()
			defer left.add(m)
			return m.lane(ctx, queue)
		})
	}
	return g.Wait()
}

func (m *mover) lane(ctx context.Context, queue <-chan []int) error {
	for window := range queue {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := m.insist(ctx, window)
		if e, ok := errors.AsType[*ConflictError](err); ok {
			m.conflicts = append(m.conflicts, e.Conflicts...)
		} else if err != nil {
			return err
		}
	}
	return nil
}

const (
	// emptyWindow is how many slots without keys are open at a time: their burst
	// of SETSLOT stalls a node for some milliseconds.
	emptyWindow = 256
	// emptyWindowReplicated is the same where each SETSLOT waits for replicas.
	emptyWindowReplicated = 16
)

// windows divides the slots: few at a time where they have keys, many where
// they have none. The counts only decide that; emptiness is proven later. A
// source that cannot be asked now is asked again by the lanes.
func (c *classic) windows(ctx context.Context, set cluster.SlotSet) [][]int {
	counts, err := c.count(ctx, set)
	if err != nil {
		return slices.Collect(slices.Chunk(set.Slots(), c.o.Window))
	}
	var empty, full []int
	for slot := range set.All() {
		if counts[slot] == 0 {
			empty = append(empty, slot)
		} else {
			full = append(full, slot)
		}
	}
	size := max(emptyWindow, c.o.Window)
	if c.from.Features.ReplicatedSetSlot || c.to.Features.ReplicatedSetSlot {
		size = emptyWindowReplicated
	}
	windows := slices.Collect(slices.Chunk(empty, size))
	return slices.AppendSeq(windows, slices.Chunk(full, c.o.Window))
}

func (c *classic) count(ctx context.Context, slots cluster.SlotSet) (map[int]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	conn, err := c.dialer.Dial(ctx, c.from.Addr, c.name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return driver.KeysInSlots(ctx, conn, c.databases(), slots.Slots())
}
