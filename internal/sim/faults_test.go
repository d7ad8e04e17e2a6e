package sim_test

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
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

var (
	valkey8 = cluster.Server{Flavor: "valkey", Version: "8.1.1"}
	valkey9 = cluster.Server{Flavor: "valkey", Version: "9.1.2"}
)

func TestIntercept(t *testing.T) {
	for name, c := range map[string]struct {
		action  sim.Action
		carried bool
	}{
		"never arrives": {sim.Action{Outcome: sim.DropBefore}, false},
		"reply lost":    {sim.Action{Outcome: sim.DropReply}, true},
	} {
		bubble(t, name, func(t *testing.T) {
			s := setScene(t, sim.Options{}, 0)
			conn := dial(t, s.Dialer(), s.a)
			s.Intercept(func(e sim.Event) sim.Action {
				if e.Mutation == 2 {
					return c.action
				}
				return sim.Action{}
			})
			replies, err := conn.Do(context.Background(), driver.Cmd("SET", keyOf(50), "1"), driver.Cmd("PING"), driver.Cmd("SET", keyOf(51), "1"), driver.Cmd("PING"))
			if len(replies) != 2 || !driver.IsTransport(err) {
				t.Errorf("%v, %v", replies, err)
			}
			if got := len(s.Copies(keyOf(51))) == 1; got != c.carried {
				t.Errorf("carried out: %v", got)
			}
		})
	}
}

func TestKill(t *testing.T) {
	bubble(t, "between commands", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		tool, other := s.Dialer(), s.Dialer()
		conn, err := tool.Dial(context.Background(), s.a.Addr(), "trib:a")
		s.must(err)
		spare := dial(t, tool, s.b)
		kept, err := other.Dial(context.Background(), s.a.Addr(), "trib:b")
		s.must(err)
		s.Intercept(func(e sim.Event) sim.Action {
			if e.Client == "trib:a" {
				return sim.Action{After: e.Dialer.Kill}
			}
			return sim.Action{}
		})
		if _, err := driver.Call(context.Background(), conn, "SET", keyOf(50), "1"); !errors.Is(err, sim.ErrKilled) {
			t.Errorf("the killed tool: %v", err)
		}
		if _, err := driver.Call(context.Background(), spare, "PING"); !errors.Is(err, sim.ErrKilled) {
			t.Errorf("its other connection: %v", err)
		}
		if _, err := tool.Dial(context.Background(), s.c.Addr(), ""); !errors.Is(err, sim.ErrKilled) {
			t.Errorf("its next dial: %v", err)
		}
		if names := s.a.ClientNames(); !slices.Equal(names, []string{"trib:b"}) {
			t.Errorf("names: %v", names)
		}
		must(t, kept, "PING")
		if len(s.Copies(keyOf(50))) != 1 {
			t.Error("the command was not carried out")
		}
	})
	bubble(t, "while waiting", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		tool := s.Dialer()
		conn := dial(t, tool, s.a)
		s.a.Pause()
		began := time.Now()
		time.AfterFunc(time.Second, tool.Kill)
		_, err := driver.Call(context.Background(), conn, "PING")
		if !errors.Is(err, sim.ErrKilled) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// What is sent to a paused node is carried out when it runs again, though the
// sender has given up.
func TestPausedNodeCatchesUp(t *testing.T) {
	bubble(t, "tool and user", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		conn := dial(t, s.Dialer(), s.a)
		s.a.Pause()
		replies, err := conn.Do(context.Background(), driver.Cmd("SET", keyOf(50), "1"), driver.Cmd("SET", keyOf(51), "1"))
		if len(replies) != 0 || !driver.IsTransport(err) {
			t.Errorf("%v, %v", replies, err)
		}
		if r := s.write(0, "late"); r != sim.Unknown {
			t.Errorf("a user's write: %s", r)
		}
		if len(s.Copies(keyOf(50))) != 0 {
			t.Error("a paused node works")
		}
		s.a.Resume()
		if len(s.Copies(keyOf(50))) != 1 || len(s.Copies(keyOf(51))) != 1 || len(s.Copies(keyOf(0))[0].Values) != 2 {
			t.Error("what was in the socket is lost")
		}
		n := s.losses()
		s.expect(n == 0, n)
	})
}

func TestCrash(t *testing.T) {
	bubble(t, "the replica takes over, the old master comes back", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 1)
		r := s.nodes[3]
		conn := dial(t, s.Dialer(), s.a)
		s.a.Crash()
		if _, err := driver.Call(context.Background(), conn, "PING"); !driver.IsTransport(err) {
			t.Errorf("a dead node: %v", err)
		}
		if r := s.write(0, "meanwhile"); r != sim.Refused {
			t.Errorf("a write to a dead node: %s", r)
		}
		s.Settle()
		if !r.IsMaster() || r.Owner(0) != r.ID() || s.b.Owner(0) != r.ID() || r.Epoch() <= s.a.Epoch() {
			t.Errorf("%s was not promoted: %s", r, r.View())
		}
		s.write(0, "later")
		s.a.Restart(true)
		s.Settle()
		if s.a.IsMaster() || s.a.KeyCount() != r.KeyCount() {
			t.Errorf("the old master: %s", s.a.View())
		}
		n := s.losses()
		s.expect(n == 0, n)
	})
	bubble(t, "nobody takes over", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		s.a.Crash()
		s.Settle()
		if !strings.Contains(s.b.View(), s.a.Addr().String()+"@17001 master,fail ") {
			t.Errorf("not known to have failed: %s", s.b.View())
		}
		s.a.Restart(true)
		if r := s.write(0, "at once"); r != sim.Refused {
			t.Errorf("a master serves right after its restart: %s", r)
		}
		s.Settle()
		s.Advance(2 * time.Second)
		n := s.losses()
		s.expect(n == 0, n)
	})
	bubble(t, "without its data", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		s.a.Crash()
		s.a.Restart(false)
		s.Advance(5 * time.Second)
		n := s.losses()
		s.expect(n == sceneKeys, n)
	})
}

// R8: a restarted master imports slots whose keys it has and does not own.
func TestRestartImportsStrays(t *testing.T) {
	bubble(t, "stray keys", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		s.open(5)
		conn := dial(t, s.Dialer(), s.b)
		must(t, conn, "CLUSTER", "SETSLOT", "0", "STABLE")
		if s.b.Importing(0) != "" || len(s.a.Open()) != 1 {
			t.Fatal("the scene is not what it should be")
		}
		s.b.Crash()
		s.b.Restart(true)
		if s.b.Importing(0) != s.a.ID() || s.a.Migrating(0) != s.b.ID() {
			t.Errorf("importing from %q, migrating to %q", s.b.Importing(0), s.a.Migrating(0))
		}
	})
}

func TestReplicaLag(t *testing.T) {
	bubble(t, "acknowledged offsets", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 1)
		r := s.nodes[3]
		r.ReplicaLag(300 * time.Millisecond)
		writer, idle := dial(t, s.Dialer(), s.a), dial(t, s.Dialer(), s.a)
		must(t, writer, "SET", keyOf(50), "1")
		if got := must(t, idle, "WAIT", "1", "100").Value; got != int64(1) {
			t.Errorf("WAIT on a connection that wrote nothing: %v", got)
		}
		if got := must(t, writer, "WAIT", "1", "100").Value; got != int64(0) {
			t.Errorf("WAIT while the write is on its way: %v", got)
		}
		began := time.Now()
		if got := must(t, writer, "WAIT", "1", "1000").Value; got != int64(1) || time.Since(began) > 300*time.Millisecond {
			t.Errorf("WAIT until it has arrived: %v after %v", got, time.Since(began))
		}
		must(t, writer, "SET", keyOf(51), "1")
		s.Settle()
		info, err := cluster.ParseInfo(must(t, writer, "INFO", "replication").Value.(string))
		s.must(err)
		state, err := info.Replication()
		s.must(err)
		if len(state.Replicas) != 1 || state.Replicas[0].Offset != state.Offset || !state.Replicas[0].Online {
			t.Errorf("%+v", state)
		}
	})
	bubble(t, "a takeover loses what had not arrived, a failover does not", func(t *testing.T) {
		for takeover, lost := range map[bool]int{true: 1, false: 0} {
			s := setScene(t, sim.Options{}, 1)
			r := s.nodes[3]
			r.ReplicaLag(-1)
			s.write(0, "late")
			if takeover {
				r.Takeover()
			} else {
				r.Failover()
			}
			n := s.losses()
			s.expect(n == lost, n)
			if s.a.IsMaster() || s.a.KeyCount() != r.KeyCount() {
				t.Errorf("the old master: %s", s.a.View())
			}
		}
	})
}

func TestReplicatedSetSlot(t *testing.T) {
	open := func(t *testing.T) (*scene, driver.Conn, []string) {
		s := setScene(t, sim.Options{Server: valkey8}, 1)
		return s, dial(t, s.Dialer(), s.a), []string{"CLUSTER", "SETSLOT", "0", "MIGRATING", string(s.b.ID())}
	}
	bubble(t, "a promoted replica has the open slot", func(t *testing.T) {
		s, conn, cmd := open(t)
		must(t, conn, cmd...)
		must(t, dial(t, s.Dialer(), s.b), "CLUSTER", "SETSLOT", "0", "IMPORTING", string(s.a.ID()))
		r := s.nodes[3]
		r.Failover()
		s.Settle()
		if r.Migrating(0) != s.b.ID() || s.b.Importing(0) != r.ID() {
			t.Errorf("migrating to %q, importing from %q", r.Migrating(0), s.b.Importing(0))
		}
	})
	bubble(t, "a paused replica refuses it, and has it later", func(t *testing.T) {
		s, conn, cmd := open(t)
		s.nodes[3].Pause()
		began := time.Now()
		_, err := driver.Call(context.Background(), conn, append(cmd, "TIMEOUT", "300")...)
		if !driver.HasCode(err, "NOREPLICAS") || time.Since(began) != 300*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		s.nodes[3].Resume()
		if s.a.Migrating(0) != "" || s.nodes[3].Migrating(0) != s.b.ID() {
			t.Errorf("master %q, replica %q", s.a.Migrating(0), s.nodes[3].Migrating(0))
		}
	})
	bubble(t, "in a transaction it kills the server", func(t *testing.T) {
		s, conn, cmd := open(t)
		_, err := conn.Do(context.Background(), driver.Cmd("MULTI"), cmd, driver.Cmd("EXEC"))
		if !driver.IsTransport(err) || s.a.Alive() {
			t.Errorf("%v, alive %v", err, s.a.Alive())
		}
	})
}

func TestMeetAndForget(t *testing.T) {
	bubble(t, "a new node", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		n := s.AddNode()
		conn := dial(t, s.Dialer(), n)
		must(t, conn, "CLUSTER", "MEET", s.a.Addr().Host, fmt.Sprint(s.a.Addr().Port))
		if !strings.Contains(n.View(), " handshake - 0 ") {
			t.Errorf("no handshake: %s", n.View())
		}
		s.Settle()
		for _, m := range append(s.nodes, n) {
			if strings.Count(m.View(), "\n") != 4 || strings.Contains(m.View(), "handshake") {
				t.Errorf("%s: %s", m, m.View())
			}
		}
		must(t, dial(t, s.Dialer(), s.b), "CLUSTER", "FORGET", string(n.ID()))
		knows := func() bool { return strings.Contains(s.b.View(), string(n.ID())) }
		s.Advance(50 * time.Second)
		if knows() {
			t.Error("a forgotten node is back within a minute")
		}
		s.Advance(15 * time.Second)
		if !knows() {
			t.Error("a node that others know is not learned again")
		}
	})
	bubble(t, "nobody there", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 0)
		must(t, dial(t, s.Dialer(), s.a), "CLUSTER", "MEET", "127.0.0.1", "1")
		s.Settle()
		if strings.Count(s.a.View(), "\n") != 3 {
			t.Errorf("a failed handshake stays: %s", s.a.View())
		}
	})
	bubble(t, "a reset node", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 1)
		r := s.nodes[4]
		id := r.ID()
		must(t, dial(t, s.Dialer(), r), "CLUSTER", "RESET", "HARD")
		if r.ID() == id || !r.IsMaster() || r.KeyCount() != 0 || strings.Count(r.View(), "\n") != 1 {
			t.Errorf("after RESET HARD: %s", r.View())
		}
		must(t, dial(t, s.Dialer(), r), "CLUSTER", "SET-CONFIG-EPOCH", "9")
	})
}

func TestExpiry(t *testing.T) {
	bubble(t, "by itself", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 1)
		must(t, dial(t, s.Dialer(), s.a), "SET", keyOf(50), "1", "PX", "1000")
		s.Advance(1050 * time.Millisecond)
		if s.a.KeyCount() != sceneKeys+1 || len(s.Copies(keyOf(50))) != 0 {
			t.Error("an expired key is counted until it is deleted, and not served")
		}
		s.Advance(100 * time.Millisecond)
		if s.a.KeyCount() != sceneKeys || s.nodes[3].KeyCount() != sceneKeys {
			t.Error("an expired key stays")
		}
	})
}

func TestFunctions(t *testing.T) {
	bubble(t, "copied", func(t *testing.T) {
		s := setScene(t, sim.Options{}, 1)
		s.a.Functions("lib1", "lib2")
		n := s.AddNode()
		from, to := dial(t, s.Dialer(), s.a), dial(t, s.Dialer(), n)
		must(t, to, "FUNCTION", "RESTORE", must(t, from, "FUNCTION", "DUMP").Value.(string))
		want, got := must(t, from, "FUNCTION", "LIST"), must(t, to, "FUNCTION", "LIST")
		if fmt.Sprint(want) != fmt.Sprint(got) || !strings.Contains(must(t, to, "INFO", "memory").Value.(string), "number_of_functions:2\r\n") {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// A slot that is finished while another database still holds keys of it.
func TestDatabases(t *testing.T) {
	bubble(t, "Valkey 9", func(t *testing.T) {
		s := setScene(t, sim.Options{Server: valkey9, Databases: 3}, 0)
		user := s.Client()
		user.Select(2)
		for i := range 5 {
			if _, err := user.Write(keyOf(i), "v"); err != nil {
				t.Fatal(err)
			}
		}
		tool := load(t, s.Dialer(), s.a)
		// The source refuses to be told, but the target has claimed by then.
		if err := tool.move(tool.node(s.a), tool.node(s.b), 0); !driver.Mentions(err, "I still hold keys") {
			t.Errorf("reshard: %v", err)
		}
		n := s.losses()
		s.expect(n == 0, n)
		if got := len(s.Copies(keyOf(0))); got != 1 || s.a.KeyCount() != 0 {
			t.Errorf("%d copies; the keys of database 2 should be gone", got)
		}
	})
}

func TestModel(t *testing.T) {
	bubble(t, "kinds of loss", func(t *testing.T) {
		c := sim.New(sim.Options{})
		c.Form(3, 0)
		user, model := c.Client(), sim.NewModel()
		for _, value := range []string{"b", "a", "c", "c", "new"} {
			user.Write("k", value)
		}
		for _, value := range []string{"a", "b", "c", "gone"} {
			model.Record("k", value, sim.Acked)
		}
		model.Record("k", "never", sim.Refused)
		model.Record("k", "who knows", sim.Unknown)
		var got []string
		for _, l := range model.Check(c) {
			got = append(got, l.Kind.String()+" "+l.Value)
		}
		want := []string{"lost gone", "duplicated c", "resurrected new", "reordered a"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		model.Delete(user, "k")
		if losses := model.Check(c); len(losses) != 0 || model.Acked() != 0 {
			t.Errorf("after a deletion: %v", losses)
		}
	})
}

// The same story twice is the same story.
func TestDeterministic(t *testing.T) {
	tell := func(t *testing.T) (trace []string) {
		synctest.Test(t, func(t *testing.T) {
			s := setScene(t, sim.Options{GossipJitter: 50 * time.Millisecond, Seed: 7}, 1)
			s.open(10)
			s.a.Crash()
			s.Settle()
			load(t, s.Dialer(), s.b).fix(0)
			s.Settle()
			trace = s.Trace()
		})
		return trace
	}
	first, second := tell(t), tell(t)
	if !slices.Equal(first, second) || len(first) < 10 {
		t.Errorf("two stories:\n%s\n\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
	}
}
