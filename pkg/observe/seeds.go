package observe

import (
	"context"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// headStart is what the first seed has before the others are tried beside it.
const headStart = 250 * time.Millisecond

// anyOf reads a seed: the first one, unless it is silent or slow; then whichever
// of the others answers before the rest.
func (r reader) anyOf(ctx context.Context, seeds []cluster.Addr) (cluster.Member, error) {
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
			results <- result{i, r.read(ctx, seed)}
		}()
	}
	causes := make([]error, len(seeds))
	for range seeds {
		got := <-results
		if got.err == nil {
			return got.member, nil
		}
		causes[got.seed] = got.err
		if got.seed == 0 {
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
