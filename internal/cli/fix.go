package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

type fixOptions struct {
	changeOptions
	moveOptions
	seed     seed
	only     []string
	slots    cluster.SlotSet
	foreign  plan.ForeignPolicy
	topology plan.TopologyOptions
}

func newFixCmd(app *App, run func(context.Context, *fixOptions) error) *cobra.Command {
	o := &fixOptions{foreign: plan.ForeignList}
	if run == nil {
		run = app.runFix
	}
	cmd := &cobra.Command{
		Use:     "fix SEED",
		GroupID: groupHealth,
		Short:   "Repair a cluster: owners of slots, keys, members and replicas",
		Long: `Promotes replicas of dead masters, lets nodes meet that others know, and forgets
dead ones that only some know. Finishes open slots, gives slots without
owner to the node with most of their keys or spreads those without keys, and
settles which of several claimants stays. Raises epochs that masters share, and
finds masters for replicas that have lost theirs.

It goes by stages: each is planned from what the one before has left, says why
its steps are safe, and asks. What it cannot decide it names, with the flag that
does, and leaves alone; --yes decides nothing. Running it again after an
interruption goes on; where there is no journal of the run, keys that were not
brought to their owner yet need --foreign-keys.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib fix 10.0.0.1:7000 --dry-run
  trib fix 10.0.0.1:7000 --only uncovered-slots --slots 0-99
  trib fix 10.0.0.1:7000 --foreign-keys adopt --conflict newer-ttl
  trib fix 10.0.0.1:7000 --conflict-for user:7=source --conflict-for @decided
  trib fix 10.0.0.1:7000 --takeover`,
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
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *fixOptions) addFlags(f *pflag.FlagSet) {
	o.changeOptions.addFlags(f)
	o.moveOptions.addFlags(f)
	var codes []string
	for _, code := range plan.Healable() {
		codes = append(codes, string(code))
	}
	var policies []string
	for _, policy := range plan.ForeignPolicies() {
		policies = append(policies, string(policy))
	}
	f.Var(words{&o.only, codes}, "only", "repair only `CODE`: "+strings.Join(codes, ", "))
	f.Var(slotSet{&o.slots}, "slots", "repair only these slots, such as 5,100-200")
	f.Var(choice[plan.ForeignPolicy]{&o.foreign, policies}, "foreign-keys", "keys on nodes that do not own them: adopt brings them to the owner, also those that it may have deleted; drop deletes those of which the owner has equal ones; discard also those that it lacks, for good")
	o.addTopologyFlags(f)
	// What this option of redis-cli asks for is looked for in any case.
	f.Bool("search-multiple-owners", false, "")
	f.MarkHidden("search-multiple-owners")
}

func (o *fixOptions) addTopologyFlags(f *pflag.FlagSet) {
	o.topology.Orphans = plan.OrphansKeep
	var policies []string
	for _, policy := range plan.OrphanPolicies() {
		policies = append(policies, string(policy))
	}
	f.BoolVar(&o.topology.Takeover, "takeover", false, "let replicas of dead masters take over without a vote where no majority is left, and with data too old to be elected")
	f.BoolVar(&o.topology.TakeFromDead, "fix-with-unreachable-masters", false, "give slots of dead masters without a replica to others: their keys are lost")
	f.Var(choice[plan.OrphanPolicy]{&o.topology.Orphans, policies}, "orphans", "reuse makes replicas whose master is gone follow another one, and drops their keys")
	f.BoolVar(&o.topology.SpreadReplicas, "spread-replicas", false, "give masters without a replica a spare one, or an empty master")
}

// slotSet is slots and ranges.
type slotSet struct{ value *cluster.SlotSet }

func (v slotSet) Set(s string) (err error) {
	*v.value, err = cluster.ParseSlotSet(s)
	if err == nil && v.value.Empty() {
		return errors.New("want slots")
	}
	return err
}

func (v slotSet) String() string {
	if v.value == nil {
		return ""
	}
	return v.value.String()
}

func (slotSet) Type() string { return "SLOTS" }

func (o *fixOptions) heal() plan.HealOptions {
	h := plan.HealOptions{Slots: o.slots, ForeignKeys: o.foreign, TopologyOptions: o.topology}
	for _, code := range o.only {
		h.Only = append(h.Only, health.Code(code))
	}
	return h
}

// begunGathering are the decisions of the last repair on this host about keys on
// nodes that do not own them, where it did not come to its end.
func (app *App) begunGathering(o journalOptions, s cluster.State) []plan.Step {
	run, found := app.latest(o, s, func(k plan.Kind) bool { return k == plan.KindFix })
	if !found || !unfinished(run) {
		return nil
	}
	return run.Plan.Begun(func(id cluster.NodeID) bool {
		m, _ := s.Get(id)
		return m.RunID != "" && m.RunID == run.Runs[id]
	})
}

// fixNothing judges a cluster in which nothing is to be repaired.
func (app *App) fixNothing(o *fixOptions, p plan.Plan, left []plan.Undecided, s cluster.State, command string) error {
	if undecided(left) != nil {
		app.Terminal.Text(func(page *ui.Page) {
			page.Line("*** Nothing can be repaired as it is.")
			for _, w := range p.Warnings {
				page.Line("[WARNING] %s", w)
			}
		})
		return errors.Join(undecided(left), app.Terminal.Result(ui.Outcome{Schema: ui.Schema, Command: command, Plan: p}))
	}
	if err := app.nothing(command, command, p); err != nil {
		return err
	}
	return judge(ui.NewCheck(o.seed.addr.String(), s, health.Check(s)), false)
}

func (o *fixOptions) change(a access, p plan.Plan, s cluster.State) change {
	engine := o.moveOptions.apply()
	engine.Ready = apply.ReadyJoined // later stages, and check, tell of the rest
	return change{
		command: "fix", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.StepPlan{Plan: p}.Text,
		question: "Do you want to repair this (yes/no)? ",
		staged:   true,
		apply:    engine,
		after:    ui.Check.Verdict,
		resume:   "trib fix " + o.seed.addr.String(),
	}
}

// undecidedError is what was not repaired.
type undecidedError struct{ left []plan.Undecided }

// undecided leaves out what is well as it is.
func undecided(left []plan.Undecided) error {
	left = slices.DeleteFunc(slices.Clone(left), func(u plan.Undecided) bool { return u.Advice })
	if len(left) == 0 {
		return nil
	}
	return &undecidedError{left}
}

func (e *undecidedError) Error() string { return "not repaired: " + strings.Join(e.texts(), "; ") }

func (e *undecidedError) texts() []string {
	var texts []string
	for _, u := range e.left {
		texts = append(texts, u.String())
	}
	return texts
}

// code is that of a conflict where a flag decides, and of an unhealthy cluster
// where something has to be done first.
func (e *undecidedError) code() int {
	if e.flags() != nil {
		return exitConflict
	}
	return exitUnhealthy
}

func (e *undecidedError) flags() []string {
	var flags []string
	for _, u := range e.left {
		if u.Flag != "" && !slices.Contains(flags, u.Flag) {
			flags = append(flags, u.Flag)
		}
	}
	return flags
}

func (e *undecidedError) hint() string {
	if e.flags() == nil {
		return "trib check shows the whole state"
	}
	flags := strings.Join(e.flags(), " and ")
	if strings.HasPrefix(flags, "--foreign-keys") {
		return "trib fix with " + flags + ": adopt brings over what the owner lacks, drop deletes what it has as well, and discard deletes both"
	}
	return fmt.Sprintf("trib fix with %s, once you know that this is right", flags)
}
