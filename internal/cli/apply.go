package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// planOptions belong to the commands that work from a saved plan.
type planOptions struct {
	changeOptions
	moveOptions
	file string
}

func (o *planOptions) complete(args []string) (err error) {
	if o.file, err = fileOf(args); err != nil {
		return err
	}
	return errors.Join(o.validate(), o.consistent())
}

func (o *planOptions) addFlags(cmd *cobra.Command) {
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
}

func newApplyCmd(app *App, run func(context.Context, *planOptions) error) *cobra.Command {
	o := &planOptions{}
	if run == nil {
		run = app.runApply
	}
	cmd := &cobra.Command{
		Use:     "apply FILE",
		GroupID: groupPlans,
		Short:   "Carry out a saved plan",
		Long: `Carries out exactly the plan that --plan-out has saved. What is done already is
passed over, so that the same command also finishes a plan that was interrupted.
A plan that does not fit the cluster any more is refused, with what has changed.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib rebalance 10.0.0.1:7000 --dry-run --plan-out move.json
  trib plan show move.json
  trib apply move.json --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (app *App) runApply(ctx context.Context, o *planOptions) error {
	p, err := readPlan(o.file)
	if err != nil {
		return err
	}
	if len(p.Steps) == 0 {
		return app.nothing("apply", "apply", p)
	}
	a, err := app.connect(ctx, config.Credentials{})
	if err != nil {
		return err
	}
	s, err := app.observeFor(ctx, a, p)
	if err != nil {
		return err
	}
	if err := o.admit(p, s); err != nil {
		return err
	}
	return app.deliver(ctx, o.change(p, s, a, "apply", "Do you want to apply this plan (yes/no)? "))
}

// change is a plan from a file on its way.
func (o *planOptions) change(p plan.Plan, s cluster.State, a access, command, question string) change {
	c := change{
		command: command, options: &o.changeOptions, access: a, plan: p, state: s,
		show:     picture(p, s, false),
		question: question,
		apply:    o.moveOptions.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib " + command + " " + o.file,
	}
	if p.Kind == plan.KindCreate {
		c.after = ui.Check.Report
	}
	return c
}

// nothing is the result of a command that finds nothing to do.
func (app *App) nothing(command, what string, p plan.Plan) error {
	app.Terminal.Text(func(page *ui.Page) {
		page.Line("[OK] nothing to %s", what)
		for _, w := range p.Warnings {
			page.Line("[WARNING] %s", w)
		}
	})
	return app.Terminal.Result(ui.Outcome{Schema: ui.Schema, Command: command, Plan: p})
}

// observeFor reads the nodes of a plan: one by one where they are to form a
// cluster, and the whole cluster otherwise.
func (app *App) observeFor(ctx context.Context, a access, p plan.Plan) (cluster.State, error) {
	var addrs []cluster.Addr
	for _, n := range p.Nodes {
		addrs = append(addrs, n.Addr)
	}
	if p.Kind == plan.KindCreate {
		return app.observeFresh(ctx, a, addrs)
	}
	s, err := app.observeSettled(ctx, a, addrs...)
	if err != nil {
		return s, err
	}
	if err := app.countForCheck(ctx, a, s); err != nil {
		return s, err
	}
	observe.ForResume(ctx, a.reader(), s)
	return s, context.Cause(ctx)
}

// admit refuses a plan that is stale, and a cluster that is not fit for moves.
func (o *moveOptions) admit(p plan.Plan, s cluster.State) error {
	if stale := staleness(p, s); stale != nil {
		return &hintError{&apply.StaleError{Reasons: stale}, "make a new plan: it is made from what the cluster is now"}
	}
	moves := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Action == plan.MoveSlots })
	if p.Kind == plan.KindResume || p.Kind == plan.KindFix || !moves {
		return nil
	}
	return o.unfit(s, p.Nodes[0].Addr)
}

// staleness says of every step that cannot be done why.
func staleness(p plan.Plan, s cluster.State) []string {
	var reasons []string
	for _, step := range p.Steps {
		if status, why := p.Status(step, s); status == plan.Blocked {
			reasons = append(reasons, fmt.Sprintf("%s: %s", p.Describe(step), why))
		}
	}
	return reasons
}

// unfit is the error of a cluster in which no slots should move as it is.
func (o *moveOptions) unfit(s cluster.State, seed cluster.Addr) error {
	if slices.Contains(o.override, overrideHealth) {
		return nil
	}
	err := unfit(s, seed)
	if e, ok := errors.AsType[*hintError](err); ok {
		e.hint += "; --override health goes ahead all the same"
	}
	return err
}

// unfit is the error of a cluster that must not be changed as it is.
func unfit(s cluster.State, seed cluster.Addr) error {
	var reasons []string
	for _, f := range health.Blocking(health.Check(s)) {
		reasons = append(reasons, string(f.Code)+": "+f.Summary)
	}
	if reasons == nil {
		return nil
	}
	return &hintError{&unfitError{reasons}, "trib check " + seed.String() + " shows what to do about it"}
}

func newUndoCmd(app *App, run func(context.Context, *planOptions) error) *cobra.Command {
	o := &planOptions{}
	if run == nil {
		run = app.runUndo
	}
	cmd := &cobra.Command{
		Use:     "undo FILE",
		GroupID: groupPlans,
		Short:   "Move the slots of a saved plan back",
		Long: `Moves back what a saved plan has moved, as far as it was carried out. Steps that
are not slot moves stay as they are. Slots that have moved on since are refused.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib undo move.json --dry-run
  trib undo move.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (app *App) runUndo(ctx context.Context, o *planOptions) error {
	done, err := readPlan(o.file)
	if err != nil {
		return err
	}
	if len(done.Steps) == 0 {
		return app.nothing("undo", "undo", done)
	}
	a, err := app.connect(ctx, config.Credentials{})
	if err != nil {
		return err
	}
	s, err := app.observeFor(ctx, a, done)
	if err != nil {
		return err
	}
	p, err := plan.Undo(done, s)
	if err != nil {
		return err
	}
	if len(p.Steps) == 0 {
		return app.nothing("undo", "undo", p)
	}
	if err := o.unfit(s, p.Nodes[0].Addr); err != nil {
		return err
	}
	return app.deliver(ctx, o.change(p, s, a, "undo", "Do you want to move these slots back (yes/no)? "))
}
