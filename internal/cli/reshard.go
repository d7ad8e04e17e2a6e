package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type reshardOptions struct {
	changeOptions
	moveOptions
	seed  seed
	from  []string
	to    string
	slots int
	named cluster.SlotSet
	keys  []string // whose slots move
	files []string // what --key says
	asks  bool     // for what is missing
}

func newReshardCmd(app *App, run func(context.Context, *reshardOptions) error) *cobra.Command {
	o := &reshardOptions{}
	if run == nil {
		run = app.runReshard
	}
	cmd := &cobra.Command{
		Use:     "reshard SEED [--from A,B|all] [--to C] [--slots N]",
		GroupID: groupSlots,
		Short:   "Move slots to a master",
		Long: `Moves exactly N slots with their keys to one master, under traffic. The sources
give in proportion to what they have, their lowest-numbered slots first. Or
moves the slots that are named, by their numbers or by keys in them, each from
the master that has it. What is not said is asked for. A reshard that was
interrupted is finished by trib resume, or by running it again.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib reshard 10.0.0.1:7000 --from all --to 10.0.0.4:7000 --slots 4096
  trib reshard 10.0.0.1:7000 --from 3f9a,77c1 --to 0b2e --slots 100 --dry-run
  trib reshard 10.0.0.1:7000 --to 0b2e --slots-list 5,7,100-200
  trib reshard 10.0.0.1:7000 --to 0b2e --key '{user:1}' --key user:2`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			app.keyOfWhat(o)
			o.asks = app.asks(&o.changeOptions)
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.moveOptions.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.Var(names{&o.from}, "from", "masters that give slots, or all")
	f.StringVar(&o.to, "to", "", "give them to `NODE`, a master")
	f.Var(number{&o.slots, 1, cluster.SlotCount}, "slots", "how many slots to move, 1 to 16384")
	f.Var(slotList{&o.named}, "slots-list", "which slots to move: 5,7,100-200; repeatable")
	f.Var(texts{&o.keys}, "slot-of", "move the slot of `KEY`; repeatable")
	f.Var(texts{&o.files}, "key", "the same, where there is no --cert; else the key of --cert")
	// Keys that are on both sides are compared in any case.
	f.Bool("replace", false, "")
	f.MarkHidden("replace")
	return cmd
}

func (o *reshardOptions) complete(args []string) (err error) {
	if o.seed, err = seedOf(args); err != nil {
		return err
	}
	named := o.names()
	switch {
	case named && o.slots > 0:
		return usage("--slots and --slots-list or --key contradict each other: how many, or which")
	case len(o.from) == 0 && !named && !o.asks:
		return usage("--from is missing: the masters that give slots, or all")
	case o.to == "" && !o.asks:
		return usage("--to is missing: the master that gets the slots")
	case o.slots == 0 && !named && !o.asks:
		return usage("--slots is missing: how many slots to move, 1 to %d (or which: --slots-list, --key)", cluster.SlotCount)
	case slices.Contains(o.from, "all") && len(o.from) > 1:
		return usage("--from all and --from with names contradict each other")
	case slices.Contains(o.from, o.to):
		return usage("--from and --to name the same node %s", o.to)
	}
	return errors.Join(o.validate(), o.consistent())
}

// keyOfWhat tells the two meanings of --key apart: in a certificate's company it
// is the file of its key, as for every other command and for redis-cli.
func (app *App) keyOfWhat(o *reshardOptions) {
	if n := len(o.files); n > 0 && app.global.connect.files.Cert != "" {
		app.global.connect.files.Key = o.files[n-1]
		return
	}
	o.keys = append(o.keys, o.files...)
}

// names reports whether it is said which slots are to move.
func (o *reshardOptions) names() bool { return !o.named.Empty() || len(o.keys) > 0 }

func (app *App) runReshard(ctx context.Context, o *reshardOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeFit(ctx, a, o.seed, &o.moveOptions)
	if err != nil {
		return err
	}
	observe.ForResume(ctx, a.reader(), s)
	if err := app.askReshard(ctx, s, o); err != nil {
		return err
	}
	wish, err := o.resolve(s)
	if err != nil {
		return err
	}
	p, err := plan.Reshard(s, wish)
	if err != nil {
		return err
	}
	if err := app.estimate(ctx, a, s, &p, o.movers()); err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "reshard", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MovePlan{Plan: p, State: s}.Text,
		question: "Do you want to proceed with the proposed reshard plan (yes/no)? ",
		apply:    o.moveOptions.apply(),
		after:    ui.Check.Verdict,
		resume:   "trib resume " + o.seed.addr.String(),
		again:    o.again(),
	})
}

// again says what moves the slots that a run had not begun.
func (o *reshardOptions) again() string {
	only := "; trib resume " + o.seed.addr.String() + " only finishes what is open"
	if o.slots == 0 {
		return "the same reshard moves the %d slots that are left" + only
	}
	return "the same reshard with --slots %d moves the rest" + only
}

// observeFit reads a cluster that must be fit for moving slots.
func (app *App) observeFit(ctx context.Context, a access, from seed, o *moveOptions) (cluster.State, error) {
	s, err := app.observeSettled(ctx, a, from.addr)
	if err != nil {
		return s, err
	}
	if err := app.countForCheck(ctx, a, s); err != nil {
		return s, err
	}
	if err := app.sameEncryption(ctx, a, s); err != nil {
		return s, err
	}
	return s, o.unfit(s, from.addr)
}

// resolve finds the nodes behind the names.
func (o *reshardOptions) resolve(s cluster.State) (plan.ReshardOptions, error) {
	wish := plan.ReshardOptions{Slots: o.slots, Named: o.named, Keys: o.keys}
	to, err := s.Find(o.to)
	if err != nil {
		return wish, err
	}
	wish.To = to.ID
	if slices.Contains(o.from, "all") {
		return wish, nil
	}
	for _, name := range o.from {
		m, err := s.Find(name)
		if err != nil {
			return wish, err
		}
		wish.From = append(wish.From, m.ID)
	}
	return wish, nil
}
