package chaos_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

var guards = flag.Bool("guards", false, "let TestChaosGuards take the guards out of the mover, one by one")

// edit takes something out of a source file of pkg.
type edit struct{ file, old, new string }

// disarmed are movers without a guard, and the fault in which that shows on real
// servers: without it, TestChaos would prove nothing about the mover as it is.
var disarmed = []struct {
	name, server, fault string
	edits               []edit
	shows               string // what must be reported; a loss where it is empty
}{
	{"the target claims before the source is drained", labtest.Default, "second trib", []edit{{
		"move/classic.go",
		"if err := m.drain(ctx, held); err != nil {",
		`if _, err := m.dst.do(ctx, m.dst.setSlots(held, "NODE", string(m.dst.id))...); err != nil {
			return err
		}
		if err := m.drain(ctx, held); err != nil {`,
	}}, ""},
	{"the drain leaves keys behind, and the source is not proven empty", "valkey-9.1", "second trib", []edit{
		{"move/drain.go", "for len(whole.keys) > 0 {", "for len(whole.keys) > m.o.Batch {"},
		{"move/take.go", "if counts[slot] > 0 {", "if counts[slot] > 1<<40 {"},
	}, ""},
	{"REPLACE from a side that is not known to be right", labtest.Default, "source killed, clients go on", []edit{
		{"move/drain.go", "err := m.migrate(ctx, b, m.ours[b.slot])", "err := m.migrate(ctx, b, true)"},
	}, ""},
	{"a new source is not told to migrate before the target forgets the old one", labtest.Default, "source killed, then trib", []edit{
		{"move/open.go", "if err := m.sendAway(ctx, moved); err != nil {", "if err := m.sendAway(ctx, nil); err != nil {"},
	}, "foreign-keys|whether these keys are newer or stale cannot be told"},
	{"nobody is kept from working at the same time", labtest.Default, "second trib", []edit{
		{"lock/lock.go", "return &HeldError{Operation: r.operation, Holder: r.holder, Client: r.addr, Node: r.node}", "return nil"},
	}, "a second trib: exit"},
}

// TestChaosGuards demands that the rig sees what each guard is for.
func TestChaosGuards(t *testing.T) {
	if !*guards {
		t.Skip("takes minutes: make chaos-guards")
	}
	for _, d := range disarmed {
		t.Run(d.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay(t, d.edits), "-count=1", "-run", "^TestChaos$", "-v", ".",
				"-minutes", "3", "-failures", "1", "-servers", d.server, "-fault", d.fault, "-evidence", t.TempDir())
			out, err := cmd.CombinedOutput()
			wanted := d.shows
			if wanted == "" {
				wanted = `[1-9]\d* acknowledged writes lost; see`
			}
			seen := regexp.MustCompile("(?s)" + wanted + ".{0,300}").Find(out)
			if err == nil || seen == nil {
				t.Errorf("TestChaos did not notice, %v:\n%.3000s", err, out)
			}
			t.Logf("noticed: %s", seen)
		})
	}
}

// overlay writes the edited files beside the tree and the list that go build
// takes with -overlay.
func overlay(t *testing.T, edits []edit) string {
	t.Helper()
	dir, replace := t.TempDir(), make(map[string]string)
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join("../../pkg", e.file))
		if err != nil {
			t.Fatal(err)
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), e.old); n != 1 {
			t.Fatalf("%s has %d times %q: the guard moved, and this test has to follow", e.file, n, e.old)
		}
		replace[path] = filepath.Join(dir, filepath.Base(e.file))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
