package apply_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit takes something out of a source file of the mover.
type edit struct{ file, old, new string }

// guards are what stands between a reshard and a loss. Each is taken out of the
// mover's source, and the exploration must then report a loss: one that did not
// notice would prove nothing about the mover as it is.
var guards = []struct {
	name  string
	edits []edit
}{
	{"order: the target claims before the source is drained", []edit{{
		"classic.go",
		"if err := m.drain(ctx, held); err != nil {",
		`if _, err := m.dst.do(ctx, m.dst.setSlots(held, "NODE", string(m.dst.id))...); err != nil {
			return err
		}
		if err := m.drain(ctx, held); err != nil {`,
	}}},
	{"refusals and second looks are ignored", []edit{
		{"end.go", `return fmt.Errorf("%s refused %s: %w", e.addr, strings.Join(cmds[i], " "), err)`, `_ = strings.Join(cmds[i], " ")`},
		{"open.go", "src, dst := m.src.view.Self(), m.dst.view.Self()\n", "if true {\n\t\treturn nil\n\t}\n\tsrc, dst := m.src.view.Self(), m.dst.view.Self()\n"},
		{"take.go", `return ok && len(parts) > 0 && parts[0] == "master"`, "return ok && len(parts) > 0"},

		{"take.go", "return extra, m.undeposed()", "return extra, nil"},
	}},
	{"emptiness is not proven", []edit{
		{"drain.go", "return len(b.keys) >= m.o.Batch })", "return false })"},
		{"take.go", "if counts[slot] > 0 {", "if counts[slot] > 1<<40 {"},
	}},
	{"REPLACE from a side that is not known to be right", []edit{
		{"drain.go", "err := m.migrate(ctx, b, m.ours[b.slot])", "err := m.migrate(ctx, b, true)"},
	}},
}

func TestGuardsMatter(t *testing.T) {
	for _, g := range guards {
		t.Run(g.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay(t, g.edits),
				"-run", "^TestEveryFault$/^redis_7.0$", "-count=1", "github.com/trib-dev/trib/pkg/apply")
			out, err := cmd.CombinedOutput()
			text := string(out)
			switch {
			case err == nil:
				t.Errorf("the exploration did not notice")
			case !strings.Contains(text, "lost:") && !strings.Contains(text, "resurrected:"):
				t.Errorf("the exploration reports no loss: %.2000s", text)
			default:
				t.Logf("noticed: %.160s", text[strings.Index(text, "command "):])
			}
		})
	}
}

// overlay writes the edited files beside the tree and the list that go build
// takes with -overlay.
func overlay(t *testing.T, edits []edit) string {
	t.Helper()
	move, err := filepath.Abs("../move")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	for _, e := range edits {
		path := filepath.Join(move, e.file)
		from := path
		if edited, ok := replace[path]; ok {
			from = edited
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), e.old); n != 1 {
			t.Fatalf("%s has %d times %q: the guard moved, and this test has to follow", e.file, n, e.old)
		}
		replace[path] = filepath.Join(dir, e.file)
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := filepath.Join(dir, "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
