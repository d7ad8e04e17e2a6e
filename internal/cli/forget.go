package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/plan"
)

type forgetOptions struct {
	changeOptions
	readyOptions
	seed  seed
	node  string
	force bool
}

func newForgetCmd(app *App, run func(context.Context, *forgetOptions) error) *cobra.Command {
	o := &forgetOptions{}
	if run == nil {
		run = app.runForget
	}
	cmd := &cobra.Command{
		Use:     "forget SEED NODE",
		GroupID: groupTopology,
		Short:   "Let all nodes forget one that is gone",
		Long: `Lets every node forget a node that is dead or was reset, also one that only some
of them know still. It must have no slots and no replicas. A living node comes
back after it was forgotten: del-node resets it first; --force does without, and
looks again after a minute.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib forget 10.0.0.1:7000 3f9a
  trib forget 10.0.0.1:7000 10.0.0.4:7001 --dry-run`,
		ValidArgsFunction: app.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, nodes, err := seedAndNodes(args, "NODE")
			if err != nil {
				return err
			}
			o.seed, o.node = s, nodes[0]
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.addTimeout(cmd.Flags(), "60s")
	cmd.Flags().BoolVar(&o.force, "force", false, "forget it although it is alive")
	return cmd
}

func (app *App) runForget(ctx context.Context, o *forgetOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	patience := settling
	if o.force {
		patience = 0
	}
	s, node, err := app.observeDying(ctx, a, o.seed, o.node, patience)
	if err != nil && s.Members != nil {
		if _, left := app.outsider(ctx, a, &s, o.node); left {
			return app.alreadyGone("forget", plan.KindForget, o.node)
		}
	}
	if err != nil {
		return err
	}
	p, err := plan.ForgetNode(s, plan.ForgetOptions{Node: node.ID, Force: o.force})
	if err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "forget", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MemberPlan{Plan: p, State: s, Seed: o.seed.addr}.Text,
		question: "Can I let all nodes forget this one? (type 'yes' to accept): ",
		apply:    o.engine(),
		after:    ui.Check.Verdict,
		resume:   again,
	})
}
