package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
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
node that it was on its way to.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib resume 10.0.0.1:7000
  trib resume 10.0.0.1:7000 --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.seed, err = seedOf(args); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
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
	observe.ForResume(ctx, a.reader(), s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p, err := plan.Resume(s)
	if err != nil {
		return err
	}
	if len(p.Steps) == 0 {
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] nothing to resume") })
		return app.Terminal.Result(ui.Outcome{Schema: ui.Schema, Command: "resume", Plan: p})
	}
	return app.deliver(ctx, change{
		command: "resume", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.ResumePlan{Plan: p}.Text,
		question: "Do you want to finish these moves (yes/no)? ",
		apply:    o.moveOptions.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib resume " + o.seed.addr.String(),
	})
}
