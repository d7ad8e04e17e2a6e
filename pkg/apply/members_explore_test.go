package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// A rite is a command that changes who belongs to a cluster, or in what role,
// on a cluster of three masters with a replica each and two fresh nodes.
type rite struct {
	name   string
	before func(*testing.T, *trial)                       // may be nil
	plan   func(cluster.State, *trial) (plan.Plan, error) // a plan without steps: nothing left to do
	wrong  func(*trial) string                            // what is wrong in the end; "" for nothing
	points int                                            // commands that change something, at least

	outside []int // fresh nodes that it names
	every   int   // only every so manieth command is tried; 0 for all
	quiet   bool  // nobody writes: it may lose what is written meanwhile, and says so
}

// The nodes of a trial by their place.
const (
	masterA = iota
	masterB
	masterC
	replicaA
	replicaB
	replicaC
	fresh
	fresher
)

func rites() []rite {
	return []rite{
		{
			name: "add a replica", points: 6 + 1, outside: []int{fresh}, every: 4,
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh), Replica: true, Master: tr.id(masterB)})
			},
			wrong: func(tr *trial) string { return tr.want(7, map[int]int{fresh: masterB}) },
		},
		{
			name: "add two masters with functions", points: 7 + 2, outside: []int{fresh, fresher}, every: 7,
			before: func(_ *testing.T, tr *trial) {
				for _, m := range tr.nodes[:3] {
					m.Functions("one", "two")
				}
			},
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh, fresher)})
			},
			wrong: func(tr *trial) string { return tr.want(8, map[int]int{fresh: -1, fresher: -1}) },
		},
		{
			name: "delete a replica", points: 1 + 5,
			plan:  func(s cluster.State, tr *trial) (plan.Plan, error) { return tr.delete(s, replicaC) },
			wrong: func(tr *trial) string { return tr.want(5, map[int]int{replicaA: masterA}) },
		},
		{
			name: "delete a master that has a replica", points: 1 + 1 + 7, every: 3,
			before: func(t *testing.T, tr *trial) {
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh)})
				}, fresh)
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresher), Replica: true, Master: tr.id(fresh)})
				}, fresher)
			},
			plan:  func(s cluster.State, tr *trial) (plan.Plan, error) { return tr.delete(s, fresh) },
			wrong: func(tr *trial) string { return tr.want(7, map[int]int{fresher: masterC}) },
		},
		{
			name: "drain and delete a master", points: 8 + 1 + 6, every: 5,
			before: func(t *testing.T, tr *trial) {
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh)})
				}, fresh)
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.Reshard(s, plan.ReshardOptions{From: tr.ids(masterA), To: tr.id(fresh), Slots: 1})
				})
			},
			plan:  func(s cluster.State, tr *trial) (plan.Plan, error) { return tr.delete(s, fresh) },
			wrong: func(tr *trial) string { return tr.want(6, nil) },
		},
		{
			name: "give a replica to another master", points: 1,
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.Reparent(s, plan.ReparentOptions{Node: tr.id(replicaC), Master: tr.id(masterA)})
			},
			wrong: func(tr *trial) string { return tr.want(6, map[int]int{replicaC: masterA}) },
		},
		{
			name: "fail over", points: 1,
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.Promote(s, plan.PromoteOptions{Node: tr.id(replicaA)})
			},
			wrong: func(tr *trial) string { return tr.want(6, map[int]int{replicaA: -1, masterA: replicaA}) },
		},
		{
			name: "fail over by force", points: 1, quiet: true,
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.Promote(s, plan.PromoteOptions{Node: tr.id(replicaA), Mode: plan.Force})
			},
			wrong: func(tr *trial) string { return tr.want(6, map[int]int{replicaA: -1, masterA: replicaA}) },
		},
		{
			name: "take over", points: 1, quiet: true,
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				return plan.Promote(s, plan.PromoteOptions{Node: tr.id(replicaA), Mode: plan.Takeover})
			},
			wrong: func(tr *trial) string { return tr.want(6, map[int]int{replicaA: -1, masterA: replicaA}) },
		},
		{
			name: "delete a dead replica", points: 5,
			before: func(_ *testing.T, tr *trial) { tr.nodes[replicaC].Crash(); tr.c.Settle() },
			plan:   func(s cluster.State, tr *trial) (plan.Plan, error) { return tr.delete(s, replicaC) },
			wrong:  func(tr *trial) string { return tr.want(5, nil) },
		},
		{
			name: "forget a dead replica", points: 5,
			before: func(_ *testing.T, tr *trial) { tr.nodes[replicaC].Crash(); tr.c.Settle() },
			plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
				if _, ok := s.Get(tr.id(replicaC)); !ok {
					return plan.Plan{}, nil
				}
				return plan.ForgetNode(s, plan.ForgetOptions{Node: tr.id(replicaC)})
			},
			wrong: func(tr *trial) string { return tr.want(5, nil) },
		},
	}
}

func newRiteTrial(o sim.Options) *trial {
	tr := newTrial(o, oneLane)
	tr.nodes = append(tr.nodes, tr.c.AddNode(), tr.c.AddNode())
	return tr
}

func (tr *trial) id(n int) cluster.NodeID { return tr.nodes[n].ID() }

func (tr *trial) ids(places ...int) []cluster.NodeID {
	var out []cluster.NodeID
	for _, n := range places {
		out = append(out, tr.id(n))
	}
	return out
}

// delete plans what is left to do: nothing where nobody knows the node.
func (tr *trial) delete(s cluster.State, n int) (plan.Plan, error) {
	if len(plan.Knowing(s, tr.id(n))) == 0 {
		return plan.Plan{}, nil
	}
	return plan.DelNode(s, plan.DelNodeOptions{Node: tr.id(n), Drain: true})
}

// want holds how many nodes the cluster has, by everybody's view, and whose
// replicas some of them are; -1 for nobody's.
func (tr *trial) want(size int, masters map[int]int) string {
	d := driver.ReadOnly(tr.c.Dialer())
	s, err := observe.Cluster(context.Background(), d, tr.seed())
	if err != nil {
		return err.Error()
	}
	if len(s.Members) != size {
		return fmt.Sprintf("%d members, want %d", len(s.Members), size)
	}
	for _, m := range s.Members {
		if m.Reachable() && len(m.View.Nodes) != size {
			return fmt.Sprintf("%s knows %d nodes, want %d", m.Addr, len(m.View.Nodes), size)
		}
		for n, of := range masters {
			var want cluster.NodeID
			if of >= 0 {
				want = tr.id(of)
			}
			if seen, _ := m.View.Get(tr.id(n)); m.Reachable() && seen.MasterID != want {
				return fmt.Sprintf("%s sees %s as a replica of %q, want %q", m.Addr, tr.nodes[n], seen.MasterID, want)
			}
		}
	}
	return ""
}

// observeWith reads the cluster, and fresh nodes that do not belong to it yet.
func (tr *trial) observeWith(ctx context.Context, d driver.Dialer, outside []int) (cluster.State, error) {
	s, err := observe.Cluster(ctx, d, tr.seed())
	if err != nil {
		return s, err
	}
	for _, n := range outside {
		if _, known := s.Get(tr.id(n)); !known {
			s.Members = append(s.Members, observe.Nodes(ctx, d, []cluster.Addr{tr.nodes[n].Addr()}).Members...)
		}
	}
	s.Sort()
	return s, nil
}

func (tr *trial) must(t *testing.T, make func(cluster.State) (plan.Plan, error), outside ...int) {
	t.Helper()
	d := tr.c.Dialer()
	s, err := tr.observeWith(t.Context(), d, outside)
	if err != nil {
		t.Fatal(err)
	}
	p, err := make(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := apply.Run(t.Context(), p, tr.options(d)); err != nil {
		t.Fatal(err)
	}
	tr.c.Settle()
}

// perform gives the command once, with a fault or without.
func (tr *trial) perform(ctx context.Context, r rite, f fault) (mutations int, err error) {
	d := tr.c.Dialer()
	tr.c.Intercept(func(e sim.Event) sim.Action {
		write := tr.write
		if r.quiet {
			write = func() {}
		}
		a := sim.Action{Before: write}
		if e.Mutation > 0 {
			mutations = max(mutations, e.Mutation)
		}
		if e.Mutation == 0 || e.Mutation != f.at {
			return a
		}
		a.Outcome = f.outcome
		if f.kill && f.outcome == sim.DropBefore {
			a.Before = func() { write(); d.Kill() }
		} else if f.kill {
			a.After = d.Kill
		}
		return a
	})
	defer tr.c.Intercept(nil)
	s, err := tr.observeWith(ctx, d, r.outside)
	if err != nil {
		return mutations, err
	}
	observe.ForResume(ctx, d, s)
	p, err := r.plan(s, tr)
	if err != nil || len(p.Steps) == 0 {
		return mutations, err
	}
	return mutations, apply.Run(ctx, p, tr.options(d))
}

// finish gives the command again, which must end well, and once more, which must
// find nothing to do.
func (tr *trial) finish(ctx context.Context, r rite) []string {
	var problems []string
	if _, err := tr.perform(ctx, r, fault{}); err != nil {
		problems = append(problems, "again: "+err.Error())
	}
	tr.c.Settle()
	tr.c.Advance(2 * time.Minute) // whatever may come back has come back
	tr.c.Settle()
	if n, err := tr.perform(ctx, r, fault{}); n > 0 || err != nil {
		problems = append(problems, fmt.Sprintf("once more: %d commands, %v", n, err))
	}
	if wrong := r.wrong(tr); wrong != "" {
		problems = append(problems, wrong)
	}
	return append(problems, tr.problems(ctx)...)
}

// TestEveryFaultOfRites is promise P1 and P3 for everything that changes who is
// a member, and in what role.
func TestEveryFaultOfRites(t *testing.T) {
	for name, server := range servers {
		for _, r := range rites() {
			if name != "redis 7.0" && r.every > 1 {
				r.every *= 3
			}
			t.Run(strings.ReplaceAll(name+"/"+r.name, " ", "-"), func(t *testing.T) {
				points, bad := exploreRite(t, sim.Options{Server: server}, r)
				t.Logf("%d fault points", points)
				if want := len(lossOfTool) * r.points / max(r.every, 1); points < want && len(bad) == 0 {
					t.Errorf("%d fault points were reached, want at least %d", points, want)
				}
				for _, text := range bad {
					t.Error(text)
				}
			})
		}
	}
}

func exploreRite(t *testing.T, o sim.Options, r rite) (points int, bad []string) {
	for at, reached := 1, true; reached && len(bad) < 3; at += max(r.every, 1) {
		reached = false
		for _, f := range lossOfTool {
			f.at = at
			synctest.Test(t, func(t *testing.T) {
				tr := newRiteTrial(o)
				if r.before != nil {
					r.before(t, tr)
				}
				mutations, err := tr.perform(t.Context(), r, f)
				if mutations < at {
					return
				}
				reached = true
				points++
				var problems []string
				if !f.kill && err != nil {
					problems = append(problems, "the tool gave up: "+err.Error())
				}
				tr.c.Settle()
				if problems = append(problems, tr.finish(t.Context(), r)...); problems != nil {
					trace := tr.c.Trace()
					bad = append(bad, fmt.Sprintf("%s: %q\n%s", f, problems, strings.Join(trace[max(0, len(trace)-40):], "\n")))
				}
			})
		}
	}
	return points, bad
}

// TestRitesUndisturbed makes sure that the exploration's base is sound.
func TestRitesUndisturbed(t *testing.T) {
	for _, r := range rites() {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newRiteTrial(sim.Options{})
				if r.before != nil {
					r.before(t, tr)
				}
				n, err := tr.perform(t.Context(), r, fault{})
				if err != nil {
					t.Errorf("%v\n%s", err, strings.Join(tr.c.Trace(), "\n"))
				}
				t.Logf("%d commands", n)
				if wrong := r.wrong(tr); wrong != "" {
					t.Error(wrong)
				}
				if problems := tr.finish(t.Context(), r); problems != nil {
					t.Errorf("%q", slices.Compact(problems))
				}
			})
		})
	}
}

// TestForgottenAlive: who is only forgotten, and lives, comes back where servers
// introduce themselves again; trib waits long enough to see it.
func TestForgottenAlive(t *testing.T) {
	for name, comesBack := range map[string]bool{"redis 7.0": false, "valkey 9.1": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newRiteTrial(sim.Options{Server: servers[name]})
				start := time.Now()
				_, err := tr.perform(t.Context(), rite{plan: func(s cluster.State, tr *trial) (plan.Plan, error) {
					return plan.ForgetNode(s, plan.ForgetOptions{Node: tr.id(replicaC), Force: true})
				}}, fault{})
				if back := err != nil && strings.Contains(err.Error(), "came back"); back != comesBack {
					t.Errorf("error %v, want it to come back: %v", err, comesBack)
				}
				if took := time.Since(start); took < time.Minute {
					t.Errorf("it was looked at after %v", took)
				}
			})
		})
	}
}

// TestResetKeepsItsHandsOff: another node at the address, or one that has got
// slots since the plan was made, is not reset.
func TestResetKeepsItsHandsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newRiteTrial(sim.Options{})
		tr.must(t, func(s cluster.State) (plan.Plan, error) {
			return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh)})
		}, fresh)
		d := tr.c.Dialer()
		s, err := tr.observeWith(t.Context(), d, nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tr.delete(s, fresh)
		if err != nil {
			t.Fatal(err)
		}
		tr.must(t, func(s cluster.State) (plan.Plan, error) {
			return plan.Reshard(s, plan.ReshardOptions{From: tr.ids(masterA), To: tr.id(fresh), Slots: 1})
		})
		var stale *apply.StaleError
		if err := apply.Run(t.Context(), p, tr.options(d)); !errors.As(err, &stale) {
			t.Errorf("error is %v, want a StaleError", err)
		}
		if problems := tr.problems(t.Context()); problems != nil {
			t.Errorf("afterwards: %q", problems)
		}
	})
}

// TestShunned adds a node that has only just been forgotten under the same id:
// servers from Redis 7.2 on drop it again for a minute.
func TestShunned(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newRiteTrial(sim.Options{Server: server})
				join := func(s cluster.State) (plan.Plan, error) {
					return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh)})
				}
				tr.must(t, join, fresh)
				d := tr.c.Dialer()
				tell := func(n int, args ...string) {
					conn, err := d.Dial(t.Context(), tr.nodes[n].Addr(), "")
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					if _, err := driver.Call(t.Context(), conn, args...); err != nil {
						t.Fatal(err)
					}
				}
				tell(fresh, "CLUSTER", "RESET", "SOFT")
				for n := range fresh {
					tell(n, "CLUSTER", "FORGET", string(tr.id(fresh)))
				}
				tr.c.Advance(45 * time.Second)
				tr.must(t, join, fresh)
				tr.c.Advance(2 * time.Minute)
				if wrong := tr.want(7, nil); wrong != "" {
					t.Error(wrong)
				}
			})
		})
	}
}
