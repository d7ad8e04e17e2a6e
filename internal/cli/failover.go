package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/plan"
)

type failoverOptions struct {
	changeOptions
	readyOptions
	seed            seed
	node            string
	force, takeover bool
}

func newFailoverCmd(app *App, run func(context.Context, *failoverOptions) error) *cobra.Command {
	o := &failoverOptions{}
	if run == nil {
		run = app.runFailover
	}
	cmd := &cobra.Command{
		Use:     "failover SEED NODE [--force|--takeover]",
		GroupID: groupTopology,
		Short:   "Make a replica the master in place of its master",
		Long: `Makes NODE, a replica, the master of its master's slots. Waits until it has
caught up, lets the master hand over, and waits until all nodes agree and the
old master follows: nothing is lost. NODE being a master already is success.

Where the master is dead, --force lets the other masters elect the replica, and
--takeover asks nobody at all: both lose the writes that the replica has not
received. They are flags of their own; --yes does not imply them.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib failover 10.0.0.1:7000 10.0.0.4:7001
  trib failover 10.0.0.1:7000 3f9a --force`,
		ValidArgsFunction: app.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.readyOptions.addFlags(cmd.Flags(), "60s")
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "do not ask the master, who may be dead; the other masters have to agree")
	f.BoolVar(&o.takeover, "takeover", false, "ask nobody: for when most masters are dead")
	return cmd
}

func (o *failoverOptions) complete(args []string) error {
	s, nodes, err := seedAndNodes(args, "NODE")
	if err != nil {
		return err
	}
	o.seed, o.node = s, nodes[0]
	if o.force && o.takeover {
		return usage("--force and --takeover contradict each other")
	}
	return o.validate()
}

func (o *failoverOptions) mode() plan.FailoverMode {
	switch {
	case o.takeover:
		return plan.Takeover
	case o.force:
		return plan.Force
	}
	return plan.Graceful
}

// question says what consent is given to.
func (o *failoverOptions) question() string {
	switch o.mode() {
	case plan.Force:
		return "Writes that the replica has not received will be lost. Fail over by force? (type 'yes' to accept): "
	case plan.Takeover:
		return "Writes that the replica has not received will be lost, and nobody is asked. Take over? (type 'yes' to accept): "
	}
	return "Can I fail over as shown above? (type 'yes' to accept): "
}

func (app *App) runFailover(ctx context.Context, o *failoverOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeSettled(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	node, err := s.Find(o.node)
	if err != nil {
		return err
	}
	p, err := plan.Promote(s, plan.PromoteOptions{Node: node.ID, Mode: o.mode()})
	if err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "failover", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MemberPlan{Plan: p, State: s, Seed: o.seed.addr}.Text,
		question: o.question(),
		apply:    o.engine(),
		after:    ui.Check.Verdict,
		resume:   again,
	})
}
