package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/plan"
)

type replicateOptions struct {
	changeOptions
	readyOptions
	seed         seed
	node, master string
	zones        plan.Zones
}

func newReplicateCmd(app *App, run func(context.Context, *replicateOptions) error) *cobra.Command {
	o := &replicateOptions{}
	if run == nil {
		run = app.runReplicate
	}
	cmd := &cobra.Command{
		Use:     "replicate SEED NODE MASTER",
		GroupID: groupTopology,
		Short:   "Make a node the replica of a master",
		Long: `Makes NODE a replica of MASTER: a replica of another master, whose data it gives
up, or a master without slots and keys. Waits until it has its master's data and
all nodes know of it.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib replicate 10.0.0.1:7000 10.0.0.4:7001 10.0.0.2:7000
  trib replicate 10.0.0.1:7000 3f9a 0b2e --dry-run`,
		ValidArgsFunction: app.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, nodes, err := seedAndNodes(args, "NODE", "MASTER")
			if err != nil {
				return err
			}
			o.seed, o.node, o.master = s, nodes[0], nodes[1]
			if o.node == o.master {
				return usage("NODE and MASTER are the same: %s", o.node)
			}
			if err := o.validate(); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.readyOptions.addFlags(cmd.Flags(), "60s")
	addZoneFlag(cmd.Flags(), &o.zones)
	return cmd
}

func (app *App) runReplicate(ctx context.Context, o *replicateOptions) error {
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
	master, err := s.Find(o.master)
	if err != nil {
		return err
	}
	p, err := plan.Reparent(s, plan.ReparentOptions{Node: node.ID, Master: master.ID, Zones: app.zones(o.zones)})
	if err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "replicate", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MemberPlan{Plan: p, State: s, Seed: o.seed.addr}.Text,
		question: "Can I set the above configuration? (type 'yes' to accept): ",
		apply:    o.engine(),
		after:    ui.Check.Verdict,
		resume:   again,
	})
}
