package ingest

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
)

// Run brings the keys in. Its error is a *StoppedError where it ended before it
// had seen all of them, a *LeftError where some did not come over, and any other
// where nothing was changed. A cancelled ctx ends it after the batches in hand.
func Run(ctx context.Context, o Options) (Totals, error) {
	r := newRun(o)
	locked, release, err := r.lock(ctx)
	if err != nil {
		return Totals{}, err
	}
	defer release()
	err = r.all(locked, r.deliver)
	return r.totals, r.judge(err)
}

// Verify compares every key of the source with the cluster's, and changes
// nothing. Those that are equal count as skipped, those with another value as
// existing, and those that the cluster lacks as failed.
func Verify(ctx context.Context, o Options) (Totals, error) {
	r := newRun(o)
	r.routes = newRoutes(o.To, "", o.Cluster)
	err := r.all(ctx, r.examine)
	return r.totals, r.judge(err)
}

// run is one run over all keys.
type run struct {
	o      Options
	name   string // of every connection to the cluster
	routes *routes

	mu      sync.Mutex
	totals  Totals
	changed bool                  // something may have been sent to the cluster
	filled  map[cluster.Addr]bool // masters that had keys at the start
	ways    map[cluster.Addr]*way // to each master
}

func newRun(o Options) *run {
	r := &run{o: o.withDefaults(), filled: make(map[cluster.Addr]bool), ways: make(map[cluster.Addr]*way)}
	for _, m := range o.Cluster.Masters() {
		r.filled[m.Addr] = m.Keys() > 0
	}
	return r
}

// lock takes the lock of the cluster's operators. The context that it returns ends
// with it.
func (r *run) lock(ctx context.Context) (context.Context, func(), error) {
	var addrs []cluster.Addr
	for _, m := range r.o.Cluster.Masters() {
		addrs = append(addrs, m.Addr)
	}
	l, release := r.o.Held, func() {}
	if l == nil {
		var err error
		if l, err = lock.Acquire(ctx, r.o.To, addrs, r.o.Lock); err != nil {
			return nil, nil, err
		}
		release = l.Release
	}
	r.name = l.Name()
	r.routes = newRoutes(r.o.To, r.name, r.o.Cluster)
	ctx, cancel := l.Context(ctx)
	return ctx, func() { cancel(); release() }, nil
}

// all takes every origin at the same time: each is a server of its own.
func (r *run) all(ctx context.Context, work work) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, origin := range r.o.Origins {
		g.Go(func() error { return r.drain(ctx, origin, work) })
	}
	return g.Wait()
}

// work is what is done with a batch.
type work func(context.Context, *lane, batch) error

// batch is keys that go to one master.
type batch struct {
	db    int // of the source
	keys  []string
	bytes int64
}

// drain takes all keys of one server through lanes to the masters.
func (r *run) drain(ctx context.Context, from Origin, work work) error {
	g, ctx := errgroup.WithContext(ctx)
	s := r.newScanner(from)
	for _, m := range r.o.Cluster.Masters() {
		queue := make(chan batch, 1)
		s.queues[m.Addr] = queue
		for range lanesPerTarget {
			l := r.newLane(from)
			g.Go(func() error { return l.work(ctx, queue, work) })
		}
	}
	g.Go(func() error { return s.scan(ctx) })
	return g.Wait()
}

func (r *run) count(add func(*Totals)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.totals)
	r.o.Report(r.totals)
}

// problem counts a key that did not come over; the first few are named.
func (r *run) problem(p Problem) {
	r.count(func(t *Totals) {
		if p.Existing {
			t.Existing++
		} else {
			t.Failed++
		}
		if len(t.Problems) < samplesKept {
			t.Problems = append(t.Problems, p)
		}
	})
}

func (r *run) fail(db int, keys []string, why string) {
	for _, key := range keys {
		r.problem(Problem{DB: db, Key: key, Why: why})
	}
}

func (r *run) touch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = true
}

func (r *run) judge(err error) error {
	switch {
	case err != nil && r.changed:
		return &StoppedError{err}
	case err != nil:
		return err
	case r.totals.Failed > 0 || r.totals.Existing > 0:
		return &LeftError{r.totals}
	}
	return nil
}

// sourceError is a source that does not answer any more: there is nothing to go on
// with.
func sourceError(err error) error {
	if driver.IsTransport(err) {
		return fmt.Errorf("the source does not answer any more: %w", err)
	}
	return fmt.Errorf("the source: %w", err)
}
