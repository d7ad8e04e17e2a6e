package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/ingest"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
)

// restoring is one restore on its way.
type restoring struct {
	app     *App
	o       *restoreOptions
	backup  backup.Backup
	access  access
	cluster cluster.State
	readers []lab.Server // that can read every file, the best one first
	direct  bool         // there is none: trib reads them itself
	view    ui.Restore

	held      *lock.Lock
	throttle  *move.Throttle
	show      *ui.Intake
	totals    ingest.Totals
	compared  ingest.Totals
	libraries []ingest.Library
	volatile  int64 // keys with a time to live
	complete  bool  // every file was seen
}

// merges reports whether several databases come into one.
func (r *restoring) merges() bool {
	var origins []ingest.Origin
	for _, f := range r.backup.Manifest.Files {
		origins = append(origins, ingest.Origin{Keyspace: f.Keys})
	}
	return ingest.Options{Origins: origins, Cluster: r.cluster}.Merges()
}

// deliver carries the restore out and gives its result.
func (r *restoring) deliver(ctx context.Context) error {
	again := "the same command with --merge goes on: what has arrived is skipped"
	r.app.next.Store(&again)
	start := r.app.Now()
	err := r.locked(ctx)
	if !r.complete && !is[*ingest.StoppedError](err) {
		return err // nothing was changed
	}
	r.view.Ran(r.totals, r.app.Now().Sub(start), r.complete)
	if r.complete {
		err = errors.Join(err, r.count(context.WithoutCancel(ctx)))
	}
	if r.o.verify && r.complete {
		r.view.Verified = &r.compared
	}
	r.app.Terminal.Text(r.view.Summary)
	err = errors.Join(r.app.Terminal.Result(r.view), err)
	if is[*ingest.StoppedError](err) || r.totals.Failed > 0 || is[*librariesError](err) {
		return &hintError{err, again}
	}
	return err
}

// count looks how many keys the cluster has now: those that came over must be
// there, but for what may have expired.
func (r *restoring) count(ctx context.Context) error {
	var before int64
	for _, m := range r.cluster.Masters() {
		before += m.Keys()
	}
	after, err := r.app.observeCluster(ctx, r.access, r.o.seed.addr)
	if err != nil {
		return err
	}
	for _, m := range after.Masters() {
		r.view.Present += m.Keys()
	}
	if least := r.totals.Copied - r.volatile; !r.o.replace && !r.o.merge && r.view.Present < before+least {
		return &unhealthyError{fmt.Sprintf("it has %d keys, and should have %d at least: a client deletes them, or a master evicts them", r.view.Present, before+least)}
	}
	return nil
}

// locked brings in one file after the other: each takes the memory of a master
// here.
func (r *restoring) locked(ctx context.Context) error {
	var addrs []cluster.Addr
	for _, m := range r.cluster.Masters() {
		addrs = append(addrs, m.Addr)
	}
	var err error
	if r.held, err = lock.Acquire(ctx, r.access.dialer, addrs, lock.Options{
		Operation: "restore", Holder: r.app.Holder, Skip: r.o.noLock, Break: r.o.breakLock,
	}); err != nil {
		return err
	}
	defer r.held.Release()
	r.throttle = r.o.throttle()
	r.show = ui.NewIntake(r.app.Terminal, r.o.progress, "restoring", r.backup.Manifest.Keys(), r.app.Now)
	defer r.show.End()
	for _, f := range r.backup.Manifest.Files {
		if err := r.file(ctx, f); !finished(err) {
			return r.stopped(err)
		}
	}
	r.complete = true
	r.view.Functions = ingest.LoadLibraries(context.WithoutCancel(ctx), r.access.dialer, r.held.Name(), r.cluster, r.libraries, r.o.replace)
	return r.judge()
}

// stopped is how an error ends a run that has changed something before.
func (r *restoring) stopped(err error) error {
	if r.app.begun.Load() && !is[*ingest.StoppedError](err) {
		return &ingest.StoppedError{Cause: err}
	}
	return err
}

// judge says what is left of all files together.
func (r *restoring) judge() (left error) {
	switch t, c := r.totals, r.compared; {
	case t.Failed+t.Existing > 0:
		left = &ingest.LeftError{Totals: t}
	case c.Failed+c.Existing > 0:
		left = &ingest.LeftError{Totals: c}
	}
	if problems := r.view.Functions.Problems; len(problems) > 0 {
		left = errors.Join(left, &librariesError{problems})
	}
	return left
}

// librariesError is function libraries that some masters did not get.
type librariesError struct{ problems []ingest.LibraryProblem }

func (e *librariesError) Error() string {
	p := e.problems[0]
	return fmt.Sprintf("%d function libraries were not loaded, such as %.80q on %s: %s", len(e.problems), p.Library, p.Addr, p.Why)
}

// file brings in the keys of one file.
func (r *restoring) file(ctx context.Context, f backup.File) error {
	source, err := r.load(ctx, f)
	if err != nil {
		return err
	}
	defer source.close()
	origins, err := ingest.Inspect(ctx, source.dialer, source.addr)
	if err != nil {
		return fmt.Errorf("%s: %w", r.backup.Path(f), err)
	}
	if err := r.note(ctx, source); err != nil {
		return fmt.Errorf("%s: %w", r.backup.Path(f), err)
	}
	return r.ingest(ctx, r.engine(source, origins))
}

// note keeps what is not in the keys themselves.
func (r *restoring) note(ctx context.Context, s source) error {
	conn, err := s.dialer.Dial(ctx, s.addr, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	libraries, err := ingest.Libraries(ctx, conn)
	if err != nil {
		return err
	}
	for _, l := range libraries {
		if !slices.Contains(r.libraries, l) {
			r.libraries = append(r.libraries, l)
		}
	}
	n, err := expiring(ctx, conn)
	r.volatile += n
	return err
}

// expiring is how many keys have a time to live.
func expiring(ctx context.Context, conn driver.Conn) (n int64, err error) {
	reply, err := driver.Call(ctx, conn, "INFO") // the keyspace alone is empty where there is no key
	if err != nil {
		return 0, err
	}
	text, err := reply.Text()
	if err != nil {
		return 0, err
	}
	info, err := cluster.ParseInfo(text)
	for name, counts := range info {
		_, expires, _ := strings.Cut(counts, "expires=")
		digits, _, _ := strings.Cut(expires, ",")
		if some, err := strconv.ParseInt(digits, 10, 64); err == nil && strings.HasPrefix(name, "db") {
			n += some
		}
	}
	return n, err
}

func (r *restoring) engine(s source, origins []ingest.Origin) ingest.Options {
	a := r.access
	return ingest.Options{
		From: s.dialer, Origins: origins, To: a.dialer, Cluster: r.cluster, Replace: r.o.replace, Through: a.encrypted || r.direct,
		Flat: r.merges(), Batch: r.o.pipeline, Throttle: r.throttle, Held: r.held,
		Username: a.credentials.User, Password: a.credentials.Password.Reveal(),
	}
}

// ingest brings in one file's keys, and compares them where that is wanted.
func (r *restoring) ingest(ctx context.Context, e ingest.Options) error {
	before := r.totals
	e.Report = func(t ingest.Totals) {
		r.app.begun.Store(true)
		r.show.Take(before.Plus(t))
	}
	totals, err := ingest.Run(ctx, e)
	r.totals = before.Plus(totals)
	if !r.o.verify || !finished(err) {
		return err
	}
	comparing := ui.NewIntake(r.app.Terminal, r.o.progress, "comparing", e.Keys(), r.app.Now)
	e.Report = comparing.Take
	compared, failure := ingest.Verify(ctx, e)
	r.compared = r.compared.Plus(compared)
	if err == nil {
		err = failure
	}
	return err
}
