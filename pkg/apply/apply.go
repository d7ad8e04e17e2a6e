package apply

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// Readiness is how far a new cluster must have come before create is done.
type Readiness string

// A cluster is joined when every node has met every other, all agree about the
// slots and every replica follows its master; it is ok when every node also
// serves clients and every replica holds its master's data.
const (
	ReadyJoined Readiness = "joined"
	ReadyOK     Readiness = "ok"
)

const (
	defaultWait = 60 * time.Second
	poll        = 25 * time.Millisecond
)

// Options say how to carry out a plan.
type Options struct {
	Dialer   driver.Dialer
	Observer Observer // may be nil
	Lock     lock.Options
	Move     move.Options
	Movers   plan.MoverOptions

	Override []plan.ObstacleCode // obstacles that shall not keep it from starting

	Ready       Readiness     // for create; default ReadyOK
	WaitTimeout time.Duration // for every wait; default 60 s
	FullMesh    int           // for create: up to how many nodes all meet all; default 200
}

// Run carries out a plan. Its error is a *StaleError, a *PreflightError, a
// *plan.Refusal, a *lock.HeldError or
// whatever else kept it from starting where nothing was changed, and a
// *PartialError where something was. A cancelled ctx stops it at the next point
// that leaves every slot closed or resumable.
func Run(ctx context.Context, p plan.Plan, o Options) error {
	r := newRunner(p, o)
	defer r.close()
	ctx, release, err := r.takeLock(ctx)
	if err != nil {
		return err
	}
	defer release()
	todo, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	r.tell(Event{Kind: Started, Total: len(todo)})
	if err := r.carryOut(ctx, todo); err != nil {
		return err
	}
	r.tell(Event{Kind: Finished, Elapsed: time.Since(start)})
	return nil
}

// Rehearse finds out whether Run would begin: it looks at the same things in the
// same order, takes no lock and changes nothing. Its error is a *StaleError, a
// *PreflightError, or whatever kept it from looking.
func Rehearse(ctx context.Context, p plan.Plan, o Options) error {
	r := newRunner(p, o)
	defer r.close()
	_, err := r.prepare(ctx)
	return err
}

type runner struct {
	p       plan.Plan
	o       Options
	name    string // client name of every connection
	crew    *crew
	movers  []plan.Mover // of the pairs between which slots are to move
	changed atomic.Bool  // something was sent that may have changed the cluster
	done    atomic.Int32 // steps
	telling sync.Mutex
	seen    time.Time       // when it was first seen who owns what
	moved   time.Time       // when slots were last moved
	fresh   cluster.SlotSet // these slots
	met     time.Time       // when nodes were last told to meet again
	agreed  time.Time       // since when all agree
}

func newRunner(p plan.Plan, o Options) *runner {
	if o.Ready == "" {
		o.Ready = ReadyOK
	}
	if o.WaitTimeout == 0 {
		o.WaitTimeout = defaultWait
		if meets(p) {
			o.WaitTimeout = forgetWatch + defaultWait/2 // a node that has just been forgotten is shunned so long
		}
	}
	if o.FullMesh == 0 {
		o.FullMesh = defaultFullMesh
	}
	if o.Observer == nil {
		o.Observer = func(Event) {}
	}
	if o.Lock.Operation == "" {
		o.Lock.Operation = string(p.Kind)
	}
	r := &runner{p: p, o: o}
	r.o.Dialer = driver.Witness(o.Dialer, func(driver.Command) { r.changed.Store(true) })
	return r
}

func (r *runner) close() {
	if r.crew != nil {
		r.crew.close()
	}
}

func (r *runner) tell(e Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.o.Observer(e)
}

// observe reads the nodes of a plan that forms a cluster one by one, since they
// do not know each other, and the whole cluster for any other plan.
func (r *runner) observe(ctx context.Context) (cluster.State, error) {
	addrs := make([]cluster.Addr, len(r.p.Nodes))
	for i, n := range r.p.Nodes {
		addrs[i] = n.Addr
	}
	if r.p.Kind == plan.KindCreate {
		return observe.Nodes(ctx, r.o.Dialer, addrs), nil
	}
	return observe.Cluster(ctx, r.o.Dialer, addrs...)
}

// takeLock locks the masters; of a cluster yet to be formed, all nodes. The
// context that it returns ends with the lock.
func (r *runner) takeLock(ctx context.Context) (context.Context, func(), error) {
	s, err := r.survey(ctx)
	if err != nil {
		return nil, nil, err
	}
	var addrs []cluster.Addr
	for _, m := range s.Members {
		if m.IsMaster() || r.p.Kind == plan.KindCreate {
			addrs = append(addrs, m.Addr)
		}
	}
	l, err := lock.Acquire(ctx, r.o.Dialer, addrs, r.o.Lock)
	if err != nil {
		return nil, nil, err
	}
	// Ending another operator's connections changes nothing in the cluster.
	r.changed.Store(false)
	r.name = l.Name()
	r.crew = newCrew(r.o.Dialer, r.name)
	r.o.Move.Abort = l.Lost()
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-l.Lost():
			cancel(lock.ErrLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); l.Release() }, nil
}

// prepare looks again now that nobody else works here, and returns the steps
// that are left to do. A blocked step means that the plan is stale.
func (r *runner) prepare(ctx context.Context) ([]int, error) {
	s, err := r.survey(ctx)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r.seen = time.Now()
	observe.Count(ctx, r.o.Dialer, s, r.slotsToClose)
	var todo []int
	stale := &StaleError{}
	for i, step := range r.p.Steps {
		switch status, why := r.p.Status(step, s); status {
		case plan.Ready:
			todo = append(todo, i)
		case plan.Blocked:
			stale.Reasons = append(stale.Reasons, fmt.Sprintf("%s: %s", r.p.Describe(step), why))
		}
	}
	if stale.Reasons != nil {
		return nil, stale
	}
	r.done.Store(int32(len(r.p.Steps) - len(todo)))
	if err := r.chooseMovers(ctx, s, todo); err != nil {
		return nil, err
	}
	return todo, r.preflight(ctx, s, todo)
}

// slotsToClose are the slots whose open state a step of the plan clears on m:
// only where no keys are at stake, so these are counted. So are those whose keys
// it gathers from m.
func (r *runner) slotsToClose(m cluster.Member) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, step := range r.p.Steps {
		if step.Action == plan.CloseSlots && step.Node == m.ID || step.Action.Gathers() && step.From == m.ID {
			slots = slots.Union(step.Slots)
		}
	}
	return slots
}

// carryOut does the steps, those of a kind together, and then verifies. In a
// repair, keys that need a decision keep no other keys from their way.
func (r *runner) carryOut(ctx context.Context, todo []int) error {
	var left leftovers
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return r.stopped(errors.Join(context.Cause(ctx), left.err()))
		}
		n := r.wave(todo)
		err := r.do(ctx, todo[:n])
		if r.p.Kind == plan.KindFix && r.carriesKeys(todo[n:]) {
			err = left.keep(err)
		}
		if err != nil {
			return r.stopped(errors.Join(err, left.err()))
		}
		todo = todo[n:]
	}
	if err := left.err(); err != nil {
		return r.stopped(err)
	}
	if err := r.verify(ctx); err != nil {
		return r.stopped(err)
	}
	return nil
}

// carriesKeys reports whether the next step moves keys, and nothing that relies
// on where others are.
func (r *runner) carriesKeys(todo []int) bool {
	if len(todo) == 0 {
		return false
	}
	action := r.p.Steps[todo[0]].Action
	return action == plan.MoveSlots || action.Gathers()
}

// stopped turns an error into a *PartialError once anything was changed.
func (r *runner) stopped(err error) error {
	if !r.changed.Load() {
		return err
	}
	done := int(r.done.Load())
	return &PartialError{Done: done, Left: len(r.p.Steps) - done, Cause: err}
}

// wave is how many of the steps to do can be done together: those that follow
// each other with the same action. Joining and replicating go together, since a
// replica need not wait for the whole mesh. Of moves, no node may be source in
// one and target in another.
func (r *runner) wave(todo []int) int {
	first := r.p.Steps[todo[0]].Action
	if first == plan.MoveSlots || first.Gathers() {
		return r.moveWave(todo)
	}
	n := 1
	for n < len(todo) {
		action := r.p.Steps[todo[n]].Action
		if action != first && !(first == plan.Join && action == plan.Replicate) {
			break
		}
		n++
	}
	return n
}

func (r *runner) moveWave(todo []int) int {
	sources, targets := make(map[cluster.NodeID]bool), make(map[cluster.NodeID]bool)
	for n, i := range todo {
		step := r.p.Steps[i]
		if step.Action != r.p.Steps[todo[0]].Action || targets[step.From] || sources[step.To] {
			return n
		}
		sources[step.From], targets[step.To] = true, true
	}
	return len(todo)
}

// do carries out steps that can be done together.
func (r *runner) do(ctx context.Context, steps []int) error {
	switch action := r.p.Steps[steps[0]].Action; {
	case action == plan.MoveSlots:
		return r.moveSlots(ctx, steps)
	case action.Gathers():
		return r.gatherKeys(ctx, steps)
	}
	for _, i := range steps {
		r.begin(i)
	}
	if err := r.act(ctx, steps); err != nil {
		return err
	}
	for _, i := range steps {
		r.end(i)
	}
	return nil
}

func (r *runner) begin(index int) {
	step := r.p.Steps[index]
	r.tell(Event{Kind: StepBegun, Step: index, Action: step.Action, Text: r.p.Describe(step), Nodes: r.subjects(step)})
}

func (r *runner) end(index int) {
	step := r.p.Steps[index]
	r.done.Add(1)
	r.tell(Event{Kind: StepDone, Step: index, Action: step.Action, Text: r.p.Describe(step)})
}

func (r *runner) act(ctx context.Context, steps []int) error {
	if do := r.memberAct(steps); do != nil {
		return do(ctx, steps)
	}
	switch r.p.Steps[steps[0]].Action {
	case plan.SetEpoch:
		return r.setEpochs(ctx, steps)
	case plan.AssignSlots:
		return r.assignSlots(ctx, steps)
	case plan.Join, plan.Replicate:
		return r.form(ctx, steps)
	case plan.CloseSlots:
		return r.closeSlots(ctx, steps)
	case plan.PinSlots:
		return r.pinSlots(ctx, steps)
	case plan.ClaimSlots:
		return r.claimSlots(ctx, steps)
	case plan.BumpEpoch:
		return r.bumpEpochs(ctx, steps)
	}
	return fmt.Errorf("unknown action %q", r.p.Steps[steps[0]].Action)
}
