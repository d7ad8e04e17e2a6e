package lock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

const (
	// patience is how long a rival that is trying too may take to hold or yield.
	patience = 5 * time.Second
	poll     = 20 * time.Millisecond
	// heartbeat keeps firewalls and the servers' timeout from ending connections.
	heartbeat = 5 * time.Second
)

// UnsupportedError is a node that refuses what the lock is made of.
type UnsupportedError struct {
	Node string
	Err  error
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s refuses to show who is connected, so that another operator would not be seen: %v", e.Node, e.Err)
}

// Unwrap is the server's answer.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// ErrLost is the end of a lock that was taken away: every connection that it
// consisted of was ended.
var ErrLost = errors.New("the lock was lost: its connections were ended")

// Lock is held until Release, or until the process ends.
type Lock struct {
	name  name
	seats []*seat
	stop  context.CancelFunc
	beats sync.WaitGroup
	lost  chan struct{}
}

// seat is the lock's connection to one node.
type seat struct {
	addr cluster.Addr
	conn driver.Conn
}

// Acquire takes the lock on all of nodes, which must be the same for everybody
// who works on the cluster: its masters. Its error is a *HeldError, an
// *UnsupportedError, or that of a node which could not be reached.
//
// Each operator first shows that it tries, on every node, and then looks who
// else does. The nodes do one thing at a time, so of two operators at least one
// sees the other; who sees a holder yields; who sees only others that try
// yields to whoever started before it.
func Acquire(ctx context.Context, d driver.Dialer, nodes []cluster.Addr, o Options) (*Lock, error) {
	l := &Lock{
		name: name{trying, o.Operation, newRun(), o.Holder},
		stop: func() {},
		lost: make(chan struct{}),
	}
	if o.Skip {
		l.name.phase = holding
		return l, nil
	}
	if err := l.acquire(ctx, d, nodes, o); err != nil {
		l.Release()
		return nil, err
	}
	beat, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	l.beats.Go(func() { l.keepAlive(beat) })
	return l, nil
}

func newRun() string {
	random := make([]byte, 4)
	rand.Read(random)
	return fmt.Sprintf("%016x%s", time.Now().UnixNano(), hex.EncodeToString(random))
}

func (l *Lock) acquire(ctx context.Context, d driver.Dialer, nodes []cluster.Addr, o Options) error {
	if err := l.sitDown(ctx, d, nodes); err != nil {
		return err
	}
	if o.Break {
		if err := l.evict(ctx); err != nil {
			return err
		}
	}
	if err := l.outlast(ctx); err != nil {
		return err
	}
	l.name.phase = holding
	return l.onEach(func(s *seat) error {
		_, err := driver.Call(ctx, s.conn, "CLIENT", "SETNAME", l.name.String())
		return unsupported(s, err)
	})
}

func (l *Lock) sitDown(ctx context.Context, d driver.Dialer, nodes []cluster.Addr) error {
	for _, addr := range nodes {
		l.seats = append(l.seats, &seat{addr: addr})
	}
	return l.onEach(func(s *seat) error {
		conn, err := d.Dial(ctx, s.addr, l.name.String())
		s.conn = conn
		return unsupported(s, err)
	})
}

func unsupported(s *seat, err error) error {
	var refused *driver.ServerError
	var auth *driver.AuthError
	denied := driver.HasCode(err, "NOPERM") || driver.Mentions(err, "unknown command") || driver.Mentions(err, "Unknown subcommand")
	if errors.As(err, &refused) && !errors.As(err, &auth) && denied {
		return &UnsupportedError{s.addr.String(), err}
	}
	return err
}

func (l *Lock) onEach(do func(*seat) error) error {
	var g errgroup.Group
	g.SetLimit(32)
	for _, s := range l.seats {
		g.Go(func() error { return do(s) })
	}
	return g.Wait()
}

// outlast returns once nobody else is there, or says who is.
func (l *Lock) outlast(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		others, err := l.look(ctx)
		if err != nil {
			return err
		}
		if len(others) == 0 {
			return nil
		}
		for _, r := range others {
			if r.phase == holding || r.run < l.name.run || time.Now().After(deadline) {
				return &HeldError{Operation: r.operation, Holder: r.holder, Client: r.addr, Node: r.node}
			}
		}
		time.Sleep(poll)
	}
}

// look lists the others on every node.
func (l *Lock) look(ctx context.Context) ([]rival, error) {
	var mu sync.Mutex
	var others []rival
	err := l.onEach(func(s *seat) error {
		r, err := driver.Call(ctx, s.conn, "CLIENT", "LIST")
		if err != nil {
			return unsupported(s, err)
		}
		list, err := r.Text()
		if err != nil {
			return &UnsupportedError{s.addr.String(), err}
		}
		mu.Lock()
		defer mu.Unlock()
		others = append(others, rivals(list, s.addr.String(), l.name.run)...)
		return nil
	})
	return others, err
}

// evict ends every connection of the others, again and again until there was
// none for longer than a heartbeat: a living one dials anew before it notices
// that its lock is gone.
func (l *Lock) evict(ctx context.Context) error {
	for quiet := time.Now(); time.Since(quiet) < heartbeat+time.Second; {
		others, err := l.look(ctx)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			quiet = time.Now()
		}
		if err := l.end(ctx, others); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
	return nil
}

func (l *Lock) end(ctx context.Context, others []rival) error {
	for _, r := range others {
		for _, s := range l.seats {
			if s.addr.String() != r.node {
				continue
			}
			if _, err := driver.Call(ctx, s.conn, "CLIENT", "KILL", "ID", r.id); err != nil && driver.IsTransport(err) {
				return err
			}
		}
	}
	return nil
}

// Name is the client name that every other connection of the holder should
// carry.
// It is empty for a lock that was skipped: the servers may refuse names.
func (l *Lock) Name() string {
	if l.seats == nil {
		return ""
	}
	return l.name.String()
}

// Lost is closed when every connection of the lock has ended.
func (l *Lock) Lost() <-chan struct{} { return l.lost }

// keepAlive pings the seats. One that fails is given up: its node is away. When
// none is left, the lock is lost.
func (l *Lock) keepAlive(ctx context.Context) {
	alive := l.seats
	for len(alive) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeat):
		}
		var still []*seat
		for _, s := range alive {
			if _, err := driver.Call(ctx, s.conn, "PING"); err == nil || !driver.IsTransport(err) {
				still = append(still, s)
			}
		}
		alive = still
	}
	close(l.lost)
}

// Release gives the lock back. It may be called more than once.
func (l *Lock) Release() {
	l.stop()
	l.beats.Wait()
	for _, s := range l.seats {
		if s.conn != nil {
			s.conn.Close()
		}
	}
}
