package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func header(begun time.Time) Header {
	id := cluster.NodeID(strings.Repeat("a", 40))
	return Header{
		Begun: begun, Command: []string{"reshard", "h:1"}, Holder: "host:7", Seed: "h:1",
		Plan: plan.Plan{Version: plan.Version, Kind: plan.KindReshard, Nodes: []plan.Node{{ID: id, Addr: cluster.Addr{Host: "h", Port: 1}}}},
	}
}

func begin(t *testing.T, d Dir, begun time.Time) *Journal {
	t.Helper()
	j, err := d.Begin(header(begun))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func observe(t *testing.T, j *Journal, at time.Duration, e apply.Event) {
	t.Helper()
	if err := j.Observe(start.Add(at), e); err != nil {
		t.Fatal(err)
	}
}

func newest(t *testing.T, d Dir) Run {
	t.Helper()
	r, ok, err := d.Find(func(Run) bool { return true })
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return r
}

// record writes a run in which steps interleave.
func record(t *testing.T, d Dir) *Journal {
	t.Helper()
	j := begin(t, d, start)
	moved := func(at time.Duration, step, slot, done int, keys int64) {
		observe(t, j, at, apply.Event{Kind: apply.SlotsMoved, Step: step, Slots: cluster.SlotsOf(slot), Done: done, Total: 4, Keys: keys})
	}
	observe(t, j, 0, apply.Event{Kind: apply.Started, Total: 2})
	observe(t, j, 0, apply.Event{Kind: apply.StepBegun, Step: 0})
	observe(t, j, 0, apply.Event{Kind: apply.StepBegun, Step: 1})
	moved(time.Second, 0, 1, 1, 10)
	moved(1100*time.Millisecond, 1, 8, 1, 100)
	moved(1200*time.Millisecond, 0, 2, 2, 20)
	moved(1300*time.Millisecond, 0, 3, 3, 30)
	return j
}

func TestRecordedAndRead(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "deep", "state"))
	j := record(t, d)
	if r := newest(t, d); r.End != nil || r.Steps[0].Keys != 10 || r.Steps[1].Done != 1 || r.Keys != 110 {
		t.Errorf("in between: %+v", r)
	}
	observe(t, j, 2*time.Second, apply.Event{Kind: apply.StepDone, Step: 0})
	if err := j.End(End{Time: start.Add(3 * time.Second), Exit: 5, Error: "interrupted"}); err != nil {
		t.Fatal(err)
	}
	r := newest(t, d)
	if r.End == nil || r.End.Exit != 5 || r.Steps[0].Kind != apply.StepDone || r.Steps[0].Keys != 30 || r.Keys != 130 {
		t.Errorf("%+v", r)
	}
	if r.Seed != "h:1" || r.Holder != "host:7" || r.Plan.Kind != plan.KindReshard || !r.Last.Equal(start.Add(3*time.Second)) {
		t.Errorf("%+v", r.Header)
	}
	text, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"slots":"2-3"`) {
		t.Errorf("slots between two lines are lost:\n%s", text)
	}
}

func TestOnlyForTheUser(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "state"))
	begin(t, d, start)
	for path, want := range map[string]os.FileMode{string(d): 0o700 | os.ModeDir, newest(t, d).Path: 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestTorn cuts a journal at every byte: what was written before is read, and
// a journal without its header is none.
func TestTorn(t *testing.T) {
	d := Dir(t.TempDir())
	record(t, d)
	whole := newest(t, d)
	text, err := os.ReadFile(whole.Path)
	if err != nil {
		t.Fatal(err)
	}
	head := strings.IndexByte(string(text), '\n')
	for n := range text {
		r, err := parse("x", text[:n])
		if (err == nil) != (n >= head) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if err == nil && (r.Run != whole.Run || len(r.Steps) > 2) {
			t.Fatalf("%d bytes: %+v", n, r)
		}
	}
}

func TestPruned(t *testing.T) {
	d := Dir(t.TempDir())
	other := filepath.Join(string(d), "notes.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range Kept + 5 {
		j := begin(t, d, start.Add(time.Duration(i)*time.Minute))
		if err := j.End(End{Exit: i}); err != nil {
			t.Fatal(err)
		}
	}
	names, err := d.names()
	if err != nil || len(names) != Kept {
		t.Errorf("%d runs, %v", len(names), err)
	}
	if r := newest(t, d); r.End.Exit != Kept+4 {
		t.Errorf("the newest is %d", r.End.Exit)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestFindPassesOver(t *testing.T) {
	d := Dir(t.TempDir())
	if _, ok, err := d.Find(func(Run) bool { return true }); ok || err != nil {
		t.Error(ok, err)
	}
	if _, ok, err := (d + "/none").Find(func(Run) bool { return true }); ok || err != nil {
		t.Error(ok, err)
	}
	begin(t, d, start)
	for i, text := range []string{"", "{}", "nonsense\n", `{"header":{"schema":2}}`} {
		if err := os.WriteFile(filepath.Join(string(d), fmt.Sprintf("9%d.jsonl", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := newest(t, d); r.Holder != "host:7" {
		t.Errorf("%+v", r)
	}
	if _, ok, _ := d.Find(func(r Run) bool { return r.Concerns(cluster.State{}) }); ok {
		t.Error("found a run of another cluster")
	}
}

// TestFailureIsToldOnce promises that a full disk is one complaint.
func TestFailureIsToldOnce(t *testing.T) {
	j := begin(t, Dir(t.TempDir()), start)
	j.file.Close()
	if err := j.Observe(start, apply.Event{Kind: apply.StepBegun}); err == nil {
		t.Error("no error")
	}
	if err := j.Observe(start, apply.Event{Kind: apply.StepDone}); err != nil {
		t.Error(err)
	}
	if err := j.End(End{}); err != nil {
		t.Error(err)
	}
	if _, err := Dir("/dev/null/x").Begin(header(start)); err == nil {
		t.Error("a journal below a file")
	}
}
