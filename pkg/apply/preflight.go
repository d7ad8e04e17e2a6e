package apply

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// preflight refuses moves that the nodes are not fit for, before anything is
// changed.
func (r *runner) preflight(ctx context.Context, s cluster.State, todo []int) error {
	obstacles := plan.Preflight(r.p, s, r.o.Move.WaitReplicas)
	if !slices.Contains(r.o.Override, plan.ObstaclePermissions) {
		denied, err := r.denied(ctx, todo)
		if err != nil {
			return err
		}
		obstacles = append(obstacles, denied...)
		if denied, err = r.deniedSteps(ctx, s, todo); err != nil {
			return err
		}
		obstacles = append(obstacles, denied...)
	}
	obstacles = slices.DeleteFunc(obstacles, func(o plan.Obstacle) bool { return slices.Contains(r.o.Override, o.Code) })
	if len(obstacles) > 0 {
		return &PreflightError{obstacles}
	}
	return nil
}

// denied is what the user may not do at the ends of the moves.
func (r *runner) denied(ctx context.Context, todo []int) ([]plan.Obstacle, error) {
	sources, targets := make(map[cluster.NodeID]bool), make(map[cluster.NodeID]bool)
	for _, i := range todo {
		if step := r.p.Steps[i]; step.Action == plan.MoveSlots {
			sources[step.From], targets[step.To] = true, true
		}
	}
	atSources, err := r.deniedAt(ctx, sources, move.DeniedAtSource)
	if err != nil {
		return nil, err
	}
	atTargets, err := r.deniedAt(ctx, targets, move.DeniedAtTarget)
	return append(atSources, atTargets...), err
}

func (r *runner) deniedAt(ctx context.Context, ids map[cluster.NodeID]bool,
	ask func(context.Context, driver.Dialer, string, cluster.Addr) ([]string, error),
) ([]plan.Obstacle, error) {
	var obstacles []plan.Obstacle
	for _, n := range r.p.Nodes {
		if !ids[n.ID] {
			continue
		}
		texts, err := ask(ctx, r.o.Dialer, r.name, n.Addr)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			obstacles = append(obstacles, plan.Obstacle{Code: plan.ObstaclePermissions, Text: text})
		}
	}
	return obstacles, nil
}
