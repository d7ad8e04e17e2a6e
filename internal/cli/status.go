package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/journal"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type statusOptions struct {
	journalOptions
	seed seed
}

func newStatusCmd(app *App, run func(context.Context, *statusOptions) error) *cobra.Command {
	o := &statusOptions{}
	if run == nil {
		run = app.runStatus
	}
	cmd := &cobra.Command{
		Use:     "status SEED",
		GroupID: groupPlans,
		Short:   "Say who works on a cluster, and what was interrupted",
		Long: `Says who holds the cluster's lock, how far the last operation of this host has
come, and which slots are in the middle of a move. What is done is read from the
cluster, so that it also tells of work that was begun elsewhere. It changes
nothing.` + exitCodes(exitUsage, exitNoSeed, exitInterrupted),
		Example: `  trib status 10.0.0.1:7000
  trib status 10.0.0.1:7000 -o json | jq '.operation.state'`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.seed, err = seedOf(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (app *App) runStatus(ctx context.Context, o *statusOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeCluster(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	observe.ForResume(ctx, a.reader(), s)
	observe.ForMoves(ctx, a.reader(), s)
	operators := app.operators(ctx, a, s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v := ui.Status{Schema: ui.Schema, Command: "status", Seed: o.seed.addr.String(), Operators: []ui.Operator{}}
	for _, op := range operators {
		v.Operators = append(v.Operators, ui.Operator{Operation: op.Operation, Holder: op.Holder, Holds: op.Holds, Nodes: op.Nodes})
	}
	v.Jobs = jobsOf(s)
	v.Open, v.Problems = underWay(s, len(operators) > 0)
	if run, found := app.latest(o.journalOptions, s, ownWork); found {
		v.Operation = app.operation(ctx, a, run, s, operators)
	}
	v.Next = next(v)
	return app.Terminal.Show(v)
}

// jobsOf are the moves that servers carry out by themselves, and those that they
// gave up last, as long as their slots have not moved.
func jobsOf(s cluster.State) []ui.Job {
	var jobs []ui.Job
	for _, j := range s.Running() {
		jobs = append(jobs, ui.Job{Text: plan.DescribeJob(j, s), Running: true})
	}
	for _, j := range plan.GivenUp(s) {
		jobs = append(jobs, ui.Job{Text: plan.DescribeFailure(j, s)})
	}
	return jobs
}

// operators are who works on the cluster, as far as the nodes tell.
func (app *App) operators(ctx context.Context, a access, s cluster.State) []lock.Operator {
	var masters []cluster.Addr
	for _, m := range s.Masters() {
		masters = append(masters, m.Addr)
	}
	found, err := lock.Operators(ctx, a.reader(), masters)
	if err != nil && ctx.Err() == nil {
		app.warn("who works on the cluster cannot be told of every node: %v", err)
	}
	return found
}

// underWay are the moves in the middle of which slots are, by the cluster's own
// state. While somebody works, what could not be finished is about to be.
func underWay(s cluster.State, busy bool) (open, problems []string) {
	p, err := plan.Resume(s)
	if err != nil && busy {
		return []string{"slots are being opened and closed: " + err.Error()}, nil
	}
	if err != nil {
		_, problems = reasonsOf(err)
		return nil, problems
	}
	for _, step := range p.Steps {
		open = append(open, p.Describe(step))
	}
	return open, nil
}

// operation holds a run against the cluster: what is done is what the cluster
// says.
func (app *App) operation(ctx context.Context, a access, run journal.Run, s cluster.State, operators []lock.Operator) *ui.Operation {
	if run.Plan.Kind == plan.KindCreate {
		s = observe.Nodes(ctx, a.reader(), addrsOf(run.Plan))
	}
	o := &ui.Operation{
		Kind: string(run.Plan.Kind), Command: run.Command, Holder: run.Holder,
		Begun: run.Begun, Last: run.Last, Journal: run.Path, Keys: run.Keys,
	}
	done := 0
	for i, step := range run.Plan.Steps {
		status, why := run.Plan.Status(step, s)
		if status == plan.Blocked && o.Obstacle == "" {
			o.Obstacle = why
		}
		if status == plan.Done {
			done++
		}
		o.Steps = append(o.Steps, stepOf(run, i, status, s))
		o.Slots += o.Steps[i].Slots
		o.Moved += o.Steps[i].Moved
	}
	o.State = stateOf(run, operators, done == len(run.Plan.Steps), o.Obstacle != "")
	pace(o)
	return o
}

func addrsOf(p plan.Plan) []cluster.Addr {
	addrs := make([]cluster.Addr, len(p.Nodes))
	for i, n := range p.Nodes {
		addrs[i] = n.Addr
	}
	return addrs
}

func stepOf(run journal.Run, i int, status plan.Status, s cluster.State) ui.OperationStep {
	step := run.Plan.Steps[i]
	out := ui.OperationStep{Text: run.Plan.Describe(step), Status: status.String(), Keys: run.Steps[i].Keys}
	if step.Action == plan.MoveSlots {
		out.Slots = step.Slots.Len()
		out.Moved = out.Slots - plan.Remaining(step, s).Len()
	}
	return out
}

func stateOf(run journal.Run, operators []lock.Operator, done, blocked bool) string {
	for _, o := range operators {
		if o.Is(run.Holder) && run.End == nil {
			return ui.Running
		}
	}
	switch {
	case done, !unfinished(run):
		return ui.Finished
	case blocked:
		return ui.Stale
	}
	return ui.Interrupted
}

// pace adds how fast a run is or was.
func pace(o *ui.Operation) {
	took := o.Last.Sub(o.Begun)
	if took < time.Second {
		return
	}
	o.Rate = float64(o.Keys) / took.Seconds()
	if o.State == ui.Running && o.Moved > 0 {
		o.LeftMS = took.Milliseconds() * int64(o.Slots-o.Moved) / int64(o.Moved)
	}
}

// next is the command that continues what was left.
func next(v ui.Status) string {
	left := len(v.Open) > 0 || v.Operation != nil && v.Operation.State == ui.Interrupted
	switch {
	case len(v.Problems) > 0:
		return "trib check " + v.Seed + " shows the whole state"
	case left && len(v.Operators) == 0:
		return "trib resume " + v.Seed
	}
	return ""
}
