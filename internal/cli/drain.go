package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type drainOptions struct {
	changeOptions
	moveOptions
	seed seed
	node string
	to   []string
}

func newDrainCmd(app *App, run func(context.Context, *drainOptions) error) *cobra.Command {
	o := &drainOptions{}
	if run == nil {
		run = app.runDrain
	}
	cmd := &cobra.Command{
		Use:     "drain SEED NODE",
		GroupID: groupSlots,
		Short:   "Move all slots off a master",
		Long: `Moves all slots of a master to the others, so that these have as equal numbers
as possible afterwards. Masters without slots get none unless --to names them. A
drain that was interrupted is finished by running it again; draining a node
without slots changes nothing.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib drain 10.0.0.1:7000 10.0.0.3:7000
  trib drain 10.0.0.1:7000 3f9a --to 77c1,0b2e --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
	cmd.Flags().Var(names{&o.to}, "to", "masters that get the slots (default: all others that have some)")
	return cmd
}

func (o *drainOptions) complete(args []string) (err error) {
	if o.seed, o.node, err = seedAndNode(args); err != nil {
		return err
	}
	if slices.Contains(o.to, o.node) {
		return usage("--to names the node %s that is to be drained", o.node)
	}
	return errors.Join(o.validate(), o.consistent())
}

// seedAndNode reads a seed, of one word or two, and the name of a node.
func seedAndNode(args []string) (from seed, node string, err error) {
	last := len(args) - 1
	if last == 0 || last == 1 && isHostAndPort(args[0], args[1]) || last > 0 && args[last] == "" {
		return from, "", usage("no NODE: name the node that is to be drained, by its id or address")
	}
	if last > 0 {
		node, args = args[last], args[:last]
	}
	from, err = seedOf(args)
	return from, node, err
}

func (app *App) runDrain(ctx context.Context, o *drainOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeFit(ctx, a, o.seed, &o.moveOptions)
	if err != nil {
		return err
	}
	observe.ForResume(ctx, a.reader(), s)
	node, err := s.Find(o.node)
	if err != nil {
		return err
	}
	wish := plan.DrainOptions{Node: node.ID}
	if wish.To, err = findAll(s, "--to", o.to); err != nil {
		return err
	}
	p, err := plan.Drain(s, wish)
	if err != nil {
		return err
	}
	if err := app.estimate(ctx, a, s, &p, o.movers()); err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "drain", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.DrainPlan{MovePlan: ui.MovePlan{Plan: p, State: s}, Node: node}.Text,
		question: "Do you want to drain the node by this plan (yes/no)? ",
		apply:    o.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib resume " + o.seed.addr.String(),
		again:    "the same drain moves the %d slots that are left; trib resume " + o.seed.addr.String() + " only finishes what is open",
	})
}
