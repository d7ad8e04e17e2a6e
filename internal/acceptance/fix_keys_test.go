package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// strand moves n keys of a slot from the first master to the second and closes
// the slot at both: the keys are out of sight.
func (w *wreck) strand(t *testing.T, slot, n int, how ...string) {
	t.Helper()
	from, to := w.Masters[0], w.Masters[1]
	w.move(t, slot, 0)
	for _, key := range w.keys[slot][:n] {
		w.tell(t, from, append([]string{"MIGRATE", to.Host(), strconv.Itoa(to.Port()), key, "0", "5000"}, how...)...)
	}
	for _, m := range w.Masters[:2] {
		w.tell(t, m, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "STABLE")
	}
}

// held is how many keys of a slot a master has.
func (w *wreck) held(t *testing.T, m *labtest.Member, slot int) int {
	t.Helper()
	n, _ := w.Do(t, m.Node, "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot)).(int64)
	return int(n)
}

// undecided is what -o json says of a run that did not end well.
type undecided struct {
	Exit      int
	Hint      string
	Conflicts []struct {
		Key    string
		Slot   int
		Source string
		Target string
		Values []struct {
			Absent bool
			Type   string
			Bytes  int
			Digest string
			TTL    int64 `json:"ttl_ms"`
		}
		Flags map[string]string
	}
	Undecided []struct{ Code, Slots, Text, Flag string }
}

func undecidedIn(t *testing.T, r result) (f undecided) {
	t.Helper()
	text := r.err[strings.Index(r.err, "{"):]
	if err := json.Unmarshal([]byte(text), &f); err != nil || f.Exit != r.code {
		t.Fatalf("%v, exit %d: %v", err, f.Exit, r)
	}
	return f
}

// TestForeignKeys: keys on a node that does not own them are deleted only where
// the owner is proven to have the same; what they are worth is told before, and
// whoever wants to lose them must say so.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			w := newWreck(t, server, 2)
			seed, owner, holder := w.Masters[2].Addr(), w.Masters[0], w.Masters[1]

			w.strand(t, 0, 10, "COPY")
			trib(t, "fix", seed, "--yes").exit(t, 6).
				complains(t, "holds 10 keys of them and "+owner.Addr()+" owns them and has keys of these names", `^hint: trib fix .*--foreign-keys adopt\|drop\|discard`)
			trib(t, "fix", seed, "--yes", "--foreign-keys", "drop").done(t, "10 keys were deleted on "+holder.Addr())
			w.intact(t)
			trib(t, "fix", seed, "--yes").done(t, "nothing to fix")

			w.strand(t, 0, 10, "COPY")
			changed, lone := w.keys[0][2], w.keys[0][3]
			w.tell(t, owner, "SET", changed, "newer")
			w.tell(t, owner, "DEL", lone)
			f := undecidedIn(t, trib(t, "fix", seed, "--yes", "--foreign-keys", "drop", "-o", "json").exit(t, 6))
			if len(f.Conflicts) != 2 || w.held(t, holder, 0) != 2 {
				t.Fatalf("%d keys are left, conflicts %+v", w.held(t, holder, 0), f.Conflicts)
			}
			for _, c := range f.Conflicts {
				if c.Values[1].Absent != (c.Key == lone) || c.Values[0].Type != "string" || c.Values[0].TTL != -1 ||
					c.Source != holder.Addr() || c.Target != owner.Addr() || c.Flags["target"] != "--conflict-for="+c.Key+"=target" {
					t.Errorf("%+v", c)
				}
			}
			// What is said of all conflicts is not said of the only copy of a key.
			trib(t, "fix", seed, "--yes", "--foreign-keys", "drop", "--conflict", "target").exit(t, 6).complains(t, lone, "--foreign-keys adopt or discard")
			w.wantValue(t, changed, "newer")
			trib(t, "fix", seed, "--dry-run", "--foreign-keys", "discard").done(t, "1 key on "+holder.Addr()+" will be lost for good")
			trib(t, "fix", seed, "--yes", "--foreign-keys", "drop", "--conflict-for", lone+"=source").done(t)
			w.tell(t, owner, "SET", changed, "value of "+changed)
			w.intact(t)

			w.strand(t, 0, 10, "COPY")
			w.tell(t, owner, "SET", changed, "newer")
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt").exit(t, 6)
			w.wantValue(t, changed, "newer")
			trib(t, "fix", seed, "--yes", "--foreign-keys", "adopt", "--conflict", "source").done(t)
			w.intact(t)

			w.strand(t, 1, 4)
			trib(t, "fix", seed, "--yes", "--foreign-keys", "discard").done(t, "4 keys were deleted on "+holder.Addr()+" that "+owner.Addr()+" does not have")
			if n := w.held(t, owner, 1) + w.held(t, holder, 1); n != perSlot-4 {
				t.Errorf("%d keys are left", n)
			}
			trib(t, "check", seed).exit(t, 0)
		})
	}
}

// TestConflictDecided: each key is decided by what is said of it, and all others
// by what is said of all; a later death is the newer value where that is said.
func TestConflictDecided(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "redis-7.0", 1)
	l, seed := w.Lab, w.Masters[2].Addr()
	m := look(t, l).masters()
	from, to := m[0], m[1]
	tag := "{" + keyIn(300) + "}"
	both := func(value, ttl string) (cmds [][]string) {
		for _, key := range []string{"one", "two", "other"} {
			cmds = append(cmds, []string{"SET", tag + key, value})
		}
		for _, key := range []string{"dies", "dies too"} {
			cmds = append(cmds, []string{"SET", tag + key, value, "EX", ttl})
		}
		return cmds
	}
	target := both("target", "1000")
	target[4] = []string{"SET", tag + "dies too", "target", "EX", "5000"}
	halfMoved(t, l, 300, from, to, both("source", "2000"), target)

	f := undecidedIn(t, trib(t, "resume", seed, "--yes", "-o", "json").exit(t, 6))
	if len(f.Conflicts) != 5 || !strings.HasPrefix(f.Hint, "trib fix ") {
		t.Errorf("%+v", f)
	}
	trib(t, "resume", seed, "--yes").exit(t, 6).complains(t,
		`key "`+tag+`one" of slot 300 differs between `+from.Addr()+` \(string, .*ttl -1 ms\) and `+to.Addr()+` .*: '--conflict-for=`+tag+`one=source' keeps the first one, =target the second`,
		"^hint: trib fix .* --conflict-for of each key, or with --conflict source, target or newer-ttl")
	trib(t, "resume", seed, "--yes", "--conflict", "newer-ttl").exit(t, 6).complains(t, tag+"one", tag+"two", tag+"other")
	decisions := filepath.Join(t.TempDir(), "decisions")
	if err := os.WriteFile(decisions, []byte(tag+"one=target\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trib(t, "fix", seed, "--yes", "--conflict-for", "@"+decisions, "--conflict-for", tag+"two=source").exit(t, 6).complains(t, tag+"other")
	trib(t, "fix", seed, "--yes", "--conflict", "source").done(t)
	soonWhole(t, l)
	for key, want := range map[string]string{"one": "target", "two": "source", "other": "source", "dies": "source", "dies too": "target"} {
		if got := l.Do(t, to.Node, "GET", tag+key); got != want {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
}

// TestGatheringKilled: a repair that was killed while it brought keys to their
// owner is finished by the same command, or by resume, without being told again
// what to do about them. After a restart of the node it has to be told.
func TestGatheringKilled(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "redis-7.0", 3)
	seed := w.Masters[2].Addr()
	state := []string{"TRIB_STATE_DIR=" + t.TempDir()}
	for slot, again := range [][]string{{"fix", seed, "--yes"}, {"resume", seed, "--yes"}} {
		w.strand(t, slot, 20)
		// Told to import and who owns it; then the second batch.
		fuse := &chaos.Fuse{At: 4, Phase: chaos.Before}
		first := how{env: state, fuse: fuse}.run(t, "fix", seed, "--yes", "--foreign-keys", "adopt", "--pipeline", "5")
		if n := w.held(t, w.Masters[1], slot); !first.killed || n != 15 {
			t.Fatalf("%d keys are left: %v", n, first)
		}
		trib(t, "fix", seed, "--yes").exit(t, 6).complains(t, "--foreign-keys") // who knows nothing asks
		how{env: state}.run(t, again...).done(t)
		w.intact(t)
		how{env: state}.run(t, "fix", seed, "--yes").done(t, "nothing to fix")
	}
}

// TestFixObstacles: a repair that brings keys is held to what a move is.
func TestFixObstacles(t *testing.T) {
	t.Parallel()
	w := newWreck(t, "redis-7.0", 1)
	seed, owner, holder := w.Masters[2].Addr(), w.Masters[0], w.Masters[1]
	big := w.keys[0][0]
	w.tell(t, owner, "SET", big, strings.Repeat("x", 20<<20))
	w.strand(t, 0, 5)
	fix := []string{"fix", seed, "--yes", "--foreign-keys", "adopt"}
	w.tell(t, owner, "CONFIG", "SET", "maxmemory", "8mb")
	for policy, code := range map[string]string{"noeviction": "memory", "allkeys-lru": "eviction"} {
		w.tell(t, owner, "CONFIG", "SET", "maxmemory-policy", policy)
		trib(t, fix...).exit(t, 4).complains(t, owner.Addr()+" uses .*MiB", "^hint: --override "+code)
		if n := w.held(t, holder, 0); n != 5 {
			t.Errorf("%d keys are left on %s", n, holder.Addr())
		}
	}
	w.tell(t, owner, "CONFIG", "SET", "maxmemory", "0")
	for _, m := range w.Masters {
		w.tell(t, m, "ACL", "SETUSER", "weak", "on", ">pw", "~*", "+@all", "-cluster|delslots", "-del")
	}
	weak := how{env: []string{"TRIB_PASSWORD=pw"}}
	weak.run(t, append(fix, "--user", "weak")...).exit(t, 4).complains(t, holder.Addr()+`: user weak may not .*\bdel\b`, "^hint: --override permissions")
	trib(t, fix...).done(t)
	w.tell(t, owner, "SET", big, "value of "+big)
	w.intact(t)
}
