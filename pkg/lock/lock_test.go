package lock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate makes every call of a dialer and its connections pass through before.
type gate struct {
	driver.Dialer
	before func(addr cluster.Addr, what string) error
}

func (g gate) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	if err := g.before(addr, "dial"); err != nil {
		return nil, err
	}
	c, err := g.Dialer.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return gatedConn{c, addr, g.before}, nil
}

type gatedConn struct {
	driver.Conn
	addr   cluster.Addr
	before func(addr cluster.Addr, what string) error
}

func (c gatedConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if err := c.before(c.addr, cmds[0].Name()); err != nil {
		return []driver.Reply{{Err: err}}, nil
	}
	return c.Conn.Do(ctx, cmds...)
}

func masters(c *sim.Cluster, n int) []cluster.Addr {
	var addrs []cluster.Addr
	for _, node := range c.Form(n, 0) {
		addrs = append(addrs, node.Addr())
	}
	return addrs
}

func options(holder string) lock.Options { return lock.Options{Operation: "reshard", Holder: holder} }

// attempt is one operator's try for the lock.
type attempt struct {
	holder string
	l      *lock.Lock
	err    error
}

// race lets operators try for the lock at once, each with a dialer of its own,
// and returns when all have an answer.
func race(ctx context.Context, addrs []cluster.Addr, dialers ...driver.Dialer) []attempt {
	out := make([]attempt, len(dialers))
	var wg sync.WaitGroup
	for i, d := range dialers {
		out[i].holder = fmt.Sprintf("host%d_%d", i, time.Now().UnixNano())
		wg.Go(func() { out[i].l, out[i].err = lock.Acquire(ctx, d, addrs, options(out[i].holder)) })
		time.Sleep(time.Nanosecond) // one after the other, so that their runs are in order
	}
	wg.Wait()
	return out
}

// winners checks that everybody else was told who is in the way.
func winners(t *testing.T, attempts []attempt) (held []*lock.Lock) {
	t.Helper()
	for i, a := range attempts {
		var he *lock.HeldError
		switch {
		case a.err == nil:
			held = append(held, a.l)
		case !errors.As(a.err, &he):
			t.Errorf("operator %d: %v (%T)", i, a.err, a.err)
		case he.Operation != "reshard" || he.Holder == a.holder || he.Node == "" || he.Client == "":
			t.Errorf("operator %d was told %+v", i, he)
		}
	}
	return held
}

func release(attempts []attempt) {
	for _, a := range attempts {
		if a.l != nil {
			a.l.Release()
		}
	}
}

// free checks that nothing of any lock is left.
func free(t *testing.T, c *sim.Cluster) {
	t.Helper()
	for _, n := range c.Nodes() {
		if names := n.ClientNames(); len(names) > 0 {
			t.Errorf("left on %s: %q", n, names)
		}
	}
}

// TestExactlyOneOfSome is promise P6 over hundreds of random timings: of two or
// three operators at once exactly one gets the lock, and once it lets go the
// next one can have it.
func TestExactlyOneOfSome(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			c := sim.New(sim.Options{Seed: int(seed)})
			addrs := masters(c, 1+int(seed)%4)
			attempts := race(t.Context(), addrs, dialers(c, 2+int(seed)%2, seed, 40*time.Millisecond)...)
			if held := winners(t, attempts); len(held) != 1 {
				t.Errorf("seed %d: %d operators hold the lock", seed, len(held))
			}
			if late := race(t.Context(), addrs, c.Dialer()); len(winners(t, late)) != 0 {
				t.Errorf("seed %d: one more got it", seed)
			}
			release(attempts)
			free(t, c)
			late := race(t.Context(), addrs, c.Dialer())
			if len(winners(t, late)) != 1 {
				t.Errorf("seed %d: nobody holds it, and nobody gets it", seed)
			}
			release(late)
		})
	}
}

// dialers are operators whose every call takes up to longest.
func dialers(c *sim.Cluster, n int, seed uint64, longest time.Duration) []driver.Dialer {
	var out []driver.Dialer
	for i := range n {
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		out = append(out, gate{c.Dialer(), func(cluster.Addr, string) error {
			mu.Lock()
			d := time.Duration(r.Int64N(int64(longest)))
			mu.Unlock()
			time.Sleep(d)
			return nil
		}})
	}
	return out
}

// TestNeverTwo promises that however slow operators are, even slower than they
// have patience with each other, no two get the lock.
func TestNeverTwo(t *testing.T) {
	alone := 0
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			c := sim.New(sim.Options{Seed: int(seed)})
			addrs := masters(c, 1+int(seed)%4)
			attempts := race(t.Context(), addrs, dialers(c, 3, seed, 12*time.Second)...)
			held := len(winners(t, attempts))
			if held > 1 {
				t.Errorf("seed %d: %d operators hold the lock", seed, held)
			}
			alone += held
			release(attempts)
			free(t, c)
		})
	}
	if alone < 100 {
		t.Errorf("of 300 races only %d had a winner", alone)
	}
}

// turns lets two operators' calls through one at a time, in a given order.
type turns struct {
	mu      sync.Mutex
	waiting [2]map[cluster.Addr]chan struct{}
}

func (s *turns) dialer(d driver.Dialer, operator int) driver.Dialer {
	s.waiting[operator] = make(map[cluster.Addr]chan struct{})
	return gate{d, func(addr cluster.Addr, _ string) error {
		pass := make(chan struct{})
		s.mu.Lock()
		s.waiting[operator][addr] = pass
		s.mu.Unlock()
		<-pass
		return nil
	}}
}

// let lets one call of an operator through: the first operator asks the nodes
// in their order, the second one in the opposite order.
func (s *turns) let(operator int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next cluster.Addr
	for addr := range s.waiting[operator] {
		if next == (cluster.Addr{}) || (addr.Port < next.Port) == (operator == 0) {
			next = addr
		}
	}
	pass, ok := s.waiting[operator][next]
	if ok {
		delete(s.waiting[operator], next)
		close(pass)
	}
	return ok
}

// TestEveryInterleaving tries every order in which the first calls of two
// operators can reach one and two nodes: exactly one gets the lock.
func TestEveryInterleaving(t *testing.T) {
	for _, tt := range []struct{ nodes, calls int }{{1, 6}, {2, 11}} {
		wins := [2]int{}
		for order := range 1 << tt.calls {
			synctest.Test(t, func(t *testing.T) {
				attempts := interleave(t, tt.nodes, order, tt.calls)
				if held := winners(t, attempts[:]); len(held) != 1 {
					t.Errorf("%d nodes, order %b: %d operators hold the lock", tt.nodes, order, len(held))
				}
				for i, a := range attempts {
					if a.err == nil {
						wins[i]++
					}
				}
				release(attempts[:])
			})
		}
		if wins[0] == 0 || wins[1] == 0 {
			t.Errorf("%d nodes: wins %v; the orders make no difference", tt.nodes, wins)
		}
	}
}

func interleave(t *testing.T, nodes, order, calls int) (attempts [2]attempt) {
	c := sim.New(sim.Options{})
	addrs := masters(c, nodes)
	s := &turns{}
	var wg sync.WaitGroup
	var done [2]chan struct{}
	for i := range attempts {
		d := s.dialer(c.Dialer(), i)
		done[i] = make(chan struct{})
		wg.Go(func() {
			defer close(done[i])
			attempts[i].l, attempts[i].err = lock.Acquire(t.Context(), d, addrs, options(fmt.Sprintf("host%d", i)))
		})
		time.Sleep(time.Nanosecond)
	}
	for step := 0; ; step++ {
		synctest.Wait()
		operator := step % 2
		if step < calls {
			operator = order >> step & 1
		}
		if finished(done[0]) && finished(done[1]) {
			break
		}
		if !s.let(operator) && !s.let(1-operator) {
			time.Sleep(time.Millisecond) // both wait for the clock
		}
	}
	wg.Wait()
	return attempts
}

func finished(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// TestKilledOperator promises that an operator which is killed at any moment
// leaves nothing behind: the next one gets the lock.
func TestKilledOperator(t *testing.T) {
	for at, reached := 1, true; reached; at++ {
		synctest.Test(t, func(t *testing.T) {
			c := sim.New(sim.Options{})
			addrs := masters(c, 3)
			victim := c.Dialer()
			var mu sync.Mutex
			calls := 0
			first := race(t.Context(), addrs, gate{victim, func(cluster.Addr, string) error {
				mu.Lock()
				defer mu.Unlock()
				if calls++; calls == at {
					victim.Kill()
				}
				return nil
			}})
			if reached = calls >= at; reached != (first[0].err != nil) {
				t.Errorf("killed at call %d of %d: %v", at, calls, first[0].err)
			}
			victim.Kill()
			second := race(t.Context(), addrs, c.Dialer())
			if len(winners(t, second)) != 1 {
				t.Errorf("killed at call %d: the lock is stale: %v", at, second[0].err)
			}
			release(first)
			release(second)
			free(t, c)
		})
		if at > 100 {
			t.Fatal("no end")
		}
	}
}

// TestHeldBeatsTry promises that who started earlier but comes late yields to
// who holds.
func TestHeldBeatsTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		addrs := masters(c, 3)
		late := gate{c.Dialer(), func(_ cluster.Addr, what string) error {
			if what == "dial" {
				time.Sleep(time.Second)
			}
			return nil
		}}
		began := time.Now()
		attempts := race(t.Context(), addrs, late, c.Dialer())
		if held := winners(t, attempts); len(held) != 1 || attempts[1].l == nil {
			t.Errorf("%+v", attempts)
		}
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("it took %v to see that the lock is held", took)
		}
		release(attempts)
	})
}

// TestName promises that every connection of the holder can show whose it is.
func TestName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		addrs := masters(c, 2)
		l, err := lock.Acquire(t.Context(), c.Dialer(), addrs, lock.Options{Operation: "re shard", Holder: "host:42"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(l.Name(), "trib:held:re_shard:") || !strings.HasSuffix(l.Name(), ":host_42") {
			t.Errorf("name %q", l.Name())
		}
		for _, n := range c.Nodes() {
			if names := n.ClientNames(); len(names) != 1 || names[0] != l.Name() {
				t.Errorf("%s: %q", n, names)
			}
		}
		_, err = lock.Acquire(t.Context(), c.Dialer(), addrs, options("other"))
		var he *lock.HeldError
		if !errors.As(err, &he) || he.Operation != "re_shard" || he.Holder != "host_42" || !strings.Contains(err.Error(), "another operator") {
			t.Errorf("error %v", err)
		}
		l.Release()
		l.Release()
		free(t, c)
	})
}

func lost(l *lock.Lock) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// TestBreak promises that a broken lock goes to who broke it, and that the one
// who had it notices within seconds.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		addrs := masters(c, 3)
		first := race(t.Context(), addrs, c.Dialer())
		bystander, err := c.Dialer().Dial(t.Context(), addrs[0], "app")
		if err != nil {
			t.Fatal(err)
		}
		o := options("breaker")
		o.Break = true
		second, err := lock.Acquire(t.Context(), c.Dialer(), addrs, o)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-first[0].l.Lost()
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if late := race(t.Context(), addrs, c.Dialer()); len(winners(t, late)) != 0 {
			t.Error("a third one got it")
		}
		if _, err := driver.Call(t.Context(), bystander, "PING"); err != nil {
			t.Errorf("a stranger's connection was ended: %v", err)
		}
		time.Sleep(time.Minute)
		if lost(second) {
			t.Error("who broke the lock lost it")
		}
		bystander.Close()
		release(first)
		second.Release()
		free(t, c)
	})
}

// TestBreakBusyHolder promises the same where the holder is at work and dials
// again whenever a connection of its is ended, until it notices: who breaks the
// lock gets it only once that is over.
func TestBreakBusyHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		addrs := masters(c, 3)
		holder, err := lock.Acquire(t.Context(), c.Dialer(), addrs, options("holder"))
		if err != nil {
			t.Fatal(err)
		}
		var stopped time.Time
		var work sync.WaitGroup
		work.Go(func() {
			d := c.Dialer()
			var conn driver.Conn
			for !lost(holder) {
				if conn == nil {
					conn, _ = d.Dial(t.Context(), addrs[1], holder.Name())
				} else if _, err := driver.Call(t.Context(), conn, "PING"); err != nil {
					conn = nil
				}
				time.Sleep(30 * time.Millisecond)
			}
			stopped = time.Now()
			if conn != nil {
				conn.Close()
			}
		})
		o := options("breaker")
		o.Break = true
		breaker, err := lock.Acquire(t.Context(), c.Dialer(), addrs, o)
		held := time.Now()
		work.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if held.Before(stopped) {
			t.Errorf("two at work for %v", stopped.Sub(held))
		}
		holder.Release()
		breaker.Release()
		free(t, c)
	})
}

// TestBreakNobody promises that breaking a lock that nobody holds is taking it.
func TestBreakNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		o := options("breaker")
		o.Break = true
		l, err := lock.Acquire(t.Context(), c.Dialer(), masters(c, 2), o)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		free(t, c)
	})
}

// TestKeptAlive promises that the lock outlives the context that it was taken
// with, beats on every connection, and survives nodes as long as one is left.
func TestKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		addrs := masters(c, 3)
		nodes := c.Nodes()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		l, err := lock.Acquire(ctx, c.Dialer(), addrs, options("h"))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		beats := make(map[*sim.Node]int)
		c.Intercept(func(e sim.Event) sim.Action {
			mu.Lock()
			defer mu.Unlock()
			beats[e.Node]++
			return sim.Action{}
		})
		time.Sleep(time.Minute)
		c.Intercept(nil)
		mu.Lock()
		defer mu.Unlock()
		for _, n := range nodes {
			if beats[n] < 10 || beats[n] > 13 {
				t.Errorf("%s: %d beats in a minute", n, beats[n])
			}
		}
		nodes[0].Crash()
		nodes[1].Pause()
		time.Sleep(time.Minute)
		if lost(l) {
			t.Error("lost with one node left")
		}
		nodes[2].Crash()
		began := time.Now()
		<-l.Lost()
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("noticed after %v", took)
		}
		l.Release()
	})
}

// TestUnsupported promises that a server which does not show who is connected
// is named, that nothing is left behind, and that Skip does without.
func TestUnsupported(t *testing.T) {
	noperm := &driver.ServerError{Text: "NOPERM this user has no permissions to run the command"}
	for _, what := range []string{"dial", "CLIENT LIST", "CLIENT SETNAME"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sim.New(sim.Options{})
				addrs := masters(c, 3)
				calls := 0
				var mu sync.Mutex
				d := gate{c.Dialer(), func(addr cluster.Addr, did string) error {
					mu.Lock()
					defer mu.Unlock()
					calls++
					switch {
					case addr != addrs[1] || did != what:
						return nil
					case what == "dial": // as a driver that names the node wraps it
						return fmt.Errorf("%s: %w", addr, noperm)
					}
					return noperm
				}}
				_, err := lock.Acquire(t.Context(), d, addrs, options("h"))
				var ue *lock.UnsupportedError
				if !errors.As(err, &ue) || ue.Node != addrs[1].String() || !errors.Is(err, noperm) || !strings.Contains(err.Error(), ue.Node) {
					t.Errorf("error %v (%T)", err, err)
				}
				free(t, c)
				o := options("h")
				o.Skip = true
				calls = 0
				l, err := lock.Acquire(t.Context(), d, addrs, o)
				if err != nil || calls != 0 || l.Name() != "" {
					t.Errorf("skipped: %v after %d calls", err, calls)
				}
				time.Sleep(time.Minute)
				if lost(l) {
					t.Error("a lock that does not exist was lost")
				}
				l.Release()
			})
		})
	}
}

// TestUnreachable promises that a lock is taken on all nodes or not at all, and
// that a refused password is not taken for a server without support.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Password: "secret", NoAutoFailover: true})
		addrs := masters(c, 3)
		var ae *driver.AuthError
		var ue *lock.UnsupportedError
		_, err := lock.Acquire(t.Context(), c.DialerWith("wrong"), addrs, options("h"))
		if !errors.As(err, &ae) || errors.As(err, &ue) {
			t.Errorf("wrong password: %v (%T)", err, err)
		}
		c.Nodes()[2].Pause()
		began := time.Now()
		_, err = lock.Acquire(t.Context(), c.Dialer(), addrs, options("h"))
		var te *driver.TransportError
		if !errors.As(err, &te) || te.Addr != addrs[2] || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c.Nodes()[2].Resume()
		c.Advance(time.Second)
		free(t, c)
	})
}

// TestCancelledAcquire promises that who is told to stop waiting for a rival
// stops, and leaves nothing behind.
func TestCancelledAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		addrs := masters(c, 2)
		slow, err := c.Dialer().Dial(t.Context(), addrs[0], "trib:try:reshard:zzzz:slow")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = lock.Acquire(ctx, c.Dialer(), addrs, options("h"))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 1100*time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
		// Without a limit of its own it gives up on a rival that never decides.
		began = time.Now()
		_, err = lock.Acquire(t.Context(), c.Dialer(), addrs, options("h"))
		var he *lock.HeldError
		if took := time.Since(began); !errors.As(err, &he) || he.Holder != "slow" || took < 4*time.Second || took > 6*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		slow.Close()
		free(t, c)
	})
}
