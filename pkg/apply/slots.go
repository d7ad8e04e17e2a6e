package apply

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// settling is how long a slot must rest before it moves again: a slot that was
// moved back within 100 ms lost its keys on Redis 7.0 and 8.0, every reply OK.
const settling = time.Second

// moveSlots carries out one move with what is left of it.
func (r *runner) moveSlots(ctx context.Context, index int) error {
	step := r.p.Steps[index]
	s, err := r.settled(ctx, step)
	if err != nil {
		return err
	}
	switch status, why := r.p.Status(step, s); status {
	case plan.Done:
		return nil
	case plan.Blocked:
		return &StaleError{[]string{fmt.Sprintf("%s is %s: %s", r.p.Describe(step), status, why)}}
	}
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	left := plan.Remaining(step, s)
	e := Event{Kind: SlotsMoved, Step: index, Action: step.Action, Done: step.Slots.Len() - left.Len(), Total: step.Slots.Len()}
	return move.Classic(ctx, r.o.Dialer, r.name, from, to, left, r.o.Move, func(p move.Progress) {
		r.relay(&e, p)
	})
}

// relay turns a mover's progress into events; e accumulates.
func (r *runner) relay(e *Event, p move.Progress) {
	switch {
	case p.Waiting != "":
		r.tell(Event{Kind: Waiting, Step: e.Step, Text: p.Waiting})
	case p.Notice != "":
		r.tell(Event{Kind: Notice, Step: e.Step, Text: p.Notice})
	default:
		e.Slots = p.Slots
		e.Keys += p.Keys
		e.Done += p.Slots.Len()
		r.tell(*e)
	}
}

// settled waits until nobody is behind on the two ends of a move: a target that
// does not know the highest epoch would claim slots with one that loses. Where
// the source has the highest epoch itself, it may have taken these very slots a
// moment ago, and they rest first.
func (r *runner) settled(ctx context.Context, step plan.Step) (cluster.State, error) {
	var s cluster.State
	err := r.await(ctx, "all nodes to know the latest owners", func(ctx context.Context) (waiting []string, err error) {
		s, err = r.observe(ctx)
		return behind(s, step.From, step.To), err
	})
	if err != nil || !newest(s, step.From) {
		return s, err
	}
	select {
	case <-time.After(settling):
	case <-ctx.Done():
		return s, context.Cause(ctx)
	}
	return r.observe(ctx)
}

// behind are the masters whose view of the given nodes' epochs is not what
// these say themselves.
func behind(s cluster.State, ids ...cluster.NodeID) []string {
	var waiting []string
	for _, id := range ids {
		subject, ok := s.Get(id)
		if !ok || !subject.Reachable() {
			continue
		}
		for _, m := range s.Masters() {
			if n, ok := m.View.Get(id); !ok || n.Epoch != subject.View.Self().Epoch {
				waiting = append(waiting, fmt.Sprintf("%s (is behind on %s)", m.Addr, subject.Addr))
			}
		}
	}
	return waiting
}

func newest(s cluster.State, id cluster.NodeID) bool {
	subject, _ := s.Get(id)
	for _, m := range s.Masters() {
		if m.View.Self().Epoch > subject.View.Self().Epoch {
			return false
		}
	}
	return true
}

// closeSlots clears open states that prepare found to protect no keys.
func (r *runner) closeSlots(ctx context.Context, steps []int) error {
	return each(steps, func(i int) error {
		step := r.p.Steps[i]
		var cmds []driver.Command
		for slot := range step.Slots.All() {
			cmds = append(cmds, driver.Cmd("CLUSTER", "SETSLOT", strconv.Itoa(slot), "STABLE"))
		}
		return r.crew.order(ctx, r.node(step.Node), cmds...)
	})
}
