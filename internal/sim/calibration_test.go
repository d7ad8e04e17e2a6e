package sim_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// The tests of this file lose data. Each names the experiment on real servers
// (X..) in which the stock tools, or the servers' rules, lost it: a simulator
// that cannot lose data proves nothing.

// scene is a formed cluster with 25 acknowledged lists in slot 0.
type scene struct {
	*testing.T
	*sim.Cluster
	nodes   []*sim.Node
	a, b, c *sim.Node
	model   *sim.Model
	user    *sim.Client
}

const sceneKeys = 25

func setScene(t *testing.T, o sim.Options, replicas int) *scene {
	c := sim.New(o)
	nodes := c.Form(3, replicas)
	s := &scene{t, c, nodes, nodes[0], nodes[1], nodes[2], sim.NewModel(), c.Client()}
	for i := range sceneKeys {
		s.write(i, "seed")
	}
	return s
}

// write appends to the i-th list of slot 0.
func (s *scene) write(i int, value string) sim.Result {
	return s.model.Write(s.user, keyOf(i), fmt.Sprintf("%s-%d", value, i))
}

// losses settles the cluster and counts what is not as it should be.
func (s *scene) losses() int {
	s.Settle()
	return len(s.model.Check(s.Cluster))
}

// open leaves slot 0 half moved from a to b, as a killed reshard does.
func (s *scene) open(moved int) {
	d := s.Dialer()
	tool := load(s.T, d, s.a)
	from, to := tool.node(s.a), tool.node(s.b)
	s.must(to.setSlot(0, "IMPORTING", from.id()))
	s.must(from.setSlot(0, "MIGRATING", to.id()))
	if moved > 0 {
		keys, _ := from.keys(0, moved)
		s.must(tool.migrate(from, to, nil, keys))
	}
	d.Kill()
	s.Settle()
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// expect fails with the trace where the number of losses is not as it should be.
func (s *scene) expect(ok bool, losses int) {
	s.Helper()
	if !ok {
		s.Errorf("%d losses", losses)
	}
	if s.Failed() {
		for _, line := range s.Trace() {
			s.Log(line)
		}
	}
}

func each(t *testing.T, test func(t *testing.T, server cluster.Server)) {
	for _, server := range servers {
		t.Run(server.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, server) })
		})
	}
}

// TestCalibration are the experiments in the order of their numbers: what the
// stock tool lost on real servers it loses here, and nothing where it did not.
func TestCalibration(t *testing.T) {
	for _, x := range []struct {
		name string
		test func(*testing.T)
	}{
		{"X1 reshard killed after each command, then fix", killedReshard},
		{"X2 fix on a slow line, nobody writes", fixOnSlowLine},
		{"X2 fix that is fast enough", fixSurvives},
		{"X3 fix killed after it chose the owner", fixKilledAfterElection},
		{"X4 source fails over half way", sourceFailsOverHalfWay},
		{"X4b target fails over half way", targetFailsOverHalfWay},
		{"X4c target dies before it claims", targetDiesBeforeClaim},
		{"X5 source fails over before the target claims", sourceFailsOverBeforeNode},
		{"X5 source crashes before the target claims", sourceCrashesBeforeNode},
		{"X6 target without memory", fullTarget},
		{"X7 two reshards of the same slot", twoReshards},
		{"X8 reply of MIGRATE lost, then fix", staleCopyWins},
		{"X9 add-node of a node with slots", addNodeErasesCluster},
		{"X11 pipeline 0", pipelineZero},
		{"X12 source first", sourceFirstSurvives},
	} {
		t.Run(x.name, x.test)
	}
}

// Rule R1: the target claims the slot while the source still holds keys.
func TestClaimDeletesKeys(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 0)
		s.open(10)
		tool := load(t, s.Dialer(), s.a)
		s.must(tool.node(s.b).setSlot(0, "NODE", string(s.b.ID())))
		n := s.losses()
		s.expect(n == sceneKeys-10, n)
		if len(s.Violations()) != 1 || s.Violations()[0].Keys != sceneKeys-10 {
			t.Errorf("violations of P2: %v", s.Violations())
		}
	})
}

// X1: reshard is killed after each of its eight commands while users write, and
// fix runs while they go on. Values are lost, or out of everybody's reach, where
// keys were left on both sides.
func killedReshard(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		var lossy []int
		for k := 1; k <= 8; k++ {
			s := setScene(t, sim.Options{Server: server, Seed: k}, 0)
			if s.killed(k) {
				lossy = append(lossy, k)
			}
		}
		if want := []int{3, 4}; !slices.Equal(lossy, want) {
			t.Errorf("values are lost when killed after command %v, want %v", lossy, want)
		}
	})
}

// killed reports whether anything is lost by a reshard that dies after its k-th
// command and a fix, with a write to every key before each command.
func (s *scene) killed(k int) bool {
	round := 0
	writeAll := func() {
		round++
		for i := range sceneKeys {
			s.write(i, fmt.Sprint("round", round))
		}
	}
	tool := load(s.T, s.Dialer(), s.a)
	s.Intercept(func(e sim.Event) sim.Action {
		if e.Mutation == k {
			return sim.Action{Before: writeAll, After: e.Dialer.Kill}
		}
		return sim.Action{Before: writeAll}
	})
	if err := tool.move(tool.node(s.a), tool.node(s.b), 0); (err == nil) != (k > 8) {
		s.Errorf("killed after %d: %v", k, err)
	}
	s.Intercept(nil)
	s.Settle()
	fixer := load(s.T, s.Dialer(), s.a)
	s.Intercept(func(sim.Event) sim.Action { return sim.Action{Before: writeAll} })
	_ = fixer.fix(0) // it stops where it finds a key on both sides
	s.Intercept(nil)
	return s.losses() > 0
}

// X3: fix is killed, or pauses, right after it has chosen the owner and raised
// its epoch. With most keys at the target, the source's are deleted.
func fixKilledAfterElection(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 0)
		s.open(22)
		s.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() == "EXEC" {
				return sim.Action{After: e.Dialer.Kill}
			}
			return sim.Action{}
		})
		if load(t, s.Dialer(), s.a).fix(0) == nil {
			t.Error("the killed fix reports success")
		}
		s.Intercept(nil)
		s.Settle()
		s.must(load(t, s.Dialer(), s.a).fix(0))
		n := s.losses()
		s.expect(n == 3, n)
	})
}

// X3 with the source winning, and X2 with a fix faster than gossip: no loss.
func fixSurvives(t *testing.T) {
	for moved, latency := range map[int]time.Duration{3: 300 * time.Millisecond, 22: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := setScene(t, sim.Options{Latency: latency}, 0)
			s.open(moved)
			s.must(load(t, s.Dialer(), s.a).fix(0))
			n := s.losses()
			s.expect(n == 0, n)
		})
	}
}

// X2 on a slow line: nobody writes, nobody is killed, and the keys are gone.
func fixOnSlowLine(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server, Latency: 300 * time.Millisecond}, 0)
		s.open(13)
		s.must(load(t, s.Dialer(), s.a).fix(0))
		n := s.losses()
		s.expect(n == sceneKeys-13, n)
	})
}

// X4: the source fails over with ten keys moved. Redis forgets that the slot was
// open: users recreate the moved keys, and fix overwrites. Valkey 8 does not.
func sourceFailsOverHalfWay(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		s.open(10)
		s.nodes[3].Failover()
		s.Settle()
		for i := range sceneKeys {
			if r := s.write(i, "later"); r != sim.Acked {
				t.Fatalf("write %d: %s", i, r)
			}
		}
		tool := load(t, s.Dialer(), s.b)
		tool.replace = true
		s.must(tool.fix(0))
		n := s.losses()
		s.expect(server.AtLeast("valkey", 8, 0) == (n == 0), n)
	})
}

// X4b: the target fails over with ten keys moved. They are out of reach until fix
// on Redis, which forgets the import; nothing is lost.
func targetFailsOverHalfWay(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		s.open(10)
		s.nodes[4].Failover()
		hidden := s.losses()
		s.expect(server.AtLeast("valkey", 8, 0) == (hidden == 0), hidden)
		s.must(load(s.T, s.Dialer(), s.a).fix(0))
		n := s.losses()
		s.expect(n == 0, n)
	})
}

// X4c, #7116: the source was told, and the target dies before it is. Its replica
// has all keys; on Redis it does not know that the slot is its own.
func targetDiesBeforeClaim(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		s.open(sceneKeys)
		tool := load(s.T, s.Dialer(), s.a)
		s.must(tool.node(s.a).setSlot(0, "NODE", string(s.b.ID())))
		s.b.Crash()
		n := s.losses()
		if server.AtLeast("valkey", 8, 0) {
			s.expect(n == 0, n)
			return
		}
		s.expect(n == sceneKeys, n)
		if got := len(s.nodes[4].Keys(0, 0)); got != sceneKeys {
			t.Errorf("the promoted replica has %d keys", got)
		}
	})
}

// X5: the source fails over just before the target is told; what the promoted
// node acknowledges then is deleted by the target's claim.
func sourceFailsOverBeforeNode(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		s.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() != "CLUSTER SETSLOT" || e.Cmd[3] != "NODE" || e.Node != s.b {
				return sim.Action{}
			}
			return sim.Action{Before: func() {
				s.nodes[3].Failover()
				s.Advance(10 * time.Millisecond)
				for i := range 50 {
					s.write(100+i, "new")
				}
			}}
		})
		tool := load(t, s.Dialer(), s.a)
		err := tool.move(tool.node(s.a), tool.node(s.b), 0)
		n := s.losses()
		if server.AtLeast("valkey", 8, 0) {
			s.expect(n == 0, n)
			return
		}
		s.expect(n == 50, n)
		if err != nil {
			t.Errorf("the stock tool noticed: %v", err)
		}
	})
}

// X5 with kill -9: the promoted replica takes 50 writes, and the target is told.
func sourceCrashesBeforeNode(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server, PartialCoverage: true}, 1)
		s.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() != "CLUSTER SETSLOT" || e.Cmd[3] != "NODE" || e.Node != s.b {
				return sim.Action{}
			}
			return sim.Action{Before: func() {
				s.a.Crash()
				s.Settle()
				for i := range 50 {
					s.write(100+i, "new")
				}
			}}
		})
		tool := load(t, s.Dialer(), s.a)
		err := tool.move(tool.node(s.a), tool.node(s.b), 0)
		n := s.losses()
		if server.AtLeast("valkey", 8, 0) {
			s.expect(n == 0, n)
			return
		}
		s.expect(n == 50, n)
		if err == nil {
			t.Error("the stock tool does not notice that the source is dead")
		}
	})
}

// X6: the target has room for some of the keys. It refuses the rest, or throws
// away what it has: then the stock tool sees nothing.
func fullTarget(t *testing.T) {
	for policy, evicts := range map[string]bool{"noeviction": false, "allkeys-lru": true} {
		each(t, func(t *testing.T, server cluster.Server) {
			s := setScene(t, sim.Options{Server: server}, 0)
			s.b.Config("maxmemory", fmt.Sprint(1<<20+1500)) // 1 MB is what an empty node uses
			s.b.Config("maxmemory-policy", policy)
			tool := load(t, s.Dialer(), s.a)
			err := tool.move(tool.node(s.a), tool.node(s.b), 0)
			n := s.losses()
			s.expect(evicts == (n > 0 && n < sceneKeys), n)
			if evicts != (err == nil) || !evicts && !driver.Mentions(err, "OOM") {
				t.Errorf("%s: %v", policy, err)
			}
		})
	}
}

// X7: two reshards of the same slot, both past their check, take turns.
func twoReshards(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server, Latency: 10 * time.Millisecond}, 0)
		one, two := load(t, s.Dialer(), s.a), load(t, s.Dialer(), s.a)
		one.pipeline, two.pipeline = 3, 6 // so that neither is always first
		go func() {
			time.Sleep(3 * time.Millisecond)
			two.move(two.node(s.a), two.node(s.c), 0)
		}()
		one.move(one.node(s.a), one.node(s.b), 0)
		time.Sleep(5 * time.Second)
		n := s.losses()
		s.expect(n >= 10, n)
	})
}

// X8: the target does not answer in time and restores the keys later. Users go
// on writing to the source; fix copies the stale values over the live ones.
func staleCopyWins(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 0)
		tool := load(t, s.Dialer(), s.a)
		tool.pipeline = 2
		s.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() != "MIGRATE" {
				return sim.Action{}
			}
			return sim.Action{Before: s.b.Pause, After: s.b.Resume}
		})
		if err := tool.move(tool.node(s.a), tool.node(s.b), 0); !driver.HasCode(err, "IOERR") {
			t.Fatalf("reshard: %v", err)
		}
		s.Intercept(nil)
		tool.Kill()
		for i := range sceneKeys {
			s.write(i, "later")
		}
		s.Settle()
		if copies := s.Copies(keyOf(0)); len(copies) != 2 {
			t.Errorf("copies of a key: %v", copies)
		}
		cautious := load(t, s.Dialer(), s.a)
		if err := cautious.fix(0); !driver.Mentions(err, "BUSYKEY") {
			t.Errorf("fix: %v", err)
		}
		bold := load(t, s.Dialer(), s.a)
		bold.replace = true
		s.must(bold.fix(0))
		n := s.losses()
		s.expect(n == 2, n)
	})
}

// X9: a node without keys that owns slots with a high epoch looks empty.
func addNodeErasesCluster(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		stranger := s.AddNode()
		c := dial(t, s.Dialer(), stranger)
		must(t, c, "CLUSTER", "SET-CONFIG-EPOCH", "50")
		all := []string{"CLUSTER", "ADDSLOTS"}
		for slot := range cluster.SlotCount {
			all = append(all, strconv.Itoa(slot))
		}
		must(t, c, all...)
		s.must(load(t, s.Dialer(), s.a).addNode(t, stranger))
		n := s.losses()
		s.expect(n == sceneKeys, n)
		for _, m := range []*sim.Node{s.a, s.b, s.c} {
			if m.IsMaster() || m.KeyCount() > 0 {
				t.Errorf("%s: master %v, %d keys", m, m.IsMaster(), m.KeyCount())
			}
		}
		if len(s.Violations()) == 0 {
			t.Error("no violation of P2")
		}
	})
}

// X11: --cluster-pipeline 0 asks for no keys, finds none, and gives the slot
// away.
func pipelineZero(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 0)
		tool := load(t, s.Dialer(), s.a)
		tool.pipeline = 0
		err := tool.move(tool.node(s.a), tool.node(s.b), 0)
		n := s.losses()
		s.expect(n == sceneKeys, n)
		if !driver.Mentions(err, "I still hold keys") && err != nil {
			t.Errorf("reshard: %v", err)
		}
	})
}

// X12: source first, the same failover as in X5 is noticed and nothing is lost.
func sourceFirstSurvives(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 1)
		tool := load(t, s.Dialer(), s.a)
		from, to := tool.node(s.a), tool.node(s.b)
		s.must(to.setSlot(0, "IMPORTING", from.id()))
		s.must(from.setSlot(0, "MIGRATING", to.id()))
		s.must(tool.drain(from, to, 0))
		s.nodes[3].Failover()
		for i := range 50 {
			s.write(100+i, "new")
		}
		if err := from.setSlot(0, "NODE", to.id()); !driver.Mentions(err, "only with masters") {
			t.Errorf("the demoted source: %v", err)
		}
		if got := len(s.Violations()); got != 0 {
			t.Errorf("violations of P2: %v", s.Violations())
		}
	})
}

// Settling: a slot that moves back while the first move is still being told
// loses its keys, with every reply OK.
func TestMoveBackTooSoon(t *testing.T) {
	for wait, lost := range map[time.Duration]int{0: sceneKeys, time.Second: 0} {
		each(t, func(t *testing.T, server cluster.Server) {
			if server.Version == "6.0.16" {
				return // announces nothing, so that nothing is on its way
			}
			s := setScene(t, sim.Options{Server: server, BusDelay: 50 * time.Millisecond}, 0)
			tool := load(t, s.Dialer(), s.a)
			// The source has the highest epoch, and sees no need for a new one.
			s.must(tool.node(s.a).do("CLUSTER", "BUMPEPOCH"))
			s.Settle()
			s.must(tool.move(tool.node(s.a), tool.node(s.b), 0))
			s.Advance(wait)
			s.must(tool.move(tool.node(s.b), tool.node(s.a), 0))
			n := s.losses()
			s.expect(n == lost, n)
		})
	}
}

// Redis 7.0: whoever took a slot that its owner had given up before yields it to
// any claim, even to one with a lower epoch.
func TestClaimYieldsToLowerEpoch(t *testing.T) {
	each(t, func(t *testing.T, server cluster.Server) {
		s := setScene(t, sim.Options{Server: server}, 0)
		tool := load(t, s.Dialer(), s.a)
		a, b := tool.node(s.a), tool.node(s.b)
		s.must(b.setSlot(0, "IMPORTING", a.id()))
		s.must(a.setSlot(0, "MIGRATING", b.id()))
		s.must(tool.drain(a, b, 0))
		s.must(a.setSlot(0, "NODE", b.id()))
		s.Settle() // the target hears that the source gave the slot up
		s.must(b.setSlot(0, "NODE", b.id()))
		s.Settle()
		s.must(a.setSlot(0, "NODE", a.id()))
		n := s.losses()
		sticky := server == cluster.Server{Flavor: "redis", Version: "7.0.15"}
		s.expect(sticky == (n == sceneKeys), n)
	})
}
