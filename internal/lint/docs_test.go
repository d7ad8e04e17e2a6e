package lint_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// publicPackages parses every package below pkg, without its tests.
func publicPackages(t *testing.T) map[string]*doc.Package {
	t.Helper()
	found := make(map[string]*doc.Package)
	err := filepath.WalkDir(filepath.Join(root, "pkg"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() == "testdata" {
			return err
		}
		files, set := parseDir(t, path)
		if len(files) == 0 {
			return nil
		}
		p, err := doc.NewFromFiles(set, files, path)
		found[strings.TrimPrefix(path, root+"/")] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func parseDir(t *testing.T, dir string) ([]*ast.File, *token.FileSet) {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files, set
}

func TestPublicPackagesAreDocumented(t *testing.T) {
	for path, p := range publicPackages(t) {
		if _, err := os.Stat(filepath.Join(root, path, "doc.go")); err != nil || p.Doc == "" {
			t.Errorf("%s has no doc.go with a package comment", path)
		}
		for _, f := range p.Funcs {
			wantDoc(t, path, f.Name, f.Doc)
		}
		for _, v := range append(p.Consts, p.Vars...) {
			wantDoc(t, path, strings.Join(v.Names, ", "), v.Doc)
		}
		for _, typ := range p.Types {
			wantDoc(t, path, typ.Name, typ.Doc)
			for _, f := range append(typ.Funcs, typ.Methods...) {
				wantDoc(t, path, typ.Name+"."+f.Name, f.Doc)
			}
			for _, v := range append(typ.Consts, typ.Vars...) {
				wantDoc(t, path, strings.Join(v.Names, ", "), v.Doc)
			}
		}
	}
}

// understood are the methods whose meaning is their interface's.
var understood = []string{"Error", "String"}

func wantDoc(t *testing.T, path, name, text string) {
	t.Helper()
	for _, method := range understood {
		if strings.HasSuffix(name, "."+method) {
			return
		}
	}
	if text == "" {
		t.Errorf("%s: %s is not documented", path, name)
	}
}

func TestNoInit(t *testing.T) {
	for _, name := range tracked(t, "*.go") {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		}
	}
}

// tracked are the files that belong to the repository.
func tracked(t *testing.T, pattern ...string) []string {
	t.Helper()
	args := append([]string{"-C", root, "-c", "safe.directory=*", "ls-files", "--"}, pattern...)
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	return strings.Fields(string(out))
}

// TestNothingOfThisMachine keeps paths of a workplace and names of package hosts
// out of the repository.
func TestNothingOfThisMachine(t *testing.T) {
	banned := []string{"/wo" + "rk/", "deb.debian" + ".org", "snapshot.debian" + ".org", "proxy.golang" + ".org"}
	for _, name := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted in the work tree
		}
		for _, b := range banned {
			if strings.Contains(string(data), b) {
				t.Errorf("%s contains %q", name, b)
			}
		}
	}
}
