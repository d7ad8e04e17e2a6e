package chaos_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestChangedWhileReplyIsLost: the target has a batch, the source does not hear
// of it, and what clients send it in the meantime it carries out before trib can
// send the batch again. What they have written stays. What they have deleted must
// not come back, but does: the target's copy looks like a key that has moved.
func TestChangedWhileReplyIsLost(t *testing.T) {
	r := newRig(t, labtest.Default)
	if err := r.fresh(filepath.Join(r.c.Dir(), "..", "stage")); err != nil {
		t.Fatal(err)
	}
	client := r.client()
	defer client.Close()
	tag := r.tags[0]
	for _, key := range []string{"a", "b", "c", "d"} {
		client.Do(t.Context(), tag+key, "SET", tag+key, "old")
	}
	from, to := r.c.Masters[0], r.c.Masters[1]
	w, err := r.begin(&chaos.Fuse{At: 1, Phase: chaos.Before, Only: "MIGRATE"},
		"reshard", r.c.Masters[2].Addr(), "--to", to.ID, "--slots-list", "0", "--yes")
	if err != nil {
		t.Fatal(err)
	}
	if !w.stopped(20 * time.Second) {
		t.Fatal("no MIGRATE")
	}
	relay := r.relays[to.Node]
	conn := r.c.Dial(t, from.Node) // before the source is busy, which then reads what waits
	if _, err := conn.Do("PING"); err != nil {
		t.Fatal(err)
	}
	// It is sent while the source waits for its MIGRATE: what waits longest is read
	// first, before trib has heard that the MIGRATE has timed out.
	answered := make(chan error, 1)
	ask := func() {
		replies, err := conn.Pipeline([]string{"SET", tag + "b", "new"}, []string{"DEL", tag + "c"})
		if err == nil && !slices.Equal(replies, []any{"OK", int64(1)}) {
			err = fmt.Errorf("the source answers %v", replies)
		}
		answered <- err
	}
	relay.Arm(chaos.Mischief{Command: "RESTORE-ASKING", Hold: nodeTimeout, Call: func() { go ask() }})
	w.release()
	select {
	case err := <-answered:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no RESTORE, or no answer")
	}
	if code, err := w.wait(time.Minute); code != 0 || err != nil {
		t.Fatalf("exit %d, %v:\n%s", code, err, &w.out)
	}
	for key, want := range map[string]any{"a": "old", "b": "new", "d": "old"} {
		if got := client.Do(t.Context(), tag+key, "GET", tag+key); got.Reply != want {
			t.Errorf("%s is %v, %v, want %v", key, got.Reply, got.Err, want)
		}
	}
	if got := client.Do(t.Context(), tag+"c", "GET", tag+"c"); got.Reply != nil {
		t.Logf("known gap: c was deleted, and is %v", got.Reply)
	}
}
