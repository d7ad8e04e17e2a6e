package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/observe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// liar answers for nodes: what change makes of a reply is what the tool sees.
type liar struct {
	driver.Dialer
	change func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply
}

func (l liar) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := l.Dialer.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return liarConn{c, addr, l.change}, nil
}

type liarConn struct {
	driver.Conn
	addr   cluster.Addr
	change func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply
}

func (c liarConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	replies, err := c.Conn.Do(ctx, cmds...)
	for i := range replies {
		replies[i] = c.change(c.addr, cmds[i], replies[i])
	}
	return replies, err
}

// refusing answers a command, named as Command.Name does, with an error.
func refusing(d driver.Dialer, name, text string) driver.Dialer {
	return liar{d, func(_ cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
		if cmd.Name() == name {
			return driver.Reply{Err: &driver.ServerError{Text: text}}
		}
		return r
	}}
}

func see(t *testing.T, d driver.Dialer, seeds ...cluster.Addr) cluster.State {
	t.Helper()
	s, err := observe.Cluster(t.Context(), d, seeds...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t *testing.T, s cluster.State, n *sim.Node) cluster.Member {
	t.Helper()
	m, err := s.Find(n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// keyIn is a key of a slot.
func keyIn(slot int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("k%d", i); cluster.KeySlot(key) == slot {
			return key
		}
	}
}

// TestCluster promises that one seed is enough to read everybody, with what
// each of the servers can do.
func TestCluster(t *testing.T) {
	tests := []struct {
		server    cluster.Server
		databases []int
		features  cluster.Features
	}{
		{cluster.Server{Flavor: "redis", Version: "6.0.16"}, []int{0}, cluster.Features{}},
		{cluster.Server{Flavor: "redis", Version: "7.0.15"}, []int{0}, cluster.Features{AddSlotsRange: true}},
		{cluster.Server{Flavor: "redis", Version: "8.0.2"}, []int{0}, cluster.Features{AddSlotsRange: true}},
		{cluster.Server{Flavor: "valkey", Version: "8.1.1"}, []int{0}, cluster.Features{AddSlotsRange: true, ReplicatedSetSlot: true}},
		{cluster.Server{Flavor: "valkey", Version: "9.1.2"}, []int{0, 1, 2}, cluster.Features{AddSlotsRange: true, ReplicatedSetSlot: true, Atomic: cluster.MigrateSlots}},
		{cluster.Server{Flavor: "redis", Version: "8.4.0"}, []int{0}, cluster.Features{AddSlotsRange: true, Atomic: cluster.Migration}},
	}
	for _, tt := range tests {
		t.Run(tt.server.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sim.New(sim.Options{Server: tt.server, Databases: len(tt.databases), NodeTimeout: 3 * time.Second})
				nodes := c.Form(3, 1)
				c.Client().Write(keyIn(0), "v")
				nodes[0].Functions("lib")
				c.Settle()
				s := see(t, driver.ReadOnly(c.Dialer()), nodes[4].Addr())
				if len(s.Members) != 6 || len(s.Masters()) != 3 || len(s.Unreachable()) != 0 {
					t.Fatalf("%d members, %d masters, silent %v", len(s.Members), len(s.Masters()), s.Unreachable())
				}
				if !slices.IsSortedFunc(s.Members, func(a, b cluster.Member) int { return a.Addr.Port - b.Addr.Port }) {
					t.Error("members are not sorted")
				}
				runs := make(map[string]bool)
				for _, m := range s.Members {
					checkMember(t, m, tt.server, tt.databases, tt.features)
					runs[m.RunID] = true
				}
				if len(runs) != 6 || runs[""] {
					t.Errorf("run ids %v", slices.Collect(maps.Keys(runs)))
				}
				first := at(t, s, nodes[0])
				if first.Keys() != 1 || first.Replication.Role != "master" || len(first.Replication.Replicas) != 1 {
					t.Errorf("first master: %d keys, %+v", first.Keys(), first.Replication)
				}
				if want := tt.server.AtLeast("redis", 7, 0) || tt.server.Flavor == "valkey"; want != (first.Functions == 1) {
					t.Errorf("%d functions", first.Functions)
				}
				if replica := at(t, s, nodes[3]); replica.Replication.Role != "slave" || !replica.Replication.LinkUp || replica.IsMaster() {
					t.Errorf("replica: %+v", replica.Replication)
				}
			})
		})
	}
}

func checkMember(t *testing.T, m cluster.Member, server cluster.Server, databases []int, features cluster.Features) {
	t.Helper()
	if m.Server != server || m.Features != features || m.NodeTimeout != 3000 || !m.ClusterOK || m.UsedMemory == 0 || m.ID != m.View.Self().ID {
		t.Errorf("member %+v", m)
	}
	if diff := cmp.Diff(databases, m.Databases); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
	if m.SlotKeys != nil {
		t.Errorf("keys that nobody counted: %v", m.SlotKeys)
	}
}

// TestSilentNodes is promise P5: nodes that say nothing are named within five
// seconds, and everybody else is read, however many they are.
func TestSilentNodes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		nodes, paused int
	}{
		{"one of three", 3, 1},
		{"two of three", 3, 2},
		{"sixty-four of seventy", 70, 64},
		{"three hundred of three hundred and three", 303, 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sim.New(sim.Options{NoAutoFailover: true})
				nodes := c.Form(tt.nodes, 0)
				for _, n := range nodes[:tt.paused] {
					n.Pause()
				}
				began := time.Now()
				s := see(t, c.Dialer(), nodes[tt.nodes-1].Addr())
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				if silent := s.Unreachable(); len(silent) != tt.paused || len(s.Masters()) != tt.nodes-tt.paused {
					t.Errorf("%d silent, %d read", len(silent), len(s.Masters()))
				}
				for _, n := range nodes[:tt.paused] {
					m := at(t, s, n)
					if m.ID != n.ID() || !strings.Contains(m.Unreachable, "deadline") || strings.Contains(m.Unreachable, n.Addr().String()) {
						t.Errorf("%s: %q", n, m.Unreachable)
					}
				}
			})
		})
	}
}

// TestDeadNodes promises that a crashed node and a node that fails while it is
// read are named, too.
func TestDeadNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		nodes := c.Form(4, 0)
		nodes[1].Crash()
		c.Intercept(func(e sim.Event) sim.Action {
			if e.Node == nodes[2] && e.Cmd.Name() == "CLUSTER INFO" {
				return sim.Action{Outcome: sim.DropReply}
			}
			return sim.Action{}
		})
		s := see(t, c.Dialer(), nodes[0].Addr())
		if got := at(t, s, nodes[1]); got.Unreachable != "connection refused" {
			t.Errorf("crashed: %q", got.Unreachable)
		}
		if got := at(t, s, nodes[2]); got.Unreachable == "" || got.View.Nodes != nil || got.RunID != "" {
			t.Errorf("failed half-way: %+v", got)
		}
		if len(s.Masters()) != 2 {
			t.Errorf("%d read", len(s.Masters()))
		}
	})
}

// TestSeeds promises that one living seed is enough, and that otherwise the
// error says of each seed why.
func TestSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Password: "secret", NoAutoFailover: true})
		nodes := c.Form(4, 0)
		nodes[0].Crash()
		nodes[1].Pause()
		nobody := cluster.Addr{Host: "127.0.0.1", Port: 1}
		if s := see(t, c.Dialer(), nobody, nodes[0].Addr(), nodes[1].Addr(), nodes[2].Addr()); len(s.Members) != 4 {
			t.Errorf("%d members", len(s.Members))
		}
		_, err := observe.Cluster(t.Context(), c.Dialer(), nobody, nodes[0].Addr(), nodes[1].Addr(), cluster.Addr{})
		var se *observe.SeedError
		if !errors.As(err, &se) || len(se.Causes) != 4 {
			t.Fatalf("error %v, want a *observe.SeedError with 4 causes", err)
		}
		for _, want := range []string{nobody.String(), nodes[0].Addr().String(), nodes[1].Addr().String(), "address is not known"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not name %s", err, want)
			}
		}
		var ae *driver.AuthError
		_, err = observe.Cluster(t.Context(), c.DialerWith("wrong"), nodes[2].Addr())
		if !errors.As(err, &se) || !errors.As(err, &ae) || ae.Addr != nodes[2].Addr() || strings.Contains(err.Error(), "wrong") {
			t.Errorf("error %v, want a *driver.AuthError inside", err)
		}
		if _, err := observe.Cluster(t.Context(), c.Dialer()); !errors.As(err, &se) {
			t.Errorf("no seed at all: %v", err)
		}
	})
}

// TestSilentSeeds promises that seeds that say nothing cost no more than one of
// them, and that the first one is preferred where it answers.
func TestSilentSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		nodes := c.Form(102, 0)
		var seeds []cluster.Addr
		for _, n := range nodes[:101] {
			n.Pause()
			seeds = append(seeds, n.Addr())
		}
		began := time.Now()
		_, err := observe.Cluster(t.Context(), c.Dialer(), seeds...)
		var se *observe.SeedError
		if !errors.As(err, &se) || len(se.Causes) != 101 || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		began = time.Now()
		see(t, c.Dialer(), append(seeds, nodes[101].Addr())...)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		dialled := 0
		c.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() == "CLUSTER NODES" {
				dialled++
			}
			return sim.Action{}
		})
		for _, n := range nodes[:101] {
			n.Resume()
		}
		see(t, c.Dialer(), seeds...)
		if dialled != 102 {
			t.Errorf("nodes were asked %d times", dialled)
		}
	})
}

// TestStaleAddress promises that a node is found under any of the addresses
// that others know for it.
func TestStaleAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(4, 0)
		stale := func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
			if text, ok := r.Value.(string); ok && cmd.Name() == "CLUSTER NODES" && addr != nodes[2].Addr() {
				wrong := cluster.Addr{Host: "127.0.0.1", Port: 9}
				if addr == nodes[1].Addr() {
					wrong = nodes[3].Addr() // where another node answers
				}
				if addr != nodes[3].Addr() {
					r.Value = strings.Replace(text, fmt.Sprintf("%s %s@", nodes[2].ID(), nodes[2].Addr()), fmt.Sprintf("%s %s@", nodes[2].ID(), wrong), 1)
				}
			}
			return r
		}
		s := see(t, liar{c.Dialer(), stale}, nodes[0].Addr())
		if m, ok := s.Get(nodes[2].ID()); !ok || !m.Reachable() {
			t.Errorf("member %+v", m)
		}
		if len(s.Members) != 4 {
			t.Errorf("%d members", len(s.Members))
		}
	})
}

// TestCauses promises the kind of reason for which a node could not be read.
func TestCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Password: "secret", NoAutoFailover: true})
		nodes := c.Form(3, 0)
		nodes[2].Crash()
		addrs := []cluster.Addr{nodes[0].Addr(), nodes[1].Addr(), nodes[2].Addr(), {}}
		causes := func(d driver.Dialer) (got []cluster.Cause) {
			for _, m := range observe.Nodes(t.Context(), d, addrs).Members {
				got = append(got, m.Cause)
			}
			return got
		}
		// The node without an address sorts first.
		d := refusing(c.DialerWith("wrong"), "INFO", "NOPERM no")
		if diff := cmp.Diff([]cluster.Cause{cluster.CauseNoAddr, cluster.CauseRefused, cluster.CauseRefused, cluster.CauseDead}, causes(d)); diff != "" {
			t.Errorf("wrong password (-want +got):\n%s", diff)
		}
		d = liar{refusing(c.Dialer(), "INFO", "NOPERM no"), func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
			if addr == nodes[1].Addr() && cmd.Name() == "INFO" {
				r = driver.Reply{Value: "cluster_enabled:0\r\n"}
			}
			return r
		}}
		if diff := cmp.Diff([]cluster.Cause{cluster.CauseNoAddr, cluster.CauseUnreadable, cluster.CauseNotCluster, cluster.CauseDead}, causes(d)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestLibraries promises a digest that tells code apart and nothing else.
func TestLibraries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(4, 0)
		nodes[0].Functions("a", "b")
		nodes[1].Functions("b", "a")
		nodes[2].Functions("a")
		c.Settle()
		s := see(t, c.Dialer(), nodes[0].Addr())
		same, other, none := at(t, s, nodes[0]).Libraries, at(t, s, nodes[2]).Libraries, at(t, s, nodes[3]).Libraries
		if same != at(t, s, nodes[1]).Libraries || same == other || other == none || same == "" || none == "" {
			t.Errorf("digests %q %q %q", same, other, none)
		}
		s = see(t, refusing(c.Dialer(), "FUNCTION LIST", "ERR unknown command"), nodes[0].Addr())
		if m := at(t, s, nodes[0]); !m.Reachable() || m.Libraries != "" {
			t.Errorf("member %+v", m)
		}
	})
}

// TestSettings promises the settings that nodes should share, from INFO where
// CONFIG is refused.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 0)
		nodes[0].Config("maxmemory", "1000000")
		want := map[string]string{
			"maxmemory": "1000000", "maxmemory-policy": "noeviction",
			"cluster-node-timeout": "2000", "cluster-require-full-coverage": "yes",
		}
		m := at(t, see(t, c.Dialer(), nodes[0].Addr()), nodes[0])
		if diff := cmp.Diff(want, m.Config); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if m.MaxMemory != 1000000 || m.MaxMemoryPolicy != "noeviction" {
			t.Errorf("%d, %q", m.MaxMemory, m.MaxMemoryPolicy)
		}
		m = at(t, see(t, refusing(c.Dialer(), "CONFIG GET", "NOPERM no"), nodes[0].Addr()), nodes[0])
		if diff := cmp.Diff(map[string]string{"maxmemory": "1000000", "maxmemory-policy": "noeviction"}, m.Config); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
	})
}

// TestAnotherNodeAnswers promises that a stranger at a known address does not
// speak for who was there.
func TestAnotherNodeAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		nodes := c.Form(3, 0)
		old := nodes[2].ID()
		conn, err := c.Dialer().Dial(t.Context(), nodes[2].Addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Call(t.Context(), conn, "CLUSTER", "RESET", "HARD"); err != nil {
			t.Fatal(err)
		}
		s := see(t, c.Dialer(), nodes[0].Addr())
		m, ok := s.Get(old)
		if want := fmt.Sprintf("another node, %s, answers there", nodes[2].ID()); !ok || m.Unreachable != want || m.RunID != "" {
			t.Errorf("member %+v, want %q", m, want)
		}
		if len(s.Members) != 3 {
			t.Errorf("%d members", len(s.Members))
		}
	})
}

// TestUnreadableNodes promises that answers which are not understood make a
// node unreachable, with the reason, and never one without slots or keys.
func TestUnreadableNodes(t *testing.T) {
	tests := []struct {
		name, cmd string
		reply     driver.Reply
		want      string
	}{
		{"not a cluster node", "INFO", driver.Reply{Value: "redis_version:7.0.15\r\nrole:master\r\nmaster_repl_offset:0\r\ncluster_enabled:0\r\n"}, "not a cluster node"},
		{"INFO without cluster section", "INFO", driver.Reply{Value: "redis_version:7.0.15\r\nrole:master\r\nmaster_repl_offset:0\r\n"}, "not a cluster node"},
		{"INFO refused", "INFO", driver.Reply{Err: &driver.ServerError{Text: "NOPERM no"}}, "NOPERM no"},
		{"INFO empty", "INFO", driver.Reply{Value: ""}, "no fields"},
		{"INFO without version", "INFO", driver.Reply{Value: "cluster_enabled:1\r\nrole:master\r\nmaster_repl_offset:0\r\n"}, "neither redis_version"},
		{"INFO without role", "INFO", driver.Reply{Value: "cluster_enabled:1\r\nredis_version:7.0.15\r\n"}, "role"},
		{"INFO with an unreadable database", "INFO", driver.Reply{Value: "cluster_enabled:1\r\nredis_version:7.0.15\r\nrole:master\r\nmaster_repl_offset:0\r\ndb0:keys=x\r\n"}, "keyspace"},
		{"CLUSTER NODES empty", "CLUSTER NODES", driver.Reply{Value: ""}, "no line says myself"},
		{"CLUSTER NODES refused", "CLUSTER NODES", driver.Reply{Err: &driver.ServerError{Text: "NOPERM no"}}, "NOPERM no"},
		{"CLUSTER NODES of another type", "CLUSTER NODES", driver.Reply{Value: int64(1)}, "unexpected reply"},
		{"CLUSTER NODES is nil", "CLUSTER NODES", driver.Reply{}, "unexpected reply"},
		{"CLUSTER INFO refused", "CLUSTER INFO", driver.Reply{Err: &driver.ServerError{Text: "LOADING"}}, "LOADING"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sim.New(sim.Options{})
				nodes := c.Form(3, 0)
				d := liar{c.Dialer(), func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
					if addr == nodes[1].Addr() && cmd.Name() == tt.cmd {
						return tt.reply
					}
					return r
				}}
				m := at(t, see(t, d, nodes[0].Addr()), nodes[1])
				if !strings.Contains(m.Unreachable, tt.want) || m.View.Nodes != nil || m.ID != nodes[1].ID() {
					t.Errorf("member %+v, want %q", m, tt.want)
				}
				_, err := observe.Cluster(t.Context(), d, nodes[1].Addr())
				if err == nil || !strings.Contains(err.Error(), nodes[1].Addr().String()+": ") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("as a seed: %v", err)
				}
			})
		})
	}
}

// TestRefusedExtras promises that a user who may not ask for features or
// settings can still look: every feature has an older way.
func TestRefusedExtras(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "9.1.2"}, Databases: 3})
		nodes := c.Form(3, 0)
		user := c.Client()
		user.Select(2)
		user.Write(keyIn(0), "v")
		d := refusing(refusing(c.Dialer(), "CONFIG GET", "NOPERM no"), "COMMAND INFO", "NOPERM no")
		s := see(t, d, nodes[0].Addr())
		m := at(t, s, nodes[0])
		if !m.Reachable() || m.NodeTimeout != 0 || m.Features.AddSlotsRange || !m.Features.ReplicatedSetSlot {
			t.Errorf("member %+v", m)
		}
		// What holds keys is known to be there.
		if diff := cmp.Diff([]int{0, 1, 2}, m.Databases); diff != "" {
			t.Errorf("databases (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{0}, at(t, s, nodes[1]).Databases); diff != "" {
			t.Errorf("databases of an empty node (-want +got):\n%s", diff)
		}
	})
}

// TestNodeWithoutAddress promises that a node whose address one node has lost
// is read at the address that another one knows.
func TestNodeWithoutAddress(t *testing.T) {
	lost := func(d driver.Dialer, who func(cluster.Addr) bool, n *sim.Node) driver.Dialer {
		return liar{d, func(addr cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
			if text, ok := r.Value.(string); ok && cmd.Name() == "CLUSTER NODES" && who(addr) && addr != n.Addr() {
				full := fmt.Sprintf("%s %s@%d ", n.ID(), n.Addr(), n.Addr().Port+cluster.BusPortOffset)
				r.Value = strings.Replace(text, full, string(n.ID())+" :0@0 ", 1)
				if r.Value == text {
					t.Errorf("%s does not stand in %s", full, text)
				}
			}
			return r
		}}
	}
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 0)
		seed := nodes[0].Addr()
		bySeed := func(a cluster.Addr) bool { return a == seed }
		s := see(t, lost(c.Dialer(), bySeed, nodes[2]), seed)
		if m, _ := s.Get(nodes[2].ID()); !m.Reachable() || m.Addr != nodes[2].Addr() {
			t.Errorf("lost by the seed alone: %+v", m)
		}
		byAll := func(cluster.Addr) bool { return true }
		s = see(t, lost(c.Dialer(), byAll, nodes[2]), seed)
		if m, ok := s.Get(nodes[2].ID()); !ok || m.Unreachable != "its address is not known" || m.Addr.Known() {
			t.Errorf("lost by all: %+v", m)
		}
	})
}

// TestHandshakes promises that nodes which are only being met are no members:
// their ids are made up.
func TestHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 0)
		conn, err := c.Dialer().Dial(t.Context(), nodes[0].Addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Call(t.Context(), conn, "CLUSTER", "MEET", "127.0.0.1", "6666"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(nodes[0].View(), "handshake") {
			t.Fatalf("nobody is in handshake:\n%s", nodes[0].View())
		}
		if s := see(t, c.Dialer(), nodes[0].Addr()); len(s.Members) != 3 || len(s.Unreachable()) != 0 {
			t.Errorf("%d members, silent %v", len(s.Members), s.Unreachable())
		}
	})
}

// TestNodes promises one member for each address, whether it answers or not,
// under the address by which it was asked.
func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		var addrs []cluster.Addr
		for range 3 {
			addrs = append(addrs, c.AddNode().Addr())
		}
		addrs = append(addrs, cluster.Addr{Host: "127.0.0.1", Port: 9999}, addrs[0])
		s := observe.Nodes(t.Context(), driver.ReadOnly(c.Dialer()), addrs)
		if len(s.Members) != 4 || len(s.Masters()) != 3 {
			t.Fatalf("%d members, %d masters", len(s.Members), len(s.Masters()))
		}
		for i, m := range s.Members {
			if m.Addr != addrs[i] || m.Reachable() != (i < 3) || m.Reachable() != (m.ID != "") {
				t.Errorf("member %d: %+v", i, m)
			}
		}
		if s := observe.Nodes(t.Context(), c.Dialer(), nil); len(s.Members) != 0 {
			t.Errorf("nobody was asked, and %d answered", len(s.Members))
		}
	})
}

// TestCancel promises that a cancelled look ends at once.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		nodes := c.Form(3, 0)
		nodes[1].Pause()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, cancel)
		s, err := observe.Cluster(ctx, c.Dialer(), nodes[0].Addr())
		if took := time.Since(began); took != 100*time.Millisecond || err != nil {
			t.Errorf("it took %v: %v", took, err)
		}
		if m := at(t, s, nodes[1]); m.Reachable() {
			t.Error("a silent node answers")
		}
		if _, err := observe.Cluster(ctx, c.Dialer(), nodes[0].Addr()); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
	})
}

// all is every slot of every reachable node.
func all(cluster.Member) cluster.SlotSet { return cluster.AllSlots() }

// TestCountDatabases promises that keys are counted over all databases.
func TestCountDatabases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "9.1.2"}, Databases: 3})
		nodes := c.Form(3, 1)
		user := c.Client()
		for db, keys := range []int{2, 0, 3} {
			user.Select(db)
			for i := range keys {
				user.Do(keyIn(5), "SET", fmt.Sprintf("{%s}%d", keyIn(5), i), "v")
			}
		}
		c.Settle()
		d := driver.ReadOnly(c.Dialer())
		s := see(t, d, nodes[0].Addr())
		observe.Count(t.Context(), d, s, func(m cluster.Member) cluster.SlotSet {
			if m.ID == nodes[1].ID() {
				return cluster.SlotSet{}
			}
			return cluster.SlotsOf(4, 5)
		})
		if diff := cmp.Diff(map[int]int64{4: 0, 5: 5}, at(t, s, nodes[0]).SlotKeys); diff != "" {
			t.Errorf("master (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[int]int64{4: 0, 5: 5}, at(t, s, nodes[3]).SlotKeys); diff != "" {
			t.Errorf("its replica (-want +got):\n%s", diff)
		}
		if got := at(t, s, nodes[1]).SlotKeys; got != nil {
			t.Errorf("not asked: %v", got)
		}
	})
}

// TestCountRefused promises that a refused count is never a count of none, in
// whatever way and place it is refused.
func TestCountRefused(t *testing.T) {
	nth := func(d driver.Dialer, name string, n int, r driver.Reply) driver.Dialer {
		var mu sync.Mutex
		seen := make(map[cluster.Addr]int)
		return liar{d, func(addr cluster.Addr, cmd driver.Command, old driver.Reply) driver.Reply {
			mu.Lock()
			defer mu.Unlock()
			if cmd.Name() == name {
				if seen[addr]++; seen[addr] == n {
					return r
				}
			}
			return old
		}}
	}
	refused := driver.Reply{Err: &driver.ServerError{Text: "NOPERM no"}}
	tests := []struct {
		name, cmd string
		n         int
		reply     driver.Reply
	}{
		{"the first", "CLUSTER COUNTKEYSINSLOT", 1, refused},
		{"one in the middle", "CLUSTER COUNTKEYSINSLOT", 3, refused},
		{"the last", "CLUSTER COUNTKEYSINSLOT", 6, refused},
		{"nil", "CLUSTER COUNTKEYSINSLOT", 2, driver.Reply{}},
		{"text", "CLUSTER COUNTKEYSINSLOT", 2, driver.Reply{Value: "0"}},
		{"a database", "SELECT", 2, refused},
		{"a database, not quite OK", "SELECT", 2, driver.Reply{Value: "QUEUED"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "9.1.2"}, Databases: 2})
				nodes := c.Form(3, 0)
				s := see(t, c.Dialer(), nodes[0].Addr())
				observe.Count(t.Context(), nth(c.Dialer(), tt.cmd, tt.n, tt.reply), s, func(cluster.Member) cluster.SlotSet { return cluster.SlotsOf(1, 2, 3) })
				for _, m := range s.Members {
					if m.Reachable() || m.SlotKeys != nil {
						t.Errorf("%s: %v, %q", m.Addr, m.SlotKeys, m.Unreachable)
					}
					if _, counted := m.KeysIn(1); counted {
						t.Error("a refused slot counts as counted")
					}
				}
			})
		})
	}
}

// TestCountLosesANode promises that a node which falls silent while it counts
// is unreachable, and that the others are counted.
func TestCountLosesANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{NoAutoFailover: true})
		nodes := c.Form(3, 0)
		s := see(t, c.Dialer(), nodes[0].Addr())
		nodes[1].Pause()
		nodes[2].Crash()
		began := time.Now()
		observe.Count(t.Context(), c.Dialer(), s, all)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if m := at(t, s, nodes[0]); len(m.SlotKeys) != cluster.SlotCount || !m.Reachable() {
			t.Errorf("%d slots counted, %q", len(m.SlotKeys), m.Unreachable)
		}
		for _, n := range nodes[1:] {
			if m := at(t, s, n); m.Reachable() || m.SlotKeys != nil {
				t.Errorf("%s: %v", n, m.Unreachable)
			}
		}
	})
}

// TestForCheck promises that check finds keys that nobody can reach, and counts
// no more slots than it must where there are none.
func TestForCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 1)
		c.Client().Write(keyIn(0), "v")
		c.Settle()
		var mu sync.Mutex
		counts := 0
		c.Intercept(func(e sim.Event) sim.Action {
			mu.Lock()
			defer mu.Unlock()
			if e.Cmd.Name() == "CLUSTER COUNTKEYSINSLOT" {
				counts++
			}
			return sim.Action{}
		})
		d := driver.ReadOnly(c.Dialer())
		s := see(t, d, nodes[0].Addr())
		observe.ForCheck(t.Context(), d, s)
		if found := slices.DeleteFunc(health.Check(s), health.IsAdvice); len(found) > 0 || counts != cluster.SlotCount {
			t.Errorf("%d slots counted, found %+v", counts, found)
		}
		stray(t, c, nodes[1], nodes[0])
		s = see(t, d, nodes[0].Addr())
		observe.ForCheck(t.Context(), d, s)
		found := slices.DeleteFunc(health.Check(s), health.IsAdvice)
		if len(found) != 1 || found[0].Code != health.ForeignKeys || found[0].Slots.String() != "7" || found[0].Nodes[0] != nodes[1].ID() {
			t.Errorf("found %+v", found)
		}
		if n, counted := at(t, s, nodes[0]).KeysIn(0); n != 1 || !counted {
			t.Errorf("slot 0: %d, %v", n, counted)
		}
	})
}

// stray leaves a key of slot 7 on a node that does not own it.
func stray(t *testing.T, c *sim.Cluster, n, owner *sim.Node) {
	t.Helper()
	conn, err := c.Dialer().Dial(t.Context(), n.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Do(t.Context(), driver.Cmd("CLUSTER", "SETSLOT", "7", "IMPORTING", string(owner.ID())),
		driver.Cmd("ASKING"), driver.Cmd("SET", keyIn(7), "v"), driver.Cmd("CLUSTER", "SETSLOT", "7", "STABLE"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		t.Fatal(err)
	}
}
