package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type delNodeOptions struct {
	changeOptions
	moveOptions
	readyOptions
	seed  seed
	node  string
	drain bool
	to    []string
	zones plan.Zones
}

func newDelNodeCmd(app *App, run func(context.Context, *delNodeOptions) error) *cobra.Command {
	o := &delNodeOptions{}
	if run == nil {
		run = app.runDelNode
	}
	cmd := &cobra.Command{
		Use:     "del-node SEED NODE [--drain]",
		GroupID: groupBuild,
		Short:   "Let a node leave its cluster",
		Long: `Takes a node out of its cluster. Its replicas go to the masters that need them
most; the node itself is reset, if it answers, so that it does not come back;
and all others forget it. A master must have no slots, or --drain moves them to
the other masters first. A dead node without slots is only forgotten. A del-node
that was interrupted is finished by running it again.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib del-node 10.0.0.1:7000 10.0.0.4:7001
  trib del-node 10.0.0.1:7000 3f9a --drain
  trib del-node 10.0.0.1:7000 3f9a --drain --to 0b2e --dry-run`,
		ValidArgsFunction: app.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
	o.addTimeout(cmd.Flags(), "60s")
	f := cmd.Flags()
	f.BoolVar(&o.drain, "drain", false, "move its slots away first")
	f.Var(names{&o.to}, "to", "masters that get the slots (default: all others)")
	addZoneFlag(f, &o.zones)
	return cmd
}

func (o *delNodeOptions) complete(args []string) error {
	s, nodes, err := seedAndNodes(args, "NODE")
	if err != nil {
		return err
	}
	o.seed, o.node = s, nodes[0]
	if o.to != nil && !o.drain {
		return usage("--to says where slots go: give --drain, too")
	}
	return errors.Join(o.validate(), o.consistent())
}

func (app *App) runDelNode(ctx context.Context, o *delNodeOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, node, err := app.observeDying(ctx, a, o.seed, o.node, settling)
	if err != nil && s.Members != nil {
		var left bool
		if node, left = app.outsider(ctx, a, &s, o.node); left {
			return app.alreadyGone("del-node", plan.KindDelNode, o.node)
		}
	}
	if err != nil && node.ID == "" {
		return err
	}
	wish := plan.DelNodeOptions{Node: node.ID, Drain: o.drain, Zones: app.zones(o.zones)}
	for _, name := range o.to {
		m, err := s.Find(name)
		if err != nil {
			return err
		}
		wish.To = append(wish.To, m.ID)
	}
	if o.drain && !node.Slots().Empty() {
		if s, err = app.observeFit(ctx, a, o.seed, &o.moveOptions); err != nil {
			return err
		}
		observe.ForResume(ctx, a.reader(), s)
	}
	p, err := plan.DelNode(s, wish)
	if err != nil {
		return err
	}
	engine := o.moveOptions.apply()
	engine.Ready, engine.WaitTimeout = o.wait, o.waitTimeout
	return app.deliver(ctx, change{
		command: "del-node", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MemberPlan{Plan: p, State: s, Seed: o.seed.addr}.Text,
		question: "Can I remove this node? (type 'yes' to accept): ",
		apply:    engine,
		after:    ui.Removed(node.ID),
		resume:   again,
	})
}

// alreadyGone is success: nobody knows the node any more.
func (app *App) alreadyGone(command string, kind plan.Kind, name string) error {
	app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] No node of the cluster knows %s: nothing to do.", name) })
	return app.Terminal.Result(ui.Outcome{Schema: ui.Schema, Command: command, Plan: plan.Plan{Version: plan.Version, Kind: kind}})
}
