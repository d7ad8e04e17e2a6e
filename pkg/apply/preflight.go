package apply

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// preflight refuses moves that the nodes are not fit for, before anything is
// changed.
func (r *runner) preflight(ctx context.Context, s cluster.State) error {
	obstacles := plan.Preflight(r.p, s, r.o.Move.WaitReplicas)
	if !slices.Contains(r.o.Override, plan.ObstaclePermissions) {
		denied, err := r.denied(ctx, s)
		if err != nil {
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
func (r *runner) denied(ctx context.Context, s cluster.State) ([]plan.Obstacle, error) {
	type side struct {
		node   cluster.NodeID
		target bool
		atomic bool
	}
	asked := make(map[side]bool)
	var obstacles []plan.Obstacle
	for _, m := range r.movers {
		atomic := m.Method == plan.MethodAtomic
		for _, end := range []side{{m.From, false, atomic}, {m.To, true, atomic}} {
			if asked[end] {
				continue
			}
			asked[end] = true
			ask := move.DeniedAtSource
			if end.target {
				ask = move.DeniedAtTarget
			}
			member, _ := s.Get(end.node)
			texts, err := ask(ctx, r.o.Dialer, r.name, member, atomic)
			if err != nil {
				return nil, err
			}
			for _, text := range texts {
				obstacles = append(obstacles, plan.Obstacle{Code: plan.ObstaclePermissions, Text: text})
			}
		}
	}
	return obstacles, nil
}
