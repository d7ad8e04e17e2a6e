package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/plan"
)

const (
	// electionTries is how often a failover is begun: a master that is too busy
	// lets it expire, and an election may be split.
	electionTries = 3
	// electionTime is longer than the servers give a failover that was asked for.
	electionTime = 8 * time.Second
	// closeBehind is how many bytes a replica may lack when its master is stopped
	// to let it catch up.
	closeBehind = 1 << 20
)

// failover lets a replica take its master's place.
func (r *runner) failover(ctx context.Context, steps []int) error {
	step := r.p.Steps[steps[0]]
	node := r.node(step.Node)
	if step.Mode == plan.Graceful {
		if err := r.caughtUp(ctx, step); err != nil {
			return err
		}
	}
	if step.Mode == plan.Takeover {
		r.takeoverReady(ctx, step)
	}
	var last error
	for range electionTries {
		if err := r.stillWanted(ctx, step); err != nil {
			return err
		}
		if last = r.elect(ctx, step); last == nil {
			return nil
		}
		var wait *WaitError
		if !errors.As(last, &wait) {
			return last
		}
	}
	return fmt.Errorf("%s was not elected in %d tries: %w", node.Addr, electionTries, last)
}

// stillWanted refuses what the plan did not expect. A dead master that has come
// back meanwhile would lose what only it has.
func (r *runner) stillWanted(ctx context.Context, step plan.Step) error {
	s, err := r.survey(ctx)
	if err != nil {
		return err
	}
	if status, why := r.p.Status(step, s); status == plan.Blocked {
		return &StaleError{[]string{why}}
	}
	return nil
}

// caughtUp waits until a replica has almost all of its master's data: the
// master serves nobody while the replica gets the rest.
func (r *runner) caughtUp(ctx context.Context, step plan.Step) error {
	what := fmt.Sprintf("%s to catch up with its master", r.p.Addr(step.Node))
	return r.await(ctx, what, func(ctx context.Context) ([]string, error) {
		s, err := r.observe(ctx)
		if err != nil {
			return nil, err
		}
		replica, _ := s.Get(step.Node)
		master, _ := s.Get(step.Master)
		behind := master.Replication.Offset - replica.Replication.Offset
		switch {
		case replica.IsMaster():
			return nil, nil
		case !replica.Replication.LinkUp:
			return []string{fmt.Sprintf("%s (its link to %s is down)", replica.Addr, master.Addr)}, nil
		case master.Replication.Offset == 0 && !master.Features.AddSlotsRange:
			// Redis 6 takes it for not knowing yet how far the replica has to come. The
			// first of the pings that masters send every 10 s ends that.
			return []string{fmt.Sprintf("%s (has replicated nothing yet)", master.Addr)}, nil
		case behind > closeBehind:
			return []string{fmt.Sprintf("%s (%d bytes behind)", replica.Addr, behind)}, nil
		}
		return nil, nil
	})
}

// elect asks once, and waits until the replica calls itself a master.
func (r *runner) elect(ctx context.Context, step plan.Step) error {
	node := r.node(step.Node)
	cmd := driver.Cmd("CLUSTER", "FAILOVER")
	if step.Mode != plan.Graceful {
		cmd = append(cmd, strings.ToUpper(string(step.Mode)))
	}
	promoted := func(ctx context.Context) ([]string, error) {
		views, err := r.crew.views(ctx, []plan.Node{node})
		if err != nil || views[node.ID].Self().IsMaster() {
			return nil, err
		}
		return []string{fmt.Sprintf("%s (is a replica still)", node.Addr)}, nil
	}
	if waiting, err := promoted(ctx); err == nil && waiting == nil {
		return nil
	}
	// A reply that did not come leaves open whether it has begun: that shows.
	if err := r.crew.order(ctx, node, cmd); err != nil && !driver.IsTransport(err) {
		return err
	}
	return r.awaitFor(ctx, min(electionTime, r.o.WaitTimeout), fmt.Sprintf("%s to become the master", node.Addr), promoted)
}
