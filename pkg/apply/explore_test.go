package apply_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// The exploration moves three slots of 25 keys in three batches each, with a
// writer at work between any two commands, and does one thing at one command:
// it kills the tool, loses the command or its reply, or fails a node over.

const (
	movedSlots  = 3
	keysPerSlot = 25
	batchKeys   = 10

	// enough bounds what the writer does while the tool waits for a long time.
	enough = 2500

	// heard is when everybody has heard of a failover.
	heard = 5 * time.Millisecond
)

// every thins out what is explored beside the main line; make prove takes 1.
var every = flag.Int("every", 4, "explore every n-th point of the variants")

// point is for mutants, which ask for those points that reach them.
var point = flag.Int("point", 0, "explore this point only")

// trial is one run of the tool on a fresh cluster.
type trial struct {
	c          *sim.Cluster
	nodes      []*sim.Node
	model      *sim.Model
	writer     *sim.Client
	keys       []string
	mu         sync.Mutex // observe asks many nodes at once
	writes     int
	failedOver bool
	conflicts  map[string]bool // keys that were named as conflicts
	move       move.Options
	method     plan.Method
	wait       time.Duration
	server     cluster.Server
	points     int
	gate       chan struct{}   // held while something happens between two commands
	counted    []string        // slots that the source has counted since it last showed its view
	proven     map[string]bool // slots that were last proven empty before the failover
	events     []apply.Event
	residual   bool // the fault hit where loss is named and not promised away
}

func newTrial(o sim.Options, m move.Options) *trial {
	c := sim.New(o)
	tr := &trial{c: c, nodes: c.Form(3, 1), model: sim.NewModel(), writer: c.Client(), move: m, method: plan.MethodClassic, server: o.Server, gate: make(chan struct{}, 1), proven: make(map[string]bool)}
	for slot := range movedSlots {
		for i := range keysPerSlot {
			tr.keys = append(tr.keys, fmt.Sprintf("{%s}%d", tags()[slot], i))
		}
	}
	for _, key := range tr.keys {
		tr.model.Write(tr.writer, key, "seed")
	}
	return tr
}

// tags are hash tags of the first slots: finding one takes thousands of tries.
var tags = sync.OnceValue(func() [movedSlots]string {
	var tags [movedSlots]string
	for i, found := 0, 0; found < movedSlots; i++ {
		tag := fmt.Sprintf("t%d", i)
		if slot := cluster.KeySlot(tag); slot < movedSlots && tags[slot] == "" {
			tags[slot] = tag
			found++
		}
	}
	return tags
})

// write appends to an old key, deletes one now and then, and makes a new one.
// It deletes nothing once the source was failed over: until the slot is opened
// again its moved keys are out of sight, and deleting what is out of sight does
// nothing, on any server that does not replicate SETSLOT.
func (tr *trial) write() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.writes++; tr.writes > enough {
		return
	}
	n := tr.writes
	key := tr.keys[n*7%len(tr.keys)]
	if n%11 == 0 && !tr.failedOver {
		tr.model.Delete(tr.writer, key)
	} else {
		tr.model.Write(tr.writer, key, fmt.Sprintf("w%d", n))
	}
	tr.model.Write(tr.writer, fmt.Sprintf("{%s}new%d", tags()[n%movedSlots], n), "fresh")
}

// fault is what happens at one command that changes something.
type fault struct {
	at       int // 1 for the first; 0 for no fault
	outcome  sim.Outcome
	kill     bool
	failover int // 1: the source's replica takes over before the command
}

func (f fault) String() string {
	what := [...]string{"delivered", "not sent", "sent and reply lost"}[f.outcome]
	if f.kill {
		what += ", killed"
	}
	return fmt.Sprintf("command %d %s%s", f.at, what, [...]string{"", ", source failed over", ", target failed over"}[f.failover])
}

// lossOfTool are the faults that are the tool's own: it dies, or its connection
// does.
var lossOfTool = []fault{
	{outcome: sim.DropBefore, kill: true},
	{outcome: sim.DropReply, kill: true},
	{outcome: sim.Deliver, kill: true},
	{outcome: sim.DropBefore},
	{outcome: sim.DropReply},
}

// lossOfNode are failovers of the source, under a tool that lives on and under
// one that dies with it. (A target that is failed over after it claimed a slot
// and before its replica heard of that leaves a slot without owner, which takes
// a repair and not a resume.)
var lossOfNode = []fault{{failover: 1}, {failover: 1, outcome: sim.DropReply, kill: true}}

// isPoint reports whether a fault is tried at a command: where it changes
// something, and in the middle of the guard's proof.
func isPoint(e sim.Event) bool {
	name := e.Cmd.Name()
	return e.Mutation > 0 || slices.Equal(e.Cmd, driver.Cmd("INFO", "keyspace")) ||
		name == "CLUSTER GETSLOTMIGRATIONS" || name == "CLUSTER MIGRATION"
}

// run lets the tool reshard with one fault; it returns how many points there
// were.
func (tr *trial) run(ctx context.Context, f fault) (int, error) {
	d := tr.c.Dialer()
	tr.c.Intercept(func(e sim.Event) sim.Action {
		if !isPoint(e) || !tr.reached(f) {
			return sim.Action{Before: func() { tr.between(e) }}
		}
		a := sim.Action{Outcome: f.outcome, Before: func() { tr.between(e) }}
		if f.failover > 0 {
			a.Before = func() { tr.failOver(e, tr.nodes[2+f.failover]) }
		}
		if f.kill && f.outcome == sim.DropBefore {
			a.Before = func() { tr.between(e); d.Kill() }
		} else if f.kill {
			a.After = d.Kill
		}
		return a
	})
	defer tr.c.Intercept(nil)
	err := tr.reshard(ctx, d)
	return tr.points, err
}

// reached counts points.
func (tr *trial) reached(f fault) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.points++
	return tr.points == f.at
}

// between is what happens right before a command.
func (tr *trial) between(e sim.Event) {
	tr.gate <- struct{}{}
	defer func() { <-tr.gate }()
	tr.write()
	tr.watch(e)
}

// failOver lets a replica take its master's place. All lanes stand still until
// everybody has heard of it.
func (tr *trial) failOver(e sim.Event, replica *sim.Node) {
	tr.gate <- struct{}{}
	defer func() { <-tr.gate }()
	tr.write()
	for _, n := range tr.nodes {
		tr.residual = tr.residual || n.HandingOver()
	}
	tr.residual = tr.residual || tr.unheard(replica)
	replica.Takeover()
	tr.failedOver = true
	time.Sleep(heard)
	tr.write()
	tr.watch(e)
}

// unheard reports whether the target has claimed a slot and a replica of the source
// has not heard of it: who is promoted then takes the slot back, with an epoch that
// may be the higher one. That is named, too: the claim is on its way to the replica.
func (tr *trial) unheard(replica *sim.Node) bool {
	target := tr.nodes[1]
	for slot := range movedSlots {
		if target.Slots().Has(slot) && replica.Owner(slot) != target.ID() {
			return true
		}
	}
	return false
}

// watch notes when a claim rests on a proof from before a failover of the
// source: the named residual of finalising at the target first (design 5.1),
// where SETSLOT is not replicated. A proof is a count and, after it, the source's
// own view.
func (tr *trial) watch(e sim.Event) {
	name := e.Cmd.Name()
	switch {
	case e.Node == tr.nodes[0] && name == "CLUSTER COUNTKEYSINSLOT":
		tr.counted = append(tr.counted, e.Cmd[2])
	case e.Node == tr.nodes[0] && name == "CLUSTER NODES":
		for _, slot := range tr.counted {
			tr.proven[slot] = !tr.failedOver
		}
		tr.counted = nil
	case e.Node == tr.nodes[1] && name == "CLUSTER SETSLOT" && e.Cmd[3] == "NODE":
		tr.residual = tr.residual || tr.failedOver && tr.proven[e.Cmd[2]]
	}
}

func (tr *trial) options(d driver.Dialer) apply.Options {
	return apply.Options{
		Dialer:   d,
		Observer: func(e apply.Event) { tr.events = append(tr.events, e) },
		Lock:     lock.Options{Holder: "test"},
		Move:     tr.move,
		Movers:   plan.MoverOptions{Method: tr.method},

		WaitTimeout: tr.wait,
	}
}

func (tr *trial) reshard(ctx context.Context, d driver.Dialer) error {
	s, err := observe.Cluster(ctx, d, tr.seed())
	if err != nil {
		return err
	}
	from, _ := s.Find(tr.nodes[0].Addr().String())
	to, _ := s.Find(tr.nodes[1].Addr().String())
	p, err := plan.Reshard(s, plan.ReshardOptions{From: []cluster.NodeID{from.ID}, To: to.ID, Slots: movedSlots})
	if err != nil {
		return err
	}
	return apply.Run(ctx, p, tr.options(d))
}

func (tr *trial) seed() cluster.Addr { return tr.nodes[2].Addr() }

// resume finishes what was begun, as another process on another host would.
func (tr *trial) resume(ctx context.Context) (steps int, err error) {
	return tr.resumeWith(ctx, tr.c.Dialer())
}

func (tr *trial) resumeWith(ctx context.Context, d driver.Dialer) (steps int, err error) {
	s, err := observe.Cluster(ctx, d, tr.seed())
	if err != nil {
		return 0, err
	}
	observe.ForResume(ctx, d, s)
	observe.ForMoves(ctx, d, s)
	p, err := plan.Resume(s)
	if err != nil || len(p.Steps) == 0 {
		return 0, err
	}
	return len(p.Steps), apply.Run(ctx, p, tr.options(d))
}

// problems is everything that is not as it should be in the end.
func (tr *trial) problems(ctx context.Context) []string {
	var out []string
	tr.c.Settle()
	for _, l := range tr.model.Check(tr.c) {
		if tr.conflicts == nil || l.Kind == sim.Lost && !tr.somewhere(l) {
			out = append(out, l.String())
		}
	}
	for _, v := range tr.c.Violations() {
		out = append(out, v.String())
	}
	d := driver.ReadOnly(tr.c.Dialer())
	s, err := observe.Cluster(ctx, d, tr.seed())
	if err != nil {
		return append(out, err.Error())
	}
	observe.ForCheck(ctx, d, s)
	for _, f := range health.Check(s) {
		if (len(tr.conflicts) == 0 || f.Code != health.OpenSlots) && !health.IsAdvice(f) {
			out = append(out, f.Summary)
		}
	}
	return out
}

// somewhere reports whether a value that clients do not find, because a conflict
// keeps its slot open, is still on some master.
func (tr *trial) somewhere(l sim.Loss) bool {
	for _, copied := range tr.c.Copies(l.Key) {
		if slices.Contains(copied.Values, l.Value) {
			return true
		}
	}
	return false
}

// explored is what an exploration came to.
type explored struct {
	points, acked, conflicts int
	residual                 int                 // trials in which loss is named and not promised away
	bad                      map[string][]string // problems by fault
}

// explore tries every fault at every command.
func explore(t *testing.T, o sim.Options, m move.Options, faults []fault, step int) explored {
	t.Helper()
	return exploreTrials(t, func() *trial { return newTrial(o, m) }, faults, step)
}

func exploreTrials(t *testing.T, begin func() *trial, faults []fault, step int) explored {
	t.Helper()
	e := explored{bad: make(map[string][]string)}
	const telling = 3 // failures say what there is to say
	for at, reached := max(1, *point), true; reached && len(e.bad) < telling; at += step {
		reached = false
		for _, f := range faults {
			f.at = at
			synctest.Test(t, func(t *testing.T) {
				tr := begin()
				hit, problems := tr.survive(t.Context(), f)
				if !hit {
					return
				}
				reached = true
				e.points++
				e.acked += tr.model.Acked()
				e.conflicts += len(tr.conflicts)
				if tr.residual {
					e.residual++
				} else if len(problems) > 0 {
					e.bad[f.String()] = problems
				}
			})
		}
		if *point > 0 {
			break
		}
	}
	if *point > 0 && e.points == 0 {
		t.Skip("no such point")
	}
	return e
}

// survive runs the tool with a fault, then resumes until nothing is left, and
// then once more: the last time must find nothing to do, or the same conflicts.
func (tr *trial) survive(ctx context.Context, f fault) (hit bool, problems []string) {
	points, err := tr.run(ctx, f)
	hit = points >= f.at
	if !f.kill && f.failover == 0 && err != nil {
		problems = append(problems, "the tool gave up: "+err.Error())
	}
	tr.c.Settle()
	_, err = tr.resume(ctx)
	if err != nil && !tr.isConflict(err) {
		problems = append(problems, "resume: "+err.Error())
	}
	tr.c.Settle()
	if steps, err := tr.resume(ctx); len(tr.conflicts) == 0 && (err != nil || steps > 0) {
		problems = append(problems, fmt.Sprintf("second resume: %d steps, %v", steps, err))
	}
	return hit, append(problems, tr.problems(ctx)...)
}

func (tr *trial) isConflict(err error) bool {
	var conflict *move.ConflictError
	if !errors.As(err, &conflict) {
		return false
	}
	tr.conflicts = make(map[string]bool)
	for _, c := range conflict.Conflicts {
		tr.conflicts[c.Key] = true
	}
	return true
}

// One lane moves two windows one after the other; two move them side by side,
// and the last one alone.
var (
	oneLane  = move.Options{Batch: batchKeys, Window: 2, Lanes: 1}
	twoLanes = move.Options{Batch: batchKeys, Window: 1, Lanes: 2}
	strict   = move.Options{Batch: batchKeys, Window: 2, Lanes: 1, Finalise: move.SourceFirst}
)

var servers = map[string]cluster.Server{
	"redis 7.0":  {Flavor: "redis", Version: "7.0.15"},
	"valkey 9.1": {Flavor: "valkey", Version: "9.1.2"},
}

// variants are the ways to move slots; of all but the first on a server, every
// n-th point is tried.
var variants = []struct {
	name, server string
	move         move.Options
	thin         bool
}{
	{"redis 7.0", "redis 7.0", oneLane, false},
	{"redis 7.0 in lanes", "redis 7.0", twoLanes, true},
	{"redis 7.0 strictly", "redis 7.0", strict, true},
	{"valkey 9.1", "valkey 9.1", oneLane, false},
}

// TestEveryFault is promise P1 and P2 for reshard: whatever happens at any one
// command, nothing is lost and one resume ends healthy, or with the keys that
// need a decision named and all of their values kept.
func TestEveryFault(t *testing.T) {
	for _, v := range variants {
		for kind, faults := range map[string][]fault{"tool": lossOfTool, "node": lossOfNode} {
			t.Run(v.name+"/"+kind, func(t *testing.T) {
				step := 1
				if v.thin {
					step = *every
				}
				e := explore(t, sim.Options{Server: servers[v.server]}, v.move, faults, step)
				t.Logf("%d fault points, %d acknowledged writes, %d conflicts named", e.points, e.acked, e.conflicts)
				if want := len(faults) * movedSlots * (4 + keysPerSlot/batchKeys) / step; e.points < want && len(e.bad) == 0 && *point == 0 {
					t.Errorf("%d fault points were reached, want at least %d", e.points, want)
				}
				for f, problems := range e.bad {
					t.Errorf("%s: %q", f, problems)
				}
			})
		}
	}
}

// TestUndisturbed makes sure that the exploration's base is sound.
func TestUndisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{}, oneLane)
		if _, err := tr.run(t.Context(), fault{}); err != nil {
			t.Fatalf("reshard: %v\n%q", err, tr.c.Trace())
		}
		if problems := tr.problems(t.Context()); len(problems) > 0 {
			t.Errorf("afterwards: %q", problems)
		}
		if got := tr.nodes[1].Slots(); !got.Has(0) || !got.Has(2) || got.Has(3) {
			t.Errorf("the target has slots %s", got)
		}
		tr.plainlyTold(t)
	})
}

// plainlyTold demands that people hear of slots and keys, and of nothing else
// where nothing else happened.
func (tr *trial) plainlyTold(t *testing.T) {
	t.Helper()
	var slots cluster.SlotSet
	var keys int64
	for _, e := range tr.events {
		switch e.Kind {
		case apply.Notice, apply.Waiting:
			t.Errorf("%s: %s", e.Kind, e.Text)
		case apply.SlotsMoved:
			slots, keys = slots.Union(e.Slots), e.Keys
		}
	}
	if slots.String() != "0-2" || keys < keysPerSlot {
		t.Errorf("slots %s and %d keys were told of", slots, keys)
	}
}

// TestInterrupted stops the tool in the middle as Ctrl-C does.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{}, oneLane)
		ctx, cancel := context.WithCancel(t.Context())
		d := tr.c.Dialer()
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if e.Mutation == 3 {
				cancel()
			}
			return sim.Action{}
		})
		err := tr.reshard(ctx, d)
		var partial *apply.PartialError
		if !errors.As(err, &partial) || !errors.Is(err, context.Canceled) {
			t.Fatalf("error is %v, want a PartialError for a cancelled context", err)
		}
		if open := tr.nodes[0].Open(); len(open) > 0 {
			t.Errorf("slots %v were left open", open)
		}
		if problems := tr.problems(t.Context()); len(problems) > 0 {
			t.Errorf("afterwards: %q", problems)
		}
	})
}

// TestRestartedWithOldData: a source comes back from an old dump file while the
// tool waits for its throttle. What it holds then must not replace what clients
// have written since: it does not count as the process's own work any more, even
// though nodes.conf has kept the slot migrating.
func TestRestartedWithOldData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := oneLane
		slow.Throttle = move.NewThrottle(1, 0)
		tr := newTrial(sim.Options{NoAutoFailover: true}, slow)
		old := tr.nodes[0].Snapshot()
		restart := func() {
			time.Sleep(100 * time.Millisecond)
			for _, key := range tr.keys[:keysPerSlot] { // made anew on the target
				tr.model.Delete(tr.writer, key)
				tr.model.Write(tr.writer, key, "new")
			}
			tr.nodes[0].Crash()
			tr.nodes[0].Load(old)
			tr.nodes[0].Restart(true)
		}
		var begun atomic.Bool
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if len(e.Cmd) > 3 && e.Cmd[3] == "MIGRATING" && begun.CompareAndSwap(false, true) {
				go restart()
			}
			return sim.Action{}
		})
		err := tr.reshard(t.Context(), tr.c.Dialer())
		if !tr.isConflict(err) {
			t.Errorf("error is %v, want the conflicts named", err)
		}
		tr.c.Intercept(nil)
		tr.c.Settle()
		for _, l := range tr.model.Check(tr.c) {
			if l.Kind == sim.Lost && !tr.somewhere(l) {
				t.Error(l)
			}
		}
	})
}
