package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/ingest"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
)

type importOptions struct {
	changeOptions
	seed    seed
	source  sourceOptions
	from    seed
	copy    bool
	move    bool
	replace bool
	verify  bool
	fromDB  int
	everyDB bool
	match   string
	kind    string

	pipeline int
	timeout  time.Duration
	maxKeys  int
	maxBytes int64
	override []string
}

// sourceOptions say where keys come from and how to get in there.
type sourceOptions struct {
	addr     string
	user     string
	pass     string
	askPass  bool
	password config.PasswordSource
	tls      bool
}

func (o *sourceOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.addr, "from", "", "the server that has the keys: `HOST:PORT`, or redis://user:password@host:port")
	f.StringVar(&o.user, "from-user", "", "the ACL user at the source is `NAME`")
	f.StringVar(&o.pass, "from-pass", "", "the `PASSWORD` at the source; better in a file")
	f.BoolVar(&o.askPass, "from-askpass", false, "ask for the password at the source")
	f.StringVar(&o.password.File, "from-password-file", "", "the password at the source is the first line of `FILE`")
	f.StringVar(&o.password.Command, "from-password-command", "", "it is the first line that `COMMAND` prints")
	f.BoolVar(&o.tls, "from-tls", false, "encrypt connections to the source (also: rediss://), with the files of --tls")
}

func newImportCmd(app *App, run func(context.Context, *importOptions) error) *cobra.Command {
	o := &importOptions{}
	if run == nil {
		run = app.runImport
	}
	cmd := &cobra.Command{
		Use:     "import SEED --from HOST:PORT",
		GroupID: groupSlots,
		Short:   "Bring in the keys of a standalone server or of another cluster",
		Long: `Copies the keys of a standalone server, or of all masters of another cluster,
into the cluster, with their times to live: every database, or --from-db. What
the cluster has already with the same value and time to live is skipped, so the
same command again goes on after an interruption. A key that it has with
another value stays as it is on both sides, unless --replace is given; then the
run ends with exit 6.

--move deletes at the source what has arrived: after comparing both values, and
only if nobody has changed the source's meanwhile.

Databases keep their numbers where every master has them; otherwise all keys
come into database 0. Keys travel from the source to the targets directly
(MIGRATE), or through trib where the source cannot reach them.` +
			exitCodes(exitRefused, exitUsage, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Example: `  trib import 10.0.0.1:7000 --from 10.0.9.9:6379
  trib import 10.0.0.1:7000 --from 10.0.9.9:6379 --from-db 3 --match 'user:*'
  trib import 10.0.0.1:7000 --from rediss://10.0.9.9:6379 --from-askpass --move`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.everyDB = !cmd.Flags().Changed("from-db")
			if err := o.complete(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.source.addFlags(f)
	f.Var(number{&o.fromDB, 0, 1 << 20}, "from-db", "only this database of the source (default all)")
	f.BoolVar(&o.copy, "copy", false, "leave the keys at the source; this is the default")
	f.BoolVar(&o.move, "move", false, "delete at the source what has arrived and is equal")
	f.BoolVar(&o.replace, "replace", false, "overwrite keys of the same name in the cluster")
	f.BoolVar(&o.verify, "verify", false, "compare every key afterwards")
	f.StringVar(&o.match, "match", "*", "only keys that match `PATTERN`, as SCAN understands it")
	f.Var(choice[string]{&o.kind, []string{"string", "list", "set", "zset", "hash", "stream"}}, "type", "only values of this type")
	f.Var(number{&o.pipeline, 1, 10000}, "pipeline", "most keys in one MIGRATE (default 1000)")
	f.Var(span{&o.timeout, time.Millisecond}, "timeout", "of one MIGRATE (default 5s)")
	f.Var(number{&o.maxKeys, 1, 1e9}, "max-keys/s", "most keys to bring in in a second")
	f.Var(size{&o.maxBytes}, "max-bytes/s", "most memory to bring in in a second, such as 20M")
	f.Var(words{&o.override, []string{overridePermissions}}, "override", "do not let `OBSTACLE` keep it from starting: permissions")
	o.addConsent(f)
	return cmd
}

func (o *importOptions) complete(args []string) (err error) {
	if o.seed, err = seedOf(args); err != nil {
		return err
	}
	switch {
	case o.source.addr == "":
		return usage("no --from: name the server that has the keys")
	case o.match == "":
		return usage("--match: an empty pattern matches no key but the empty one")
	case o.copy && o.move:
		return usage("--copy and --move contradict each other")
	case o.verify && o.move:
		return usage("--verify does not go with --move, which compares every key before it deletes it")
	case o.source.passwords() > 1:
		return usage("--from-pass, --from-askpass, --from-password-file and --from-password-command: want one of them")
	}
	if o.from, err = parseSeed(o.source.addr); err != nil {
		return usage("--from: %w", err)
	}
	return o.validate()
}

// passwords is how many ways to the source's password were given.
func (o *sourceOptions) passwords() (n int) {
	for _, is := range []bool{o.pass != "", o.askPass, o.password.File != "", o.password.Command != ""} {
		if is {
			n++
		}
	}
	return n
}

// credentials are those of the command line.
func (o *sourceOptions) credentials(ctx context.Context, app *App) (config.Credentials, error) {
	c := config.Credentials{User: o.user, Password: config.Secret(o.pass), TLS: o.tls}
	if o.askPass {
		password, err := app.Prompter.Password(ctx, "Please input import source node password: ")
		c.Password = config.Secret(password)
		return c, err
	}
	if !o.password.Given() {
		return c, nil
	}
	var err error
	if c.Password, err = o.password.Read(ctx); err != nil && ctx.Err() == nil {
		return c, usage("--from-%w", err)
	}
	return c, context.Cause(ctx)
}

// databases are those that are wanted; nil for all.
func (o *importOptions) databases() []int {
	if o.everyDB {
		return nil
	}
	return []int{o.fromDB}
}

func (app *App) runImport(ctx context.Context, o *importOptions) error {
	to, from, err := app.bothEnds(ctx, o)
	if err != nil {
		return err
	}
	s, err := app.observeFitForKeys(ctx, to, o.seed)
	if err != nil {
		return err
	}
	origins, err := ingest.Inspect(ctx, from.reader(), o.from.addr)
	if err != nil {
		return from.explain(sourceSilent(err))
	}
	engine := o.engine(app, to, from, s, origins)
	if err := fitSource(o, engine); err != nil {
		return err
	}
	if err := mayImport(ctx, o, to, from, engine); err != nil {
		return err
	}
	view := ui.NewImport(o.seed.addr, engine)
	app.Terminal.Text(view.Plan)
	switch {
	case engine.Keys() == 0:
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] The source has no keys there: nothing to import.") })
		return app.Terminal.Result(view)
	case o.dryRun:
		view.DryRun = true
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Dry run: nothing was changed.") })
		return app.Terminal.Result(view)
	}
	if err := app.confirm(ctx, change{options: &o.changeOptions, show: view.Plan, question: "Import these keys? (type 'yes' to accept): "}); err != nil {
		return err
	}
	return app.ingest(ctx, o, engine, view)
}

// bothEnds are the ways to the cluster and to the source. The credentials of one
// are never tried at the other.
func (app *App) bothEnds(ctx context.Context, o *importOptions) (to, from access, err error) {
	if to, err = app.connectPlainly(ctx, o); err != nil {
		return to, from, err
	}
	given, err := o.source.credentials(ctx, app)
	if err != nil {
		return to, from, err
	}
	given = given.Or(o.from.credentials)
	var encryption *tls.Config
	if given.TLS {
		if encryption, err = app.global.connect.encryption(true); err != nil {
			return to, from, err
		}
	}
	dialer := app.NewDialer(config.Connection{Credentials: given, Encryption: encryption, Timeout: app.global.connect.timeout, Addresses: app.known.addresses})
	// The source is told the cluster's password, and may repeat it.
	safe := redacting{redacting{dialer, given.Password}, to.credentials.Password}
	return to, access{safe, given, given.TLS}, nil
}

// connectPlainly allows for files of --tls that are for the source alone.
func (app *App) connectPlainly(ctx context.Context, o *importOptions) (access, error) {
	global := app.global.connect
	if (o.source.tls || o.from.credentials.TLS) && !global.tls && !o.seed.credentials.TLS {
		app.global.connect.files = config.TLS{}
		defer func() { app.global.connect = global }()
	}
	return app.connect(ctx, o.seed.credentials)
}

// sourceSilent makes a source that does not answer one of the named nodes that do
// not.
func sourceSilent(err error) error {
	if driver.IsTransport(err) {
		return &unreachableError{[]string{"the source does not answer: " + err.Error()}, err}
	}
	return fmt.Errorf("the source: %w", err)
}

// observeFitForKeys reads a cluster that must be fit for taking keys: with slots
// that are open nobody could say who is to have them.
func (app *App) observeFitForKeys(ctx context.Context, a access, from seed) (cluster.State, error) {
	s, err := app.observeSettled(ctx, a, from.addr)
	if err != nil {
		return s, err
	}
	if err := unfit(s, from.addr); err != nil {
		return s, err
	}
	return s, noOpenSlots(s, from.addr)
}

func noOpenSlots(s cluster.State, seed cluster.Addr) error {
	for _, m := range s.Members {
		if open := m.OpenSlots(); !open.Empty() {
			return &hintError{&unfitError{[]string{fmt.Sprintf("slots %s are open on %s", open, m.Addr)}}, "trib resume " + seed.String() + " finishes them"}
		}
	}
	return nil
}

func (o *importOptions) engine(app *App, to, from access, s cluster.State, origins []ingest.Origin) ingest.Options {
	e := ingest.Options{
		From: from.dialer, Origins: origins, To: to.dialer, Cluster: s,
		Databases: o.databases(), Match: o.match, Type: o.kind,
		Move: o.move, Replace: o.replace, Through: from.encrypted || to.encrypted,
		Batch: o.pipeline, Timeout: o.timeout,
		Lock: lock.Options{
			Operation: "import", Holder: app.Holder, Skip: o.noLock, Break: o.breakLock,
		},
		Username: to.credentials.User, Password: to.credentials.Password.Reveal(),
	}
	if o.maxKeys > 0 || o.maxBytes > 0 {
		e.Throttle = move.NewThrottle(int64(o.maxKeys), o.maxBytes)
	}
	return e
}

// fitSource refuses what would lose something.
func fitSource(o *importOptions, e ingest.Options) error {
	for _, origin := range e.Origins {
		if _, own := memberAt(e.Cluster, origin.Addr); own {
			return &unfitError{[]string{fmt.Sprintf("the source %s belongs to the cluster itself", origin.Addr)}}
		}
		if o.move && origin.Replica {
			return &unfitError{[]string{fmt.Sprintf("the source %s is a replica: keys cannot be deleted there; name its master, or leave --move out", origin.Addr)}}
		}
	}
	if o.replace && e.Merges() {
		return &hintError{
			&unfitError{[]string{"several databases come into one, and --replace would let keys of the same name overwrite each other"}},
			"leave --replace out, or import one database after the other with --from-db",
		}
	}
	return nil
}

func memberAt(s cluster.State, addr cluster.Addr) (cluster.Member, bool) {
	for _, m := range s.Members {
		if m.Addr.Canonical() == addr.Canonical() {
			return m, true
		}
	}
	return cluster.Member{}, false
}

// ingest carries the import out.
func (app *App) ingest(ctx context.Context, o *importOptions, e ingest.Options, view ui.Import) error {
	again := "the same command again goes on: what has arrived is skipped"
	app.next.Store(&again)
	show := ui.NewIntake(app.Terminal, o.progress, "importing", o.expected(e), app.Now)
	e.Report = func(t ingest.Totals) {
		app.begun.Store(true)
		show.Take(t)
	}
	start := app.Now()
	totals, err := ingest.Run(ctx, e)
	view.Ran(totals, app.Now().Sub(start), finished(err))
	if o.verify && finished(err) {
		e.Report = show.Take
		compared, failure := ingest.Verify(ctx, e)
		view.Compared(compared)
		err = errors.Join(err, failure)
	}
	show.End()
	if err != nil && !finished(err) && exitCode(err) != exitPartial {
		return err
	}
	app.Terminal.Text(view.Summary)
	if err = errors.Join(app.Terminal.Result(view), err); err != nil && is[*ingest.StoppedError](err) {
		return &hintError{err, again}
	}
	return err
}

// expected is how many keys there are to see; 0 where a filter leaves that open.
func (o *importOptions) expected(e ingest.Options) int64 {
	if o.match != "*" || o.kind != "" {
		return 0
	}
	return e.Keys()
}

// finished reports whether a run has seen every key.
func finished(err error) bool {
	return err == nil || is[*ingest.LeftError](err) && !is[*ingest.StoppedError](err)
}
