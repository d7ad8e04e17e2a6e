package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// lane takes batches over, one after the other.
type lane struct {
	r       *run
	from    Origin
	source  peer
	targets map[cluster.Addr]*peer
	doubt   bool // some of the keys in hand may have come over unseen
}

func (r *run) newLane(from Origin) *lane {
	return &lane{
		r: r, from: from, source: peer{dialer: r.o.From, addr: from.Addr},
		targets: make(map[cluster.Addr]*peer),
	}
}

// work takes batches until there are no more. One that it has begun is finished,
// whatever ends ctx, unless it has to wait for the cluster.
func (l *lane) work(ctx context.Context, queue <-chan batch, do work) error {
	defer l.close()
	for b := range queue {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := do(ctx, l, b); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) close() {
	l.source.close()
	for _, t := range l.targets {
		t.close()
	}
}

func (l *lane) target(addr cluster.Addr) *peer {
	if l.targets[addr] == nil {
		l.targets[addr] = &peer{dialer: l.r.o.To, name: l.r.name, addr: addr}
	}
	return l.targets[addr]
}

// again is what could not be done at a target now and may be elsewhere or later.
type again struct {
	keys []string
	why  error
}

var errNoOwner = errors.New("no master has the slot")

// settling is how long to wait before the map is read anew.
const settling = 100 * time.Millisecond

// each does something with the keys of a batch at the masters that have their
// slots. What a master does not take is tried again, by a new map, for as long
// as there is patience.
func (l *lane) each(ctx context.Context, b batch, do func(*peer, batch) (again, error)) error {
	deadline := time.Now().Add(l.r.o.Patience)
	for keys := b.keys; ; {
		var left again
		for addr, part := range l.r.routes.divide(keys) {
			rest := again{part, errNoOwner}
			if addr.Known() {
				var err error
				if rest, err = do(l.target(addr), batch{b.db, part, b.bytes}); err != nil {
					return err
				}
			}
			if len(rest.keys) > 0 {
				left.keys, left.why = append(left.keys, rest.keys...), rest.why
			}
		}
		if len(left.keys) == 0 {
			l.doubt = false
			return nil
		}
		if hopeless(left.why) || time.Now().After(deadline) {
			return fmt.Errorf("the cluster does not take keys: %w", left.why)
		}
		l.doubt, keys = true, left.keys
		select {
		case <-time.After(settling):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		l.r.routes.refresh(ctx) // where nobody answers, the old map is tried again
	}
}

// hopeless reports whether a refusal would be every key's, and no map helps.
func hopeless(err error) bool {
	_, refused := errors.AsType[*driver.ServerError](err)
	return refused && !passing(err)
}

// deliver brings a batch over.
func (r *run) deliver(ctx context.Context, l *lane, b batch) error {
	r.touch()
	whole := context.WithoutCancel(ctx)
	return l.each(ctx, b, func(to *peer, b batch) (again, error) { return l.hand(whole, to, b) })
}

// hand gives keys to a master. Those that it has already are compared.
func (l *lane) hand(ctx context.Context, to *peer, b batch) (again, error) {
	missing, present := b.keys, []string(nil)
	if l.asksFirst(to) {
		var err error
		if missing, present, err = l.exist(ctx, to, b); err != nil {
			return again{b.keys, err}, nil
		}
	}
	sent, err := l.carry(ctx, to, batch{b.db, missing, b.bytes})
	if err != nil {
		return again{}, err
	}
	found, err := l.settle(ctx, to, b.db, append(present, sent.busy...))
	if err != nil {
		return again{}, err
	}
	l.r.count(func(t *Totals) {
		t.Copied += int64(len(sent.copied))
		t.Skipped += int64(len(found.equal))
		t.Gone += int64(sent.gone + found.gone)
	})
	left := again{append(sent.again.keys, found.again.keys...), errors.Join(sent.again.why, found.again.why)}
	if !l.r.o.Move {
		return left, nil
	}
	return left, l.drop(ctx, to, b.db, append(sent.copied, found.equal...))
}

// asksFirst reports whether a master is asked which keys it has: one that was
// empty at the start has none.
func (l *lane) asksFirst(to *peer) bool {
	if l.r.o.Replace {
		return false
	}
	filled, known := l.r.filled[to.addr]
	return l.doubt || filled || !known || l.r.o.Merges()
}
