package observe

import (
	"context"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// headStart is what the first seed has before the others are tried beside it.
const headStart = 250 * time.Millisecond

// anyOf reads a seed: the first one, unless it is silent or slow; then whichever
// of the others answers before the rest.
func anyOf(ctx context.Context, d driver.Dialer, seeds []cluster.Addr) (cluster.Member, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		seed int
		reading
	}
	results := make(chan result, len(seeds)) // nobody waits for those who lose
	failed := make(chan struct{})
	g := newGate()
	for i, seed := range seeds {
		go func() {
			if i > 0 {
				sit(ctx, failed, headStart)
			}
			defer g.enter()()
			results <- result{i, read(ctx, d, seed)}
		}()
	}
	causes := make([]error, len(seeds))
	for range seeds {
		r := <-results
		if r.err == nil {
			return r.member, nil
		}
		causes[r.seed] = r.err
		if r.seed == 0 {
			close(failed)
		}
	}
	return cluster.Member{}, &SeedError{causes}
}

// sit waits until it is time to begin.
func sit(ctx context.Context, begin <-chan struct{}, limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-begin:
	case <-t.C:
	}
}
