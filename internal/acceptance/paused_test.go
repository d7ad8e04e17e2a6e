package acceptance

import (
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestPaused: a server that accepts connections and says nothing is named
// within five seconds, and the others are reported as ever.
func TestPaused(t *testing.T) {
	t.Parallel()
	c, h := calm(t)
	t.Run("master", func(t *testing.T) { pausedMaster(t, c) })
	t.Run("replica", func(t *testing.T) { pausedReplica(t, c) })
	h.intact(t)
	soonWhole(t, c.Lab)
}

func pause(t *testing.T, m *labtest.Member) {
	t.Helper()
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Resume(); err != nil {
			t.Error(err)
		}
	})
}

func inTime(t *testing.T, r result) {
	t.Helper()
	if r.took > 5*time.Second {
		t.Errorf("it took too long: %v", r)
	}
}

// others are the block of every member but one, as check and info show it.
func others(c *labtest.Cluster, but *labtest.Member) []string {
	var patterns []string
	for _, m := range c.Members() {
		if m != but {
			patterns = append(patterns, "^[MS]: "+m.ID+" "+m.Addr()+"$")
		}
	}
	return patterns
}

func pausedMaster(t *testing.T, c *labtest.Cluster) {
	silent := c.Masters[1]
	pause(t, silent)
	seed := c.Masters[0].Addr()
	before := memory(t, c.Lab, silent.Node)

	r := trib(t, "check", seed).exit(t, 3)
	inTime(t, r)
	r.prints(t, others(c, silent)...).prints(t, `^\[ERR\] node-unreachable: `+silent.Addr()+` does not answer: `)
	r = trib(t, "info", seed).exit(t, 0)
	inTime(t, r)
	r.prints(t, silent.Addr()+".*does not answer", c.Masters[2].Addr())
	r = trib(t, "check", silent.Addr()).exit(t, 7).complains(t, silent.Addr())
	inTime(t, r)

	for _, end := range [][2]*labtest.Member{{c.Masters[0], c.Masters[2]}, {c.Masters[0], silent}, {silent, c.Masters[0]}} {
		r := trib(t, "reshard", seed, "--from", end[0].ID, "--to", end[1].ID, "--slots", "10", "--yes")
		r.exit(t, 4).complains(t, "node-unreachable: "+silent.Addr()+" does not answer", "^hint: trib check "+seed)
		inTime(t, r)
	}
	trib(t, "reshard", silent.Addr(), "--from", "all", "--to", seed, "--slots", "1", "--yes").exit(t, 7)
	untouched(t, c.Lab, before, silent.Node)
}

// pausedReplica takes no part, and so does not matter.
func pausedReplica(t *testing.T, c *labtest.Cluster) {
	labtest.Await(t, 15*time.Second, "the master is back", func() error {
		_, err := c.Dial(t, c.Masters[1].Node).Do("PING")
		return err
	})
	silent := c.Replicas[2]
	pause(t, silent)
	seed := c.Masters[0].Addr()

	r := trib(t, "check", seed).done(t, others(c, silent)...)
	inTime(t, r)
	r.prints(t, `^\[WARNING\] node-unreachable: `+silent.Addr()+` does not answer: `)
	trib(t, "check", seed, "--strict").exit(t, 3)

	before := look(t, c.Lab, silent.Node)
	trib(t, "reshard", seed, "--from", c.Masters[0].ID, "--to", c.Masters[1].ID, "--slots", "10", "--yes").
		done(t, `^\[WARNING\] node-unreachable: `+silent.Addr())
	if got := look(t, c.Lab, silent.Node).gained(before, c.Masters[1].Addr()); got != 10 {
		t.Errorf("%d slots moved", got)
	}
}
