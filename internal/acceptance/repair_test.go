package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// unelected is a cluster whose replicas do not promote themselves, on servers that
// keep through a kill what they acknowledged.
func unelected(t *testing.T, server string, masters, replicas int) *labtest.Cluster {
	t.Helper()
	l := labtest.Start(t, labtest.Options{Server: server, Nodes: masters + replicas, Config: durable})
	c := labtest.Form(t, l, masters, replicas)
	for _, m := range c.Members() {
		c.Do(t, m.Node, "CONFIG", "SET", "cluster-replica-no-failover", "yes")
	}
	return c
}

// few is how many keys a cluster of these tests has: a client tries dead servers,
// too, for each slot that it does not know.
const few = 120

func store(t *testing.T, l *labtest.Lab) {
	t.Helper()
	client := l.Client()
	defer client.Close()
	for i := range few {
		key := fmt.Sprintf("key:%d", i)
		if r := client.Do(t.Context(), key, "SET", key, strconv.Itoa(i)); r.Outcome != labtest.Acknowledged {
			t.Fatalf("%s: %v", key, r.Err)
		}
	}
}

// stored holds that all keys are there but those in lost slots.
func stored(t *testing.T, l *labtest.Lab, lost func(slot int) bool) {
	t.Helper()
	client := l.Client()
	defer client.Close()
	for i := range few {
		key := fmt.Sprintf("key:%d", i)
		if lost != nil && lost(labtest.Slot(key)) {
			continue
		}
		if r := client.Do(t.Context(), key, "GET", key); fmt.Sprint(r.Reply) != strconv.Itoa(i) {
			t.Errorf("%s: %v", key, r)
		}
	}
}

// accept holds that a repair was whole: the same again finds nothing to do.
func accept(t *testing.T, seed string) {
	t.Helper()
	trib(t, "fix", seed, "--yes").done(t, `^\[OK\] nothing to fix`)
}

// called waits until every server that lives calls another one failed.
func called(t *testing.T, l *labtest.Lab, id string, dead ...*lab.Node) {
	t.Helper()
	labtest.Await(t, 15*time.Second, id+" is called failed", func() error {
		for _, s := range look(t, l, dead...) {
			if n, known := s.lines[id]; known && !n.is("fail") && !n.is("fail?") {
				return errors.New(s.Addr() + " sees " + n.flags)
			}
		}
		return nil
	})
}

// TestFixDeadOwner: a master is dead and its replica waits: it is promoted, and
// no key is lost. Then most masters are, which needs a decision.
func TestFixDeadOwner(t *testing.T) {
	for _, server := range []string{"redis-6.0", "redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			c := unelected(t, server, 3, 3)
			store(t, c.Lab)
			first, heir, seed := c.Masters[0], c.Replicas[0], c.Masters[2].Addr()
			must(t, first.Kill())
			before := memory(t, c.Lab, first.Node)
			trib(t, "fix", seed, "--dry-run").done(t, "make "+heir.Addr()+" the master in place of "+first.Addr(), "is safe: .* it failed", "are lost$")
			untouched(t, c.Lab, before, first.Node)
			trib(t, "fix", seed, "--yes", "--only", "open-slots").exit(t, 3)
			trib(t, "fix", seed, "--yes").done(t, `^\[OK\] All 16384 slots covered\.$`)
			stored(t, c.Lab, nil)
			accept(t, seed)

			must(t, c.Masters[1].Kill())
			must(t, heir.Kill())
			must(t, first.Restart(t.Context()))
			called(t, c.Lab, heir.ID, c.Masters[1].Node, heir.Node)
			trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, "quorum-lost.*no majority", "^hint: .*--takeover")
			trib(t, "fix", seed, "--yes", "--takeover").done(t, "takes over as you decided", "nobody is asked")
			stored(t, c.Lab, nil)
			accept(t, seed)
		})
	}
}

// TestFixOutdatedHeir: a dead master's replica has old data, as the servers see it:
// it was started without its master, or had long lost its link to it. It is
// promoted only when that was decided.
func TestFixOutdatedHeir(t *testing.T) {
	restarted := func(t *testing.T, c *labtest.Cluster) {
		heir := c.Replicas[0]
		c.Do(t, heir.Node, "SAVE")
		must(t, heir.Kill())
		must(t, c.Masters[0].Kill())
		must(t, heir.Restart(t.Context()))
	}
	cutOff := func(t *testing.T, c *labtest.Cluster) {
		first, heir := c.Masters[0], c.Replicas[0]
		c.Do(t, heir.Node, "CONFIG", "SET", "cluster-replica-validity-factor", "1")
		c.Do(t, first.Node, "ACL", "SETUSER", "default", "-psync", "-sync")
		c.Do(t, first.Node, "CLIENT", "KILL", "TYPE", "replica")
		labtest.Await(t, 40*time.Second, "a link that is long lost", func() error {
			_, rest, _ := strings.Cut(c.Text(t, heir.Node, "INFO", "replication"), "master_link_down_since_seconds:")
			text, _, _ := strings.Cut(rest, "\r")
			if n, err := strconv.Atoi(text); err != nil || n < 15 {
				return fmt.Errorf("down for %q s", text)
			}
			return nil
		})
		must(t, first.Kill())
	}
	for _, test := range []struct {
		server, says string
		spoil        func(*testing.T, *labtest.Cluster)
	}{
		{"redis-6.0", "never had a link to it, only data of its own", restarted},
		{"redis-7.0", "never had a link to it, only data of its own", restarted},
		{"redis-7.0", "had no link to it for 1. s before it failed", cutOff},
		{"valkey-9.1", "never had a link to it, only data of its own", restarted},
	} {
		t.Run(test.server+" "+test.says[:11], func(t *testing.T) {
			t.Parallel()
			c := unelected(t, test.server, 3, 3)
			store(t, c.Lab)
			first, seed := c.Masters[0], c.Masters[2].Addr()
			test.spoil(t, c)
			called(t, c.Lab, first.ID, first.Node)
			trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, test.says+": start "+first.Addr()+" again", "^hint: .*--takeover")
			trib(t, "fix", seed, "--yes", "--takeover").done(t, "what you decided, though it "+test.says, `^\[OK\] All 16384 slots covered\.$`)
			stored(t, c.Lab, nil)
			accept(t, seed)
		})
	}
}

// TestFixLostOwner: a master without a replica is dead. Its slots are given to
// others only when that was decided; when it comes back it has nothing.
func TestFixLostOwner(t *testing.T) {
	for _, server := range []string{"redis-7.0", "valkey-8.1"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			c := unelected(t, server, 4, 0)
			dead, seed := c.Masters[1], c.Masters[3].Addr()
			store(t, c.Lab)
			must(t, dead.Kill())
			trib(t, "fix", seed, "--yes").exit(t, 6).complains(t,
				"slots 4096-8191: "+dead.Addr()+" owns them and does not answer.*node.* it.*no replica", "^hint: .*--fix-with-unreachable-masters")
			trib(t, "fix", seed, "--cluster-fix-with-unreachable-masters", "--yes").done(t, "what only "+dead.Addr()+" has of 4096 slots", "keep its data files")
			p := look(t, c.Lab, dead.Node)
			for _, s := range p.masters() {
				if n := len(s.self.slots); n < 5461 || n > 5462 {
					t.Errorf("%s has %d slots", s.Addr(), n)
				}
			}
			accept(t, seed)
			must(t, dead.Restart(t.Context()))
			labtest.Await(t, 20*time.Second, "the dead one has heard of it", func() error {
				if self := look(t, c.Lab).at(dead.Addr()).self; len(self.slots) > 0 {
					return errors.New("it has slots " + ranges(self.slots))
				}
				return nil
			})
			stored(t, c.Lab, func(slot int) bool { return c.Owner(slot) == dead })
		})
	}
}

// TestFixHalfTheMasters: half the masters are dead, one of them with a replica;
// and then nobody answers at all.
func TestFixHalfTheMasters(t *testing.T) {
	t.Parallel()
	c := unelected(t, labtest.Default, 4, 1)
	seed := c.Masters[3].Addr()
	for _, m := range c.Masters[:2] {
		must(t, m.Kill())
	}
	r := trib(t, "fix", seed, "--yes").exit(t, 6)
	r.complains(t, "slots 0-4095: "+c.Masters[0].Addr(), "slots 4096-8191: "+c.Masters[1].Addr(), "^hint: .*--takeover and --fix-with-unreachable-masters")
	var report struct{ Plan struct{ Steps []any } }
	dry := trib(t, "fix", seed, "--dry-run", "--takeover", "--fix-with-unreachable-masters", "-o", "json").exit(t, 0)
	if err := json.Unmarshal([]byte(dry.out), &report); err != nil || len(report.Plan.Steps) != 1 {
		t.Errorf("%v: %v", err, dry)
	}
	all := trib(t, "fix", seed, "--yes", "--takeover", "--fix-with-unreachable-masters", "-o", "json").exit(t, 0)
	if err := json.Unmarshal([]byte(all.out), &report); err != nil || len(report.Plan.Steps) < 3 {
		t.Errorf("%v: %v", err, all)
	}
	accept(t, seed)
	for _, n := range c.Nodes()[2:] {
		must(t, n.Kill())
	}
	trib(t, "fix", seed, "--yes").exit(t, 7).complains(t, seed+".*refused")
}

// TestFixAcquaintance: living nodes that some have forgotten are introduced
// again, dead ones forgotten by all.
func TestFixAcquaintance(t *testing.T) {
	t.Parallel()
	c := unelected(t, labtest.Default, 3, 3)
	store(t, c.Lab)
	seed, owner, replica, dead := c.Masters[0].Addr(), c.Masters[2], c.Replicas[0], c.Replicas[1]
	c.Do(t, c.Masters[1].Node, "CLUSTER", "FORGET", owner.ID)
	c.Do(t, c.Masters[1].Node, "CLUSTER", "FORGET", replica.ID)
	trib(t, "fix", seed, "--yes", "--only", "half-forgotten").done(t, "let .* meet the cluster", "meeting is safe")
	soonWhole(t, c.Lab).shaped(t, 3, 1)
	stored(t, c.Lab, nil)
	accept(t, seed)

	must(t, dead.Kill())
	called(t, c.Lab, dead.ID, dead.Node)
	c.Do(t, c.Masters[0].Node, "CLUSTER", "FORGET", dead.ID)
	trib(t, "fix", seed, "--yes").done(t, "let every node forget "+dead.Addr())
	for _, s := range look(t, c.Lab, dead.Node) {
		if _, known := s.lines[dead.ID]; known {
			t.Errorf("%s still knows it", s.Addr())
		}
	}
	accept(t, seed)
}

// TestFixHalfFormed: nodes that have met, some slots without owner, no replica
// assigned, and one whose master is gone.
func TestFixHalfFormed(t *testing.T) {
	for _, server := range []string{"redis-6.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: server, Nodes: 6})
			n := l.Nodes()
			for i, slots := range []labtest.Member{{First: 0, Last: 5000}, {First: 5001, Last: 10000}, {First: 10001, Last: 15000}} {
				command := []string{"CLUSTER", "ADDSLOTS"}
				for slot := slots.First; slot <= slots.Last; slot++ {
					command = append(command, strconv.Itoa(slot))
				}
				l.Do(t, n[i], command...)
			}
			trib(t, "fix", n[5].Addr(), "--yes").exit(t, 3).complains(t, "knows nobody and owns nothing: trib create")
			for _, other := range n[1:] {
				l.Do(t, n[0], "CLUSTER", "MEET", other.Host(), strconv.Itoa(other.Port()))
			}
			acquainted(t, l, 6)
			orphan := l.Text(t, n[4], "CLUSTER", "MYID")
			l.Do(t, n[5], "CLUSTER", "REPLICATE", orphan)
			trib(t, "fix", n[0].Addr(), "--yes").done(t, `^\[OK\] All 16384 slots covered\.$`, "no-replica: .* could be one")
			accept(t, n[0].Addr())

			must(t, n[4].Kill())
			called(t, l, orphan, n[4])
			trib(t, "fix", n[0].Addr(), "--yes", "--spread-replicas").done(t, "make "+n[5].Addr()+" a replica of")
			accept(t, n[0].Addr())
			trib(t, "forget", n[0].Addr(), orphan, "--yes").done(t)
			labtest.Await(t, 15*time.Second, "the cluster is whole", func() error {
				if faults := look(t, l, n[4]).faults(); faults != nil {
					return fmt.Errorf("%q", faults)
				}
				return nil
			})
			masters := look(t, l, n[4]).masters()
			if len(masters) != 3 {
				t.Errorf("%d masters", len(masters))
			}
			for _, m := range masters {
				if size := len(m.self.slots); size < 5461 || size > 5462 {
					t.Errorf("%s has %d slots", m.Addr(), size)
				}
			}
		})
	}
}

// acquainted waits until all servers know so many nodes, none of them half met.
func acquainted(t *testing.T, l *labtest.Lab, nodes int) {
	t.Helper()
	labtest.Await(t, 30*time.Second, "all servers have met", func() error {
		for _, s := range look(t, l) {
			lines := 0
			for _, n := range s.lines {
				if !n.is("handshake") {
					lines++
				}
			}
			if lines != nodes {
				return fmt.Errorf("%s knows %d", s.Addr(), lines)
			}
		}
		return nil
	})
}

// TestTakeoverKilled kills a repair between the commands that give a dead master's
// slots away, and gives it again: a claim without an epoch is believed by nobody.
func TestTakeoverKilled(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 9; at++ {
		if at != 2 && *every > 1 {
			continue
		}
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			t.Parallel()
			c := unelected(t, labtest.Default, 4, 0)
			dead, seed := c.Masters[1], c.Masters[3].Addr()
			store(t, c.Lab)
			must(t, dead.Kill())
			args := []string{"fix", seed, "--yes", "--fix-with-unreachable-masters"}
			first := how{fuse: &chaos.Fuse{At: at, Phase: chaos.Replied}}.run(t, args...)
			if !first.killed && at < 9 {
				t.Fatalf("it was not killed: %v", first)
			}
			trib(t, args...).done(t)
			stored(t, c.Lab, func(slot int) bool { return c.Owner(slot) == dead })
			accept(t, seed)
			owners := look(t, c.Lab, dead.Node).owners()
			if len(owners) != labtest.Slots {
				t.Errorf("%d slots have an owner", len(owners))
			}
		})
	}
}
