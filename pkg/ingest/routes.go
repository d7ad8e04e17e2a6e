package ingest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// routes know which master has which slot.
type routes struct {
	dialer driver.Dialer
	name   string

	mu    sync.Mutex
	known []cluster.Addr // the one that was asked last stands last
	owner [cluster.SlotCount]cluster.Addr
	read  time.Time
}

func newRoutes(d driver.Dialer, name string, s cluster.State) *routes {
	r := &routes{dialer: d, name: name}
	for _, m := range s.Members {
		r.known = append(r.known, m.Addr)
		if m.IsMaster() {
			for slot := range m.Slots().All() {
				r.owner[slot] = m.Addr
			}
		}
	}
	return r
}

func (r *routes) of(key string) cluster.Addr {
	slot := cluster.KeySlot(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owner[slot]
}

// divide sorts keys by the master that has their slot; those of slots that nobody
// has stand under the zero address.
func (r *routes) divide(keys []string) map[cluster.Addr][]string {
	parts := make(map[cluster.Addr][]string)
	for _, key := range keys {
		addr := r.of(key)
		parts[addr] = append(parts[addr], key)
	}
	return parts
}

// refreshEvery is how often the cluster is asked at most: many batches hear of
// the same failover.
const refreshEvery = 100 * time.Millisecond

// refresh asks one node after the other until one answers.
func (r *routes) refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) < refreshEvery {
		return nil
	}
	r.read = time.Now()
	var errs []error
	for range r.known {
		addr := r.known[0]
		r.known = append(r.known[1:], addr)
		view, err := r.ask(ctx, addr)
		if err == nil {
			r.take(view, addr)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *routes) ask(ctx context.Context, addr cluster.Addr) (cluster.View, error) {
	conn, err := r.dialer.Dial(ctx, addr, r.name)
	if err != nil {
		return cluster.View{}, err
	}
	defer conn.Close()
	return readNodes(ctx, conn)
}

func (r *routes) take(v cluster.View, asked cluster.Addr) {
	clear(r.owner[:])
	for _, n := range v.Nodes {
		if !n.IsMaster() || n.Flags.Has(cluster.FlagFailed) {
			continue
		}
		addr := reachable(n.Addr, asked)
		for slot := range n.Slots.All() {
			r.owner[slot] = addr
		}
		if !slices.Contains(r.known, addr) {
			r.known = append(r.known, addr)
		}
	}
}
