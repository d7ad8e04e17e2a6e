// Command load is the client of the benchmarks: it reads and writes keys of a
// cluster at a steady rate, whatever the cluster does, and says how long that
// took. Latency counts from when an operation was due, so that one that had to
// wait for its turn counts in full.
//
//	go run ./scripts/load -nodes 127.0.0.1:7000 -rate 2000 -for 10s
//	go run ./scripts/load -nodes 127.0.0.1:7000 -slots 4096 -hammer -for 10s
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/trib-dev/trib/pkg/cluster"
)

type options struct {
	nodes   string
	rate    int
	keys    int
	slots   int
	workers int
	hammer  bool
	length  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.nodes, "nodes", "", "addresses, separated by commas")
	flag.IntVar(&o.rate, "rate", 2000, "operations in a second")
	flag.IntVar(&o.keys, "keys", 1_000_000, "use key:1 to key:N")
	flag.IntVar(&o.slots, "slots", cluster.SlotCount, "use keys of the first N slots only")
	flag.IntVar(&o.workers, "workers", 32, "clients at work")
	flag.BoolVar(&o.hammer, "hammer", false, "as fast as possible, in place of -rate")
	flag.DurationVar(&o.length, "for", time.Hour, "how long; a signal ends it too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.length)
	defer cancel()
	// The defaults of the library are the point: they are what applications have.
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(o.nodes, ",")})
	defer client.Close()
	r := &run{o: o, client: client, keys: keysOf(o), value: strings.Repeat("0", 100), errors: make(map[string]int)}
	r.work(ctx)
	fmt.Println(r.summary())
}

// keysOf are the keys that lie in the slots to be used.
func keysOf(o options) []string {
	var keys []string
	for i := 1; i <= o.keys; i++ {
		if key := fmt.Sprintf("key:%d", i); cluster.KeySlot(key) < o.slots {
			keys = append(keys, key)
		}
	}
	return keys
}

type run struct {
	o      options
	client *redis.ClusterClient
	keys   []string
	value  string

	mu        sync.Mutex
	latencies []time.Duration
	errors    map[string]int
}

// work lets the workers take the operations in turn, each when it is due.
func (r *run) work(ctx context.Context) {
	due := make(chan time.Time, r.o.rate)
	var wg sync.WaitGroup
	for range r.o.workers {
		wg.Go(func() { r.worker(due) })
	}
	next := time.Now()
	for ctx.Err() == nil {
		if r.o.hammer {
			next = time.Now()
		} else {
			next = next.Add(time.Second / time.Duration(r.o.rate))
			time.Sleep(time.Until(next))
		}
		select {
		case due <- next:
		case <-ctx.Done():
		}
	}
	close(due)
	wg.Wait()
}

func (r *run) worker(due <-chan time.Time) {
	for at := range due {
		if r.o.hammer {
			at = time.Now()
		}
		err := r.operate(r.keys[rand.IntN(len(r.keys))])
		took := time.Since(at)
		r.mu.Lock()
		r.latencies = append(r.latencies, took)
		if err != nil && err != redis.Nil {
			r.errors[kind(err)]++
		}
		r.mu.Unlock()
	}
}

func (r *run) operate(key string) error {
	ctx := context.Background()
	if rand.IntN(2) == 0 {
		return r.client.Get(ctx, key).Err()
	}
	return r.client.Set(ctx, key, r.value, 0).Err()
}

// kind is the first word of an error.
func kind(err error) string {
	word, _, _ := strings.Cut(err.Error(), " ")
	return word
}

func (r *run) summary() string {
	slices.Sort(r.latencies)
	at := func(q float64) float64 {
		if len(r.latencies) == 0 {
			return 0
		}
		return r.latencies[int(q*float64(len(r.latencies)-1))].Seconds() * 1000
	}
	return fmt.Sprintf("ops=%d errors=%v p50=%.2f p99=%.2f p99.9=%.2f max=%.2f ms",
		len(r.latencies), r.errors, at(0.5), at(0.99), at(0.999), at(1))
}
