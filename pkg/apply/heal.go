package apply

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// pinSlots lets nodes that are not to own slots hold on to their keys.
func (r *runner) pinSlots(ctx context.Context, steps []int) error {
	s, err := r.observe(ctx)
	if err != nil {
		return err
	}
	for _, i := range steps {
		step := r.p.Steps[i]
		from, _ := s.Get(step.From)
		to, _ := s.Get(step.To)
		if err := r.unblocked([]int{i}, s); err != nil {
			return err
		}
		if err := move.Pin(ctx, r.o.Dialer, r.name, from, to, step.Slots, r.o.Move); err != nil {
			return err
		}
	}
	return nil
}

// claimSlots lets one node after the other claim slots: two that took a new
// epoch at the same time would take the same one.
func (r *runner) claimSlots(ctx context.Context, steps []int) error {
	for _, i := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.claim(ctx, r.p.Steps[i]); err != nil {
			return err
		}
	}
	return nil
}

// claim gives slots to a node that knows the highest epoch, after a last look at
// who else holds keys of them.
func (r *runner) claim(ctx context.Context, step plan.Step) error {
	var s cluster.State
	err := r.await(ctx, "all nodes to know the latest epochs", func(ctx context.Context) (waiting []string, err error) {
		if s, err = r.observe(ctx); err != nil {
			return nil, err
		}
		for _, m := range s.Masters() {
			waiting = append(waiting, behind(s, m.ID)...)
		}
		return waiting, nil
	})
	if err != nil {
		return err
	}
	observe.Count(ctx, r.o.Dialer, s, func(cluster.Member) cluster.SlotSet { return step.Slots })
	if reasons := endangered(step, s); reasons != nil {
		return &StaleError{Reasons: reasons}
	}
	claimer, _ := s.Get(step.Node)
	if err := r.takeSlots(ctx, claimer, step.Slots); err != nil {
		return err
	}
	if err := r.tellPinned(ctx, step, s); err != nil {
		return err
	}
	return r.await(ctx, "all nodes to know the new owner", func(ctx context.Context) ([]string, error) {
		s, err := r.observe(ctx)
		if err != nil || plan.Claimed(step, s) {
			return nil, err
		}
		return []string{r.p.Describe(step)}, nil
	})
}

// tellPinned tells those who import slots whose they are now: they serve nobody
// as long as a slot has no owner in their view. Redis lets an importing node hear
// of none; Valkey 8 does, and might take the slot itself if it were told first.
func (r *runner) tellPinned(ctx context.Context, step plan.Step, s cluster.State) error {
	for _, m := range s.Masters() {
		if m.Features.ReplicatedSetSlot {
			continue
		}
		var pinned []int
		for slot := range step.Slots.All() {
			if m.View.Self().Importing[slot] == step.Node {
				pinned = append(pinned, slot)
			}
		}
		if err := r.crew.setSlots(ctx, m, pinned, "NODE", string(step.Node)); err != nil {
			return err
		}
	}
	return nil
}

// endangered are the nodes that would lose keys, or slots, to a claim.
func endangered(step plan.Step, s cluster.State) []string {
	var reasons []string
	for _, m := range s.Members {
		if silentFor(step, m, s) {
			reasons = append(reasons, fmt.Sprintf("%s does not answer", m.Addr))
		}
		if !m.IsMaster() || m.ID == step.Node {
			continue
		}
		for slot := range step.Slots.All() {
			keys, counted := m.KeysIn(slot)
			pinned := m.View.Self().Importing[slot] == step.Node
			if m.Slots().Has(slot) || (keys > 0 || !counted) && !pinned {
				reasons = append(reasons, fmt.Sprintf("%s claims slot %d or holds keys of it that are not pinned", m.Addr, slot))
			}
		}
	}
	return reasons
}

// takeSlots claims slots at a node. Where its view has them with others, it has
// to forget that; where it was told once to migrate them, that too. The epoch
// makes the claim win against what others believe.
func (r *runner) takeSlots(ctx context.Context, m cluster.Member, slots cluster.SlotSet) error {
	var bound cluster.SlotSet
	for _, n := range m.View.Nodes {
		bound = bound.Union(n.Slots)
	}
	missing := slots.Minus(m.Slots())
	open := slots.Intersect(m.OpenSlots()).Slots()
	cmds := move.SetSlots(m.Features, open, "STABLE")
	disown := driver.Cmd("CLUSTER", "DELSLOTS")
	for slot := range missing.Intersect(bound).All() {
		disown = append(disown, strconv.Itoa(slot))
	}
	if len(disown) > 2 {
		cmds = append(cmds, disown)
	}
	if !missing.Empty() {
		cmds = append(cmds, addSlots(missing, m.Features.AddSlotsRange))
	}
	node := r.node(m.ID)
	if len(cmds) > 0 {
		if err := r.crew.orderWithin(ctx, move.SetSlotsWithin(m.Features, len(open)), node, cmds...); err != nil {
			return err
		}
	}
	replies, err := r.crew.tell(ctx, node, driver.Cmd("CLUSTER", "BUMPEPOCH"))
	if err != nil {
		return err
	}
	if _, err := replies[0].Text(); err != nil {
		return fmt.Errorf("%s refused CLUSTER BUMPEPOCH: %w", m.Addr, err)
	}
	return nil
}

// gatherKeys brings keys to the owners of their slots, or drops them: all holders
// work at the same time. Keys that need a decision keep no others from that.
func (r *runner) gatherKeys(ctx context.Context, steps []int) error {
	s, err := r.observe(ctx)
	if err != nil {
		return err
	}
	if err := r.unblocked(steps, s); err != nil {
		return err
	}
	var left leftovers
	err = r.bySource(ctx, steps, func(ctx context.Context, i int) error {
		return left.keep(r.gather(ctx, i, s))
	})
	return errors.Join(err, left.err())
}

func (r *runner) gather(ctx context.Context, i int, s cluster.State) error {
	step := r.p.Steps[i]
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	do := move.Gather
	switch step.Action {
	case plan.DropKeys:
		do = move.Drop
	case plan.DiscardKeys:
		do = move.Discard
	}
	e := Event{Kind: SlotsMoved, Step: i, Action: step.Action, Total: step.Slots.Len()}
	// A move before this step may have left slots where they were, because of keys
	// that need a decision.
	away := step.Slots.Minus(to.Slots())
	if !away.Empty() {
		e.Kind, e.Text = Notice, fmt.Sprintf("slots %s have not come to %s: keys of them that %s has stay there", away, to.Addr, from.Addr)
		r.tell(e)
		e.Kind, e.Text = SlotsMoved, ""
	}
	r.begin(i)
	err := do(ctx, r.o.Dialer, r.name, from, to, step.Slots.Minus(away), r.o.Move, func(p move.Progress) { r.relay(&e, p) })
	if err == nil && away.Empty() {
		r.end(i)
	}
	return err
}
