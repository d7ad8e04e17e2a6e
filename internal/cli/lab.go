package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/sim/serve"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
)

const defaultLab = ".lab"

type labUpOptions struct {
	dir         string
	masters     int
	replicas    int
	firstPort   int
	server      string
	noCreate    bool
	nodeTimeout time.Duration
	simulated   bool
}

type labDownOptions struct {
	dir    string
	remove bool
}

func newLabCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lab",
		GroupID: groupMore,
		Short:   "Run a local cluster to learn and test on",
		Long: `Runs real servers on this machine, to learn and test on. They belong to a
directory, and outlive trib.` + exitCodes(exitRefused, exitUsage),
		RunE: noCommand,
	}
	cmd.AddCommand(newLabUpCmd(app, nil), newLabStatusCmd(app, nil), newLabDownCmd(app, nil))
	return cmd
}

func newLabUpCmd(app *App, run func(context.Context, *labUpOptions) error) *cobra.Command {
	o := &labUpOptions{masters: 3, replicas: 1, nodeTimeout: 5 * time.Second}
	if run == nil {
		run = app.runLabUp
	}
	cmd := &cobra.Command{
		Use:   "up [DIR]",
		Short: "Start servers and form a cluster of them",
		Long: `Starts servers, each in its own directory under DIR (default .lab), and forms a
cluster of them as trib create would. Servers of a lab that is down are started
again as they were.

With --simulated no server is needed: trib plays the nodes itself, on real ports
and until it is interrupted. They know strings and lists, and forget everything.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitPartial, exitInterrupted),
		Example: `  trib lab up
  trib lab up /tmp/lab --masters 4 --replicas 0 --ports 7000
  trib lab up --server ./valkey-server --no-create
  trib lab up --simulated --server valkey-9.1`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.simulated && len(args) > 0 {
				return usage("--simulated takes no DIR: simulated nodes keep nothing")
			}
			if o.dir, err = labDir(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.Var(number{&o.masters, 1, 500}, "masters", "how many masters")
	f.Var(number{&o.replicas, 0, 100}, "replicas", "replicas of each master")
	f.Var(number{&o.firstPort, 1, 55535}, "ports", "first port; the others follow (default: free ports)")
	f.StringVar(&o.server, "server", "", "server program (default: redis-server or valkey-server on PATH)")
	f.BoolVar(&o.simulated, "simulated", false, "play the nodes, in the foreground; --server is then one of\n"+strings.Join(serve.Names(), ", "))
	f.BoolVar(&o.noCreate, "no-create", false, "start the servers only")
	f.Var(span{&o.nodeTimeout, time.Millisecond}, "node-timeout", "cluster-node-timeout of the servers")
	return cmd
}

func newLabStatusCmd(app *App, run func(context.Context, string) error) *cobra.Command {
	if run == nil {
		run = app.runLabStatus
	}
	return &cobra.Command{
		Use:     "status [DIR]",
		Short:   "Show the servers of a lab",
		Long:    "Shows the servers of the lab in DIR (default .lab)." + exitCodes(exitRefused, exitUsage),
		Example: "  trib lab status",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := labDir(args)
			if err != nil {
				return err
			}
			return run(cmd.Context(), dir)
		},
	}
}

func newLabDownCmd(app *App, run func(context.Context, *labDownOptions) error) *cobra.Command {
	o := &labDownOptions{}
	if run == nil {
		run = app.runLabDown
	}
	cmd := &cobra.Command{
		Use:   "down [DIR]",
		Short: "End the servers of a lab",
		Long: `Ends the servers of the lab in DIR (default .lab), and nothing else. Their
directories stay, unless --remove deletes them.` + exitCodes(exitRefused, exitUsage),
		Example: `  trib lab down
  trib lab down --remove`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.dir, err = labDir(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.remove, "remove", false, "delete what the lab made in its directory, data included")
	return cmd
}

func labDir(args []string) (string, error) {
	switch len(args) {
	case 0:
		return defaultLab, nil
	case 1:
		return filepath.Clean(args[0]), nil
	}
	return "", usage("too many arguments: want one DIR, got %d", len(args))
}

func (app *App) runLabUp(ctx context.Context, o *labUpOptions) error {
	if o.simulated {
		return app.playLab(ctx, o)
	}
	if old, err := lab.Open(o.dir); err == nil {
		return app.restartLab(ctx, o.dir, old)
	} else if !errors.Is(err, lab.ErrNone) {
		return err
	}
	a, err := app.connect(ctx, config.Credentials{})
	if err != nil {
		return err
	}
	if a.encrypted {
		return usage("the servers of a lab speak no TLS")
	}
	l, err := app.startLab(ctx, o, a)
	if err != nil {
		return err
	}
	view := labView(ctx, "lab up", o.dir, l)
	var failed error
	if !o.noCreate {
		view.Create, failed = app.createOn(ctx, o, a, l.Addrs())
	}
	if failed != nil {
		failed = &hintError{failed, "the servers run on; trib lab down " + o.dir + " ends them"}
	} else {
		app.Terminal.Text(func(p *ui.Page) { p.Blank() })
	}
	return errors.Join(failed, app.showUp(view))
}

func (app *App) showUp(view ui.Lab) error {
	if err := app.Terminal.Show(view); err != nil {
		return err
	}
	app.Terminal.Text(view.Usage)
	return nil
}

// startLab demands of clients the password that trib itself would present.
func (app *App) startLab(ctx context.Context, o *labUpOptions, a access) (*lab.Lab, error) {
	app.Terminal.Status("starting servers...")
	defer app.Terminal.Status("")
	server, err := lab.FindServer(ctx, o.server)
	if errors.Is(err, lab.ErrNoServer) {
		return nil, &hintError{err, "--server names one; in the source tree scripts/servers.sh unpacks some"}
	}
	if err != nil {
		return nil, err
	}
	l, err := lab.Start(ctx, lab.Options{
		Dir: o.dir, Servers: []lab.Server{server}, Nodes: o.masters * (1 + o.replicas), FirstPort: o.firstPort,
		Config: []string{
			fmt.Sprintf("cluster-node-timeout %d", o.nodeTimeout.Milliseconds()),
			"repl-diskless-sync-delay 0", // by default replicas wait 5 s for each other
		},
		Password: a.credentials.Password.Reveal(), Detach: true,
	})
	if ctx.Err() != nil && err != nil {
		return nil, context.Cause(ctx)
	}
	return l, err
}

func (app *App) restartLab(ctx context.Context, dir string, l *lab.Lab) error {
	if err := l.Up(ctx); err != nil {
		return err
	}
	app.Terminal.Text(func(p *ui.Page) {
		p.Line("[OK] There was a lab in %s; all its servers run, with the data they had.", dir)
	})
	return app.showUp(labView(ctx, "lab up", dir, l))
}

func (app *App) createOn(ctx context.Context, o *labUpOptions, a access, addrs []string) (*ui.Outcome, error) {
	create := &createOptions{replicas: o.replicas, wait: apply.ReadyOK}
	create.yes, create.progress = true, ui.ProgressAuto
	for _, text := range addrs {
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		create.addrs = append(create.addrs, addr)
	}
	var err error
	if create.wishes, err = create.readWishes(); err != nil {
		return nil, err
	}
	c, err := app.planCreate(ctx, a, create)
	if err != nil {
		return nil, err
	}
	return app.carryOut(ctx, c)
}

func (app *App) runLabStatus(ctx context.Context, dir string) error {
	l, err := lab.Open(dir)
	if err != nil {
		return err
	}
	return app.Terminal.Show(labView(ctx, "lab status", dir, l))
}

func (app *App) runLabDown(ctx context.Context, o *labDownOptions) error {
	l, err := lab.Open(o.dir)
	if err != nil {
		return err
	}
	if err := l.Down(ctx); err != nil {
		return err
	}
	if o.remove {
		if err := l.Remove(); err != nil {
			return err
		}
	}
	app.Terminal.Text(func(p *ui.Page) {
		if o.remove {
			p.Line("[OK] %d servers ended; their directories in %s are deleted.", len(l.Nodes()), o.dir)
			return
		}
		p.Line("[OK] %d servers ended; trib lab up %s starts them again, trib lab down --remove %s deletes them.", len(l.Nodes()), o.dir, o.dir)
	})
	view := labView(ctx, "lab down", o.dir, l)
	view.Removed = o.remove
	return app.Terminal.Result(view)
}

func labView(ctx context.Context, command, dir string, l *lab.Lab) ui.Lab {
	view := ui.Lab{Schema: ui.Schema, Command: command, Dir: dir, Nodes: []ui.LabNode{}}
	for _, n := range l.Status(ctx) {
		view.Nodes = append(view.Nodes, ui.LabNode{
			Addr: n.Addr, Pid: n.Pid, Condition: string(n.Condition), Server: n.Server + " " + n.Version, Dir: n.Dir,
		})
	}
	return view
}
