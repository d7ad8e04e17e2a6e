package acceptance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// long is a reshard that takes long enough to be stopped in the middle.
func long(m picture) []string {
	return []string{"reshard", m[2].Addr(), "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "3000", "--pipeline", "10", "--yes"}
}

// TestSignals stops a reshard in the middle: once it leaves every slot closed or
// such that resume finishes it.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "valkey-8.1"} {
		t.Run(name, func(t *testing.T) {
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 6}), 3, 3)
			h := bury(t, c.Lab)
			for _, tt := range []struct {
				name    string
				signals []os.Signal
				stderr  []string
			}{
				{"interrupted", []os.Signal{os.Interrupt}, []string{"^interrupted: finishing the batch in hand", "^trib: stopped with .*: interrupted$"}},
				{"terminated", []os.Signal{syscall.SIGTERM}, []string{"^trib: stopped with .*: interrupted$"}},
				{"interrupted twice", []os.Signal{os.Interrupt, os.Interrupt}, nil},
			} {
				t.Run(tt.name, func(t *testing.T) {
					before := look(t, c.Lab)
					m := before.masters()
					r := how{}.start(t, long(m)...)
					r.awaitGain(t, c.Lab, before, m[1], 20)
					for _, s := range tt.signals {
						r.signal(t, s)
					}
					signalled := time.Now()
					r.wait(t).exit(t, 5).complains(t, "^hint: .*trib resume").complains(t, tt.stderr...)
					if late := time.Since(signalled); late > 3*time.Second {
						t.Errorf("it ended %v after the signal", late)
					}
					unlocked(t, c.Lab)
					resumed(t, c, h, before, m[0], m[1])
				})
			}
		})
	}
}

// awaitGain waits until a reshard has given the target so many slots.
func (r *run) awaitGain(t *testing.T, l *labtest.Lab, before picture, to server, slots int) {
	t.Helper()
	had := len(before.at(to.Addr()).self.slots)
	labtest.Await(t, 20*time.Second, "slots arrive", func() error {
		got := len(ownSlots(t, l, to.Node)) - had
		if got >= slots {
			return nil
		}
		if r.over() {
			t.Fatalf("it ended when %d of %d slots had arrived: %v", got, slots, r.wait(t))
		}
		return fmt.Errorf("%d have", got)
	})
}

// resumed holds that what is open goes on to where it was going, that nothing
// else moves, and that a second resume has nothing to do. Then it moves all of
// it back.
func resumed(t *testing.T, c *labtest.Cluster, h *treasure, before picture, from, to server) {
	t.Helper()
	closed, open := progress(t, c, before, from, to)
	t.Logf("%d slots were closed, %d open", len(closed), len(open))
	trib(t, "resume", from.Addr(), "--yes").done(t)
	soonWhole(t, c.Lab).exactly(t, before, slices.Concat(closed, open), to.Addr())
	h.intact(t)
	trib(t, "resume", to.Addr(), "--yes").done(t, "nothing to resume")
	trib(t, "reshard", from.Addr(), "--from", to.self.id, "--to", from.self.id, "--slots", fmt.Sprint(len(closed)+len(open)), "--yes").done(t)
	soonWhole(t, c.Lab).exactly(t, before, nil, "")
}

// TestInterruptedQuestion: a signal while the question waits changes nothing.
func TestInterruptedQuestion(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3})
	before := memory(t, l)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	r := how{in: in}.start(t, append([]string{"create"}, l.Addrs()...)...)
	labtest.Await(t, 10*time.Second, "the plan is shown", func() error {
		if text := r.out.String(); !strings.Contains(text, "all nodes are on one host") {
			return errors.New(text)
		}
		return nil
	})
	r.signal(t, os.Interrupt)
	r.wait(t).exit(t, 130).complains(t, "^trib: interrupted")
	untouched(t, l, before)
}
