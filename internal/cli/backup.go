package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
)

type backupOptions struct {
	seed     seed
	dir      string
	replicas bool
	atOnce   int
	wait     time.Duration
	override []string

	dryRun    bool
	noLock    bool
	breakLock bool
	progress  ui.ProgressMode
}

func newBackupCmd(app *App, run func(context.Context, *backupOptions) error) *cobra.Command {
	o := &backupOptions{}
	if run == nil {
		run = app.runBackup
	}
	cmd := &cobra.Command{
		Use:     "backup SEED DIR",
		GroupID: groupNodes,
		Short:   "Save the data of every master in a directory",
		Long: `Saves an RDB file of every master with slots in DIR, all at the same time,
beside a description of all nodes (nodes.json) and a manifest with checksums.
Each node forks for that, as it does for a new replica. The cluster is not
changed, and every master's file is of a moment of its own.

DIR must be empty, or not exist. The manifest comes last, and only if no slot
has changed its owner meanwhile: a backup that fails, for whatever reason,
leaves nothing behind that trib restore takes.` +
			exitCodes(exitRefused, exitUsage, exitStale, exitNoSeed, exitInterrupted),
		Example: `  trib backup 10.0.0.1:7000 /backups/2026-11-22
  trib backup 10.0.0.1:7000 /backups/2026-11-22 --from-replicas --parallel 2`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.progress, o.wait = ui.ProgressAuto, 10*time.Minute
	f.BoolVar(&o.replicas, "from-replicas", false, "spare the masters: ask a healthy replica of each, where it has one")
	f.Var(number{&o.atOnce, 1, 10000}, "parallel", "most nodes that fork and send at the same time (default all)")
	f.Var(span{&o.wait, 0}, "wait-timeout", "until a node begins to send, which may be busy with another snapshot")
	f.Var(words{&o.override, []string{overrideHealth, overridePermissions}}, "override", "do not let `OBSTACLE` keep it from starting: health, permissions")
	defer under(f, sectionChange)()
	f.BoolVar(&o.dryRun, "dry-run", false, "show which node would give what, and write nothing")
	f.BoolVar(&o.noLock, "no-lock", false, "do not take the lock: for servers that refuse CLIENT SETNAME or CLIENT LIST")
	f.BoolVar(&o.breakLock, "break-lock", false, "take the lock from another operator, for one that hangs")
	f.Var(choice[ui.ProgressMode]{&o.progress, ui.ProgressModes()}, "progress", "how the run is shown on standard error")
	return cmd
}

func (o *backupOptions) complete(args []string) (err error) {
	if o.seed, args, err = seedBefore(args); err != nil {
		return err
	}
	switch {
	case len(args) == 0 || args[0] == "":
		return usage("no DIR: name the directory for the backup")
	case len(args) > 1:
		return usage("too many arguments: want one DIR after the SEED, got %d words", len(args))
	case o.noLock && o.breakLock:
		return usage("--no-lock and --break-lock contradict each other")
	}
	o.dir = args[0]
	return nil
}

func (app *App) runBackup(ctx context.Context, o *backupOptions) error {
	if err := backup.Vacant(o.dir); err != nil {
		return err
	}
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeForBackup(ctx, a, o)
	if err != nil {
		return err
	}
	sources := backup.Sources(s, o.replicas)
	if len(sources) == 0 {
		return &unfitError{[]string{"no master that answers has slots: there is nothing to save"}}
	}
	if err := mayBackUp(ctx, a, o, sources); err != nil {
		return err
	}
	view := ui.NewBackup(o.seed.addr, o.dir, sources)
	app.Terminal.Text(view.Plan)
	if o.dryRun {
		view.DryRun = true
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Dry run: nothing was written.") })
		return app.Terminal.Result(view)
	}
	start := app.Now()
	m, err := app.backUp(ctx, a, o, s, sources)
	if err != nil {
		return explainBackup(err)
	}
	view.Took(m, app.Now().Sub(start))
	app.Terminal.Text(view.Summary)
	return app.Terminal.Result(view)
}

// observeForBackup reads a cluster of which it is known who has which keys.
func (app *App) observeForBackup(ctx context.Context, a access, o *backupOptions) (cluster.State, error) {
	s, err := app.observeSettled(ctx, a, o.seed.addr)
	if err != nil || slices.Contains(o.override, overrideHealth) {
		return s, err
	}
	const anyway = "--override health saves what there is all the same"
	if err := unfit(s, o.seed.addr); err != nil {
		return s, &hintError{err, "trib check " + o.seed.addr.String() + " shows what to do about it; " + anyway}
	}
	if err := noOpenSlots(s, o.seed.addr); err != nil {
		return s, &hintError{err, hintFor(err) + "; " + anyway}
	}
	return s, nil
}

func (app *App) backUp(ctx context.Context, a access, o *backupOptions, s cluster.State, sources []backup.Source) (backup.Manifest, error) {
	show := ui.NewSaving(app.Terminal, o.progress, len(sources), app.Now)
	defer show.End()
	return backup.Take(ctx, backup.Options{
		Dialer: a.dialer, Cluster: s, Sources: sources, Dir: o.dir, AtOnce: o.atOnce,
		Begin: o.wait, Idle: snapshotIdle,
		Lock: lock.Options{Operation: "backup", Holder: app.Holder, Skip: o.noLock, Break: o.breakLock},
		Tool: "trib " + app.Build.Version, Now: app.Now, Report: show.Take,
	})
}

// snapshotIdle is how long a node may say nothing: while it prepares a snapshot,
// it gives a sign of life every second.
const snapshotIdle = 30 * time.Second

func explainBackup(err error) error {
	switch {
	case is[*backup.ChangedError](err):
		return &hintError{&unfitError{[]string{err.Error()}}, "run the same command again when nobody moves slots"}
	case is[*lock.UnsupportedError](err):
		return err
	case driver.HasCode(err, "NOPERM"):
		return &hintError{err, "the user needs +sync and +replconf to receive data as a replica does"}
	case is[*driver.TransportError](err) && !errors.Is(err, errInterrupted):
		return fmt.Errorf("nothing was kept: %w", err)
	}
	return err
}
