package acceptance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// counters are keys that writers count up. What a reader finds below the
// acknowledged increments was lost, and what is above those that can have
// happened was done twice.
type counters struct {
	l    *labtest.Lab
	ctx  context.Context // of the test
	keys []string
	stop context.CancelFunc
	done sync.WaitGroup

	mu             sync.Mutex
	acked, unknown map[string]int64
}

// count lets two clients count up one key in each of the slots, until the test
// ends or rest is called.
func count(t testing.TB, l *labtest.Lab, slots int) *counters {
	t.Helper()
	c := &counters{l: l, ctx: t.Context(), acked: make(map[string]int64), unknown: make(map[string]int64)}
	for _, key := range keysFor(func(slot int) int { return max(0, min(1, slots-slot)) }) {
		c.keys = append(c.keys, "{"+key+"}:count")
	}
	c.goOn()
	t.Cleanup(func() { c.rest() })
	return c
}

const counting = 2 // clients

// goOn begins to write, or begins again after a rest.
func (c *counters) goOn() {
	var ctx context.Context
	ctx, c.stop = context.WithCancel(c.ctx)
	for i := range counting {
		c.done.Go(func() {
			client := c.l.Client()
			defer client.Close()
			for k := i; ctx.Err() == nil; k += counting {
				c.increment(client, c.keys[k%len(c.keys)])
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func (c *counters) increment(client *labtest.Client, key string) {
	// Not the context that stops the writers: a write that was begun is seen through.
	r := client.Do(context.Background(), key, "INCR", key)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Outcome {
	case labtest.Acknowledged:
		c.acked[key]++
	case labtest.Unknown:
		c.unknown[key]++
	}
}

// rest returns when nobody writes any more.
func (c *counters) rest() {
	c.stop()
	c.done.Wait()
}

// right holds every key against what was acknowledged. Nobody may write.
func (c *counters) right(t testing.TB) {
	t.Helper()
	client := c.l.Client()
	defer client.Close()
	var sum int64
	for _, key := range c.keys {
		r := client.Do(t.Context(), key, "GET", key)
		if r.Outcome != labtest.Acknowledged {
			t.Fatalf("%s cannot be read: %v", key, r.Err)
		}
		var got int64
		if text, ok := r.Reply.(string); ok {
			fmt.Sscan(text, &got)
		}
		if least, most := c.acked[key], c.acked[key]+c.unknown[key]; got < least || got > most {
			t.Errorf("%s in slot %d is %d; it was counted up %d times, and perhaps %d more", key, labtest.Slot(key), got, least, most-least)
		}
		sum += c.acked[key]
	}
	t.Logf("%d acknowledged writes", sum)
}
