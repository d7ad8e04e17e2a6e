package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/plan"
)

// inTurn does steps one after the other.
func inTurn(do func(context.Context, []int) error) func(context.Context, []int) error {
	return func(ctx context.Context, steps []int) error {
		for i := range steps {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := do(ctx, steps[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// abreastTime is how long nodes may take to hear of each other's epochs before a
// replica takes over without a vote. It does not depend on it: two that took the
// same epoch would settle that.
const abreastTime = 3 * time.Second

// takeoverReady lets a replica hear of what others took before it: without a vote
// it takes the next epoch that it knows of.
func (r *runner) takeoverReady(ctx context.Context, step plan.Step) {
	r.awaitFor(ctx, min(abreastTime, r.o.WaitTimeout), "the latest epochs to get round", func(ctx context.Context) ([]string, error) {
		s, err := r.observe(ctx)
		if err != nil {
			return nil, err
		}
		return unaware(s, step.Node), nil
	})
}

// unaware is a node where it does not know the epochs of all masters that answer.
func unaware(s cluster.State, id cluster.NodeID) []string {
	m, _ := s.Get(id)
	for _, master := range s.Masters() {
		if n, ok := m.View.Get(master.ID); !ok || n.Epoch < master.View.Self().Epoch {
			return []string{fmt.Sprintf("%s (is behind on %s)", m.Addr, master.Addr)}
		}
	}
	return nil
}

// bumpEpochs raises epochs one after the other, each above the last one.
func (r *runner) bumpEpochs(ctx context.Context, steps []int) error {
	return inTurn(r.bumpEpoch)(ctx, steps)
}

func (r *runner) bumpEpoch(ctx context.Context, steps []int) error {
	step := r.p.Steps[steps[0]]
	what := fmt.Sprintf("%s to have an epoch of its own", r.p.Addr(step.Node))
	return r.await(ctx, what, func(ctx context.Context) ([]string, error) {
		s, err := r.observe(ctx)
		if err != nil {
			return nil, err
		}
		switch status, why := r.p.Status(step, s); status {
		case plan.Done:
			return nil, nil
		case plan.Blocked:
			return nil, &refusedError{&StaleError{[]string{why}}}
		}
		replies, err := r.crew.tell(ctx, r.node(step.Node), driver.Cmd("CLUSTER", "BUMPEPOCH"))
		if err != nil {
			return nil, err
		}
		answer, err := replies[0].Text()
		if err != nil {
			return nil, &refusedError{fmt.Errorf("%s refused CLUSTER BUMPEPOCH: %w", r.p.Addr(step.Node), err)}
		}
		return []string{fmt.Sprintf("%s (answered %s)", r.p.Addr(step.Node), answer)}, nil
	})
}

// silentFor reports whether a member's silence forbids a claim.
func silentFor(step plan.Step, m cluster.Member, s cluster.State) bool {
	return !m.Reachable() && !(step.Dead && plan.Dead(s, m.ID))
}

// agreeing is whether a plan's end waits until all agree about slots. A stage of
// a repair that deals with members only leaves that to the next one.
func (r *runner) agreeing() bool {
	return r.p.Kind != plan.KindFix || slices.ContainsFunc(r.p.Steps, func(step plan.Step) bool { return !step.Slots.Empty() })
}

// meets reports whether the plan introduces nodes: others may shun them for a
// minute.
func meets(p plan.Plan) bool {
	return p.Kind == plan.KindAddNode || p.Kind == plan.KindFix && slices.ContainsFunc(p.Steps, func(step plan.Step) bool { return step.Action == plan.Meet })
}
