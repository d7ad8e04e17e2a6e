package cli

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

type setTimeoutOptions struct {
	seed    seed
	timeout int // ms
	yes     bool
	dryRun  bool
}

// The bounds of a node timeout in ms. Below the least one nodes call each other
// failed whenever one of them forks; the most is what servers take.
const (
	leastNodeTimeout = 100
	mostNodeTimeout  = 1<<31 - 1
)

func newSetTimeoutCmd(app *App, run func(context.Context, *setTimeoutOptions) error) *cobra.Command {
	o := &setTimeoutOptions{}
	if run == nil {
		run = app.runSetTimeout
	}
	cmd := &cobra.Command{
		Use:     "set-timeout SEED MS",
		GroupID: groupNodes,
		Short:   "Set the node timeout of all nodes",
		Long: `Sets cluster-node-timeout, after which nodes call each other failed, on all
nodes at once, and lets each of them write its configuration file anew. Each
node's result is shown; a node without a configuration file keeps the new
timeout until it is restarted, which counts as a failure.` +
			exitCodes(exitRefused, exitUsage, exitPartial, exitNoSeed, exitInterrupted),
		Example:           `  trib set-timeout 10.0.0.1:7000 5000`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	defer under(f, sectionChange)()
	f.BoolVar(&o.yes, "yes", false, "do not ask (also: TRIB_YES=1)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be set and change nothing")
	return cmd
}

func (o *setTimeoutOptions) complete(args []string) (err error) {
	if o.seed, args, err = seedBefore(args); err != nil {
		return err
	}
	switch {
	case len(args) != 1:
		return usage("want one timeout in milliseconds after the SEED, got %d words", len(args))
	case o.yes && o.dryRun:
		return usage("--yes and --dry-run contradict each other")
	}
	if err := (number{&o.timeout, leastNodeTimeout, mostNodeTimeout}).Set(args[0]); err != nil {
		return usage("timeout in milliseconds: %w", err)
	}
	return nil
}

func (app *App) runSetTimeout(ctx context.Context, o *setTimeoutOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeCluster(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	view := ui.NewTimeouts(o.seed.addr, o.timeout, s)
	app.Terminal.Text(view.Plan)
	if err := app.maySetTimeout(ctx, a, view); err != nil {
		return err
	}
	if o.dryRun {
		view.DryRun = true
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Dry run: nothing was changed.") })
		return app.Terminal.Result(view)
	}
	if err := app.confirm(ctx, change{
		options: &changeOptions{yes: o.yes}, show: view.Plan, question: "Set the timeout of all nodes? (type 'yes' to accept): ",
	}); err != nil {
		return err
	}
	err = app.setTimeouts(ctx, a.dialer, &view)
	app.Terminal.Text(view.Results)
	return errors.Join(app.Terminal.Result(view), err)
}

// maySetTimeout refuses to begin what one of the nodes does not allow: a timeout
// that is set and not written ends with the next restart.
func (app *App) maySetTimeout(ctx context.Context, a access, view ui.Timeouts) error {
	var addrs []cluster.Addr
	for _, n := range view.Nodes {
		if n.Error == "" {
			addrs = append(addrs, n.Addr)
		}
	}
	denied, err := deniedAt(ctx, a, addrs, takenBySetTimeout)
	if denied != nil {
		return &hintError{&unfitError{denied}, "trib acl set-timeout prints what it takes"}
	}
	return err
}

// setTimeouts sets all at the same time: while they differ, nodes with the shorter
// one suspect others that are only slow.
func (app *App) setTimeouts(ctx context.Context, d driver.Dialer, view *ui.Timeouts) error {
	failure := &callError{of: len(view.Nodes)}
	unknown := make([]bool, len(view.Nodes))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range view.Nodes {
		g.Go(func() error {
			unknown[i] = setTimeout(ctx, d, &view.Nodes[i], view.MS)
			return nil
		})
	}
	g.Wait()
	for i, n := range view.Nodes {
		failure.unknown = failure.unknown || unknown[i]
		if !n.OK {
			failure.failed = append(failure.failed, n.Addr.String())
		}
	}
	if view.Failed = len(failure.failed); view.Failed > 0 {
		return failure
	}
	return nil
}

// configWithin is how long a node may take to write its file.
const configWithin = 10 * time.Second

// setTimeout sets one node's. It reports whether the node may have changed although
// it failed.
func setTimeout(ctx context.Context, d driver.Dialer, n *ui.TimeoutOf, ms int) (changed bool) {
	if n.Error != "" {
		return false // it did not answer when the cluster was read
	}
	conn, err := d.Dial(ctx, n.Addr, "")
	if err != nil {
		n.Error = reason(err, n.Addr)
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, configWithin)
	defer cancel()
	if _, err := driver.Call(ctx, conn, "CONFIG", "SET", "cluster-node-timeout", strconv.Itoa(ms)); err != nil {
		n.Error = reason(err, n.Addr)
		return driver.IsTransport(err)
	}
	n.Set = true
	if _, err := driver.Call(ctx, conn, "CONFIG", "REWRITE"); err != nil {
		n.Error = "it is set until the next restart; CONFIG REWRITE: " + reason(err, n.Addr)
		return true
	}
	n.OK = true
	return true
}
