package apply_test

import (
	"context"
	"fmt"
	"slices"
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

// broken is a cluster whose slots 0 to 2 were broken with raw commands.
type broken struct {
	c     *sim.Cluster
	nodes []*sim.Node
	model *sim.Model
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

func newBroken(server string, gossip time.Duration) *broken {
	c := sim.New(sim.Options{Server: servers[server], GossipDelay: gossip})
	b := &broken{c: c, nodes: c.Form(3, 0), model: sim.NewModel()}
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

// stray moves some keys of slot 0 to node 1, as an interrupted move would.
func (b *broken) stray(t *testing.T, n int) {
	t.Helper()
	a, z := string(b.nodes[0].ID()), string(b.nodes[1].ID())
	b.raw(t, 1, "CLUSTER", "SETSLOT", "0", "IMPORTING", a)
	b.raw(t, 0, "CLUSTER", "SETSLOT", "0", "MIGRATING", z)
	addr := b.nodes[1].Addr()
	for i := range n {
		b.raw(t, 0, "MIGRATE", addr.Host, fmt.Sprint(addr.Port), fmt.Sprintf("{%s}%d", tags()[0], i), "0", "5000")
	}
}

// damages are what is done to a cluster.
var damages = []struct {
	name string
	do   func(t *testing.T, b *broken)
}{
	{"half moved", func(t *testing.T, b *broken) { b.stray(t, 13) }},
	{"uncovered, keys on two nodes", func(t *testing.T, b *broken) {
		b.stray(t, 10)
		b.raw(t, 0, "CLUSTER", "SETSLOT", "0", "STABLE")
		b.raw(t, 1, "CLUSTER", "SETSLOT", "0", "STABLE")
		b.everywhere(t, "CLUSTER", "DELSLOTS", "0")
	}},
	{"uncovered, keys on one node", func(t *testing.T, b *broken) { b.everywhere(t, "CLUSTER", "DELSLOTS", "0", "1", "2") }},
	{"uncovered, empty", func(t *testing.T, b *broken) { b.everywhere(t, "CLUSTER", "DELSLOTS", "7", "8", "9000") }},
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
		owners := slices.DeleteFunc(slices.Clone(b.nodes), func(n *sim.Node) bool { return n.Owner(slot) != n.ID() })
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
					b := newBroken(server, 0)
					damage.do(t, b)
					if steps, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{}); steps == 0 || left != nil || err != nil {
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

// TestHealKilled kills the repair at every command that changes something and
// gives it again. Keys on a node that the first one had pinned look foreign to
// the second: it names them, and brings them when told to.
func TestHealKilled(t *testing.T) {
	for _, damage := range damages {
		for server := range servers {
			t.Run(damage.name+"/"+server, func(t *testing.T) {
				points := 0
				for at, reached := 1, true; reached; at++ {
					for _, outcome := range []sim.Outcome{sim.DropBefore, sim.DropReply} {
						synctest.Test(t, func(t *testing.T) {
							b := newBroken(server, 0)
							damage.do(t, b)
							if reached = b.killedAt(t, at, outcome); !reached {
								return
							}
							points++
							_, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{})
							if left != nil && err == nil {
								_, left, err = b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
							}
							if left != nil || err != nil {
								t.Errorf("killed at %d: %v, %v", at, left, err)
							}
							if problems := b.problems(t.Context()); problems != nil {
								t.Errorf("killed at %d: %q", at, problems)
							}
						})
					}
				}
				if points < 4 {
					t.Errorf("%d kill points", points)
				}
			})
		}
	}
}

// killedAt lets the tool die at a command, and reports whether it came so far.
func (b *broken) killedAt(t *testing.T, at int, outcome sim.Outcome) (reached bool) {
	return b.killedIn(at, outcome, func(d driver.Dialer) { b.heal(t.Context(), d, plan.HealOptions{}) })
}

// TestHealTwoClaimants repairs a second claim that nobody has heard of yet. It
// has the higher epoch: the owner would delete its keys when it hears of it, so
// there is nothing to repair once gossip was faster.
func TestHealTwoClaimants(t *testing.T) {
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(server, 10*time.Second)
				b.stray(t, 10)
				for _, node := range []int{0, 1} {
					b.raw(t, node, "CLUSTER", "SETSLOT", "0", "STABLE")
				}
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
