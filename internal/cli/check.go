package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/observe"
)

type checkOptions struct {
	seed   seed
	strict bool
	zones  map[string]string // host to availability zone
}

func newCheckCmd(app *App, run func(context.Context, *checkOptions) error) *cobra.Command {
	o := &checkOptions{zones: make(map[string]string)}
	if run == nil {
		run = app.runCheck
	}
	cmd := &cobra.Command{
		Use:     "check SEED",
		GroupID: groupHealth,
		Short:   "Say what is wrong with a cluster",
		Long: `Reads every node of the cluster at once, compares what they say, counts the keys
of each slot in every database, and reports what is wrong, what shows it, and
what to do about it: nodes that are silent, cut off, half-forgotten or known
under several addresses; slots that are open, uncovered or claimed twice; keys
that nobody can reach; replicas that are missing, behind, cut off or beside
their master; the quorum; versions, settings and functions that differ.
trib explain tells about each code. It changes nothing.` + exitCodes(exitUsage, exitUnhealthy, exitNoSeed, exitInterrupted),
		Example: `  trib check 10.0.0.1:7000
  trib check 10.0.0.1 7000 --strict
  trib check 10.0.0.1:7000 --zone 10.0.0.1=a --zone 10.0.0.2=b
  trib check 10.0.0.1:7000 -o json | jq '.findings[].code'`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.seed, err = seedOf(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.strict, "strict", false, "warnings fail the check too")
	cmd.Flags().Var(pairs{o.zones}, "zone", "availability zone of a host; may be given several times (Valkey nodes may announce theirs)")
	// What this option of redis-cli asks for is always done.
	cmd.Flags().Bool("search-multiple-owners", false, "")
	cmd.Flags().MarkHidden("search-multiple-owners")
	return cmd
}

func (app *App) runCheck(ctx context.Context, o *checkOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	app.Terminal.Status("reading the cluster and counting its keys...")
	s, err := observe.Check(ctx, a.reader(), app.seeds([]cluster.Addr{o.seed.addr})...)
	app.Terminal.Status("")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return a.explain(err)
	}
	if err := app.recognise(ctx, a, []cluster.Addr{o.seed.addr}, s); err != nil {
		return err
	}
	view := ui.NewCheck(o.seed.addr.String(), s, health.Options{Zones: app.zones(o.zones)}.Check(s))
	if err := app.Terminal.Show(view); err != nil {
		return err
	}
	return judge(view, o.strict)
}

func judge(view ui.Check, strict bool) error {
	if view.Healthy && !(strict && len(view.Findings) > 0) {
		return nil
	}
	return &unhealthyError{ui.Tally(view.Findings)}
}
