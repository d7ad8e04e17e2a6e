package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

const library = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"

// members is a cluster of three masters with a replica each, and fresh servers.
type members struct {
	*labtest.Cluster
	fresh []*lab.Node
}

func assemble(t *testing.T, name string, fresh int) members {
	t.Helper()
	l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6 + fresh})
	return members{labtest.Form(t, l, 3, 3), l.Nodes()[6:]}
}

// joined holds that these servers, and no others, are a whole cluster.
func (c members) joined(t *testing.T, outside ...*lab.Node) picture {
	t.Helper()
	p := look(t, c.Lab, outside...)
	if faults := p.faults(); faults != nil {
		t.Fatalf("the cluster is not whole:\n%s", strings.Join(faults, "\n"))
	}
	return p
}

func (c members) follows(t *testing.T, replica *lab.Node, master string) {
	t.Helper()
	if got := look(t, c.Lab, c.without(replica)...).at(replica.Addr()).self.master; got != master {
		t.Errorf("%s is a replica of %q, want %q", replica.Addr(), got, master)
	}
}

// without are all servers but one.
func (c members) without(n *lab.Node) []*lab.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes()), func(other *lab.Node) bool { return other == n })
}

// TestMembers takes nodes in and out, moves replicas and fails over; on every
// server with -every=1.
func TestMembers(t *testing.T) {
	servers := []string{"redis-6.0", "redis-7.0", "valkey-9.1"}
	if *every == 1 {
		servers = labtest.Names()
	}
	for _, name := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assemble(t, name, 2)
			h := bury(t, c.Lab)
			functions := name != "redis-6.0"
			if functions {
				for _, m := range c.Masters {
					c.Do(t, m.Node, "FUNCTION", "LOAD", library)
				}
			}
			seed := c.Masters[0].Addr()
			first, second := c.fresh[0], c.fresh[1]

			trib(t, "--cluster", "add-node", first.Addr(), seed, "--cluster-yes").done(t, `^\[OK\] New node added correctly\.$`)
			c.joined(t, second)
			if functions {
				if list := fmt.Sprint(c.Do(t, first, "FUNCTION", "LIST")); !strings.Contains(list, "lib") {
					t.Errorf("the new master's functions: %s", list)
				}
			}
			id := c.Text(t, first, "CLUSTER", "MYID")
			trib(t, "add-node", second.Addr(), seed, "--replica", "--master-id", id, "--yes").done(t)
			c.joined(t)
			c.follows(t, second, id)
			trib(t, "add-node", second.Addr(), seed, "--replica", "--yes").done(t, "is a member already", "done already")

			// A node that has just left is taken in again at once.
			trib(t, "--cluster", "del-node", seed, c.Text(t, second, "CLUSTER", "MYID"), "--yes").done(t, `^>>> Sending CLUSTER FORGET messages`)
			c.joined(t, second)
			trib(t, "add-node", second.Addr(), seed, "--replica", "--master-id", id, "--yes").done(t)
			c.joined(t)

			trib(t, "reshard", seed, "--from", c.Masters[0].ID, "--to", id, "--slots", "50", "--yes").done(t)
			h.intact(t)
			trib(t, "failover", seed, second.Addr(), "--yes").done(t)
			c.joined(t)
			c.follows(t, first, c.Text(t, second, "CLUSTER", "MYID"))
			h.intact(t)
			trib(t, "failover", seed, second.Addr(), "--yes").done(t, "is a master already")
			trib(t, "failover", seed, first.Addr(), "--force", "--yes").done(t)
			c.joined(t)
			h.intact(t)

			trib(t, "del-node", seed, first.Addr(), "--yes").exit(t, 4).complains(t, "has 50 slots", "^hint: .*--drain")
			trib(t, "del-node", seed, first.Addr(), "--drain", "--yes").done(t, `^\[OK\] Node `+id+` removed`)
			h.intact(t)
			trib(t, "del-node", seed, first.Addr(), "--drain", "--yes").done(t, "nothing to do")

			trib(t, "replicate", seed, second.Addr(), c.Masters[1].Addr(), "--yes").done(t)
			c.joined(t, first)
			c.follows(t, second, c.Masters[1].ID)
			trib(t, "del-node", seed, c.Replicas[2].ID, "--yes").done(t, "is left without a replica")
			c.joined(t, first, c.Replicas[2].Node)
			trib(t, "del-node", c.Replicas[2].Addr(), c.Replicas[2].Addr(), "--yes").exit(t, 4).complains(t, "^hint: name another node")
			trib(t, "check", seed).done(t)
			unlocked(t, c.Lab)
		})
	}
}

// TestDeadMembers: a dead replica is removed and forgotten; a dead master is
// replaced by force.
func TestDeadMembers(t *testing.T) {
	for _, name := range []string{"redis-6.0", "redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assemble(t, name, 0)
			for _, m := range c.Members() {
				c.Do(t, m.Node, "CONFIG", "SET", "cluster-replica-no-failover", "yes")
			}
			seed := c.Masters[0].Addr()
			dead := c.Replicas[2]
			c.kill(t, dead.Node)
			trib(t, "del-node", seed, dead.ID, "--yes").done(t, `^\[OK\] Node `+dead.ID+` removed`, "does not answer and is not reset")
			c.joined(t, dead.Node)
			trib(t, "forget", seed, dead.ID, "--yes").done(t, "nothing to do")

			master, replica := c.Masters[1], c.Replicas[1]
			c.kill(t, master.Node)
			trib(t, "del-node", seed, master.ID, "--yes").exit(t, 4).complains(t, "owns 546[0-9] slots", "^hint: trib failover --force .*"+replica.Addr())
			trib(t, "del-node", seed, replica.ID, "--yes").exit(t, 4).complains(t, "may have the only copy")
			trib(t, "failover", seed, replica.Addr(), "--yes").exit(t, 4).complains(t, "does not answer", "^hint: --force")
			trib(t, "failover", seed, replica.Addr(), "--force", "--yes").done(t, `^\[WARNING\] writes that`)
			trib(t, "forget", seed, master.Addr(), "--yes").done(t)
			c.joined(t, dead.Node, master.Node)
		})
	}
}

func (c members) kill(t *testing.T, n *lab.Node) {
	t.Helper()
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
}

// TestMembersRefused: what must not be done is refused, with the code that the
// README gives it, and changes nothing.
func TestMembersRefused(t *testing.T) {
	t.Parallel()
	c := assemble(t, "redis-7.0", 6)
	keyed, function, slots, other, friend, empty := c.fresh[0], c.fresh[1], c.fresh[2], c.fresh[3], c.fresh[4], c.fresh[5]
	leaveKeys(t, c.Lab, keyed, "0")
	c.Do(t, function, "FUNCTION", "LOAD", library)
	c.Do(t, slots, "CLUSTER", "SET-CONFIG-EPOCH", "50")
	c.Do(t, slots, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	c.Do(t, other, "CLUSTER", "MEET", friend.Host(), fmt.Sprint(friend.Port()))
	labtest.Await(t, 10*time.Second, "two nodes know each other", func() error {
		p := look(t, c.Lab)
		if a, b := p.at(other.Addr()), p.at(friend.Addr()); len(a.lines) != 2 || len(b.lines) != 2 ||
			b.lines[a.self.id].epoch != a.self.epoch || a.lines[b.self.id].epoch != b.self.epoch || a.self.epoch == b.self.epoch {
			return errors.New("not yet")
		}
		return nil
	})
	before := memory(t, c.Lab)
	seed, master, replica := c.Masters[0].Addr(), c.Masters[1], c.Replicas[0]
	for _, tt := range []refusal{
		{"keys", []string{"add-node", keyed.Addr(), seed}, 4, []string{keyed.Addr() + ": holds 2 keys in database 0"}},
		{"functions", []string{"add-node", function.Addr(), seed}, 4, []string{"node already contains functions", "^hint: .*FUNCTION FLUSH"}},
		{"functions of a replica", []string{"add-node", function.Addr(), seed, "--replica"}, 4, []string{"node already contains functions"}},
		{"slots", []string{"add-node", slots.Addr(), seed}, 4, []string{"already has slots 0-16383"}},
		{"another cluster", []string{"add-node", other.Addr(), seed}, 4, []string{"belongs to another cluster"}},
		{"the wrong way round", []string{"add-node", seed, empty.Addr()}, 4, []string{"belongs to no cluster"}},
		{"nobody there", []string{"add-node", "127.0.0.1:1", seed}, 7, []string{"127.0.0.1:1 does not answer"}},
		{"no seed", []string{"add-node", empty.Addr(), "127.0.0.1:1"}, 7, []string{"127.0.0.1:1"}},
		{"two names", []string{"add-node", empty.Addr(), strings.Replace(empty.Addr(), "127.0.0.1", "localhost", 1), seed}, 2, []string{"the same node"}},
		{"master unknown", []string{"add-node", empty.Addr(), seed, "--replica", "--master-id", "zz"}, 1, []string{`no node "zz"`}},
		{"master a replica", []string{"add-node", empty.Addr(), seed, "--replica", "--master-id", replica.ID}, 4, []string{"is a replica itself"}},
		{"master a member", []string{"add-node", master.Addr(), seed, "--replica"}, 4, []string{"is a member already, and a master with slots"}},
		{"slots of the leaving", []string{"del-node", seed, master.ID}, 4, []string{"has 546[0-9] slots", "^hint: trib drain"}},
		{"unknown", []string{"del-node", seed, "127.0.0.1:1"}, 1, []string{"no node"}},
		{"alive", []string{"forget", seed, replica.ID}, 4, []string{"is alive", "^hint: trib del-node"}},
		{"replicate with slots", []string{"replicate", seed, master.ID, c.Masters[2].ID}, 4, []string{"is a master with 546[0-9] slots"}},
		{"replicate a replica", []string{"replicate", seed, replica.ID, c.Replicas[1].ID}, 4, []string{"is a replica itself"}},
		{"failover of nobody", []string{"failover", seed, "zz"}, 1, []string{`no node "zz"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := trib(t, append(tt.args, "--yes")...).exit(t, tt.exit)
			r.complains(t, tt.stderr...)
			if r.took > 5*time.Second {
				t.Errorf("it took %v", r.took)
			}
			untouched(t, c.Lab, before)
		})
	}
	// An epoch alone does no harm.
	c.Do(t, empty, "CLUSTER", "SET-CONFIG-EPOCH", "90")
	trib(t, "add-node", empty.Addr(), seed, "--yes").done(t)
	c.joined(t, keyed, function, slots, other, friend)
}

// TestMemberOutOfReach: somebody who lives and cannot be told would bring the
// node back.
func TestMemberOutOfReach(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 6, Config: []string{"cluster-node-timeout 60000"}})
	c := labtest.Form(t, l, 3, 3)
	pause(t, c.Replicas[1])
	r := trib(t, "del-node", c.Masters[0].Addr(), c.Replicas[2].ID, "--yes").exit(t, 4)
	r.complains(t, c.Replicas[1].Addr()+" cannot be told to forget")
}
