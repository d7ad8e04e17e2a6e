package apply_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

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
// kills the tool, or loses the command, or its reply.

const (
	movedSlots  = 3
	keysPerSlot = 25
	batchKeys   = 10
)

// trial is one run of the tool on a fresh cluster.
type trial struct {
	c      *sim.Cluster
	nodes  []*sim.Node
	model  *sim.Model
	writer *sim.Client
	keys   []string
	mu     sync.Mutex // observe asks many nodes at once
	writes int
	wrap   func(driver.Dialer) driver.Dialer
}

func newTrial(o sim.Options) *trial {
	c := sim.New(o)
	tr := &trial{c: c, nodes: c.Form(3, 1), model: sim.NewModel(), writer: c.Client()}
	tr.wrap = func(d driver.Dialer) driver.Dialer { return d }
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
func (tr *trial) write() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.writes++
	n := tr.writes
	key := tr.keys[n*7%len(tr.keys)]
	if n%11 == 0 {
		tr.model.Delete(tr.writer, key)
	} else {
		tr.model.Write(tr.writer, key, fmt.Sprintf("w%d", n))
	}
	tr.model.Write(tr.writer, fmt.Sprintf("{%s}new%d", tags()[n%movedSlots], n), "fresh")
}

// fault is what happens at one command that changes something.
type fault struct {
	at      int // 1 for the first; 0 for no fault
	outcome sim.Outcome
	kill    bool
}

func (f fault) String() string {
	what := [...]string{"delivered", "not sent", "sent and reply lost"}[f.outcome]
	if f.kill {
		what += ", killed"
	}
	return fmt.Sprintf("command %d %s", f.at, what)
}

// run lets the tool reshard with one fault; it returns how many commands that
// change something were sent.
func (tr *trial) run(ctx context.Context, f fault) (int, error) {
	d := tr.c.Dialer()
	mutations := 0
	tr.c.Intercept(func(e sim.Event) sim.Action {
		a := sim.Action{Before: tr.write}
		if e.Mutation == 0 {
			return a
		}
		// Commands that change something are sent one after the other.
		mutations = e.Mutation
		if e.Mutation != f.at {
			return a
		}
		a.Outcome = f.outcome
		if f.kill && f.outcome == sim.DropBefore {
			a.Before = func() { tr.write(); d.Kill() }
		} else if f.kill {
			a.After = d.Kill
		}
		return a
	})
	defer tr.c.Intercept(nil)
	return mutations, tr.reshard(ctx, tr.wrap(d))
}

func (tr *trial) options(d driver.Dialer) apply.Options {
	return apply.Options{
		Dialer: d,
		Lock:   lock.Options{Holder: "test"},
		Move:   move.Options{Batch: batchKeys, Window: 2},
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
	d := tr.wrap(tr.c.Dialer())
	s, err := observe.Cluster(ctx, d, tr.seed())
	if err != nil {
		return 0, err
	}
	observe.Count(ctx, d, s, func(m cluster.Member) cluster.SlotSet {
		if !m.IsMaster() {
			return cluster.SlotSet{}
		}
		return cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: movedSlots - 1})
	})
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
		out = append(out, l.String())
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
		out = append(out, f.Summary)
	}
	return out
}

// explore tries every fault at every command and returns the trials and what
// went wrong, by fault.
func explore(t *testing.T, o sim.Options, wrap func(driver.Dialer) driver.Dialer) (points, acked int, bad map[string][]string) {
	t.Helper()
	bad = make(map[string][]string)
	for at := 1; ; at++ {
		reached := false
		for _, f := range []fault{
			{at, sim.DropBefore, true}, {at, sim.DropReply, true}, {at, sim.Deliver, true},
			{at, sim.DropBefore, false}, {at, sim.DropReply, false},
		} {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(o)
				if wrap != nil {
					tr.wrap = wrap
				}
				hit, problems := tr.survive(t.Context(), f)
				reached = reached || hit
				acked += tr.model.Acked()
				if hit {
					points++
				}
				if len(problems) > 0 {
					bad[f.String()] = problems
				}
			})
		}
		if !reached {
			return points, acked, bad
		}
	}
}

// survive runs the tool with a fault, then resumes until nothing is left, and
// then once more: the last time must find nothing to do.
func (tr *trial) survive(ctx context.Context, f fault) (hit bool, problems []string) {
	mutations, err := tr.run(ctx, f)
	hit = mutations >= f.at
	if !f.kill && err != nil {
		problems = append(problems, "the tool gave up: "+err.Error())
	}
	tr.c.Settle()
	if _, err := tr.resume(ctx); err != nil {
		problems = append(problems, "resume: "+err.Error())
	}
	tr.c.Settle()
	if steps, err := tr.resume(ctx); err != nil || steps > 0 {
		problems = append(problems, fmt.Sprintf("second resume: %d steps, %v", steps, err))
	}
	return hit, append(problems, tr.problems(ctx)...)
}

var servers = map[string]cluster.Server{
	"redis 7.0":  {Flavor: "redis", Version: "7.0.15"},
	"redis 6.0":  {Flavor: "redis", Version: "6.0.16"},
	"valkey 9.1": {Flavor: "valkey", Version: "9.1.2"},
}

// TestEveryFault is promise P1 and P2 for reshard: whatever happens at any one
// command, nothing is lost and one resume ends healthy.
func TestEveryFault(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			points, acked, bad := explore(t, sim.Options{Server: server}, nil)
			t.Logf("%d fault points, %d acknowledged writes", points, acked)
			if points < 5*3*(4+keysPerSlot/batchKeys) {
				t.Errorf("only %d fault points were reached", points)
			}
			for f, problems := range bad {
				t.Errorf("%s: %q", f, problems)
			}
		})
	}
}

// TestUndisturbed makes sure that the exploration's base is sound.
func TestUndisturbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{})
		if _, err := tr.run(t.Context(), fault{}); err != nil {
			t.Fatalf("reshard: %v\n%q", err, tr.c.Trace())
		}
		if problems := tr.problems(t.Context()); len(problems) > 0 {
			t.Errorf("afterwards: %q", problems)
		}
		if got := tr.nodes[1].Slots(); !got.Has(0) || !got.Has(2) || got.Has(3) {
			t.Errorf("the target has slots %s", got)
		}
	})
}

// TestInterrupted stops the tool in the middle as Ctrl-C does.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{})
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
