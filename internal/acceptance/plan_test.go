package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestPlanFile takes a plan through its life: saved, shown, carried out exactly,
// taken back, and refused once the cluster has changed.
func TestPlanFile(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	before := look(t, c.Lab)
	m := before.masters()
	file := filepath.Join(t.TempDir(), "move.json")

	now := memory(t, c.Lab)
	trib(t, "reshard", m[2].Addr(), "--from", m[0].self.id, "--to", m[1].self.id, "--slots", "300", "--dry-run", "--plan-out", file).
		done(t, `^The plan is in .*move\.json\.$`, `^\[OK\] Dry run`)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	trib(t, "plan", "show", file).done(t, `^Ready to move 300 slots\.$`, `^Plan [0-9a-f]{16}, kind reshard, version 1\.$`)
	trib(t, "apply", file).exit(t, 1).complains(t, "nothing was changed", "^hint: --yes ")
	untouched(t, c.Lab, now)

	trib(t, "apply", file, "--yes").done(t, `^\[OK\] Moved 300 slots with`)
	slots := before.at(m[0].Addr()).self.slots[:300]
	look(t, c.Lab).exactly(t, before, slots, m[1].Addr())
	h.intact(t)
	trib(t, "apply", file, "--yes").done(t, `^\[OK\] Everything in this plan is done already\.$`)
	trib(t, "undo", file, "--yes").done(t, `^\[OK\] Moved 300 slots with`)
	look(t, c.Lab).exactly(t, before, nil, "")
	h.intact(t)
	trib(t, "undo", file, "--yes").done(t, `^\[OK\] nothing to undo$`)

	trib(t, "reshard", m[0].Addr(), "--from", m[0].self.id, "--to", m[2].self.id, "--slots", "2", "--yes").done(t)
	now = memory(t, c.Lab)
	changed := fmt.Sprintf("owner of slots 0-1: was %s, is %s$", m[0].Addr(), m[2].Addr())
	trib(t, "apply", file, "--yes").exit(t, 4).complains(t, changed, "^hint: make a new plan")
	trib(t, "undo", file, "--yes").exit(t, 4).complains(t, fmt.Sprintf("owner of slots 0-1: was %s, is %s$", m[1].Addr(), m[2].Addr()))
	untouched(t, c.Lab, now)
}

// TestPlanFileOfCreate forms a cluster from a saved plan.
func TestPlanFileOfCreate(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3})
	before := memory(t, l)
	file := filepath.Join(t.TempDir(), "create.json")
	trib(t, append([]string{"create", "--dry-run", "--plan-out", file}, l.Addrs()...)...).done(t)
	trib(t, "plan", "show", file).done(t, `^>>> Performing hash slots allocation on 3 nodes\.\.\.$`)
	untouched(t, l, before)
	trib(t, "apply", file, "--yes").done(t, `^\[OK\] All 16384 slots covered\.$`)
	whole(t, l).shaped(t, 3, 0)
	trib(t, "undo", file, "--yes").done(t, `^\[OK\] nothing to undo$`, `^\[WARNING\] this cannot be undone: join 3 nodes$`)
}

// standing is what status says as data.
type standing struct {
	Operators []struct{ Operation string }
	Operation struct {
		State string
		Slots int
		Done  int `json:"slots_done"`
	}
	Open []string
	Next string
}

func statusOf(t *testing.T, seed, state string) standing {
	t.Helper()
	r := trib(t, "status", seed, "-o", "json", "--state-dir", state).done(t)
	var v standing
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	return v
}

// TestStatusAndResume looks at a reshard from another process while it runs and
// after it was killed, with its journal and without, and finishes the whole of
// it from the journal.
func TestStatusAndResume(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	before := look(t, c.Lab)
	m := before.masters()
	state, elsewhere := t.TempDir(), t.TempDir()
	seed := m[1].Addr()

	r := how{}.start(t, append(long(m), "--max-keys/s", "300", "--state-dir", state)...)
	r.awaitGain(t, c.Lab, before, m[1], 20)
	v := statusOf(t, seed, state)
	if len(v.Operators) != 1 || v.Operators[0].Operation != "reshard" || v.Operation.State != "running" ||
		v.Operation.Slots != 3000 || v.Operation.Done < 20 || v.Next != "" {
		t.Errorf("while it runs: %+v", v)
	}
	if v := statusOf(t, seed, elsewhere); len(v.Operators) != 1 || v.Operation.State != "" {
		t.Errorf("while it runs, from elsewhere: %+v", v)
	}
	r.signal(t, os.Kill)
	if !r.wait(t).killed {
		t.Fatal("it ended before it was killed")
	}
	unlocked(t, c.Lab)

	closed, open := progress(t, c, before, m[0], m[1])
	t.Logf("killed with %d slots closed and %d open", len(closed), len(open))
	next := "trib resume " + seed
	if v := statusOf(t, seed, state); len(v.Operators) != 0 || v.Operation.State != "interrupted" || v.Next != next {
		t.Errorf("killed: %+v", v)
	}
	if v := statusOf(t, seed, elsewhere); v.Operation.State != "" || (v.Next == next) != (len(v.Open) > 0) || len(v.Open) > len(open) {
		t.Errorf("killed, from elsewhere: %+v", v)
	}

	trib(t, "resume", seed, "--yes", "--state-dir", state).done(t)
	soonWhole(t, c.Lab).exactly(t, before, before.at(m[0].Addr()).self.slots[:3000], m[1].Addr())
	h.intact(t)
	trib(t, "resume", seed, "--yes", "--state-dir", state).done(t, "nothing to resume")
	if v := statusOf(t, seed, state); v.Operation.State != "done" || v.Next != "" {
		t.Errorf("resumed: %+v", v)
	}
}
