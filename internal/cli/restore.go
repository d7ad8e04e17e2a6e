package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
)

type restoreOptions struct {
	changeOptions
	dir     string
	seed    seed
	server  string
	merge   bool
	replace bool
	verify  bool

	pipeline int
	maxKeys  int
	maxBytes int64
	override []string
}

func newRestoreCmd(app *App, run func(context.Context, *restoreOptions) error) *cobra.Command {
	o := &restoreOptions{}
	if run == nil {
		run = app.runRestore
	}
	cmd := &cobra.Command{
		Use:     "restore DIR SEED",
		GroupID: groupNodes,
		Short:   "Bring the data of a backup into a cluster",
		Long: `Brings the keys of a backup in DIR into a cluster of any shape, each to the
master that has its slot now, with their times to live, databases and function
libraries. DIR is what trib backup or redis-cli --cluster backup has written.
All checksums are compared before anything else. What has expired since the
backup does not come back.

Each file is loaded by a temporary server of this machine, valkey-server or
redis-server on the PATH, or --server; it needs as much memory as one master.
Without one that can read the files, trib reads them itself; then the cluster
must be of the version that wrote them, or newer.

A cluster that has keys is refused, unless with --merge: what it has already
with the same value is skipped, so that a restore which was interrupted goes
on, and a key that it has with another value stays as it is (exit 6). --replace
overwrites it.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib restore /backups/2026-11-22 10.0.0.1:7000
  trib restore /backups/2026-11-22 10.0.0.1:7000 --merge --verify`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "server", "", "load the files with the server program `FILE`")
	f.BoolVar(&o.merge, "merge", false, "also into a cluster that has keys; those of other values stay")
	f.BoolVar(&o.replace, "replace", false, "overwrite keys of the same name in the cluster")
	f.BoolVar(&o.verify, "verify", false, "compare every key afterwards")
	f.Var(number{&o.pipeline, 1, 10000}, "pipeline", "most keys in one MIGRATE (default 1000)")
	f.Var(number{&o.maxKeys, 1, 1e9}, "max-keys/s", "most keys to bring in in a second")
	f.Var(size{&o.maxBytes}, "max-bytes/s", "most memory to bring in in a second, such as 20M")
	f.Var(words{&o.override, []string{overridePermissions}}, "override", "do not let `OBSTACLE` keep it from starting: permissions")
	o.addConsent(f)
	return cmd
}

func (o *restoreOptions) complete(args []string) (err error) {
	if len(args) == 0 || args[0] == "" {
		return usage("no DIR: name the directory of the backup")
	}
	o.dir = args[0]
	if o.seed, err = seedOf(args[1:]); err != nil {
		return err
	}
	return o.validate()
}

func (o *restoreOptions) throttle() *move.Throttle {
	if o.maxKeys == 0 && o.maxBytes == 0 {
		return nil
	}
	return move.NewThrottle(int64(o.maxKeys), o.maxBytes)
}

func (app *App) runRestore(ctx context.Context, o *restoreOptions) error {
	b, err := app.openBackup(ctx, o.dir)
	if err != nil {
		return err
	}
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeFitForKeys(ctx, a, o.seed)
	if err != nil {
		return err
	}
	if err := o.fitTarget(s); err != nil {
		return err
	}
	r := &restoring{app: app, o: o, backup: b, access: a, cluster: s}
	if err := r.chooseReaders(ctx); err != nil {
		return err
	}
	if o.replace && r.merges() {
		return &unfitError{[]string{"several databases come into one, and --replace would let keys of the same name overwrite each other"}}
	}
	if err := mayRestore(ctx, a, o, s); err != nil {
		return err
	}
	r.view = ui.NewRestore(o.seed.addr, b, s, r.through(), o.replace)
	r.view.Merges = r.merges()
	app.Terminal.Text(r.view.Plan)
	if o.dryRun {
		r.view.DryRun = true
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Dry run: nothing was changed.") })
		return app.Terminal.Result(r.view)
	}
	if err := app.confirm(ctx, change{options: &o.changeOptions, show: r.view.Plan, question: "Restore this backup? (type 'yes' to accept): "}); err != nil {
		return err
	}
	return r.deliver(ctx)
}

// openBackup reads all of a backup, so that a damaged one changes nothing.
func (app *App) openBackup(ctx context.Context, dir string) (backup.Backup, error) {
	b, err := backup.Open(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return b, fmt.Errorf("%s: there is no such directory", dir)
		}
		return b, err
	}
	defer app.Terminal.Status("")
	err = b.Check(ctx, func(n int64) { app.Terminal.Status(ui.Checking(n, b.Manifest.Bytes())) })
	return b, err
}

// fitTarget refuses a cluster that has keys, unless that was said.
func (o *restoreOptions) fitTarget(s cluster.State) error {
	var keys int64
	for _, m := range s.Masters() {
		keys += m.Keys()
	}
	if keys == 0 || o.merge || o.replace {
		return nil
	}
	return &hintError{
		&unfitError{[]string{fmt.Sprintf("the cluster has %d keys already", keys)}},
		"--merge goes on after an interrupted restore: it skips what is equal, and keeps what differs; --replace overwrites that",
	}
}
