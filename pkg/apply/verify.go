package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

// verify waits until every step of the plan counts as done and the nodes agree;
// after create, until the cluster is as ready as was asked for.
func (r *runner) verify(ctx context.Context) error {
	what := "all nodes to agree"
	if r.p.Kind == plan.KindCreate {
		what = "the cluster to be " + string(r.o.Ready)
	}
	unlinked := false
	err := r.await(ctx, what, func(ctx context.Context) ([]string, error) {
		s, err := r.survey(ctx)
		if err == nil {
			err = r.rejoin(ctx, s)
		}
		if err != nil {
			return nil, err
		}
		unlinked = len(unreached(r.p.Nodes, viewsOf(s))) > 0
		return r.lasting(slices.Concat(r.undone(s), r.disagreeing(s), r.unready(s), r.unjoined(s))), nil
	})
	return onBus(err, unlinked)
}

func (r *runner) undone(s cluster.State) []string {
	var waiting []string
	for _, step := range r.p.Steps {
		// The open states that were to be cleared are looked for as findings.
		if step.Action == plan.CloseSlots {
			continue
		}
		if status, why := r.p.Status(step, s); status != plan.Done {
			waiting = append(waiting, fmt.Sprintf("%s: %s %s", r.p.Describe(step), status, why))
		}
	}
	return waiting
}

// disagreeing are the nodes that see other owners than the owners themselves.
func (r *runner) disagreeing(s cluster.State) []string {
	if !r.agreeing() {
		return nil
	}
	var waiting []string
	for _, f := range health.Check(insiders(s)) {
		if f.Code == health.Disagreement || f.Code == health.MultipleOwners {
			waiting = append(waiting, f.Evidence...)
		}
	}
	return waiting
}

func (r *runner) unready(s cluster.State) []string {
	if r.p.Kind != plan.KindCreate || r.o.Ready != ReadyOK {
		return nil
	}
	var waiting []string
	for _, m := range s.Members {
		switch {
		case !m.Reachable():
			waiting = append(waiting, fmt.Sprintf("%s (%s)", m.Addr, m.Unreachable))
		case !m.ClusterOK:
			waiting = append(waiting, fmt.Sprintf("%s (cluster_state is not ok)", m.Addr))
		case m.View.Self().MasterID != "" && !m.Replication.LinkUp:
			waiting = append(waiting, fmt.Sprintf("%s (has not got its master's data)", m.Addr))
		}
	}
	return append(waiting, unreached(r.p.Nodes, viewsOf(s))...)
}

func viewsOf(s cluster.State) map[cluster.NodeID]cluster.View {
	views := make(map[cluster.NodeID]cluster.View, len(s.Members))
	for _, m := range s.Members {
		if m.Reachable() {
			views[m.ID] = m.View
		}
	}
	return views
}

// await polls until nobody is waited for, and says now and then who is. Its
// error is a *WaitError when the time is up; a failed look is one more thing to
// wait for, since nodes come and go while a cluster changes.
func (r *runner) await(ctx context.Context, what string, look func(context.Context) (waiting []string, err error)) error {
	return r.awaitFor(ctx, r.o.WaitTimeout, what, look)
}

func (r *runner) awaitFor(ctx context.Context, limit time.Duration, what string, look func(context.Context) (waiting []string, err error)) error {
	deadline := time.Now().Add(limit)
	notice := time.Now().Add(time.Second)
	for {
		waiting, err := look(ctx)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		if refused, ok := errors.AsType[*refusedError](err); ok {
			return refused.error
		}
		if err != nil {
			waiting = []string{err.Error()}
		}
		now := time.Now()
		if now.After(deadline) {
			return &WaitError{For: what, Nodes: waiting}
		}
		if now.After(notice) {
			notice = now.Add(time.Second)
			r.tell(Event{Kind: Waiting, Text: what, Nodes: waiting})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}
