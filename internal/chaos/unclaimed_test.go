package chaos_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
)

// BenchmarkUnclaimed measures, for both orders of finalising, the time in which
// nobody claims a slot: at most from when the source is told to give it up to
// when the target has answered that it took it. Where the target is told first,
// that is a time in which both claim it, and counts as none.
func BenchmarkUnclaimed(b *testing.B) {
	for _, order := range []move.Order{move.TargetFirst, move.SourceFirst} {
		b.Run(string(order), func(b *testing.B) {
			c := labtest.Form(b, labtest.Start(b, labtest.Options{Nodes: 3}), 3, 0)
			for b.Loop() {
				gaps := unclaimed(b, c, order)
				slices.Sort(gaps)
				at := func(q float64) float64 { return gaps[int(q*float64(len(gaps)-1))].Seconds() * 1000 }
				b.ReportMetric(at(0.5), "p50-ms")
				b.ReportMetric(at(0.99), "p99-ms")
				b.ReportMetric(at(1), "max-ms")
				b.ReportMetric(float64(len(gaps)), "slots")
			}
		})
	}
}

// unclaimed moves slots there and back.
func unclaimed(b *testing.B, c *labtest.Cluster, order move.Order) []time.Duration {
	fillSlots(b, c)
	w := &stopwatch{Dialer: goredis.New(goredis.Options{}), given: make(map[string]time.Time), taken: make(map[string]time.Time)}
	moveSlots(b, c, w, 0, 1, order)
	gaps := w.gaps()
	moveSlots(b, c, goredis.New(goredis.Options{}), 1, 0, order)
	return gaps
}

const slotsTimed = 512

func fillSlots(b *testing.B, c *labtest.Cluster) {
	client := c.Client()
	defer client.Close()
	for i := range 20_000 {
		if key := fmt.Sprintf("key:%d", i); cluster.KeySlot(key) < slotsTimed {
			client.Do(b.Context(), key, "SET", key, strings.Repeat("x", 100))
		}
	}
}

func moveSlots(b *testing.B, c *labtest.Cluster, d driver.Dialer, from, to int, order move.Order) {
	b.Helper()
	labtest.Await(b, 10*time.Second, "the owners are known", func() error {
		s := observe.Nodes(b.Context(), d, []cluster.Addr{addrOf(b, c, from), addrOf(b, c, to)})
		source, _ := s.Find(c.Masters[from].Addr())
		target, _ := s.Find(c.Masters[to].Addr())
		if !source.Slots().Has(0) {
			return fmt.Errorf("%s does not have the slots", source.Addr)
		}
		return move.Classic(b.Context(), d, "", source, target, cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: slotsTimed - 1}),
			move.Options{Finalise: order}, func(move.Progress) {})
	})
	time.Sleep(2 * time.Second) // slots rest before they move again
}

func addrOf(b *testing.B, c *labtest.Cluster, i int) cluster.Addr {
	addr, err := cluster.ParseAddr(c.Masters[i].Addr())
	if err != nil {
		b.Fatal(err)
	}
	return addr
}

// stopwatch notes when slots are given up and taken.
type stopwatch struct {
	driver.Dialer
	mu    sync.Mutex
	given map[string]time.Time
	taken map[string]time.Time
}

func (w *stopwatch) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := w.Dialer.Dial(ctx, addr, name)
	return timedConn{c, addr, w}, err
}

type timedConn struct {
	driver.Conn
	addr cluster.Addr
	w    *stopwatch
}

func (c timedConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	before := time.Now()
	replies, err := c.Conn.Do(ctx, cmds...)
	after := time.Now()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, cmd := range cmds {
		if len(cmd) < 4 || cmd[1] != "SETSLOT" || cmd[3] != "NODE" {
			continue
		}
		slot := cmd[2]
		if _, given := c.w.given[slot]; slices.ContainsFunc(cmds, func(c driver.Command) bool { return c[0] == "MULTI" }) && !given {
			c.w.given[slot] = before
		} else if _, taken := c.w.taken[slot]; !taken {
			c.w.taken[slot] = after
		}
	}
	return replies, err
}

// gaps are, for each slot, how long nobody claimed it.
func (w *stopwatch) gaps() []time.Duration {
	var gaps []time.Duration
	for slot, taken := range w.taken {
		gap := time.Duration(0)
		if given, ok := w.given[slot]; ok {
			gap = taken.Sub(given)
		}
		gaps = append(gaps, gap)
	}
	return gaps
}
