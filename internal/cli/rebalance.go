package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type rebalanceOptions struct {
	changeOptions
	moveOptions
	seed            seed
	weights         []weight
	threshold       plan.Decimal
	useEmptyMasters bool
	autoWeights     bool
	exclude         []string
	maxSlots        int
}

func newRebalanceCmd(app *App, run func(context.Context, *rebalanceOptions) error) *cobra.Command {
	o := &rebalanceOptions{threshold: plan.DefaultThreshold}
	if run == nil {
		run = app.runRebalance
	}
	cmd := &cobra.Command{
		Use:     "rebalance SEED",
		GroupID: groupSlots,
		Short:   "Share the slots evenly among the masters",
		Long: `Moves as few slots as bring every master within the threshold of its share, by
weight, of the slots; with --threshold 0 every share is exact. No node both
gives and gets. Masters without slots take part with --use-empty-masters, or
where they have a weight. With --auto-weights a share is as large as the
memory that a master may use, beside the mean of all; --weight still decides
for those it names. A rebalance that was interrupted is finished by
running it again; trib resume only finishes what is open.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib rebalance 10.0.0.1:7000 --use-empty-masters --dry-run
  trib rebalance 10.0.0.1:7000 --weight 3f9a=2 10.0.0.3:7000=0.5 --threshold 0
  trib rebalance 10.0.0.1:7000 --exclude 0b2e --max-slots 500`,
		ValidArgsFunction: cobra.NoFileCompletions,
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

func (o *rebalanceOptions) addFlags(cmd *cobra.Command) {
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.Var(weights{&o.weights}, "weight", "a master's share; the others have 1, and 0 is nothing; repeatable")
	f.Var(decimal{&o.threshold, plan.MaxThreshold}, "threshold", "percent of its share that a master may have more or less")
	f.BoolVar(&o.useEmptyMasters, "use-empty-masters", false, "masters without slots get some too")
	f.Var(names{&o.exclude}, "exclude", "masters that neither give nor get")
	f.Var(number{&o.maxSlots, 1, cluster.SlotCount}, "max-slots", "move at most so many slots, 1 to 16384")
	f.BoolVar(&o.dryRun, "simulate", false, "as --dry-run")
	f.MarkHidden("simulate")
	f.BoolVar(&o.autoWeights, "auto-weights", false, "weigh the masters by maxmemory, or else the memory of their host")
	// What redis-cli's option asks for is done anyway: keys on both sides are
	// compared.
	f.Bool("replace", false, "")
	f.MarkHidden("replace")
}

func (o *rebalanceOptions) complete(args []string) (err error) {
	if o.seed, err = seedOf(args); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, w := range o.weights {
		if seen[w.node] {
			return usage("--weight names %s twice", w.node)
		}
		seen[w.node] = true
	}
	for _, name := range o.exclude {
		if seen[name] {
			return usage("--weight and --exclude name the same node %s", name)
		}
	}
	return errors.Join(o.validate(), o.consistent())
}

func (app *App) runRebalance(ctx context.Context, o *rebalanceOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeFit(ctx, a, o.seed, &o.moveOptions)
	if err != nil {
		return err
	}
	observe.ForResume(ctx, a.reader(), s)
	wish, err := o.resolve(s)
	if err != nil {
		return err
	}
	p, err := plan.Rebalance(s, wish)
	if err != nil {
		return err
	}
	if err := app.estimate(ctx, a, s, &p, o.movers()); err != nil {
		return err
	}
	view := ui.RebalancePlan{MovePlan: ui.MovePlan{Plan: p, State: s}, Options: wish}
	if len(p.Steps) == 0 {
		app.Terminal.Text(view.Balanced)
		return app.Terminal.Result(ui.Outcome{Schema: ui.Schema, Command: "rebalance", DryRun: o.dryRun, Plan: p})
	}
	return app.deliver(ctx, change{
		command: "rebalance", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     view.Text,
		question: "Do you want to proceed with the proposed rebalance plan (yes/no)? ",
		apply:    o.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib resume " + o.seed.addr.String(),
		again:    "the same rebalance moves the %d slots that are left; trib resume " + o.seed.addr.String() + " only finishes what is open",
	})
}

// resolve finds the nodes behind the names.
func (o *rebalanceOptions) resolve(s cluster.State) (plan.RebalanceOptions, error) {
	wish := plan.RebalanceOptions{
		Threshold: o.threshold, UseEmptyMasters: o.useEmptyMasters, MaxSlots: o.maxSlots,
		Weights: make(map[cluster.NodeID]plan.Decimal),
	}
	var err error
	if wish.Exclude, err = findAll(s, "--exclude", o.exclude); err != nil {
		return wish, err
	}
	if o.autoWeights {
		if wish.Weights, err = plan.MemoryWeights(s, wish); err != nil {
			return wish, fmt.Errorf("--auto-weights: %w", err)
		}
	}
	named := make(map[cluster.NodeID]bool)
	for _, w := range o.weights {
		m, err := s.Find(w.node)
		if err != nil {
			return wish, fmt.Errorf("--weight: %w", err)
		}
		if named[m.ID] {
			return wish, fmt.Errorf("--weight: %s is named twice", m.Addr)
		}
		named[m.ID] = true
		wish.Weights[m.ID] = w.value
	}
	return wish, nil
}

// findAll finds the nodes that a flag names.
func findAll(s cluster.State, flag string, names []string) ([]cluster.NodeID, error) {
	var ids []cluster.NodeID
	for _, name := range names {
		m, err := s.Find(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		ids = append(ids, m.ID)
	}
	return ids, nil
}
