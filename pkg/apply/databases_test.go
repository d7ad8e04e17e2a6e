package apply_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/driver"
)

// TestDatabases: a slot moves with its keys in every database, and with those in a
// database that had none when the move began. (Once a slot
// is open, the source takes no new keys.)
func TestDatabases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{Server: servers["valkey 9.1"], Databases: 3}, oneLane)
		key := "{" + tags()[0] + "}"
		tr.set(t, "1", key+"known")
		late := false
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if late || !strings.HasPrefix(strings.Join(e.Cmd, " "), "CLUSTER SETSLOT 0 MIGRATING") {
				return sim.Action{}
			}
			late = true
			return sim.Action{Before: func() { tr.set(t, "2", key+"late") }}
		})
		if err := tr.reshard(t.Context(), tr.c.Dialer()); err != nil || !late {
			t.Fatalf("reshard: %v (late: %v)", err, late)
		}
		tr.sound(t, movedSlots)
		for db, want := range map[int]string{1: key + "known", 2: key + "late"} {
			if got := tr.nodes[1].Keys(db, 0); len(got) != 1 || got[0] != want {
				t.Errorf("database %d of the target has %q", db, got)
			}
		}
	})
}

// set makes a key in a database of the first master.
func (tr *trial) set(t *testing.T, db, key string) {
	t.Helper()
	conn, err := tr.c.Dialer().Dial(t.Context(), tr.nodes[0].Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Do(t.Context(), driver.Cmd("SELECT", db), driver.Cmd("RPUSH", key, "v"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		t.Error(err)
	}
}
