package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// chooseMovers decides how the slots move that are left to move, and refuses
// what would get in the way of moves that the servers carry out now.
func (r *runner) chooseMovers(ctx context.Context, s cluster.State, todo []int) error {
	left := r.p
	left.Steps = nil
	for _, i := range todo {
		left.Steps = append(left.Steps, r.p.Steps[i])
	}
	observe.ForMoves(ctx, r.o.Dialer, s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refusal := left.Unmovable(s, r.o.Movers); refusal != nil {
		return refusal
	}
	r.movers = left.Movers(s, r.o.Movers)
	return nil
}

func (r *runner) mover(step plan.Step) plan.Mover {
	i := slices.IndexFunc(r.movers, func(m plan.Mover) bool { return m.From == step.From && m.To == step.To })
	if i < 0 {
		return plan.Mover{From: step.From, To: step.To, Method: plan.MethodClassic}
	}
	return r.movers[i]
}

// transfer is slots on their way between two nodes.
type transfer struct {
	from, to cluster.Member
	slots    cluster.SlotSet
	report   func(move.Progress)
}

// carry moves slots in the way that was chosen.
func (r *runner) carry(ctx context.Context, step plan.Step, t transfer) error {
	if r.mover(step).Method != plan.MethodAtomic {
		return r.classic(ctx, t)
	}
	if begun := begunClassic(t); !begun.Empty() {
		t.report(move.Progress{Notice: fmt.Sprintf("slots %s were begun in the classic way and are finished so", begun)})
		first := t
		first.slots, t.slots = begun, t.slots.Minus(begun)
		if err := r.classic(ctx, first); err != nil || t.slots.Empty() {
			return err
		}
	}
	return r.atomic(ctx, t)
}

// begunClassic are the slots that are open at either end: the servers do not
// touch them.
func begunClassic(t transfer) cluster.SlotSet {
	return t.slots.Intersect(t.from.OpenSlots().Union(t.to.OpenSlots()))
}

func (r *runner) classic(ctx context.Context, t transfer) error {
	return move.Classic(ctx, r.o.Dialer, r.name, t.from, t.to, t.slots, r.o.Move, t.report)
}

// atomic lets the servers move the slots. Where they give up, and it was left to
// trib how to move them, the rest goes the classic way.
func (r *runner) atomic(ctx context.Context, t transfer) error {
	left := t
	err := move.Atomic(ctx, r.o.Dialer, r.name, t.from, t.to, t.slots, r.o.Move, func(p move.Progress) {
		left.slots = left.slots.Minus(p.Slots)
		t.report(p)
	})
	failed, gaveUp := errors.AsType[*move.JobError](err)
	if !gaveUp || failed.Final || r.o.Movers.Method == plan.MethodAtomic || ctx.Err() != nil {
		return err
	}
	t.report(move.Progress{Notice: fmt.Sprintf("%v; slots %s go the classic way", err, left.slots)})
	return r.classic(ctx, left)
}
