package apply

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// crew are connections to many nodes that are told things at the same time.
type crew struct {
	dialer driver.Dialer
	name   string

	mu    sync.Mutex
	conns map[cluster.NodeID]driver.Conn
}

// parallel is how many nodes are told something at once.
const parallel = 32

func newCrew(d driver.Dialer, name string) *crew {
	return &crew{dialer: d, name: name, conns: make(map[cluster.NodeID]driver.Conn)}
}

func (c *crew) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// tell sends commands to one node. Only one goroutine may speak to a node at a
// time.
func (c *crew) tell(ctx context.Context, n plan.Node, cmds ...driver.Command) ([]driver.Reply, error) {
	return c.tellWithin(ctx, driver.ProbeTimeout, n, cmds...)
}

func (c *crew) tellWithin(ctx context.Context, limit time.Duration, n plan.Node, cmds ...driver.Command) ([]driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.mu.Lock()
	conn := c.conns[n.ID]
	c.mu.Unlock()
	if conn == nil {
		var err error
		if conn, err = c.dialer.Dial(ctx, n.Addr, c.name); err != nil {
			return nil, err
		}
		c.keep(n.ID, conn)
	}
	replies, err := conn.Do(ctx, cmds...)
	if driver.IsTransport(err) {
		conn.Close()
		c.keep(n.ID, nil)
	}
	return replies, err
}

func (c *crew) keep(id cluster.NodeID, conn driver.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn == nil {
		delete(c.conns, id)
		return
	}
	c.conns[id] = conn
}

// order is tell for commands that must all succeed with OK.
func (c *crew) order(ctx context.Context, n plan.Node, cmds ...driver.Command) error {
	return c.orderWithin(ctx, driver.ProbeTimeout, n, cmds...)
}

// setSlots is order for SETSLOT, which waits for replicas on some servers.
func (c *crew) setSlots(ctx context.Context, m cluster.Member, slots []int, words ...string) error {
	if len(slots) == 0 {
		return nil
	}
	limit := move.SetSlotsWithin(m.Features, len(slots))
	return c.orderWithin(ctx, limit, plan.Node{ID: m.ID, Addr: m.Addr}, move.SetSlots(m.Features, slots, words...)...)
}

func (c *crew) orderWithin(ctx context.Context, limit time.Duration, n plan.Node, cmds ...driver.Command) error {
	replies, err := c.tellWithin(ctx, limit, n, cmds...)
	if err != nil {
		return err
	}
	for i, r := range replies {
		if err := r.OK(); err != nil {
			return fmt.Errorf("%s refused %.200s: %w", n.Addr, strings.Join(cmds[i], " "), err)
		}
	}
	return nil
}

// views asks every node for its view at once.
func (c *crew) views(ctx context.Context, nodes []plan.Node) (map[cluster.NodeID]cluster.View, error) {
	var mu sync.Mutex
	views := make(map[cluster.NodeID]cluster.View, len(nodes))
	err := each(nodes, func(n plan.Node) error {
		replies, err := c.tell(ctx, n, driver.Cmd("CLUSTER", "NODES"))
		if err != nil {
			return err
		}
		text, err := replies[0].Text()
		if err != nil {
			return fmt.Errorf("%s: %w", n.Addr, err)
		}
		view, err := cluster.ParseNodes(text)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Addr, err)
		}
		mu.Lock()
		defer mu.Unlock()
		views[n.ID] = view
		return nil
	})
	return views, err
}

// each calls do for all items, many at once, and returns the first error after
// all have ended.
func each[T any](items []T, do func(T) error) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, item := range items {
		g.Go(func() error { return do(item) })
	}
	return g.Wait()
}
