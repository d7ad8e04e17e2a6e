package acceptance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// calm is a cluster of three masters with a replica each, whose servers take
// long to call anybody failed. Its keys are buried. The first two servers have
// ids that begin alike.
func calm(t *testing.T) (*labtest.Cluster, *treasure) {
	t.Helper()
	l := labtest.Start(t, labtest.Options{Nodes: 6, Config: []string{"cluster-node-timeout 30000"}})
	first, second := l.Nodes()[0], l.Nodes()[1]
	want := l.Text(t, first, "CLUSTER", "MYID")[:1]
	labtest.Await(t, 20*time.Second, "ids that begin alike", func() error {
		if strings.HasPrefix(l.Text(t, second, "CLUSTER", "MYID"), want) {
			return nil
		}
		l.Do(t, second, "CLUSTER", "RESET", "HARD")
		return errors.New("not yet")
	})
	c := labtest.Form(t, l, 3, 3)
	h := bury(t, l)
	// Form does not wait for epochs.
	labtest.Await(t, 20*time.Second, "the same epochs everywhere", func() error {
		return sameEpochs(look(t, l))
	})
	return c, h
}

func sameEpochs(p picture) error {
	for _, s := range p {
		for _, other := range p {
			if got := s.lines[other.self.id].epoch; got != other.self.epoch {
				return fmt.Errorf("%s sees epoch %s on %s", s.Addr(), got, other.Addr())
			}
		}
	}
	return nil
}

// TestReshardRefuses: what cannot be done is refused with the node or the
// arithmetic, and nothing is changed.
func TestReshardRefuses(t *testing.T) {
	c, h := calm(t)
	m, replica := c.Masters, c.Replicas[1]
	seed := m[2].Addr()
	before := memory(t, c.Lab)
	for _, tt := range []struct {
		name, from, to, slots string
		exit                  int
		stderr                []string
	}{
		{"unknown source", "ffffffffffffffffffffffffffffffffffffffff", m[1].ID, "1", 1, []string{`no node "f+"; known nodes: .*` + m[0].Addr()}},
		{"unknown target", m[0].ID, "127.0.0.1:1", "1", 1, []string{`no node "127.0.0.1:1"; known nodes: .*` + m[0].Addr()}},
		{"word for a node", "all", "nobody", "1", 1, []string{`no node "nobody"`}},
		{"ambiguous prefix", m[0].ID[:1], m[2].ID, "1", 1, []string{"is ambiguous; it may be .*" + m[0].Addr() + ".*" + m[1].Addr()}},
		{"more than the source has", m[0].ID, m[1].ID, "5462", 4, []string{"5462 slots are wanted and the sources have 5461"}},
		{"more than all sources have", "all", m[1].ID, "16384", 4, []string{"16384 slots are wanted and the sources have 1092[23]"}},
		{"target among the sources", m[0].ID + "," + m[1].ID, m[1].Addr(), "1", 4, []string{m[1].Addr() + " is both source and target"}},
		{"source named twice", m[0].ID + "," + m[0].Addr(), m[1].Addr(), "1", 4, []string{m[0].Addr() + " is named twice"}},
		{"replica as target", m[0].ID, replica.ID, "1", 4, []string{"the target " + replica.Addr() + ".* is not a master"}},
		{"replica as source", replica.Addr(), m[2].ID, "1", 4, []string{"the source " + replica.Addr() + ".* is not a master"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := trib(t, "reshard", seed, "--from", tt.from, "--to", tt.to, "--slots", tt.slots, "--yes")
			r.exit(t, tt.exit).complains(t, tt.stderr...)
			untouched(t, c.Lab, before)
		})
	}
	t.Run("lock", func(t *testing.T) { lockHeld(t, c, before) })
	t.Run("open slot", func(t *testing.T) { openSlot(t, c) })
	t.Run("uncovered slot", func(t *testing.T) { uncoveredSlot(t, c) })
	h.intact(t)
	whole(t, c.Lab)
	unlocked(t, c.Lab)
}

// move is a reshard of ten slots between the first two masters.
func move(c *labtest.Cluster, extra ...string) []string {
	return append([]string{"reshard", c.Masters[2].Addr(), "--from", c.Masters[0].ID, "--to", c.Masters[1].ID, "--slots", "10", "--yes"}, extra...)
}

// lockHeld: the lock of another operator on a single master is enough, whether
// it takes part or not; --break-lock ends that operator's connection.
func lockHeld(t *testing.T, c *labtest.Cluster, before map[string][]string) {
	other := c.Dial(t, c.Masters[2].Node)
	if _, err := other.Do("CLIENT", "SETNAME", "trib:held:reshard:0000000000000000abcd:otherhost_42"); err != nil {
		t.Fatal(err)
	}
	held := `another operator works on this cluster: reshard by otherhost_42 \(connected to ` + c.Masters[2].Addr() + ` from 127\.0\.0\.1:\d+\)`
	trib(t, move(c)...).exit(t, 4).complains(t, held, "^hint: .*--break-lock")
	trib(t, "resume", c.Masters[0].Addr(), "--yes").done(t, "nothing to resume")
	untouched(t, c.Lab, before)
	if _, err := other.Do("PING"); err != nil {
		t.Errorf("the holder was disturbed: %v", err)
	}

	picture := look(t, c.Lab)
	trib(t, move(c, "--break-lock")...).done(t)
	if got := whole(t, c.Lab).gained(picture, c.Masters[1].Addr()); got != 10 {
		t.Errorf("%d slots moved", got)
	}
	if _, err := other.Do("PING"); err == nil {
		t.Error("the other operator's connection is still there")
	}
}

// openSlot: a slot that somebody else is moving is theirs to finish.
func openSlot(t *testing.T, c *labtest.Cluster) {
	from, to := c.Masters[0], c.Masters[2]
	c.Do(t, to.Node, "CLUSTER", "SETSLOT", "50", "IMPORTING", from.ID)
	c.Do(t, from.Node, "CLUSTER", "SETSLOT", "50", "MIGRATING", to.ID)
	before := memory(t, c.Lab)
	trib(t, move(c)...).exit(t, 4).complains(t, "slots 50 are open on "+from.Addr(), "^hint: .*trib resume")
	trib(t, "check", to.Addr()).exit(t, 3).prints(t,
		`^\[WARNING\] The following slots are open: \[?50\]?`, from.Addr()+" has slots 50 migrating to "+to.ID[:8])
	untouched(t, c.Lab, before)
	picture := look(t, c.Lab)
	trib(t, "resume", from.Addr(), "--yes").done(t)
	whole(t, c.Lab).exactly(t, picture, []int{50}, to.Addr())
}

// uncoveredSlot: no slots are moved in a cluster that lacks some.
func uncoveredSlot(t *testing.T, c *labtest.Cluster) {
	owner := c.Masters[2]
	c.Do(t, owner.Node, "CLUSTER", "DELSLOTS", "16380", "16383")
	before := memory(t, c.Lab)
	trib(t, move(c)...).exit(t, 4).complains(t, "uncovered-slots: 2 slots have no owner that answers: 16380,16383", "^hint: trib check "+owner.Addr())
	trib(t, "check", c.Masters[0].Addr()).exit(t, 3).prints(t, `^\[ERR\] Not all 16384 slots are covered`, "16380,16383")
	untouched(t, c.Lab, before)
	c.Do(t, owner.Node, "CLUSTER", "ADDSLOTS", "16380", "16383")
	soonWhole(t, c.Lab)
}

// TestNoCluster: seeds that are no cluster node.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 1, Config: []string{"cluster-enabled no"}})
	standalone, http, mute := l.Addrs()[0], listen(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), listen(t, "")
	l.Do(t, l.Nodes()[0], "SET", "a", "1")
	for _, seed := range []string{standalone, http, mute, "127.0.0.1:1", "no-such-host.invalid:6379"} {
		for _, command := range [][]string{
			{"check", seed},
			{"info", seed},
			{"resume", seed, "--yes"},
			{"reshard", seed, "--from", "all", "--to", seed, "--slots", "1", "--yes"},
		} {
			r := trib(t, command...).exit(t, 7).complains(t, "^trib: no node of the cluster could be read: "+seed+": ", "^hint: ")
			if r.out != "" || r.took > 5*time.Second {
				t.Errorf("it wrote to standard output or took %v: %v", r.took, r)
			}
		}
	}
	if got := l.Text(t, l.Nodes()[0], "GET", "a"); got != "1" {
		t.Errorf("the standalone server has %q", got)
	}
}
