package acceptance

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// withSpare is a cluster of three masters and one master without slots. Its keys
// are buried.
func withSpare(t *testing.T, server string, replicas int) (*labtest.Cluster, *treasure, *lab.Node) {
	t.Helper()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: server, Nodes: 4 + replicas}), 3, replicas)
	spare := c.Nodes()[3+replicas]
	c.Do(t, c.Masters[0].Node, "CLUSTER", "MEET", spare.Host(), strconv.Itoa(spare.Port()))
	labtest.Await(t, 20*time.Second, "everybody knows the spare node", func() error {
		if faults := look(t, c.Lab).faults(); faults != nil {
			return fmt.Errorf("%v", faults)
		}
		return nil
	})
	return c, bury(t, c.Lab), spare
}

// counts are how many slots each of some servers has.
func (p picture) counts(addrs ...string) []int {
	var counts []int
	for _, addr := range addrs {
		counts = append(counts, len(p.at(addr).self.slots))
	}
	return counts
}

// between holds a number to its bounds.
func within(t *testing.T, what string, got, least, most int) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: %d, want %d to %d", what, got, least, most)
	}
}

// TestRebalanceAndDrain: a new master gets its share, weights are kept exactly,
// and it is drained again.
func TestRebalanceAndDrain(t *testing.T) {
	// Valkey waits for replicas at every slot, which takes long.
	for name, replicas := range map[string]int{"redis-7.0": 3, "valkey-9.1": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, h, spare := withSpare(t, name, replicas)
			seed, m := c.Masters[2].Addr(), c.Masters
			addrs := []string{m[0].Addr(), m[1].Addr(), m[2].Addr(), spare.Addr()}
			before := memory(t, c.Lab)
			trib(t, "rebalance", seed, "--yes").done(t, `^\*\*\* No rebalancing needed! All nodes are within the 2\.00% threshold\.$`)
			trib(t, "--cluster", "rebalance", seed, "--cluster-use-empty-masters", "--cluster-simulate").done(t,
				`^>>> Rebalancing across 4 nodes\. Total weight = 4\.00$`, `^Moving \d+ slots from `+m[0].Addr()+` to `+spare.Addr()+`$`, "Dry run")
			untouched(t, c.Lab, before)

			trib(t, "--cluster", "rebalance", seed, "--cluster-use-empty-masters", "--cluster-yes").done(t, "^In all 4,015 slots with [0-9,]+ keys, about .*iB, in about ")
			for i, n := range soonWhole(t, c.Lab).counts(addrs...) {
				within(t, addrs[i], n, 4015, 4177)
			}
			weights := []string{"rebalance", seed, "--weight", m[0].ID + "=2", spare.Addr() + "=0.5", "--threshold", "0", "--yes"}
			trib(t, weights...).done(t)
			if got, want := soonWhole(t, c.Lab).counts(addrs...), []int{7281, 3640, 3640, 1820}; !nearly(got, want) {
				t.Errorf("slots %v, want %v or one more", got, want)
			}
			trib(t, weights...).done(t, "No rebalancing needed! All nodes are within the 0.00% threshold")

			trib(t, "drain", seed, spare.Addr(), "--yes").done(t, "^>>> Draining "+spare.Addr())
			trib(t, "check", seed).exit(t, 0)
			if got := soonWhole(t, c.Lab).counts(spare.Addr()); got[0] != 0 {
				t.Errorf("%d slots are left", got[0])
			}
			trib(t, "drain", seed, spare.Addr(), "--yes").done(t, spare.Addr()+" (is a replica: it )?has no slots", "done already")
			h.intact(t)
			unlocked(t, c.Lab)
		})
	}
}

// nearly reports whether each number is as wanted or one more.
func nearly(got, want []int) bool {
	for i := range want {
		if got[i] != want[i] && got[i] != want[i]+1 {
			return false
		}
	}
	return true
}

// TestSlotsByName: the slots of a list and of keys move, and the same command
// again has nothing to do.
func TestSlotsByName(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0)
	h := bury(t, c.Lab)
	m := c.Masters
	before := look(t, c.Lab)
	args := []string{"reshard", m[2].Addr(), "--to", m[2].ID, "--slots-list", "5,7,100-102,5461,16383", "--key", "{user:1}.name", "--yes"}
	trib(t, args...).done(t, `^key "\{user:1\}\.name" is in slot 10778$`, "^slots 16383 are on "+m[2].Addr()+" already$", "^In all 7 slots")
	moved := []int{5, 7, 100, 101, 102, 5461, 10778}
	soonWhole(t, c.Lab).exactly(t, before, moved, m[2].Addr())
	trib(t, args...).done(t, "done already")
	soonWhole(t, c.Lab).exactly(t, before, moved, m[2].Addr())
	h.intact(t)
}

// TestRebalanceAndDrainKilled: the same command again finishes what kill -9
// interrupted.
func TestRebalanceAndDrainKilled(t *testing.T) {
	t.Parallel()
	c, h, spare := withSpare(t, "redis-7.0", 0)
	seed := c.Masters[2].Addr()
	killed := func(args []string, gain int) {
		before := look(t, c.Lab)
		r := how{}.start(t, args...)
		r.awaitGain(t, c.Lab, before, before.at(spare.Addr()), gain)
		r.signal(t, os.Kill)
		if !r.wait(t).killed {
			t.Fatal("it ended before it was killed")
		}
		unlocked(t, c.Lab)
		trib(t, args...).done(t)
		soonWhole(t, c.Lab)
		h.intact(t)
		trib(t, "resume", seed, "--yes").done(t, "nothing to resume")
	}
	killed([]string{"rebalance", seed, "--use-empty-masters", "--threshold", "0", "--pipeline", "10", "--yes"}, 30)
	if counts := look(t, c.Lab).counts(seed, spare.Addr()); !slices.Equal(counts, []int{4096, 4096}) {
		t.Errorf("slots after the rebalance: %v", counts)
	}
	killed([]string{"drain", seed, c.Masters[0].ID, "--to", spare.Addr(), "--pipeline", "10", "--yes"}, 30)
	if counts := look(t, c.Lab).counts(c.Masters[0].Addr(), spare.Addr()); !slices.Equal(counts, []int{0, 8192}) {
		t.Errorf("slots after the drain: %v", counts)
	}
}

// TestPlannersRefuse: what is wrong is named, and nothing is touched.
func TestPlannersRefuse(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 6}), 3, 3)
			m, replica := c.Masters, c.Replicas[0]
			seed := m[2].Addr()
			before := memory(t, c.Lab)
			for _, tt := range []struct {
				args   []string
				exit   int
				stderr string
			}{
				{[]string{"rebalance", seed, "--weight", "x=abc"}, 2, `"x=abc" for "--weight"`},
				{[]string{"rebalance", seed, "--weight", "x=-5"}, 2, `"x=-5" for "--weight"`},
				{[]string{"rebalance", seed, "--max-slots", "0"}, 2, "--max-slots"},
				{[]string{"rebalance", seed, "--max-slots", "20000"}, 2, "--max-slots"},
				{[]string{"rebalance", seed, "--threshold", "-1"}, 2, "--threshold"},
				{[]string{"rebalance", seed, "--weight", "nobody=1"}, 1, `--weight: no node "nobody"`},
				{[]string{"rebalance", seed, "--weight", m[0].ID + "=1", m[0].Addr() + "=2"}, 1, "--weight: " + m[0].Addr() + " is named twice"},
				{[]string{"rebalance", seed, "--weight", replica.Addr() + "=1"}, 4, replica.Addr() + ".* is not a master"},
				{[]string{"rebalance", seed, "--exclude", "127.0.0.1:1"}, 1, `--exclude: no node "127\.0\.0\.1:1"`},
				{[]string{"rebalance", seed, "--weight", m[0].ID + "=1", "--exclude", m[0].Addr()}, 4, "has a weight and is excluded"},
				{[]string{"rebalance", seed, "--weight", m[0].ID + "=0", m[1].ID + "=0", m[2].ID + "=0"}, 4, "no master has a weight above 0"},
				{[]string{"drain", seed}, 2, "NODE"},
				{[]string{"drain", seed, "nobody"}, 1, `no node "nobody"`},
				{[]string{"drain", seed, m[0].ID, "--to", "nobody"}, 1, `--to: no node "nobody"`},
				{[]string{"drain", seed, m[0].ID, "--to", m[0].ID}, 2, "--to names the node"},
				{[]string{"drain", seed, m[0].ID, "--to", m[0].Addr()}, 4, "to be drained and to receive"},
				{[]string{"drain", seed, m[0].ID, "--to", replica.ID}, 4, "receiver " + replica.Addr() + ".* is not a master"},
				{[]string{"reshard", seed, "--to", m[0].ID, "--slots-list", "16384"}, 2, "--slots-list"},
				{[]string{"reshard", seed, "--to", m[0].ID, "--slots-list", "5-1"}, 2, "--slots-list"},
				{[]string{"reshard", seed, "--to", replica.ID, "--key", "k"}, 4, "target " + replica.Addr() + ".* is not a master"},
				{[]string{"reshard", seed, "--from", m[1].ID, "--to", m[0].ID, "--slots-list", "16383"}, 4, "slots 16383 belong to none of the sources"},
			} {
				trib(t, append(tt.args, "--yes")...).exit(t, tt.exit).complains(t, tt.stderr)
			}
			untouched(t, c.Lab, before)
			unlocked(t, c.Lab)
		})
	}
}
