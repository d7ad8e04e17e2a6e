package apply_test

import (
	"context"
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
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// noticed is longer than servers need to call a node failed.
const noticed = 5 * time.Second

// newSick is a cluster of three masters with a replica each that promote nobody
// by themselves; all keys are the first master's.
func newSick(server string) *broken {
	c := sim.New(sim.Options{Server: servers[server], NoAutoFailover: true})
	b := &broken{c: c, nodes: c.Form(3, 1), model: sim.NewModel()}
	client := c.Client()
	for slot := range movedSlots {
		for i := range keysPerSlot {
			b.model.Write(client, fmt.Sprintf("{%s}%d", tags()[slot], i), "seed")
		}
	}
	return b
}

func (b *broken) crash(nodes ...int) {
	for _, i := range nodes {
		b.nodes[i].Crash()
	}
	time.Sleep(noticed)
}

// ailments are what happens to such a cluster, what has to be decided, and which
// nodes own slots in the end.
var ailments = []struct {
	name   string
	do     func(t *testing.T, b *broken)
	asks   string // the flag that is named without a decision
	decide plan.TopologyOptions
	owners []int
	bans   bool // servers that pass on that a node was forgotten shun it for a minute
}{
	{
		name: "a master is dead", owners: []int{1, 2, 3},
		do: func(t *testing.T, b *broken) { b.crash(0) },
	},
	{
		name: "most masters are dead", asks: "--takeover", decide: plan.TopologyOptions{Takeover: true}, owners: []int{2, 3, 4},
		do: func(t *testing.T, b *broken) { b.crash(0, 1) },
	},
	{
		name: "a master and its replica are dead", asks: "--fix-with-unreachable-masters",
		decide: plan.TopologyOptions{TakeFromDead: true}, owners: []int{0, 2},
		do: func(t *testing.T, b *broken) { b.crash(1, 4) },
	},
	{
		name: "most masters are dead, and one's replica", asks: "--takeover",
		decide: plan.TopologyOptions{Takeover: true, TakeFromDead: true}, owners: []int{2, 3},
		do: func(t *testing.T, b *broken) { b.crash(0, 1, 4) },
	},
	{
		name: "a master is dead in the middle of a move", owners: []int{1, 2, 3},
		do: func(t *testing.T, b *broken) {
			b.stray(t, 13)
			b.crash(0)
		},
	},
	{
		name: "the target of a move is dead", owners: []int{0, 2, 4},
		do: func(t *testing.T, b *broken) {
			b.stray(t, 13)
			b.crash(1)
		},
	},
	{
		name: "a replica was forgotten by one", owners: []int{0, 1, 2}, bans: true,
		do: func(t *testing.T, b *broken) { b.raw(t, 1, "CLUSTER", "FORGET", string(b.nodes[3].ID())) },
	},
	{
		name: "a master was forgotten by one", owners: []int{0, 1, 2}, bans: true,
		do: func(t *testing.T, b *broken) { b.raw(t, 1, "CLUSTER", "FORGET", string(b.nodes[2].ID())) },
	},
	{
		name: "a dead replica was forgotten by one", owners: []int{0, 1, 2},
		do: func(t *testing.T, b *broken) {
			b.crash(4)
			b.raw(t, 0, "CLUSTER", "FORGET", string(b.nodes[4].ID()))
		},
	},
	{
		name: "two masters have lost their replicas", decide: plan.TopologyOptions{SpreadReplicas: true}, owners: []int{0, 1, 2},
		do: func(t *testing.T, b *broken) {
			for _, i := range []int{4, 5} {
				b.raw(t, i, "CLUSTER", "REPLICATE", string(b.nodes[0].ID()))
			}
			time.Sleep(noticed)
		},
	},
}

// repair goes through all stages, as a process of its own would.
func (b *broken) repair(ctx context.Context, d driver.Dialer, o plan.TopologyOptions) (steps int, left []plan.Undecided, err error) {
	var seeds []cluster.Addr
	for _, n := range b.nodes {
		seeds = append(seeds, n.Addr())
	}
	for range 12 {
		s, err := observe.Cluster(ctx, d, seeds...)
		if err != nil {
			return steps, nil, err
		}
		observe.ForHeal(ctx, d, s)
		var p plan.Plan
		if p, left = plan.Repair(s, plan.HealOptions{TopologyOptions: o}); len(p.Steps) == 0 {
			return steps, advice(left, false), nil
		}
		steps += len(p.Steps)
		err = apply.Run(ctx, p, apply.Options{Dialer: d, Lock: lock.Options{Holder: "test"}, Move: oneLane, Ready: apply.ReadyJoined})
		if err != nil {
			return steps, left, err
		}
	}
	return steps, left, fmt.Errorf("no end after %d steps", steps)
}

// advice are the remarks that are advice, or all others.
func advice(left []plan.Undecided, is bool) []plan.Undecided {
	return slices.DeleteFunc(slices.Clone(left), func(u plan.Undecided) bool { return u.Advice != is })
}

// ills are keys lost, claims that endangered keys, and what is left to do.
func (b *broken) ills(ctx context.Context, o plan.TopologyOptions, owners []int) []string {
	b.c.Settle()
	var out []string
	for _, l := range b.model.Check(b.c) {
		out = append(out, l.String())
	}
	for _, v := range b.c.Violations() {
		out = append(out, v.String())
	}
	if steps, left, err := b.repair(ctx, b.c.Dialer(), o); steps > 0 || len(left) > 0 || err != nil {
		out = append(out, fmt.Sprintf("once more: %d steps, %v, %v", steps, left, err))
	}
	return append(out, b.misowned(owners)...)
}

// misowned says where not exactly these nodes own all slots, each one alone, or
// some node does not know of it.
func (b *broken) misowned(owners []int) []string {
	var out []string
	var owned cluster.SlotSet
	for i, n := range b.nodes {
		slots := n.Slots()
		if slices.Contains(owners, i) == (slots.Empty() || !n.IsMaster()) && n.Alive() {
			out = append(out, fmt.Sprintf("node %d owns %s", i, slots))
		}
		if !n.Alive() || !n.IsMaster() {
			continue
		}
		if twice := owned.Intersect(slots); !twice.Empty() {
			out = append(out, fmt.Sprintf("node %d owns %s, too", i, twice))
		}
		owned = owned.Union(slots)
		for j, m := range b.nodes {
			if !slots.Empty() && m.Alive() && m.Owner(slots.Slots()[0]) != n.ID() {
				out = append(out, fmt.Sprintf("node %d does not know what node %d owns", j, i))
			}
		}
	}
	if !owned.Equal(cluster.AllSlots()) {
		out = append(out, fmt.Sprintf("nobody owns %s", cluster.AllSlots().Minus(owned)))
	}
	return out
}

func TestRepair(t *testing.T) {
	for _, ail := range ailments {
		for server := range servers {
			t.Run(ail.name+"/"+server, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newSick(server)
					ail.do(t, b)
					if ail.asks != "" {
						steps, left, err := b.repair(t.Context(), b.c.Dialer(), plan.TopologyOptions{})
						if err != nil || steps > 0 || len(left) == 0 || left[0].Flag != ail.asks {
							t.Fatalf("undecided: %d steps, %+v, %v", steps, left, err)
						}
					}
					steps, left, err := b.repair(t.Context(), b.c.Dialer(), ail.decide)
					if err != nil || steps == 0 || len(left) > 0 {
						t.Fatalf("%d steps, %+v, %v\n%q", steps, left, err, b.c.Trace())
					}
					if ills := b.ills(t.Context(), ail.decide, ail.owners); ills != nil {
						t.Errorf("%q\n%q", ills, b.c.Trace())
					}
				})
			})
		}
	}
}

// TestRepairKilled kills the repair at every command that changes something and
// gives it again.
func TestRepairKilled(t *testing.T) {
	for _, ail := range ailments {
		for server := range servers {
			t.Run(ail.name+"/"+server, func(t *testing.T) {
				if ail.bans && server != "redis 7.0" && *every > 1 {
					t.Skip("a minute of virtual time for each point: see make prove")
				}
				points := 0
				synctest.Test(t, func(t *testing.T) {
					b := newSick(server)
					ail.do(t, b)
					points = b.points(func(d driver.Dialer) { b.repair(t.Context(), d, ail.decide) })
				})
				for at := range points {
					for i, outcome := range []sim.Outcome{sim.DropBefore, sim.DropReply} {
						if (2*at+i)%*every != *every-1 && at > 0 {
							continue
						}
						synctest.Test(t, func(t *testing.T) {
							b := newSick(server)
							ail.do(t, b)
							b.killedIn(at+1, outcome, func(d driver.Dialer) { b.repair(t.Context(), d, ail.decide) })
							time.Sleep(noticed)
							_, left, err := b.repair(t.Context(), b.c.Dialer(), ail.decide)
							// Keys whose move was opened at the target only look foreign.
							if len(left) > 0 && strings.HasPrefix(left[0].Flag, "--foreign-keys") {
								_, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
							}
							if len(left) > 0 || err != nil {
								t.Errorf("killed at %d: %v, %v\n%q", at+1, left, err, b.c.Trace())
							}
							if ills := b.ills(t.Context(), ail.decide, ail.owners); ills != nil {
								t.Errorf("killed at %d: %q", at+1, ills)
							}
						})
					}
				}
			})
		}
	}
}

// points is how many commands of a run change something.
func (b *broken) points(run func(driver.Dialer)) int {
	points := 0
	b.c.Intercept(func(e sim.Event) sim.Action {
		if e.Mutation > 0 {
			points++
		}
		return sim.Action{}
	})
	run(b.c.Dialer())
	b.c.Intercept(nil)
	return points
}

// killedIn lets the tool die at a command that changes something, and reports
// whether it came so far.
func (b *broken) killedIn(at int, outcome sim.Outcome, run func(driver.Dialer)) (reached bool) {
	d := b.c.Dialer()
	points := 0
	b.c.Intercept(func(e sim.Event) sim.Action {
		if e.Mutation == 0 {
			return sim.Action{}
		}
		if points++; points != at {
			return sim.Action{}
		}
		reached = true
		if outcome == sim.DropBefore {
			return sim.Action{Outcome: outcome, Before: d.Kill}
		}
		return sim.Action{Outcome: outcome, After: d.Kill}
	})
	run(d)
	b.c.Intercept(nil)
	b.c.Settle()
	return reached
}

// TestBumpEpoch: a server that has the highest epoch takes no newer one before
// somebody else has.
func TestBumpEpoch(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSick(server)
				var next uint64
				bump := func(nodes ...int) error {
					p := plan.Plan{Version: plan.Version, Kind: plan.KindFix}
					for _, i := range nodes {
						p.Nodes = append(p.Nodes, plan.Node{ID: b.nodes[i].ID(), Addr: b.nodes[i].Addr()})
						p.Steps = append(p.Steps, plan.Step{Action: plan.BumpEpoch, Node: b.nodes[i].ID(), Epoch: next})
					}
					return apply.Run(t.Context(), p, apply.Options{Dialer: b.c.Dialer(), Lock: lock.Options{Holder: "test"}, WaitTimeout: 5 * time.Second})
				}
				for b.nodes[0].Epoch() < 20 {
					b.raw(t, 2, "CLUSTER", "BUMPEPOCH")
					b.c.Settle()
					b.raw(t, 0, "CLUSTER", "BUMPEPOCH")
					b.c.Settle()
				}
				next = b.nodes[0].Epoch() + 1
				if err := bump(0); err == nil || b.nodes[0].Epoch() != next-1 {
					t.Errorf("alone: %v, epoch %d", err, b.nodes[0].Epoch())
				}
				if err := bump(1, 0); err != nil || b.nodes[1].Epoch() < next || b.nodes[0].Epoch() <= b.nodes[1].Epoch() {
					t.Errorf("with another one before: %v, epochs %d and %d", err, b.nodes[1].Epoch(), b.nodes[0].Epoch())
				}
			})
		})
	}
}
