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
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// broken is a cluster whose slots 0 to 2 were broken with raw commands.
type broken struct {
	c     *sim.Cluster
	nodes []*sim.Node // three masters, and a replica of each if there are any
	model *sim.Model
	plan  plan.Plan // the last one, as a journal would have it
}

// raw sends a command to one node and demands that it succeeds.
func (b *broken) raw(t *testing.T, node int, words ...string) {
	t.Helper()
	ctx := t.Context()
	conn, err := b.c.Dialer().Dial(ctx, b.nodes[node].Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Do(ctx, driver.Cmd("ASKING"), driver.Command(words))
	if err != nil || replies[1].Err != nil {
		t.Fatalf("%q: %v %v", words, err, replies)
	}
}

func newBroken(server string, gossip time.Duration, replicas int) *broken {
	c := sim.New(sim.Options{Server: servers[server], GossipDelay: gossip})
	b := &broken{c: c, nodes: c.Form(3, replicas), model: sim.NewModel()}
	client := c.Client()
	for slot := range movedSlots {
		for i := range keysPerSlot {
			b.model.Write(client, fmt.Sprintf("{%s}%d", tags()[slot], i), "seed")
		}
	}
	return b
}

// everywhere sends a command to every node.
func (b *broken) everywhere(t *testing.T, words ...string) {
	t.Helper()
	for i := range b.nodes {
		b.raw(t, i, words...)
	}
}

// open opens a slot from node 0 to node 1.
func (b *broken) open(t *testing.T, slot string) {
	t.Helper()
	b.raw(t, 1, "CLUSTER", "SETSLOT", slot, "IMPORTING", string(b.nodes[0].ID()))
	b.raw(t, 0, "CLUSTER", "SETSLOT", slot, "MIGRATING", string(b.nodes[1].ID()))
}

// stray moves some keys of slot 0 to node 1, as an interrupted move would, or
// copies them.
func (b *broken) stray(t *testing.T, n int, copied ...string) {
	t.Helper()
	b.open(t, "0")
	addr := b.nodes[1].Addr()
	for i := range n {
		b.raw(t, 0, append([]string{"MIGRATE", addr.Host, fmt.Sprint(addr.Port), fmt.Sprintf("{%s}%d", tags()[0], i), "0", "5000"}, copied...)...)
	}
}

func (b *broken) stable(t *testing.T, nodes ...int) {
	t.Helper()
	for _, node := range nodes {
		b.raw(t, node, "CLUSTER", "SETSLOT", "0", "STABLE")
	}
}

// leave leaves but one slot to node 0: the others go to node 2.
func (b *broken) leave(t *testing.T, slot int) {
	t.Helper()
	for _, other := range []int{1, 2} {
		b.take(t, 2, 0, other, keysPerSlot)
	}
	words := []string{"CLUSTER", "DELSLOTSRANGE"}
	for _, r := range b.nodes[0].Slots().Minus(cluster.SlotsOf(slot)).Ranges() {
		words = append(words, fmt.Sprint(r.First), fmt.Sprint(r.Last))
	}
	b.everywhere(t, words...)
	words[1] = "ADDSLOTSRANGE"
	b.raw(t, 2, words...)
	b.raw(t, 2, "CLUSTER", "BUMPEPOCH")
	b.c.Settle()
}

// take moves n keys of a slot to a node, and leaves the slot where it is.
func (b *broken) take(t *testing.T, to, from, slot, n int) {
	t.Helper()
	addr, number := b.nodes[to].Addr(), fmt.Sprint(slot)
	b.raw(t, to, "CLUSTER", "SETSLOT", number, "IMPORTING", string(b.nodes[from].ID()))
	for i := range n {
		b.raw(t, from, "MIGRATE", addr.Host, fmt.Sprint(addr.Port), fmt.Sprintf("{%s}%d", tags()[slot], i), "0", "5000")
	}
	b.raw(t, to, "CLUSTER", "SETSLOT", number, "STABLE")
}

// damages are what is done to a cluster, and what has to be decided for its
// repair.
var damages = []struct {
	name    string
	foreign plan.ForeignPolicy
	do      func(t *testing.T, b *broken)
}{
	{"half moved", "", func(t *testing.T, b *broken) { b.stray(t, 13) }},
	{"uncovered, keys on two nodes", "", func(t *testing.T, b *broken) {
		b.stray(t, 10)
		b.stable(t, 0, 1)
		b.everywhere(t, "CLUSTER", "DELSLOTS", "0")
	}},
	{"uncovered, keys on one node", "", func(t *testing.T, b *broken) { b.everywhere(t, "CLUSTER", "DELSLOTS", "0", "1", "2") }},
	{"uncovered, empty", "", func(t *testing.T, b *broken) { b.everywhere(t, "CLUSTER", "DELSLOTS", "7", "8", "9000") }},
	{"foreign keys in a stable slot", plan.ForeignAdopt, func(t *testing.T, b *broken) {
		b.stray(t, 12)
		b.stable(t, 0, 1)
	}},
	{"keys that the owner has too", plan.ForeignDrop, func(t *testing.T, b *broken) {
		b.stray(t, 12, "COPY")
		b.stable(t, 0, 1)
	}},
	{"a last slot half moved, and keys of another", plan.ForeignAdopt, func(t *testing.T, b *broken) {
		b.leave(t, 0)
		b.take(t, 0, 2, 1, 5)
		b.stray(t, 13)
	}},
	{"nothing but leftovers", "", func(t *testing.T, b *broken) {
		b.open(t, "0")
		b.raw(t, 2, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(b.nodes[0].ID()))
		b.raw(t, 2, "CLUSTER", "SETSLOT", "1", "IMPORTING", string(b.nodes[0].ID()))
		b.raw(t, 1, "CLUSTER", "SETSLOT", "1", "IMPORTING", string(b.nodes[0].ID()))
		b.raw(t, 1, "CLUSTER", "SETSLOT", "2", "IMPORTING", string(b.nodes[2].ID())) // which never had it
	}},
}

// heal repairs, as a process of its own would.
func (b *broken) heal(ctx context.Context, d driver.Dialer, o plan.HealOptions) (steps int, left []plan.Undecided, err error) {
	s, err := observe.Cluster(ctx, d, b.nodes[2].Addr())
	if err != nil {
		return 0, nil, err
	}
	observe.ForHeal(ctx, d, s)
	p, left := plan.Heal(s, o)
	if len(p.Steps) == 0 {
		return 0, left, nil
	}
	b.plan = p
	return len(p.Steps), left, apply.Run(ctx, p, apply.Options{Dialer: d, Lock: lock.Options{Holder: "test"}, Move: oneLane})
}

// problems are keys lost, claims that endangered keys, and what is left to do.
func (b *broken) problems(ctx context.Context) []string {
	b.c.Settle()
	var out []string
	for _, l := range b.model.Check(b.c) {
		out = append(out, l.String())
	}
	for _, v := range b.c.Violations() {
		out = append(out, v.String())
	}
	if steps, left, err := b.heal(ctx, b.c.Dialer(), plan.HealOptions{}); steps > 0 || left != nil || err != nil {
		out = append(out, fmt.Sprintf("once more: %d steps, %v, %v", steps, left, err))
	}
	for slot := range cluster.SlotCount {
		owners := slices.DeleteFunc(slices.Clone(b.nodes), func(n *sim.Node) bool { return !n.Alive() || n.Owner(slot) != n.ID() })
		if len(owners) != 1 {
			out = append(out, fmt.Sprintf("slot %d has %d owners", slot, len(owners)))
		}
	}
	return out
}

func TestHeal(t *testing.T) {
	for _, damage := range damages {
		for server := range servers {
			t.Run(damage.name+"/"+server, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBroken(server, 0, 0)
					damage.do(t, b)
					if steps, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: damage.foreign}); steps == 0 || left != nil || err != nil {
						t.Fatalf("%d steps, %v, %v\n%q", steps, left, err, b.c.Trace())
					}
					if problems := b.problems(t.Context()); problems != nil {
						t.Errorf("%q", problems)
					}
				})
			})
		}
	}
}

// TestHealHalfMoved repairs every half state of a slot, with none, some and all of
// its keys moved. Only where nothing but keys on the other side tell of a move
// has somebody to say that they are not stale.
func TestHealHalfMoved(t *testing.T) {
	states := []struct {
		name   string
		do     func(t *testing.T, b *broken)
		asks   bool
		allOne bool // keys on both sides are not possible
	}{
		{"both told", func(t *testing.T, b *broken) {}, false, false},
		{"only migrating", func(t *testing.T, b *broken) { b.stable(t, 1) }, false, false},
		{"only importing", func(t *testing.T, b *broken) { b.stable(t, 0) }, true, false},
		{"neither", func(t *testing.T, b *broken) { b.stable(t, 0, 1) }, true, false},
		{"given to the target by the source", func(t *testing.T, b *broken) {
			b.raw(t, 0, "CLUSTER", "SETSLOT", "0", "NODE", string(b.nodes[1].ID()))
		}, false, true},
		{"claimed by the target", func(t *testing.T, b *broken) {
			b.raw(t, 1, "CLUSTER", "SETSLOT", "0", "NODE", string(b.nodes[1].ID()))
		}, false, true},
	}
	for _, state := range states {
		for _, moved := range []int{0, 1, keysPerSlot / 2, keysPerSlot - 1, keysPerSlot} {
			for server := range servers {
				if state.allOne && moved < keysPerSlot {
					continue
				}
				t.Run(fmt.Sprintf("%s, %d keys moved/%s", state.name, moved, server), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBroken(server, 0, 0)
						b.stray(t, moved)
						state.do(t, b)
						_, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{})
						if asks := left != nil; asks != (state.asks && moved > 0) || err != nil {
							t.Fatalf("%v, %v", left, err)
						}
						if left != nil {
							_, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
						}
						if left != nil || err != nil {
							t.Fatalf("%v, %v", left, err)
						}
						if problems := b.problems(t.Context()); problems != nil {
							t.Errorf("%q", problems)
						}
					})
				})
			}
		}
	}
}

// TestHealFailedOver repairs a slot whose source or target, or both, were failed
// over in the middle of its move. Where SETSLOT is not replicated and both were,
// nobody knows of the move any more.
func TestHealFailedOver(t *testing.T) {
	for _, who := range []struct {
		name  string
		which []int
		asks  bool
	}{
		{"source", []int{3}, false},
		{"target", []int{4}, false},
		{"both", []int{3, 4}, true},
	} {
		for server := range servers {
			t.Run(who.name+"/"+server, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBroken(server, 0, 1)
					b.stray(t, 13)
					for _, node := range who.which {
						b.nodes[node].Takeover()
						b.c.Settle()
					}
					_, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{})
					if asks := left != nil; asks != (who.asks && server == "redis 7.0") || err != nil {
						t.Fatalf("%v, %v\n%q", left, err, b.c.Trace())
					}
					if left != nil {
						_, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
					}
					if left != nil || err != nil {
						t.Fatalf("%v, %v\n%q", left, err, b.c.Trace())
					}
					if problems := b.problems(t.Context()); problems != nil {
						t.Errorf("%q", problems)
					}
				})
			})
		}
	}
}

// TestHealTwoHeirs: two nodes import a slot from a master that was failed over,
// and both have keys of it. Where its successor does not know of the move, nobody
// knows to whom it went.
func TestHealTwoHeirs(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(server, 0, 1)
				b.stray(t, 5)
				b.raw(t, 2, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(b.nodes[0].ID()))
				b.raw(t, 0, "CLUSTER", "SETSLOT", "0", "MIGRATING", string(b.nodes[2].ID()))
				addr := b.nodes[2].Addr()
				for i := 5; i < 10; i++ {
					b.raw(t, 0, "MIGRATE", addr.Host, fmt.Sprint(addr.Port), fmt.Sprintf("{%s}%d", tags()[0], i), "0", "5000")
				}
				b.nodes[3].Takeover()
				b.c.Settle()
				_, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{})
				if left == nil || err != nil {
					t.Fatalf("%v, %v", left, err)
				}
				for _, u := range left {
					if u.Flag == "" {
						t.Errorf("nothing decides: %s", u)
					}
				}
				if _, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt}); left != nil || err != nil {
					t.Fatalf("%v, %v", left, err)
				}
				if problems := b.problems(t.Context()); problems != nil {
					t.Errorf("%q", problems)
				}
			})
		})
	}
}

// TestHealLone: what the owner lacks is neither brought back nor lost unless that
// is asked for.
func TestHealLone(t *testing.T) {
	for policy, kept := range map[plan.ForeignPolicy]int{plan.ForeignDrop: 25, plan.ForeignDiscard: 13, plan.ForeignAdopt: 25} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken("redis 7.0", 0, 0)
				b.stray(t, 12)
				b.stable(t, 0, 1)
				_, left, _ := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{})
				if len(left) != 1 || !strings.Contains(left[0].Text, "12 keys of them") || !strings.Contains(left[0].Text, "lacks 12") {
					t.Errorf("%v", left)
				}
				_, _, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: policy})
				conflict, lone := errors.AsType[*move.ConflictError](err)
				if lone != (policy == plan.ForeignDrop) || !lone && err != nil {
					t.Fatal(err)
				}
				if lone && (len(conflict.Conflicts) != 12 || !conflict.Conflicts[0].Lone()) {
					t.Errorf("%v", err)
				}
				if warned := strings.Join(b.plan.Warnings, ""); strings.Contains(warned, "12 keys on") != (policy == plan.ForeignDiscard) {
					t.Errorf("warnings %q", warned)
				}
				if got := len(b.nodes[0].Keys(0, 0)) + len(b.nodes[1].Keys(0, 0)); got != kept {
					t.Errorf("%d keys are left, want %d", got, kept)
				}
			})
		})
	}
}

// TestHealKilled kills the repair at every command that changes something and
// gives it again, with what a journal has of the first one: nothing is asked
// again. Without it, keys on a node that the first one had pinned look foreign
// to the second, which names them. Every way is tried at every command by make
// prove, and one in turn by make test.
func TestHealKilled(t *testing.T) {
	ways := []struct {
		outcome sim.Outcome
		journal bool
	}{{sim.DropBefore, true}, {sim.DropReply, false}, {sim.DropReply, true}, {sim.DropBefore, false}}
	for _, damage := range damages {
		for server := range servers {
			t.Run(damage.name+"/"+server, func(t *testing.T) {
				points := 0
				for at, reached := 1, true; reached; at++ {
					for i, way := range ways {
						if *every > 1 && at%len(ways) != i {
							continue
						}
						synctest.Test(t, func(t *testing.T) {
							b := newBroken(server, 0, 0)
							damage.do(t, b)
							if reached = b.killedAt(t, at, way.outcome, plan.HealOptions{ForeignKeys: damage.foreign}); reached {
								points++
								b.again(t, at, way.journal)
							}
						})
					}
				}
				if points < 2 {
					t.Errorf("%d kill points", points)
				}
			})
		}
	}
}

// again repairs after a kill, with a journal or without one.
func (b *broken) again(t *testing.T, at int, journal bool) {
	t.Helper()
	var o plan.HealOptions
	if journal {
		o.Begun = b.plan.Begun(func(cluster.NodeID) bool { return true })
	}
	_, left, err := b.heal(t.Context(), b.c.Dialer(), o)
	if left != nil && err == nil && !journal {
		_, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
	}
	if left != nil || err != nil {
		t.Errorf("killed at %d: %v, %v", at, left, err)
	}
	if problems := b.problems(t.Context()); problems != nil {
		t.Errorf("killed at %d: %q", at, problems)
	}
}

// killedAt lets the tool die at a command, and reports whether it came so far.
func (b *broken) killedAt(t *testing.T, at int, outcome sim.Outcome, o plan.HealOptions) (reached bool) {
	return b.killedIn(at, outcome, func(d driver.Dialer) { b.heal(t.Context(), d, o) })
}

// TestHealTwoClaimants repairs a second claim that nobody has heard of yet. It
// has the higher epoch: the owner would delete its keys when it hears of it, so
// there is nothing to repair once gossip was faster.
func TestHealTwoClaimants(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(server, 10*time.Second, 0)
				b.stray(t, 10)
				b.stable(t, 0, 1)
				b.raw(t, 1, "CLUSTER", "DELSLOTS", "0")
				b.raw(t, 1, "CLUSTER", "ADDSLOTS", "0")
				damage := len(b.c.Violations())
				if _, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{}); left != nil || err != nil {
					t.Fatalf("%v, %v\n%q", left, err, b.c.Trace())
				}
				if got := b.nodes[2].Owner(0); got != b.nodes[0].ID() {
					t.Errorf("the owner is %s, and most masters believed %s", got, b.nodes[0].ID())
				}
				if problems := b.problems(t.Context()); len(problems) != damage {
					t.Errorf("%q", problems)
				}
			})
		})
	}
}

// TestHealPartings: a node that gives its last slot away holds keys of a slot that
// moves, too: these have to be where that goes before.
func TestHealPartings(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(server, 0, 0)
				b.leave(t, 0)
				b.take(t, 0, 2, 1, 5)
				b.stray(t, 13)
				b.raw(t, 1, "CLUSTER", "SETSLOT", "1", "IMPORTING", string(b.nodes[2].ID()))
				b.raw(t, 2, "CLUSTER", "SETSLOT", "1", "MIGRATING", string(b.nodes[1].ID()))
				if _, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt}); left != nil || err != nil {
					t.Errorf("%v, %v", left, err)
				}
				b.c.Settle()
				for _, lost := range b.model.Check(b.c) {
					t.Error(lost)
				}
				if steps, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{}); steps > 0 || left != nil || err != nil {
					t.Errorf("once more: %d steps, %v, %v", steps, left, err)
				}
			})
		})
	}
}

// TestHealBesideConflict: a key that needs a decision keeps its slot from moving on,
// and a third node's keys of it where they are, and those of no other slot.
func TestHealBesideConflict(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(server, 0, 0)
				b.take(t, 2, 0, 0, 3)
				b.take(t, 2, 0, 2, 3)
				b.open(t, "0")
				b.open(t, "2")
				b.raw(t, 1, "RPUSH", fmt.Sprintf("{%s}%d", tags()[0], keysPerSlot-1), "another")
				_, _, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
				conflict, ok := errors.AsType[*move.ConflictError](err)
				if !ok || len(conflict.Conflicts) != 1 || strings.Contains(err.Error(), "does not own") {
					t.Errorf("error is %v", err)
				}
				b.c.Settle()
				for _, lost := range b.model.Check(b.c) {
					if strings.HasPrefix(lost.Key, "{"+tags()[2]) || len(b.c.Copies(lost.Key)) == 0 {
						t.Error(lost)
					}
				}
			})
		})
	}
}
