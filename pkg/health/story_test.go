package health_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/health"
)

// TestStories promises a whole story for each code, and none for anything else.
func TestStories(t *testing.T) {
	var told []string
	for _, s := range health.Stories() {
		told = append(told, string(s.Code))
		for name, text := range map[string]string{"meaning": s.Meaning, "origin": s.Origin, "risk": s.Risk, "remedy": s.Remedy} {
			if len(text) < 20 || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s is %q", s.Code, name, text)
			}
		}
		if s.Title == "" || strings.HasSuffix(s.Title, ".") || len(s.Severities) == 0 || len(s.Commands) == 0 {
			t.Errorf("%s: title %q, severities %v, commands %q", s.Code, s.Title, s.Severities, s.Commands)
		}
		if got, ok := health.Explain(s.Code); !ok || got.Title != s.Title {
			t.Errorf("%s is explained by %+v", s.Code, got)
		}
	}
	slices.Sort(told)
	if diff := cmp.Diff(declaredCodes(t), told); diff != "" {
		t.Errorf("codes without a story, stories without a code (-codes +stories):\n%s", diff)
	}
	if s, ok := health.Explain("no-such-code"); ok {
		t.Errorf("explained by %+v", s)
	}
}

// declaredCodes are the constants of the source, sorted.
func declaredCodes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			code, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return false
	})
	slices.Sort(codes)
	return codes
}
