package acceptance

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// drainSlot moves whatever is left of a slot, as often as clients make it anew.
func (w *wreck) drainSlot(t *testing.T, slot int) {
	t.Helper()
	from, to := w.Masters[0], w.Masters[1]
	conn := w.Dial(t, from.Node)
	defer conn.Close()
	labtest.Await(t, 10*time.Second, "the slot is drained", func() error {
		reply, err := conn.Do("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), "100")
		keys, _ := reply.([]any)
		for _, key := range keys {
			if _, err := conn.Do("MIGRATE", to.Host(), strconv.Itoa(to.Port()), key.(string), "0", "5000"); err != nil {
				return err
			}
		}
		if err == nil && len(keys) > 0 {
			err = fmt.Errorf("%d keys were left", len(keys))
		}
		return err
	})
}

// TestHalfStates breaks slots in each of the ways in which a move can be left,
// with none, one, half, all but one and all of the keys moved, and repairs all at
// once. Clients count up keys of those slots in which they can reach them.
func TestHalfStates(t *testing.T) {
	t.Parallel()
	const written = 7 // slots; nobody writes to the others
	for _, server := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			w := newWreck(t, server, written+10)
			seed := w.Masters[2].Addr()
			from, to := w.Masters[0], w.Masters[1]
			c := count(t, w.Lab, written)
			counts := []int{0, 1, 13, 24, perSlot}
			for i, moved := range counts { // open at both ends
				w.move(t, i, moved)
			}
			for _, slot := range []int{5, 6} { // handed over by one end alone
				w.move(t, slot, perSlot)
				w.drainSlot(t, slot)
			}
			w.tell(t, from, "CLUSTER", "SETSLOT", "5", "NODE", to.ID)
			w.tell(t, to, "CLUSTER", "SETSLOT", "6", "NODE", to.ID)
			for i, moved := range counts { // open at the source alone
				w.move(t, written+i, moved)
				w.tell(t, to, "CLUSTER", "SETSLOT", strconv.Itoa(written+i), "STABLE")
			}
			for i, moved := range counts { // open at the target alone
				w.move(t, written+5+i, moved)
				w.tell(t, from, "CLUSTER", "SETSLOT", strconv.Itoa(written+5+i), "STABLE")
			}
			// Of keys on a target whose source does not migrate nobody can tell
			// whether they are newer or stale: that is for the user to say.
			trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, "slots 13-16")
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt").exit(t, 0)
			c.rest()
			soonWhole(t, w.Lab)
			c.right(t)
			w.intact(t)
			trib(t, "fix", seed, "--yes").done(t, "nothing to fix")
		})
	}
}

// TestFixKilled ends fix itself at commands that change something, where slots
// are open, and have no owner and keys on two nodes. Another fix ends it.
func TestFixKilled(t *testing.T) {
	t.Parallel()
	w := newWreck(t, labtest.Default, 3)
	seed := w.Masters[2].Addr()
	trial := 0
	for at := 1; ; at += max(1, *every/5) {
		owner := w.Masters[0]
		w.move(t, 0, 13)
		w.move(t, 1, 13)
		for _, m := range w.Masters[:2] {
			w.tell(t, m, "CLUSTER", "SETSLOT", "1", "STABLE")
		}
		w.onMasters(t, "CLUSTER", "DELSLOTS", "1")
		fuse := &chaos.Fuse{At: at, Phase: chaos.Phases()[trial%3]}
		first := how{fuse: fuse}.run(t, "fix", seed, "--yes")
		if r := trib(t, "fix", seed, "--yes").exit(t, 0, 6); r.code == 6 {
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt").exit(t, 0)
		}
		soonWhole(t, w.Lab)
		w.intact(t)
		trial++
		if !first.killed {
			t.Logf("%d points", trial)
			return
		}
		// Both slots go back to where they were.
		trib(t, "reshard", seed, "--to", owner.ID, "--slots-list", "0,1", "--yes").exit(t, 0)
	}
}

// TestFixWithoutMajority: where nobody answers, or too few to decide anything,
// fix says so in time.
func TestFixWithoutMajority(t *testing.T) {
	t.Parallel()
	w := newWreck(t, labtest.Default, 1)
	seed := w.Masters[2].Addr()
	for _, m := range w.Masters[:2] {
		must(t, m.Kill())
	}
	r := trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, w.Masters[0].Addr(), "^hint: .*--takeover")
	if r.took > 10*time.Second {
		t.Errorf("it took too long: %v", r)
	}
	must(t, w.Masters[2].Kill())
	trib(t, "fix", seed, "--yes").exit(t, 7).complains(t, seed)
}

// TestStrangerWithSlots: a node that owns slots and has a higher epoch than
// anybody would take all of the cluster's, with their keys: it is not let in.
func TestStrangerWithSlots(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 4})
	w := &wreck{Cluster: labtest.Form(t, l, 3, 0), keys: map[int][]string{0: keysFor(func(slot int) int { return max(0, 1-slot) * perSlot })}}
	client := w.Client()
	defer client.Close()
	for _, key := range w.keys[0] {
		client.Do(t.Context(), key, "SET", key, "value of "+key)
	}
	stranger := l.Nodes()[3]
	l.Do(t, stranger, "CLUSTER", "SET-CONFIG-EPOCH", "50")
	l.Do(t, stranger, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for _, extra := range [][]string{nil, {"--replica"}} {
		args := append([]string{"add-node", stranger.Addr(), w.Masters[0].Addr(), "--yes"}, extra...)
		trib(t, args...).exit(t, 1, 4).complains(t, stranger.Addr())
	}
	for _, m := range w.Masters {
		if n := len(ownSlots(t, l, m.Node)); n != m.Last-m.First+1 {
			t.Errorf("%s has %d slots", m.Addr(), n)
		}
	}
	w.intact(t)
}
