package lint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/trib-dev/trib/"

// house is who may import whom within the project, outside of tests. A package
// that is not in it has not found its place yet.
var house = map[string][]string{
	"pkg/cluster":           {},
	"pkg/health":            {"pkg/cluster"},
	"pkg/plan":              {"pkg/cluster", "pkg/health"},
	"pkg/driver":            {"pkg/cluster"},
	"pkg/driver/goredis":    {"pkg/cluster", "pkg/driver"},
	"pkg/driver/drivertest": {"pkg/cluster", "pkg/driver"},
	"pkg/observe":           {"pkg/cluster", "pkg/driver"},
	"pkg/lock":              {"pkg/cluster", "pkg/driver"},
	"pkg/move":              {"pkg/cluster", "pkg/driver"},
	"pkg/ingest":            {"pkg/cluster", "pkg/driver", "pkg/lock", "pkg/move"},
	"pkg/backup":            {"pkg/cluster", "pkg/driver", "pkg/lock", "pkg/observe", "pkg/rdb"},
	"pkg/rdb":               {"pkg/cluster", "pkg/driver"},
	"pkg/apply":             {"pkg/cluster", "pkg/driver", "pkg/health", "pkg/lock", "pkg/move", "pkg/observe", "pkg/plan"},
	"internal/config":       {"pkg/cluster", "pkg/driver"},
	"internal/prompt":       {},
	"internal/ui":           {"pkg/apply", "pkg/backup", "pkg/cluster", "pkg/health", "pkg/ingest", "pkg/move", "pkg/plan", "internal/lab"},
	"internal/journal":      {"pkg/apply", "pkg/cluster", "pkg/plan"},
	"internal/sim":          {"pkg/cluster", "pkg/driver"},
	"internal/sim/serve":    {"internal/sim", "pkg/cluster", "pkg/driver"},
	"internal/lab":          {"internal/lab/resp"},
	"internal/lab/resp":     {},
	"internal/lab/labtest":  {"internal/lab", "internal/lab/resp"},
	"internal/chaos":        {"pkg/driver"},
	"internal/acceptance":   {},
	"internal/lint":         {},
	"internal/cli":          {"pkg/apply", "pkg/backup", "pkg/cluster", "pkg/driver", "pkg/driver/goredis", "pkg/health", "pkg/ingest", "pkg/lock", "pkg/move", "pkg/observe", "pkg/plan", "pkg/rdb", "internal/config", "internal/journal", "internal/lab", "internal/prompt", "internal/sim", "internal/sim/serve", "internal/ui"},
	"cmd/trib":              {"internal/cli"},
	"cmd/trib-docs":         {"internal/cli"},
	"scripts/load":          {"pkg/cluster"},
	"scripts/mutants":       {},
}

// owners are the packages that alone may import a library, so that it can be
// exchanged in one place.
var owners = map[string]string{
	"github.com/redis/go-redis":         "pkg/driver/goredis",
	"github.com/olekukonko/tablewriter": "internal/ui",
	"github.com/AlecAivazis/survey":     "internal/prompt",
	"github.com/spf13/cobra":            "internal/cli",
	"github.com/tidwall/redcon":         "internal/sim/serve",
	"github.com/spf13/cobra/doc":        "cmd/trib-docs",
}

// pure are the packages that decide, and what they must not reach for.
var (
	pure   = []string{"pkg/cluster", "pkg/health", "pkg/plan"}
	impure = []string{"os", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "time", "context", "sync"}
)

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
}

func TestEverybodyKnowsTheirPlace(t *testing.T) {
	for _, p := range packages(t) {
		allowed, ok := house[p.ImportPath]
		if !ok {
			t.Errorf("%s has no place in the house", p.ImportPath)
		}
		for _, i := range p.Imports {
			own, inside := strings.CutPrefix(i, module)
			if inside && !slices.Contains(allowed, own) {
				t.Errorf("%s must not import %s", p.ImportPath, own)
			}
		}
	}
}

// Programs in scripts stand for the applications of users.
func TestLibrariesHaveOneOwner(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "scripts/") {
			continue
		}
		for _, i := range p.Imports {
			if owner := ownerOf(i); owner != "" && p.ImportPath != owner {
				t.Errorf("%s imports %s, which is for %s alone", p.ImportPath, i, owner)
			}
		}
	}
}

// ownerOf goes by the longest name: a part of a library may have an owner of its
// own.
func ownerOf(imported string) string {
	longest := ""
	for library := range owners {
		if strings.HasPrefix(imported, library) && len(library) > len(longest) {
			longest = library
		}
	}
	return owners[longest]
}

func TestPlannersArePure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		for _, i := range p.Imports {
			if slices.Contains(impure, i) {
				t.Errorf("%s imports %s: it reads no clock, draws no lots and does no I/O", p.ImportPath, i)
			}
		}
	}
}
