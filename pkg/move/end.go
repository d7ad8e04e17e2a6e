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

// end is the source or the target of a move: a node, and a control connection
// to it that is dialled anew after it broke.
type end struct {
	dialer driver.Dialer
	name   string // client name of the connections
	id     cluster.NodeID
	addr   cluster.Addr
	server cluster.Features
	conn   driver.Conn

	view   cluster.View
	viewed time.Time // when the view was read
	seen   identity
	trips  time.Duration // shortest round trip so far that brought a view

	transacts bool // it was seen to take MULTI and EXEC
}

// identity is what must not change under a move: another run, role or epoch
// means that the node may have lost what it was told.
type identity struct {
	runID  string
	master bool
	epoch  uint64
}

// connect dials where it must.
func (e *end) connect(ctx context.Context) error {
	if e.conn == nil {
		conn, err := e.dialer.Dial(ctx, e.addr, e.name)
		if err != nil {
			return err
		}
		e.conn = conn
	}
	if ctx.Err() != nil {
		return &driver.TransportError{Addr: e.addr, Err: context.Cause(ctx)}
	}
	return nil
}

// do sends commands in one round trip, dialling first where it must.
func (e *end) do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	replies, err := e.conn.Do(ctx, cmds...)
	if err != nil {
		e.close()
		return nil, err
	}
	if trip := time.Since(start); cmds[len(cmds)-1].Name() == "CLUSTER NODES" && (e.trips == 0 || trip < e.trips) {
		e.trips = trip
	}
	return replies, nil
}

// mayTransact demands that the node takes transactions. Where MULTI is refused, what
// follows it in a pipeline is carried out as it comes. It ends any WATCH.
func (e *end) mayTransact(ctx context.Context) error {
	if e.transacts {
		return nil
	}
	replies, err := e.do(ctx, driver.Cmd("MULTI"), driver.Cmd("EXEC"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	e.transacts = err == nil
	return err
}

// transact carries out commands, all or none. There are no results where a watched
// key was written to.
func (e *end) transact(ctx context.Context, cmds ...driver.Command) (results []any, err error) {
	all := slices.Concat([]driver.Command{{"MULTI"}}, cmds, []driver.Command{{"EXEC"}})
	replies, err := e.do(ctx, all...)
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		return nil, err
	}
	results, _ = replies[len(replies)-1].Value.([]any)
	return results, nil
}

// allOK demands that the commands, such as SETSLOT, all succeeded.
func (e *end) allOK(cmds []driver.Command, replies []driver.Reply) error {
	for i := range cmds {
		if err := replies[i].OK(); err != nil {
			return fmt.Errorf("%s refused %s: %w", e.addr, strings.Join(cmds[i], " "), err)
		}
	}
	return nil
}

func (e *end) close() {
	if e.conn != nil {
		e.conn.Close()
		e.conn = nil
	}
}

// look reads who the node is and what it thinks.
func (e *end) look(ctx context.Context) error {
	replies, err := e.do(ctx, driver.Cmd("INFO", "server"), driver.Cmd("CLUSTER", "NODES"))
	if err != nil {
		return err
	}
	if err := e.readView(replies[1]); err != nil {
		return err
	}
	text, err := replies[0].Text()
	if err != nil {
		return fmt.Errorf("%s: INFO: %w", e.addr, err)
	}
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return fmt.Errorf("%s: %w", e.addr, err)
	}
	self := e.view.Self()
	e.seen = identity{runID: info["run_id"], master: self.IsMaster(), epoch: self.Epoch}
	return nil
}

func (e *end) readView(r driver.Reply) error {
	text, err := r.Text()
	if err != nil {
		return fmt.Errorf("%s: CLUSTER NODES: %w", e.addr, err)
	}
	view, err := cluster.ParseNodes(text)
	if err != nil {
		return fmt.Errorf("%s: %w", e.addr, err)
	}
	if self := view.Self(); self.ID != e.id {
		return fmt.Errorf("%s is now node %s, and was %s", e.addr, self.ID, e.id)
	}
	e.view, e.viewed = view, time.Now()
	return nil
}

// viewAgain reads the node's view, and nothing else.
func (e *end) viewAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	replies, err := e.do(ctx, driver.Cmd("CLUSTER", "NODES"))
	if err != nil {
		return err
	}
	return e.readView(replies[0])
}

// owns reports whether the node claimed the slot when it was last read.
func (e *end) owns(slot int) bool { return e.view.Self().Slots.Has(slot) }

func (e *end) setWithin(slots int) time.Duration { return SetSlotsWithin(e.server, slots) }

// repliesWithin is how long a command that is not MIGRATE may take. On Valkey 8
// and later every SETSLOT waits for replicas, 2 s by default.
const repliesWithin = 5 * time.Second

// setSlotTimeout is how long a server that replicates SETSLOT is told to wait for
// its replicas.
const setSlotTimeout = 500 * time.Millisecond
