package move

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// pace finds out how much one MIGRATE may carry so that it blocks the nodes for
// about as long as it may: it halves after one that took too long, and grows
// slowly after those that did not.
type pace struct {
	most     int // keys
	keys     int
	bytes    int64
	maxBlock time.Duration
}

const (
	leastBytes = 64 << 10
	mostBytes  = 1 << 20
)

func newPace(o Options) pace {
	return pace{most: o.Batch, keys: o.Batch, bytes: mostBytes, maxBlock: o.MaxBlock}
}

// took tells how long a MIGRATE of so much took.
func (p *pace) took(t time.Duration, keys int, bytes int64) {
	switch {
	case t > p.maxBlock:
		p.keys = max(1, min(p.keys, keys)/2)
		p.bytes = max(leastBytes, min(p.bytes, bytes)/2)
	case t < p.maxBlock/2:
		p.keys = min(p.most, p.keys+p.keys/4+1)
		p.bytes = min(mostBytes, p.bytes+p.bytes/4)
	}
}

// Throttle limits how much moves, over all moves that share it. A nil Throttle
// limits nothing.
type Throttle struct {
	keys, bytes *rate.Limiter // nil for no limit
}

// NewThrottle makes a throttle of so many keys and bytes a second; 0 stands for
// no limit.
func NewThrottle(keysPerSecond, bytesPerSecond int64) *Throttle {
	return &Throttle{limiter(keysPerSecond), limiter(bytesPerSecond)}
}

// limiter lets a tenth of a second's worth pass at once.
func limiter(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
}

// wait returns when keys and bytes may go.
func (t *Throttle) wait(ctx context.Context, keys, bytes int64) error {
	if t == nil {
		return nil
	}
	if err := pay(ctx, t.keys, keys); err != nil {
		return err
	}
	return pay(ctx, t.bytes, bytes)
}

// pay takes n from a limiter, in parts where n is more than passes at once.
func pay(ctx context.Context, l *rate.Limiter, n int64) error {
	if l == nil {
		return nil
	}
	for n > 0 {
		part := min(n, int64(l.Burst()))
		if err := l.WaitN(ctx, int(part)); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
