package backup

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/observe"
)

// Options say what is kept, and where.
type Options struct {
	Dialer  driver.Dialer
	Cluster cluster.State // as it was when this was decided
	Sources []Source
	Dir     string
	AtOnce  int           // nodes that give their data at the same time; 0 for all
	Begin   time.Duration // until a node begins to send
	Idle    time.Duration // for which a node that sends may say nothing
	Lock    lock.Options
	Tool    string
	Now     func() time.Time
	Report  func(Progress) // called now and then; may be nil
}

// Source is a node that gives the data of a master.
type Source struct {
	Master cluster.Member
	Node   cluster.Member // the master itself, or a replica of it
}

// Sources are the masters with slots or, where replicas are wanted, of each the
// replica that is least behind. A master without a healthy one gives its data
// itself.
func Sources(s cluster.State, replicas bool) []Source {
	var all []Source
	for _, m := range s.Masters() {
		if m.Slots().Empty() {
			continue
		}
		source := Source{m, m}
		if fit := healthy(s.ReplicasOf(m.ID)); replicas && len(fit) > 0 {
			source.Node = slices.MaxFunc(fit, func(a, b cluster.Member) int {
				return cmp.Compare(a.Replication.Offset, b.Replication.Offset)
			})
		}
		all = append(all, source)
	}
	return all
}

func healthy(replicas []cluster.Member) []cluster.Member {
	return slices.DeleteFunc(replicas, func(r cluster.Member) bool {
		return !r.Replication.LinkUp || r.Replication.Syncing || r.Replication.Loading
	})
}

// Progress is how far a source is.
type Progress struct {
	Source Source
	Bytes  int64
	Done   bool
}

// ChangedError is a cluster of which slots changed their owner meanwhile: keys may
// be in two files, or in none.
type ChangedError struct{ Slots cluster.SlotSet }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("slots %s changed their owner while the backup was taken, so that keys may be missing in it", e.Slots)
}

// Take keeps the cluster's data. Whatever its error is, nothing is left that looks
// like a backup: what it has written is removed again.
func Take(ctx context.Context, o Options) (Manifest, error) { return newTaking(o).take(ctx) }

func (t *taking) take(ctx context.Context) (m Manifest, err error) {
	locked, release, err := t.lock(ctx)
	if err != nil {
		return m, err
	}
	defer release()
	defer func() {
		if err != nil {
			err = joined(err, t.dir.abandon())
		}
	}()
	if err := t.dir.begin(); err != nil {
		return m, err
	}
	if err := t.all(locked); err != nil {
		return m, err
	}
	if err := t.unchanged(locked); err != nil {
		return m, err
	}
	return t.finish()
}

// joined adds what is left behind to why it is.
func joined(err, left error) error {
	if left == nil {
		return err
	}
	return fmt.Errorf("%w; and to clean up failed: %w", err, left)
}

// taking is one backup in the making.
type taking struct {
	o     Options
	name  string // of every connection
	dir   folder
	began time.Time

	mu    sync.Mutex // guards the folder, too
	files []File
}

func newTaking(o Options) *taking {
	if o.Report == nil {
		o.Report = func(Progress) {}
	}
	return &taking{o: o, dir: folder{path: o.Dir, create: createFile}, files: make([]File, len(o.Sources)), began: o.Now()}
}

func (t *taking) lock(ctx context.Context) (context.Context, func(), error) {
	var addrs []cluster.Addr
	for _, m := range t.o.Cluster.Masters() {
		addrs = append(addrs, m.Addr)
	}
	l, err := lock.Acquire(ctx, t.o.Dialer, addrs, t.o.Lock)
	if err != nil {
		return nil, nil, err
	}
	t.name = l.Name()
	ctx, cancel := l.Context(ctx)
	return ctx, func() { cancel(); l.Release() }, nil
}

func (t *taking) all(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(t.o.AtOnce, -1))
	for i, source := range t.o.Sources {
		g.Go(func() (err error) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.files[i], err = t.one(ctx, source)
			return err
		})
	}
	return g.Wait()
}

// one keeps the data of one master.
func (t *taking) one(ctx context.Context, s Source) (File, error) {
	name := rdbName(s)
	t.mu.Lock()
	out, err := t.dir.open(name)
	t.mu.Unlock()
	if err != nil {
		return File{}, err
	}
	sieve := newSieve()
	progress := &counter{report: t.o.Report, p: Progress{Source: s}, now: t.o.Now}
	how := driver.SnapshotOptions{Begin: t.o.Begin, Idle: t.o.Idle, Version: s.Node.Server.Version}
	err = driver.Snapshot(ctx, t.o.Dialer, s.Node.Addr, t.name, how, io.MultiWriter(out, sieve, progress))
	if err = finish(out, err); err != nil {
		return File{}, err
	}
	version, err := sieve.Whole()
	if err != nil {
		return File{}, fmt.Errorf("%s: what it sent is not its data: %w", s.Node.Addr, err)
	}
	progress.done()
	return File{
		Sum: sieve.total(name), Master: s.Master.ID, Node: s.Node.ID, Addr: s.Node.Addr,
		Slots: s.Master.Slots(), Epoch: s.Master.View.Self().Epoch, Server: s.Node.Server, RDB: version, Keys: s.Node.Keyspace,
	}, nil
}

// rdbName is what redis-cli and valkey-cli call the file.
func rdbName(s Source) string {
	kind := cmp.Or(strings.ToLower(s.Node.Server.Flavor), "redis")
	return fileName(fmt.Sprintf("%s-node-%s-%d-%s.rdb", kind, s.Node.Addr.Host, s.Node.Addr.Port, s.Node.ID))
}

// counter reports how much has come, a few times in a second.
type counter struct {
	report func(Progress)
	p      Progress
	now    func() time.Time
	last   time.Time
}

const reportEvery = 100 * time.Millisecond

func (c *counter) Write(b []byte) (int, error) {
	c.p.Bytes += int64(len(b))
	if now := c.now(); now.Sub(c.last) >= reportEvery {
		c.last = now
		c.report(c.p)
	}
	return len(b), nil
}

func (c *counter) done() {
	c.p.Done = true
	c.report(c.p)
}

// unchanged looks at the cluster again: each master must have the slots still of
// which it was asked for the keys.
func (t *taking) unchanged(ctx context.Context) error {
	var seeds []cluster.Addr
	for _, s := range t.o.Sources {
		seeds = append(seeds, s.Node.Addr)
	}
	after, err := observe.Cluster(ctx, driver.ReadOnly(t.o.Dialer), seeds...)
	if err != nil {
		return err
	}
	var moved cluster.SlotSet
	for _, s := range t.o.Sources {
		moved = moved.Union(movedFrom(s.Master, after))
	}
	if !moved.Empty() {
		return &ChangedError{moved}
	}
	return nil
}

// movedFrom are the slots that a master has lost, won or opened.
func movedFrom(before cluster.Member, after cluster.State) cluster.SlotSet {
	now, known := after.Get(before.ID)
	if !known || !now.IsMaster() || now.View.Self().Epoch != before.View.Self().Epoch {
		return before.Slots()
	}
	lost, won := before.Slots().Minus(now.Slots()), now.Slots().Minus(before.Slots())
	return lost.Union(won).Union(now.OpenSlots().Minus(before.OpenSlots()))
}

func (t *taking) finish() (Manifest, error) {
	m := Manifest{Version: Version, Tool: t.o.Tool, Began: t.began.UTC(), Ended: t.o.Now().UTC(), Files: t.files}
	for _, f := range t.files {
		m.Slots = m.Slots.Union(f.Slots)
	}
	nodes, err := describe(t.o.Cluster)
	if err != nil {
		return m, err
	}
	m.Nodes = sumOf(nodesFile, nodes)
	if err := t.dir.write(nodesFile, nodes); err != nil {
		return m, err
	}
	return m, t.dir.complete(m)
}
