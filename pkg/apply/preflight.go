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
func (r *runner) preflight(ctx context.Context, s cluster.State, todo []int) error {
	obstacles := plan.Preflight(r.p, s, r.o.Move.WaitReplicas)
	if !slices.Contains(r.o.Override, plan.ObstaclePermissions) {
		denied, err := r.denied(ctx, s, todo)
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

// denied is what the user may not do at the ends of the moves, where keys are
// gathered and where slots are claimed.
func (r *runner) denied(ctx context.Context, s cluster.State, todo []int) ([]plan.Obstacle, error) {
	var all []plan.Obstacle
	for _, q := range r.permissions(s, todo) {
		member, _ := s.Get(q.node)
		texts, err := r.deniedAt(ctx, member, q.part)
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			if o := (plan.Obstacle{Code: plan.ObstaclePermissions, Text: text}); !slices.Contains(all, o) {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// part is what a node does in a plan.
type part int

const (
	source part = iota
	target
	atomicSource
	atomicTarget
	holder
	claimer
	decider
	replacer
	giver
)

// permission is a part that a node has, which takes the right to it.
type permission struct {
	node cluster.NodeID
	part part
}

// permissions are all parts of all nodes in the steps that are left to do.
func (r *runner) permissions(s cluster.State, todo []int) []permission {
	var all []permission
	add := func(node cluster.NodeID, p part) {
		if q := (permission{node, p}); !slices.Contains(all, q) {
			all = append(all, q)
		}
	}
	for _, m := range r.movers {
		if m.Method == plan.MethodAtomic {
			add(m.From, atomicSource)
			add(m.To, atomicTarget)
			continue
		}
		add(m.From, source)
		add(m.To, target)
		if r.o.Move.Decide != nil {
			add(m.From, decider)
		}
		from, _ := s.Get(m.From)
		to, _ := s.Get(m.To)
		if r.o.Move.GivesFirst(from.Features, to.Features) {
			add(m.From, giver)
		}
	}
	for _, i := range todo {
		switch step := r.p.Steps[i]; step.Action {
		case plan.GatherKeys, plan.DropKeys, plan.DiscardKeys:
			add(step.From, holder)
			add(step.To, target)
			if r.o.Move.Decide != nil {
				add(step.To, replacer)
			}
		case plan.PinSlots:
			add(step.From, holder)
		case plan.ClaimSlots:
			add(step.Node, claimer)
		}
	}
	return all
}

func (r *runner) deniedAt(ctx context.Context, m cluster.Member, p part) ([]string, error) {
	switch p {
	case source, atomicSource:
		return move.DeniedAtSource(ctx, r.o.Dialer, r.name, m, p == atomicSource)
	case target, atomicTarget:
		return move.DeniedAtTarget(ctx, r.o.Dialer, r.name, m, p == atomicTarget)
	case holder:
		return move.DeniedAtHolder(ctx, r.o.Dialer, r.name, m.Addr)
	case decider:
		return move.DeniedToDecide(ctx, r.o.Dialer, r.name, m.Addr)
	case replacer:
		return move.DeniedToReplace(ctx, r.o.Dialer, r.name, m.Addr)
	case giver:
		return move.DeniedToGive(ctx, r.o.Dialer, r.name, m.Addr)
	}
	return move.DeniedToClaim(ctx, r.o.Dialer, r.name, m.Addr)
}
