package acceptance

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// wreck is a cluster whose slots are broken by hand, with 25 keys in each.
type wreck struct {
	*labtest.Cluster
	keys map[int][]string
}

const perSlot = 25

func newWreck(t *testing.T, server string, slots int) *wreck {
	t.Helper()
	w := &wreck{Cluster: labtest.Form(t, labtest.Start(t, labtest.Options{Server: server, Nodes: 4}), 3, 1), keys: make(map[int][]string)}
	client := w.Client()
	defer client.Close()
	for _, key := range keysFor(func(slot int) int {
		if slot < slots {
			return perSlot
		}
		return 0
	}) {
		slot := labtest.Slot(key)
		w.keys[slot] = append(w.keys[slot], key)
		if r := client.Do(t.Context(), key, "SET", key, "value of "+key); r.Outcome != labtest.Acknowledged {
			t.Fatalf("SET %s: %v", key, r)
		}
	}
	return w
}

// tell sends a command to a node and demands that it succeeds.
func (w *wreck) tell(t *testing.T, m *labtest.Member, words ...string) {
	t.Helper()
	conn := w.Dial(t, m.Node)
	defer conn.Close()
	if _, err := conn.Do(words...); err != nil {
		t.Fatalf("%s: %q: %v", m.Addr(), words, err)
	}
}

// move opens a slot from the first master to the second and moves n keys.
func (w *wreck) move(t *testing.T, slot, n int) {
	t.Helper()
	from, to := w.Masters[0], w.Masters[1]
	w.tell(t, to, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "IMPORTING", from.ID)
	w.tell(t, from, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "MIGRATING", to.ID)
	for _, key := range w.keys[slot][:n] {
		w.tell(t, from, "MIGRATE", to.Host(), strconv.Itoa(to.Port()), key, "0", "5000")
	}
}

func (w *wreck) onMasters(t *testing.T, words ...string) {
	t.Helper()
	for _, m := range w.Masters {
		w.tell(t, m, words...)
	}
}

// intact demands that clients find every key.
func (w *wreck) intact(t *testing.T) {
	t.Helper()
	client := w.Client()
	defer client.Close()
	for _, keys := range w.keys {
		for _, key := range keys {
			if r := client.Do(t.Context(), key, "GET", key); fmt.Sprint(r.Reply) != "value of "+key {
				t.Errorf("%s: %v", key, r)
			}
		}
	}
}

func (w *wreck) wantValue(t *testing.T, key, want string) {
	t.Helper()
	client := w.Client()
	defer client.Close()
	if r := client.Do(t.Context(), key, "GET", key); fmt.Sprint(r.Reply) != want {
		t.Errorf("%s: got %v, want %s", key, r, want)
	}
}

// TestFix breaks slots in every way and repairs them at once; a second run finds
// nothing to do.
func TestFix(t *testing.T) {
	for _, server := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			w := newWreck(t, server, 8)
			seed := w.Masters[2].Addr()
			trib(t, "fix", seed).done(t, "nothing to fix")
			for slot, moved := range []int{0, 1, 13, 25} {
				w.move(t, slot, moved)
			}
			w.tell(t, w.Masters[1], "CLUSTER", "SETSLOT", "4", "IMPORTING", w.Masters[0].ID)
			w.move(t, 5, 10) // keys on two nodes, and no owner
			for _, m := range w.Masters[:2] {
				w.tell(t, m, "CLUSTER", "SETSLOT", "5", "STABLE")
			}
			w.onMasters(t, "CLUSTER", "DELSLOTS", "5", "6", "9000", "9001")
			trib(t, "fix", seed, "--dry-run").done(t, "is safe")
			trib(t, "fix", seed, "--yes").done(t)
			w.intact(t)
			trib(t, "fix", seed, "--yes").done(t, "nothing to fix")

			w.move(t, 7, 10) // keys on a node that has no claim to them
			for _, m := range w.Masters[:2] {
				w.tell(t, m, "CLUSTER", "SETSLOT", "7", "STABLE")
			}
			trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, "--foreign-keys adopt")
			disputed := w.keys[7][3]
			w.tell(t, w.Masters[0], "SET", disputed, "newer")
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt").exit(t, 6).complains(t, disputed)
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt", "--conflict", "target").done(t)
			w.wantValue(t, disputed, "newer")
			w.tell(t, w.Masters[0], "SET", disputed, "value of "+disputed)
			w.intact(t)
			trib(t, "fix", seed, "--yes").done(t, "nothing to fix")
		})
	}
}
