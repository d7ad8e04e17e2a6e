package acceptance

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestTwoAtOnce: of two operators that start together one works and the other
// is refused, or they work one after the other: the second one then moves slots
// of its own, or finds done what it had planned. Nothing is lost.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	refused := 0
	for round := range 4 {
		before := look(t, c.Lab)
		from, to := c.Masters[0], c.Masters[1+round%2]
		var both [2]*run
		for i := range both {
			both[i] = how{}.start(t, "reshard", c.Masters[i].Addr(), "--from", from.ID, "--to", to.ID, "--slots", "60", "--yes")
		}
		worked := 0
		for _, r := range both {
			switch got := r.wait(t).exit(t, 0, 4); got.code {
			case 0:
				worked++
			case 4:
				refused++
				got.complains(t, "another operator works on this cluster|does not fit the cluster any more", "^hint: ")
			}
		}
		if worked == 0 {
			t.Error("both were refused")
		}
		after := soonWhole(t, c.Lab)
		gained := after.gained(before, to.Addr())
		if gained != 60 && gained != 60*worked {
			t.Errorf("%d worked and %d slots moved", worked, gained)
		}
		after.exactly(t, before, before.at(from.Addr()).self.slots[:gained], to.Addr())
		h.intact(t)
	}
	unlocked(t, c.Lab)
	t.Logf("%d of 8 were refused", refused)
}

// TestHungOperator: a trib that hangs in the middle of a reshard keeps its lock;
// --break-lock ends that, and when it wakes up it does no harm.
func TestHungOperator(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	before := look(t, c.Lab)
	m := before.masters()
	hung := how{}.start(t, long(m)...)
	hung.awaitGain(t, c.Lab, before, m[1], 20)
	hung.signal(t, syscall.SIGSTOP)

	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	r := trib(t, move(c)...).exit(t, 4)
	held := fmt.Sprintf("reshard by %s_%d ", host, hung.cmd.Process.Pid)
	if !strings.Contains(r.err, held) && !strings.Contains(r.err, "finish the interrupted move first") {
		t.Errorf("neither the lock nor the open slots are the reason: %v", r)
	}
	closed, open := progress(t, c, before, m[0], m[1])
	trib(t, "resume", m[2].Addr(), "--yes", "--break-lock").done(t)
	soonWhole(t, c.Lab).exactly(t, before, slices.Concat(closed, open), m[1].Addr())
	h.intact(t)
	// Other slots of its source move elsewhere, away from under its hands.
	trib(t, "reshard", m[2].Addr(), "--from", m[0].self.id, "--to", m[2].self.id, "--slots", "50", "--yes", "--break-lock").done(t)
	h.intact(t)

	hung.signal(t, syscall.SIGCONT)
	hung.wait(t).exit(t, 5).complains(t, "^hint: ")
	t.Logf("it had moved %d slots, and moved %d in the end", len(closed), look(t, c.Lab).gained(before, m[1].Addr()))
	trib(t, "resume", m[2].Addr(), "--yes").done(t)
	soonWhole(t, c.Lab)
	h.intact(t)
	unlocked(t, c.Lab)
}
