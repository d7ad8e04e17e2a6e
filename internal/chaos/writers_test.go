package chaos_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// writers append unique values to lists and remember what was acknowledged: a
// list tells loss, doubling and disorder apart.
type writers struct {
	c    *labtest.Cluster
	keys []string
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	acked   map[string][]string
	unknown map[string]bool
	refused int
}

func newWriters(c *labtest.Cluster, keys []string) *writers {
	return &writers{c: c, keys: keys, acked: make(map[string][]string), unknown: make(map[string]bool)}
}

// start lets n clients write, each to keys of its own, so that the order of
// acknowledgements is the order in a list.
func (w *writers) start(ctx context.Context, n, round int) {
	ctx, w.stop = context.WithCancel(ctx)
	for i := range n {
		w.done.Go(func() {
			client := w.c.Client()
			defer client.Close()
			for k := 0; ctx.Err() == nil; k++ {
				key := w.keys[(i+k*n)%len(w.keys)]
				if (i+k*n)%len(w.keys)%n != i {
					continue
				}
				w.write(client, key, fmt.Sprintf("%d-%d-%d", round, i, k))
				time.Sleep(time.Millisecond)
			}
		})
	}
}

func (w *writers) write(client *labtest.Client, key, value string) {
	// Not the writers' context: a write that was begun is seen through.
	r := client.Do(context.Background(), key, "RPUSH", key, value)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.Outcome {
	case labtest.Acknowledged:
		w.acked[key] = append(w.acked[key], value)
	case labtest.Unknown:
		w.unknown[value] = true
	case labtest.Refused:
		w.refused++
	}
}

func (w *writers) end() {
	w.stop()
	w.done.Wait()
}

// count is how many writes were acknowledged.
func (w *writers) count() int {
	n := 0
	for _, values := range w.acked {
		n += len(values)
	}
	return n
}

// verify reads every list and returns what is wrong with it.
func (w *writers) verify(t *testing.T) []string {
	t.Helper()
	client := w.c.Client()
	defer client.Close()
	var problems []string
	for _, key := range w.keys {
		r := client.Do(t.Context(), key, "LRANGE", key, "0", "-1")
		items, ok := r.Reply.([]any)
		if !ok {
			problems = append(problems, fmt.Sprintf("%s cannot be read: %v", key, r.Err))
			continue
		}
		problems = append(problems, w.compare(key, items)...)
	}
	return problems
}

// compare holds a list against the acknowledged values, in order; values whose
// fate is unknown may stand anywhere.
func (w *writers) compare(key string, items []any) []string {
	var problems []string
	want := w.acked[key]
	for _, item := range items {
		value, _ := item.(string)
		switch {
		case len(want) > 0 && value == want[0]:
			want = want[1:]
		case w.unknown[value]:
		default:
			problems = append(problems, fmt.Sprintf("%s has %s out of order, twice, or though it was refused", key, value))
		}
	}
	for _, value := range want {
		problems = append(problems, fmt.Sprintf("%s lost %s", key, value))
	}
	return problems
}
