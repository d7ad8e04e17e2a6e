package lint_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNoMutableGlobals promises that a package keeps nothing that changes: its
// variables are errors to be told apart and tables that nobody writes to.
func TestNoMutableGlobals(t *testing.T) {
	packages := make(map[string][]*ast.File)
	set := token.NewFileSet()
	for _, name := range tracked(t, "*.go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, filepath.Join(root, name), nil, parser.ParseComments)
		if os.IsNotExist(err) {
			continue // deleted in the work tree
		}
		if err != nil {
			t.Fatal(err)
		}
		packages[filepath.Dir(name)] = append(packages[filepath.Dir(name)], f)
	}
	for path, files := range packages {
		for _, problem := range mutableGlobals(set, files) {
			t.Errorf("%s: %s", path, problem)
		}
	}
}

func mutableGlobals(set *token.FileSet, files []*ast.File) []string {
	var problems, tables []string
	for _, f := range files {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					switch {
					case name.Name == "_", isError(spec, i):
					case isEmbedded(decl):
						tables = append(tables, name.Name)
					case isTable(spec, i):
						tables = append(tables, name.Name)
					default:
						problems = append(problems, fmt.Sprintf("%s: variable %s is neither an error nor a table", set.Position(name.Pos()), name.Name))
					}
				}
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				problems = append(problems, writes(set, fn, tables)...)
			}
		}
	}
	return problems
}

// isError reports whether a variable is a sentinel: called err, and made where
// it is declared.
func isError(spec *ast.ValueSpec, i int) bool {
	return strings.HasPrefix(strings.ToLower(spec.Names[i].Name), "err") && i < len(spec.Values)
}

// isEmbedded reports whether a variable is a file of the repository.
func isEmbedded(decl *ast.GenDecl) bool {
	return decl.Doc != nil && slices.ContainsFunc(decl.Doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

func isTable(spec *ast.ValueSpec, i int) bool {
	if i >= len(spec.Values) {
		return false
	}
	lit, ok := spec.Values[i].(*ast.CompositeLit)
	if !ok {
		return false
	}
	switch lit.Type.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	}
	return false
}

// changers are the functions that change their first argument.
var changers = []string{"clear", "delete", "copy", "slices.Sort", "slices.SortFunc", "slices.SortStableFunc", "slices.Reverse", "sort.Strings", "sort.Ints", "sort.Slice"}

// writes are the places where a function changes a table or lets others do it.
func writes(set *token.FileSet, fn *ast.FuncDecl, tables []string) []string {
	var problems []string
	check := func(e ast.Expr, how string) {
		if name := rootOf(e); slices.Contains(tables, name) {
			problems = append(problems, fmt.Sprintf("%s: %s %s, a table of the package", set.Position(e.Pos()), how, name))
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if n.Tok != token.DEFINE {
					check(e, "assigns to")
				}
			}
		case *ast.IncDecStmt:
			check(n.X, "changes")
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				check(n.X, "takes the address of")
			}
		case *ast.CallExpr:
			if len(n.Args) > 0 && slices.Contains(changers, called(n.Fun)) {
				check(n.Args[0], "changes")
			}
		}
		return true
	})
	return problems
}

func called(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return called(e.X) + "." + e.Sel.Name
	}
	return ""
}

// rootOf is the variable at the beginning of x, x[i] and x.f.
func rootOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return rootOf(e.X)
	case *ast.SliceExpr:
		return rootOf(e.X)
	case *ast.SelectorExpr:
		return rootOf(e.X)
	case *ast.ParenExpr:
		return rootOf(e.X)
	case *ast.StarExpr:
		return rootOf(e.X)
	}
	return ""
}

// TestMutableGlobals makes sure that the rule sees what it is for.
func TestMutableGlobals(t *testing.T) {
	tests := []struct {
		name, source string
		problems     int
	}{
		{"errors and tables", `var ErrX = errors.New("x"); var errs = fmt.Errorf("x"); var words = []string{"a"}; var m = map[int]int{}; var a = [...]int{1}; func f() int { return len(words) + m[1] }`, 0},
		{"an interface is met", `var _ I = T{}`, 0},
		{"nothing in it yet", `var cache map[string]int`, 1},
		{"a number", `var count = 0`, 1},
		{"made by a call", `var started = time.Now()`, 1},
		{"a struct", `var config = Config{Debug: true}`, 1},
		{"an error that is set later", `var errLast error`, 1},
		{"a table that is replaced", `var words = []string{"a"}; func f() { words = nil }`, 1},
		{"a table that grows", `var words = []string{"a"}; func f() { words = append(words, "b") }`, 1},
		{"an item is replaced", `var m = map[int]int{}; func f() { m[1] = 2; m[1]++; delete(m, 1) }`, 3},
		{"a table is sorted", `var words = []string{"b", "a"}; func f() { slices.Sort(words); sort.Strings(words[:1]) }`, 2},
		{"an address gets out", `var words = []string{"a"}; func f() *string { return &words[0] }`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, "x.go", "package x; "+tt.source, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := mutableGlobals(set, []*ast.File{f}); len(got) != tt.problems {
				t.Errorf("%d problems, want %d: %q", len(got), tt.problems, got)
			}
		})
	}
}

// TestNoTemporaryPaths keeps paths into /tmp out of everything but tests.
func TestNoTemporaryPaths(t *testing.T) {
	example := []string{"internal/cli/lab.go"} // a path that the help gives as an example
	for _, name := range tracked(t) {
		if strings.HasSuffix(name, "_test.go") || slices.Contains(example, name) || strings.Contains(name, "testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err == nil && strings.Contains(string(data), "/tmp/") {
			t.Errorf("%s contains a path into /tmp", name)
		}
	}
}

// TestPlannersOpenNoConnection: package cluster parses IP addresses with net, the
// packages that build on it have no use for it.
func TestPlannersOpenNoConnection(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "pkg/health" && p.ImportPath != "pkg/plan" {
			continue
		}
		for _, i := range p.Imports {
			if i == "net" || strings.HasPrefix(i, "net/") || strings.HasPrefix(i, "os/") || i == "syscall" {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
	}
}
