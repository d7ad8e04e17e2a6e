package acceptance

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// reshardCommands are the commands of a reshard of two slots, each with three
// keys in two batches, that change something: open at both ends, the batches,
// guard, claim and release.
const reshardCommands = 2 * (2 + 2 + 1 + 2)

// TestReshardKilledAnywhere kills a reshard at every command that changes
// something and gives the same command again. The slots go back and forth
// between two masters.
func TestReshardKilledAnywhere(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 6}), 3, 3)
			h := bury(t, c.Lab)
			points, finished, trial := 0, 0, 0
			for at := 1; at <= reshardCommands; at++ {
				for _, phase := range chaos.Phases() {
					if trial++; trial%min(*every, 7) != 0 {
						continue
					}
					points++
					fuse := &chaos.Fuse{At: at, Phase: phase}
					if t.Run(fmt.Sprintf("%d %s", at, phase), func(t *testing.T) { killReshard(t, c, h, fuse) }) {
						finished++
					}
				}
			}
			t.Logf("%d of %d kill points finished by the same command", finished, points)
		})
	}
}

func killReshard(t *testing.T, c *labtest.Cluster, h *treasure, fuse *chaos.Fuse) {
	before := look(t, c.Lab)
	from, to := before.masters()[0], before.masters()[1]
	args := []string{"reshard", c.Masters[2].Addr(), "--from", from.self.id, "--to", to.self.id, "--slots", "2", "--pipeline", "2", "--method", "classic", "--yes"}
	first := how{fuse: fuse}.run(t, args...)
	if last := fuse.At == reshardCommands && fuse.Phase == chaos.Replied; !first.killed && !last {
		t.Fatalf("it was not killed: %v", first)
	}
	unlocked(t, c.Lab)
	again(t, c, h, before, args, 2)
}

// again gives a command once more that was killed. What is open counts among
// its slots, what was closed does not; whether a slot that the target has is
// still open may change at any time, when its source hears of it.
func again(t *testing.T, c *labtest.Cluster, h *treasure, before picture, args []string, slots int) {
	t.Helper()
	from, to := before.masters()[0], before.masters()[1]
	taken := look(t, c.Lab).gained(before, to.Addr())
	trib(t, args...).done(t)
	after := soonWhole(t, c.Lab)
	moved := after.gained(before, to.Addr())
	if moved < slots || moved > slots+taken {
		t.Errorf("%d slots moved, %d of them before the same command was given again for %d", moved, taken, slots)
	}
	after.exactly(t, before, from.self.slots[:moved], to.Addr())
	h.intact(t)
	trib(t, "resume", from.Addr(), "--yes").done(t, "nothing to resume")
}

// TestKilledAndAgain ends a larger reshard with kill -9, three times, at whatever
// it does.
func TestKilledAndAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 6}), 3, 3)
			h := bury(t, c.Lab)
			before := look(t, c.Lab)
			m := before.masters()
			args := []string{"reshard", m[2].Addr(), "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "700", "--pipeline", "10", "--method", "classic", "--yes"}
			for _, gain := range []int{1, 40, 140} {
				r := how{}.start(t, args...)
				r.awaitGain(t, c.Lab, before, m[1], gain)
				r.signal(t, os.Kill)
				if !r.wait(t).killed {
					t.Fatal("it ended before it was killed")
				}
				unlocked(t, c.Lab)
				closed, open := progress(t, c, before, m[0], m[1])
				t.Logf("killed with %d slots closed and %d open", len(closed), len(open))
			}
			again(t, c, h, before, args, 700)
		})
	}
}

// progress is how far a reshard has come: the slots that are open at either end,
// and those that the target has got and that are not.
func progress(t *testing.T, c *labtest.Cluster, before picture, from, to server) (closed, open []int) {
	t.Helper()
	now := look(t, c.Lab)
	for _, word := range slices.Concat(now.at(from.Addr()).self.open, now.at(to.Addr()).self.open) {
		var slot int
		if _, err := fmt.Sscanf(strings.TrimPrefix(word, "["), "%d-", &slot); err != nil {
			t.Fatalf("open slot %q: %v", word, err)
		}
		open = append(open, slot)
	}
	slices.Sort(open)
	open = slices.Compact(open)
	had := before.at(to.Addr()).self.slots
	for _, slot := range now.at(to.Addr()).self.slots {
		if !slices.Contains(had, slot) && !slices.Contains(open, slot) {
			closed = append(closed, slot)
		}
	}
	return closed, open
}
