package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// settling is how long a slot must rest before it moves again: a slot that was
// moved back within 100 ms lost its keys on Redis 7.0 and 8.0, every reply OK.
const settling = time.Second

// sourcesAtOnce is how many sources give slots at the same time.
const sourcesAtOnce = 16

// moveSlots carries out moves that may run side by side: each source works its
// own off one after the other, and all sources work at the same time. Keys that
// need a decision and slots that were left because of big keys stop nothing but
// are an error in the end; any other failure stops everything.
func (r *runner) moveSlots(ctx context.Context, steps []int) error {
	s, err := r.settled(ctx, steps)
	if err != nil {
		return err
	}
	if err := r.unblocked(steps, s); err != nil {
		return err
	}
	var left leftovers
	err = r.bySource(ctx, steps, func(ctx context.Context, i int) error {
		return left.keep(r.moveStep(ctx, i, s))
	})
	r.moved, r.fresh = time.Now(), r.fresh.Union(r.slotsOf(steps))
	return errors.Join(err, left.err())
}

func (r *runner) slotsOf(steps []int) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, i := range steps {
		slots = slots.Union(r.p.Steps[i].Slots)
	}
	return slots
}

// bySource carries out steps: each source works its own off one after the other,
// and all sources work at the same time.
func (r *runner) bySource(ctx context.Context, steps []int, do func(context.Context, int) error) error {
	var sources []cluster.NodeID
	of := make(map[cluster.NodeID][]int)
	for _, i := range steps {
		from := r.p.Steps[i].From
		if of[from] == nil {
			sources = append(sources, from)
		}
		of[from] = append(of[from], i)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sourcesAtOnce)
	for _, from := range sources {
		g.Go(func() error {
			for _, i := range of[from] {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// moveStep carries out what is left of one move.
func (r *runner) moveStep(ctx context.Context, index int, s cluster.State) error {
	step := r.p.Steps[index]
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	slots := plan.Remaining(step, s)
	e := Event{Kind: SlotsMoved, Step: index, Action: step.Action, Done: step.Slots.Len() - slots.Len(), Total: step.Slots.Len()}
	r.begin(index)
	err := r.carry(ctx, step, transfer{from, to, slots, func(p move.Progress) { r.relay(&e, p) }})
	if err == nil {
		r.end(index)
	}
	return err
}

// unblocked refuses moves for which the cluster has changed since the last look.
func (r *runner) unblocked(steps []int, s cluster.State) error {
	stale := &StaleError{}
	for _, i := range steps {
		if status, why := r.p.Status(r.p.Steps[i], s); status == plan.Blocked {
			stale.Reasons = append(stale.Reasons, fmt.Sprintf("%s is %s: %s", r.p.Describe(r.p.Steps[i]), status, why))
		}
	}
	if stale.Reasons != nil {
		return stale
	}
	return nil
}

// leftovers are what moves left behind that need not stop the others.
type leftovers struct {
	mu        sync.Mutex
	conflicts move.ConflictError
	big       move.BigKeysError
}

// keep takes what can wait of an error; if there is more to it, it returns it.
func (l *leftovers) keep(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	conflict, differ := errors.AsType[*move.ConflictError](err)
	big, heavy := errors.AsType[*move.BigKeysError](err)
	if differ {
		l.conflicts.Conflicts = append(l.conflicts.Conflicts, conflict.Conflicts...)
	}
	if heavy {
		l.big.Keys = append(l.big.Keys, big.Keys...)
	}
	if !(differ || heavy) || moreThanLeftovers(err) {
		return err
	}
	return nil
}

// moreThanLeftovers reports whether a mover's error names anything but keys.
func moreThanLeftovers(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		_, conflict := err.(*move.ConflictError)
		_, big := err.(*move.BigKeysError)
		return !conflict && !big
	}
	return slices.ContainsFunc(joined.Unwrap(), moreThanLeftovers)
}

func (l *leftovers) err() error {
	var errs []error
	if l.conflicts.Conflicts != nil {
		errs = append(errs, &l.conflicts)
	}
	if l.big.Keys != nil {
		errs = append(errs, &l.big)
	}
	return errors.Join(errs...)
}

// relay turns a mover's progress into events; e accumulates.
func (r *runner) relay(e *Event, p move.Progress) {
	switch {
	case p.Waiting != "":
		r.tell(Event{Kind: Waiting, Step: e.Step, Action: e.Action, Text: p.Waiting})
	case p.Notice != "":
		r.tell(Event{Kind: Notice, Step: e.Step, Action: e.Action, Text: p.Notice})
	default:
		e.Slots = p.Slots
		e.Keys += p.Keys
		e.Bytes += p.Bytes
		e.Done += p.Slots.Len()
		r.tell(*e)
	}
}

// settled waits until nobody is behind on the ends of the moves: a target that
// does not know the highest epoch would claim slots with one that loses. Where
// a source may have taken these very slots a moment ago, they rest first.
func (r *runner) settled(ctx context.Context, steps []int) (cluster.State, error) {
	var s cluster.State
	err := r.await(ctx, "all nodes to know the latest owners", func(ctx context.Context) (waiting []string, err error) {
		s, err = r.observe(ctx)
		return append(behind(s, r.ends(steps)...), r.misled(s, steps)...), err
	})
	rest := time.Until(r.rested(steps, s))
	if err != nil || rest <= 0 {
		return s, err
	}
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return s, context.Cause(ctx)
	}
	return r.observe(ctx)
}

// rested is when slots have stayed for long enough where they are. What this run
// has not moved itself was there when it was first looked at.
func (r *runner) rested(steps []int, s cluster.State) time.Time {
	switch {
	case !r.fresh.Intersect(r.slotsOf(steps)).Empty():
		return r.moved.Add(settling)
	case slices.ContainsFunc(steps, func(i int) bool { return mayBeFresh(s, r.p.Steps[i]) }):
		return r.seen.Add(settling)
	}
	return time.Time{}
}

// misled are the masters that see somebody else as owner of slots that are to
// move: they have not heard of the last move yet. One that imports them from a
// node that has failed will not hear of that node's successor before it is told.
func (r *runner) misled(s cluster.State, steps []int) []string {
	var waiting []string
	for _, m := range s.Masters() {
		for _, n := range m.View.Nodes {
			for _, i := range steps {
				step := r.p.Steps[i]
				if wrong := n.Slots.Intersect(step.Slots).Minus(deafFor(m, n)); n.ID != step.From && n.ID != step.To && !wrong.Empty() {
					waiting = append(waiting, fmt.Sprintf("%s (sees %s as owner of slots %s)", m.Addr, n.Addr, wrong))
				}
			}
		}
	}
	return waiting
}

// deafFor are the slots that m imports from a node that has failed.
func deafFor(m cluster.Member, n cluster.Node) cluster.SlotSet {
	var slots []int
	for slot, from := range m.View.Self().Importing {
		if from == n.ID && n.Flags.Has(cluster.FlagFailed) {
			slots = append(slots, slot)
		}
	}
	return cluster.SlotsOf(slots...)
}

// ends are the sources and targets of moves, each once.
func (r *runner) ends(steps []int) []cluster.NodeID {
	var ids []cluster.NodeID
	for _, i := range steps {
		ids = append(ids, r.p.Steps[i].From, r.p.Steps[i].To)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
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

// mayBeFresh reports whether the source may have its slots from the target since
// a moment ago: whoever takes slots gets the highest epoch. A target without
// slots and without an epoch never had any.
func mayBeFresh(s cluster.State, step plan.Step) bool {
	from, _ := s.Get(step.From)
	to, _ := s.Get(step.To)
	if to.View.Self().Epoch == 0 && to.Slots().Empty() {
		return false
	}
	return from.View.Self().Epoch > to.View.Self().Epoch
}

// closeSlots clears open states that protect no keys. Clients may have written
// since prepare found that, so it is looked at once more.
func (r *runner) closeSlots(ctx context.Context, steps []int) error {
	s, err := r.observe(ctx)
	if err != nil {
		return err
	}
	observe.Count(ctx, r.o.Dialer, s, r.slotsToClose)
	if err := r.unblocked(steps, s); err != nil {
		return err
	}
	return each(steps, func(i int) error {
		m, _ := s.Get(r.p.Steps[i].Node)
		return r.crew.setSlots(ctx, m, m.OpenSlots().Intersect(r.p.Steps[i].Slots).Slots(), "STABLE")
	})
}
