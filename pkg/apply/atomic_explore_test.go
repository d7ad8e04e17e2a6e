package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// dialects are the servers that move slots by themselves, with a job for each
// slot, so that there is something between two of them.
var dialects = map[string]cluster.Server{
	"valkey 9.1": {Flavor: "valkey", Version: "9.1.2"},
	"redis 8.4":  {Flavor: "redis", Version: "8.4.0"},
}

var oneByOne = move.Options{MaxPause: time.Nanosecond}

func atomicTrial(server cluster.Server) *trial {
	tr := newTrial(sim.Options{Server: server}, oneByOne)
	tr.method, tr.wait = plan.MethodAuto, 3*time.Second
	return tr
}

// TestEveryFaultAtomic is promise P1 and P2 where the servers move the slots. A
// failover in the very moment of the hand-over is theirs to survive.
func TestEveryFaultAtomic(t *testing.T) {
	failovers := append(slices.Clone(lossOfNode), fault{failover: 2}, fault{failover: 2, outcome: sim.DropReply, kill: true})
	for name, server := range dialects {
		for kind, faults := range map[string][]fault{"tool": lossOfTool, "node": failovers} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				step := min(*every, 2)
				e := exploreTrials(t, func() *trial { return atomicTrial(server) }, faults, step)
				t.Logf("%d fault points, %d acknowledged writes", e.points, e.acked)
				if want := len(faults) * movedSlots * 5 / step; e.points < want && len(e.bad) == 0 && *point == 0 {
					t.Errorf("%d fault points were reached, want at least %d", e.points, want)
				}
				for f, problems := range e.bad {
					t.Errorf("%s: %q", f, problems)
				}
			})
		}
	}
}

// eachDialect runs a test on a fresh cluster of either dialect.
func eachDialect(t *testing.T, test func(t *testing.T, tr *trial)) {
	for name, server := range dialects {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, atomicTrial(server)) })
		})
	}
}

// sound demands that the cluster is healthy, has lost nothing, and that the
// target has so many of the slots.
func (tr *trial) sound(t *testing.T, moved int) {
	t.Helper()
	tr.c.Intercept(nil)
	if problems := tr.problems(t.Context()); len(problems) > 0 {
		t.Errorf("afterwards: %q", problems)
	}
	got := 0
	for slot := range movedSlots {
		if tr.nodes[1].Slots().Has(slot) {
			got++
		}
	}
	if got != moved {
		t.Errorf("the target has %d slots, want %d", got, moved)
	}
}

// sent counts the commands of a name.
func (tr *trial) sent(names ...string) *int {
	n := new(int)
	tr.c.Intercept(func(e sim.Event) sim.Action {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if text := strings.Join(e.Cmd, " "); slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(text, name) }) {
			*n++
		}
		return sim.Action{}
	})
	return n
}

func TestAtomicUndisturbed(t *testing.T) {
	eachDialect(t, func(t *testing.T, tr *trial) {
		classic := tr.sent("CLUSTER SETSLOT", "MIGRATE")
		if err := tr.reshard(t.Context(), tr.c.Dialer()); err != nil {
			t.Fatalf("reshard: %v\n%q", err, tr.c.Trace())
		}
		if *classic > 0 {
			t.Errorf("%d commands of a classic move were sent", *classic)
		}
		tr.sound(t, movedSlots)
	})
}

// TestAtomicGivesUp: jobs that fail are tried again, and then the slots go the
// classic way, which only --method auto allows.
func TestAtomicGivesUp(t *testing.T) {
	const invalid = "Protocol error: invalid CRLF in request"
	for name, test := range map[string]struct {
		method   plan.Method
		failures int
		moved    int
		classic  bool
	}{
		"once":           {plan.MethodAtomic, 1, movedSlots, false},
		"always":         {plan.MethodAuto, 1000, movedSlots, true},
		"and may not":    {plan.MethodAtomic, 1000, 0, false},
		"in the dialect": {plan.MethodAuto, 2, movedSlots, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachDialect(t, func(t *testing.T, tr *trial) {
				tr.method = test.method
				tr.nodes[0].FailJobs(test.failures, invalid)
				classic := tr.sent("MIGRATE")
				err := tr.reshard(t.Context(), tr.c.Dialer())
				failed, gaveUp := errors.AsType[*move.JobError](err)
				if gaveUp != (test.moved == 0) || gaveUp && !strings.Contains(failed.Reason, invalid) {
					t.Errorf("error is %v", err)
				}
				if (*classic > 0) != test.classic {
					t.Errorf("%d keys or more went the classic way", *classic)
				}
				tr.sound(t, test.moved)
			})
		})
	}
}

// TestAtomicInterrupted: Ctrl-C cancels the job in hand.
func TestAtomicInterrupted(t *testing.T) {
	eachDialect(t, func(t *testing.T, tr *trial) {
		ctx, cancel := context.WithCancel(t.Context())
		jobs := 0
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if text := strings.Join(e.Cmd, " "); strings.HasPrefix(text, "CLUSTER MIGRATESLOTS") || strings.HasPrefix(text, "CLUSTER MIGRATION IMPORT") {
				if jobs++; jobs == 2 {
					cancel()
				}
			}
			return sim.Action{}
		})
		err := tr.reshard(ctx, tr.c.Dialer())
		var partial *apply.PartialError
		if !errors.As(err, &partial) || !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want a PartialError for a cancelled context", err)
		}
		tr.sound(t, 1)
	})
}

// TestAtomicOfOthers: a job that somebody else has begun is waited for where it
// does nothing but what was asked for, and is not touched otherwise.
func TestAtomicOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		first, last string
		refused     bool
		moved       int
	}{
		"a part":   {"1", "1", false, movedSlots},
		"too much": {"2", "4", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			eachDialect(t, func(t *testing.T, tr *trial) {
				tr.move.MaxPause = time.Second // all in one job
				tr.startJob(t, test.first, test.last)
				begun := tr.sent("CLUSTER MIGRATESLOTS", "CLUSTER MIGRATION IMPORT")
				err := tr.reshard(t.Context(), tr.c.Dialer())
				var refusal *plan.Refusal
				if errors.As(err, &refusal) != test.refused || !test.refused && err != nil {
					t.Errorf("error is %v", err)
				}
				if test.refused && (*begun > 0 || !strings.Contains(err.Error(), "slots 2-4")) {
					t.Errorf("%d jobs begun, %v", *begun, err)
				}
				tr.sound(t, test.moved)
			})
		})
	}
}

// startJob lets the first node give slots to the second one, as another tool
// would ask for.
func (tr *trial) startJob(t *testing.T, first, last string) {
	t.Helper()
	from, to := tr.nodes[0], tr.nodes[1]
	told, cmd := from, []string{"CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", first, last, "NODE", string(to.ID())}
	if tr.dialect() == cluster.Migration {
		told, cmd = to, []string{"CLUSTER", "MIGRATION", "IMPORT", first, last}
	}
	conn, err := tr.c.Dialer().Dial(t.Context(), told.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Do(t.Context(), cmd)
	if err != nil || replies[0].Err != nil {
		t.Fatal(err, replies)
	}
}

func (tr *trial) dialect() cluster.Dialect {
	if tr.server.Flavor == "valkey" {
		return cluster.MigrateSlots
	}
	return cluster.Migration
}

// TestAtomicFromTwo: two sources give slots to one target at the same time, which
// in one of the dialects takes one job after the other.
func TestAtomicFromTwo(t *testing.T) {
	eachDialect(t, func(t *testing.T, tr *trial) {
		d := tr.c.Dialer()
		s, err := observe.Cluster(t.Context(), d, tr.seed())
		if err != nil {
			t.Fatal(err)
		}
		last := tr.nodes[2].Slots().Ranges()[0].First
		third := cluster.SlotsOf(last, last+1, last+2)
		p, err := plan.Reshard(s, plan.ReshardOptions{To: tr.nodes[1].ID(), Named: cluster.SlotsOf(0, 1, 2).Union(third)})
		if err != nil || len(p.Steps) != 2 {
			t.Fatal(p.Steps, err)
		}
		if err := apply.Run(t.Context(), p, tr.options(d)); err != nil {
			t.Error(err)
		}
		tr.sound(t, movedSlots)
		if !third.Minus(tr.nodes[1].Slots()).Empty() {
			t.Errorf("the target has %s", tr.nodes[1].Slots())
		}
	})
}
