package acceptance

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// scene is a cluster under writers, in which slots move back and forth between
// the two masters with the lowest slots.
type scene struct {
	quiet bool // nobody writes until what was interrupted is resumed
	*labtest.Lab
	how
	h        *treasure
	c        *counters
	from, to server
}

// moved is how many slots a scene moves at a time, and accidentAfter how many of
// them have arrived when something happens.
const moved, accidentAfter = 120, 20

func newScene(t *testing.T, l *labtest.Lab) *scene {
	t.Helper()
	return &scene{Lab: l, h: bury(t, l), c: count(t, l, moved)}
}

// durable are servers that keep through a kill what they acknowledged.
var durable = []string{"appendonly yes", "appendfsync no"}

// move starts a reshard that takes about two seconds, lets something happen in
// the middle of it, and returns its end.
func (s *scene) move(t *testing.T, happen func(), extra ...string) result {
	t.Helper()
	before := look(t, s.Lab)
	s.from, s.to = before.masters()[0], before.masters()[1]
	seed := before.masters()[2].Addr()
	r := s.start(t, append([]string{
		"reshard", seed, "--from", s.from.Addr(), "--to", s.to.Addr(),
		"--slots", fmt.Sprint(moved), "--max-keys/s", "300", "--yes",
	}, extra...)...)
	r.awaitGain(t, s.Lab, before, s.to, accidentAfter)
	happen()
	return r.wait(t)
}

// ends holds that one resume brings the cluster in order, that the rest can then
// be moved, and that nothing was lost.
func (s *scene) ends(t *testing.T) {
	t.Helper()
	seed := look(t, s.Lab).masters()[2].Addr()
	s.run(t, "resume", seed, "--yes").exit(t, 0)
	if s.quiet {
		s.quiet = false
		s.c.goOn()
	}
	soonWhole(t, s.Lab)
	s.run(t, "check", seed).done(t)
	s.run(t, "resume", seed, "--yes").done(t, "nothing to resume")
	s.gather(t, seed)
	s.c.rest()
	s.c.right(t)
	s.h.client.Close() // it forgets connections to servers that are gone
	s.h.intact(t)
	s.c.goOn()
}

// gather moves what is left of the slots after those that have moved.
func (s *scene) gather(t *testing.T, seed string) {
	t.Helper()
	owners := look(t, s.Lab).owners()
	from, to, left := owners[moved-1], owners[0], 0
	for slot := range moved {
		if owners[slot] == from {
			left++
		}
	}
	if from != to {
		s.run(t, "reshard", seed, "--from", from, "--to", to, "--slots", fmt.Sprint(left), "--yes").exit(t, 0)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serving waits until all servers see a cluster that works.
func serving(t *testing.T, l *labtest.Lab) {
	t.Helper()
	labtest.Await(t, 20*time.Second, "the cluster works", func() error {
		for _, s := range look(t, l) {
			for _, n := range s.lines {
				if n.is("fail") || n.is("fail?") {
					return errors.New(s.Addr() + " sees " + n.addr + " " + n.flags)
				}
			}
		}
		return nil
	})
}

// restarted ends a server at once and starts it again.
func restarted(t *testing.T, n *lab.Node) {
	t.Helper()
	must(t, n.Kill())
	must(t, n.Restart(t.Context()))
}

// TestKilledAlone: masters without replicas are killed and started again, and
// pause, while they give or get slots.
func TestKilledAlone(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3, Config: durable}), 3, 0)
	s := newScene(t, c.Lab)
	t.Run("target, for a moment", func(t *testing.T) {
		s.move(t, func() { restarted(t, s.to.Node) }).exit(t, 0, 5)
		s.ends(t)
	})
	t.Run("source", func(t *testing.T) {
		r := s.move(t, func() { must(t, s.from.Kill()) }).exit(t, 5)
		r.complains(t, "^trib: .*"+s.from.Addr()+".*refused", "^hint: .*trib resume")
		must(t, s.from.Restart(t.Context()))
		serving(t, s.Lab)
		s.ends(t)
	})
	// Longer than the node timeout: everybody calls it failed, and the cluster is
	// down for a while.
	t.Run("target pauses", func(t *testing.T) {
		r := s.move(t, func() {
			must(t, s.to.Pause())
			time.Sleep(5 * time.Second)
			must(t, s.to.Resume())
		}).exit(t, 0, 5)
		t.Logf("exit %d after %v: %s", r.code, r.took, r.err)
		serving(t, s.Lab)
		s.ends(t)
	})
}

// TestKilledWithReplica: masters are killed while they give or get slots, and
// their replicas take over.
func TestKilledWithReplica(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "valkey-8.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 6, Config: durable}), 3, 3)
			s := newScene(t, c.Lab)
			if name == labtest.Default {
				t.Run("target", func(t *testing.T) { s.failover(t, false) })
				s.quiet = true
			}
			t.Run("source", func(t *testing.T) { s.failover(t, true) })
		})
	}
}

// failover kills one end while nobody writes and its replica has all it has: what
// the servers themselves lose is not the question here. Nor is what they do to
// keys that have moved out of sight, where the successor does not know of the move
// (before Valkey 8): there nobody writes until that is resumed.
func (s *scene) failover(t *testing.T, source bool) {
	var victim server
	r := s.move(t, func() {
		victim = s.to
		if source {
			victim = s.from
		}
		s.c.rest()
		must(t, victim.Kill())
		if !s.quiet {
			s.c.goOn()
		}
	}).exit(t, 0, 5)
	t.Logf("exit %d after %v: %s", r.code, r.took, r.err)
	s.replaced(t, victim)
	must(t, victim.Restart(t.Context()))
	serving(t, s.Lab)
	s.settle(t)
	s.ends(t)
}

// settle decides what a kill between a MIGRATE and its replication leaves: keys
// that the successor still has, besides their copies at the target, which nobody
// writes to from then on. No tool can know that, so it asks.
func (s *scene) settle(t *testing.T) {
	t.Helper()
	seed := look(t, s.Lab).masters()[2].Addr()
	if r := s.run(t, "resume", seed, "--yes").exit(t, 0, 6); r.code == 6 {
		t.Logf("in conflict: %s", r.err)
		s.run(t, "fix", seed, "--yes", "--conflict", "source").exit(t, 0)
	}
}

// replaced waits for the replica of a dead master to have taken over. The other
// end of the move may not believe it of open slots.
func (s *scene) replaced(t *testing.T, dead server) {
	t.Helper()
	labtest.Await(t, 20*time.Second, "a replica takes over", func() error {
		owner := look(t, s.Lab, dead.Node).owners()[dead.self.slots[len(dead.self.slots)-1]]
		if owner == "" {
			return errors.New("nobody has")
		}
		return nil
	})
}
