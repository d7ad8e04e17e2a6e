package observe

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// ForMoves adds to the masters of s what the choice of a mover needs: the moves
// that servers carry out by themselves or remember, and what keeps them from it.
// A member that fails on the way becomes unreachable.
func ForMoves(ctx context.Context, d driver.Dialer, s cluster.State) {
	g := newGate()
	var wg sync.WaitGroup
	for i := range s.Members {
		m := &s.Members[i]
		if !m.IsMaster() || m.Features.Atomic == cluster.NoDialect {
			continue
		}
		wg.Go(func() {
			defer g.enter()()
			if err := readMoves(ctx, d, m); err != nil {
				m.Unreachable, m.Cause = reason(err, m.Addr), causeOf(err)
			}
		})
	}
	wg.Wait()
}

func readMoves(ctx context.Context, d driver.Dialer, m *cluster.Member) error {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, m.Addr, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	replies, err := conn.Do(ctx, driver.JobsCommand(m.Features.Atomic),
		driver.Cmd("CONFIG", "GET", "requirepass"), driver.Cmd("CONFIG", "GET", "primaryauth"), driver.Cmd("INFO", "modules"))
	if err != nil {
		return err
	}
	// A user who may not ask sees none, and is refused by the move itself.
	if m.Jobs, err = driver.ReadJobs(replies[0]); err != nil && !driver.HasCode(err, "NOPERM") {
		return fmt.Errorf("%s: %w", m.Addr, err)
	}
	if m.Features.Atomic == cluster.MigrateSlots {
		m.Admission = cluster.Admission{
			DemandsPassword: isSet(replies[1]), HasPassword: isSet(replies[2]) || replies[2].Err != nil,
			Modules: forbidding(replies[3]),
		}
	}
	return nil
}

// isSet reports whether CONFIG GET found something. Only that is kept.
func isSet(r driver.Reply) bool {
	pair, err := r.Strings()
	return err == nil && len(pair) == 2 && pair[1] != ""
}

// forbidding are the loaded modules that do not say that they can stand slots
// that come and go by themselves: one is enough for Valkey to refuse.
func forbidding(r driver.Reply) []string {
	text, _ := r.Text()
	var names []string
	for line := range strings.Lines(text) {
		module, ok := strings.CutPrefix(strings.TrimSpace(line), "module:name=")
		if ok && !strings.Contains(module, "handle-atomic-slot-migration") {
			name, _, _ := strings.Cut(module, ",")
			names = append(names, name)
		}
	}
	return names
}
