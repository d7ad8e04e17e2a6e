package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/journal"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type resumeOptions struct {
	changeOptions
	moveOptions
	seed seed
}

func newResumeCmd(app *App, run func(context.Context, *resumeOptions) error) *cobra.Command {
	o := &resumeOptions{}
	if run == nil {
		run = app.runResume
	}
	cmd := &cobra.Command{
		Use:     "resume SEED",
		GroupID: groupSlots,
		Short:   "Finish slot moves that were interrupted",
		Long: `Finishes every slot move that was interrupted, whoever began it and from
whatever host: what the nodes say is all it needs. A slot always goes on to the
node that it was on its way to. Where the journals of this host tell of a plan
that was interrupted and still fits, what it had not begun is done too.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib resume 10.0.0.1:7000
  trib resume 10.0.0.1:7000 --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.seed, err = seedOf(args); err != nil {
				return err
			}
			if err := errors.Join(o.validate(), o.consistent()); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
	return cmd
}

func (app *App) runResume(ctx context.Context, o *resumeOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeSettled(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	run, found := app.interrupted(o.journalOptions, s)
	if found && run.Plan.Kind == plan.KindFix {
		return app.repair(ctx, a, o.repair(run.Plan, s), "resume")
	}
	observe.ForResume(ctx, a.reader(), s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	open, err := plan.Resume(s)
	if err != nil {
		return err
	}
	if found {
		c, whole, err := app.continuation(ctx, a, o, run, open)
		if err != nil {
			return err
		}
		if whole {
			return app.deliver(ctx, c)
		}
	}
	if len(open.Steps) == 0 {
		return app.nothing("resume", "resume", open)
	}
	return app.deliver(ctx, o.change(a, open, s))
}

// repair finishes a repair that was interrupted, and what is open besides.
func (o *resumeOptions) repair(p plan.Plan, s cluster.State) *fixOptions {
	f := &fixOptions{changeOptions: o.changeOptions, moveOptions: o.moveOptions, seed: o.seed}
	for _, step := range p.Steps {
		f.slots = f.slots.Union(step.Slots)
	}
	for _, m := range s.Masters() {
		f.slots = f.slots.Union(m.OpenSlots())
	}
	return f
}

func (o *resumeOptions) change(a access, p plan.Plan, s cluster.State) change {
	return change{
		command: "resume", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.ResumePlan{Plan: p, State: s}.Text,
		question: "Do you want to finish these moves (yes/no)? ",
		apply:    o.moveOptions.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib resume " + o.seed.addr.String(),
	}
}

// interrupted is the newest run on this host that changed the cluster, where it
// did not come to its end. Runs that only finished what was open do not count.
func (app *App) interrupted(o journalOptions, s cluster.State) (journal.Run, bool) {
	run, found := app.latest(o, s, ownWork)
	return run, found && unfinished(run)
}

// ownWork are the plans that somebody wanted for themselves, and not to finish
// others.
func ownWork(k plan.Kind) bool { return k != plan.KindResume }

// latest is the newest run of a wanted kind that changed this cluster.
func (app *App) latest(o journalOptions, s cluster.State, wanted func(plan.Kind) bool) (journal.Run, bool) {
	return app.earlier(o, func(r journal.Run) bool {
		worked := r.End == nil || r.End.Exit == exitOK || unfinished(r)
		return worked && wanted(r.Plan.Kind) && r.Concerns(s)
	})
}

// unfinished reports whether a run was cut off, or stopped part-way.
func unfinished(r journal.Run) bool {
	return r.End == nil || r.End.Exit == exitPartial || r.End.Exit == exitConflict
}

// continuation is the rest of an interrupted run, where its whole plan still
// fits; where it does not, only what is open can be finished, and it says why.
func (app *App) continuation(ctx context.Context, a access, o *resumeOptions, run journal.Run, open plan.Plan) (change, bool, error) {
	s, err := app.observeFor(ctx, a, run.Plan)
	if err != nil {
		return change{}, false, err
	}
	c := o.change(a, run.Plan, s)
	c.question = "Do you want to finish this plan (yes/no)? "
	if c.done() {
		return c, false, nil
	}
	obstacle := o.admit(run.Plan, s)
	if foreign := beside(run.Plan, open); obstacle == nil && foreign != "" {
		obstacle = errors.New(foreign + " was begun by somebody else, and is finished first")
	}
	if obstacle != nil {
		app.Terminal.Text(func(p *ui.Page) {
			p.Line("*** The plan that %s began at %s is not continued: %v", run.Holder, ui.Time(run.Begun), obstacle)
		})
		return c, false, nil
	}
	return c, true, nil
}

// beside is a step to finish open slots that no move of a plan does on its way.
func beside(p, open plan.Plan) string {
	for _, o := range open.Steps {
		part := slices.ContainsFunc(p.Steps, func(s plan.Step) bool {
			return s.Action == plan.MoveSlots && o.Slots.Minus(s.Slots).Empty() && isPart(o, s)
		})
		if !part {
			return open.Describe(o)
		}
	}
	return ""
}

// isPart reports whether a step to finish open slots is what a move of them
// would do: move them the same way, or clear what is left of that.
func isPart(o, move plan.Step) bool {
	if o.Action == plan.CloseSlots {
		return o.Node == move.From || o.Node == move.To
	}
	return o.Action == plan.MoveSlots && o.From == move.From && o.To == move.To
}
