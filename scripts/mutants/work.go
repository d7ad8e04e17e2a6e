package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// work is a set of mutants, the tests that reach them, and what is known.
type work struct {
	dir     string
	mutants []mutant
	budget  time.Duration
	replace map[string]string // the overlay
	probes  []*probe

	mu    sync.Mutex // guards what follows, and the file of results
	known map[string]verdict
	luck  map[string]int // how often a probe's test noticed a mutant, in all and by function
}

// verdict is what became of a mutant.
type verdict struct {
	Mutant string
	Hash   string        // of the function
	By     string        // the test that noticed; empty for nobody
	Hung   bool          // it noticed by hanging
	Met    int           // so many tests were run
	Reach  int           // of so many that come to it
	Budget time.Duration // of a survivor
	Took   time.Duration // of processors
}

func prepare(o options) (*work, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	w := &work{dir: dir, budget: o.budget, replace: make(map[string]string), known: make(map[string]verdict), luck: make(map[string]int)}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for path := range strings.SplitSeq(o.files, ",") {
		if err := w.add(path); err != nil {
			return nil, err
		}
	}
	if o.list {
		for _, m := range w.mutants {
			fmt.Printf("%d\t%d\t%s\n", m.Number, m.Line, m)
		}
	}
	return w, w.remember()
}

func (w *work) add(path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, mutants, err := mutate(filepath.Base(path), source, len(w.mutants)+1)
	if err != nil {
		return err
	}
	w.mutants = append(w.mutants, mutants...)
	if err := w.overlay(path, text); err != nil {
		return err
	}
	pkg := filepath.Base(filepath.Dir(path))
	return w.overlay(filepath.Join(filepath.Dir(path), "mutant_is.go"), fmt.Appendf(nil, mutantIs, pkg))
}

// mutantIs is added to each package. Without a mutant it can note which ones a
// test comes to.
const mutantIs = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var (
	theMutant, _ = strconv.Atoi(os.Getenv("TRIB_MUTANT"))
	mutantsMet, _ = os.OpenFile(os.Getenv("TRIB_MUTANTS_MET"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	mutantMet sync.Map
)

func mutantIs(n int) bool {
	if mutantsMet != nil {
		if _, met := mutantMet.LoadOrStore(n, true); !met {
			mutantsMet.WriteString(strconv.Itoa(n) + "\n")
		}
	}
	return n == theMutant
}
`

func (w *work) overlay(path string, text []byte) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	copied := filepath.Join(w.dir, filepath.Base(filepath.Dir(path))+"_"+filepath.Base(path)+".txt")
	w.replace[path] = copied
	return os.WriteFile(copied, text, 0o600)
}

// build makes the test binaries, with all mutants in them.
func (w *work) build() error {
	list := filepath.Join(w.dir, "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": w.replace})
	if err != nil {
		return err
	}
	if err := os.WriteFile(list, data, 0o600); err != nil {
		return err
	}
	for _, pkg := range packages() {
		cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", list, "-o", w.binary(pkg), "./pkg/"+pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// packages are those whose tests are run.
func packages() []string { return []string{"move", "plan", "apply"} }

func (w *work) binary(pkg string) string { return filepath.Join(w.dir, pkg+".test") }

func (w *work) results() string { return filepath.Join(w.dir, "results.jsonl") }

// remember reads what earlier runs found.
func (w *work) remember() error {
	data, err := os.ReadFile(w.results())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for line := range bytes.Lines(data) {
		var v verdict
		if json.Unmarshal(line, &v) == nil {
			w.known[v.Mutant] = v
			w.praise(v)
		}
	}
	return err
}

// verdict is what is known of a mutant as its function is now.
func (w *work) verdict(m mutant) (verdict, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.known[m.String()]
	return v, ok && v.Hash == m.Hash
}

func (w *work) keep(v verdict) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[v.Mutant] = v
	w.praise(v)
	f, err := os.OpenFile(w.results(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(v), f.Close())
}

// praise counts what a test has noticed: it will notice more of the kind.
func (w *work) praise(v verdict) {
	if v.By != "" {
		w.luck[v.By]++
		w.luck[place(v.Mutant)+v.By]++
	}
}

// place is the file and the function of a mutant.
func place(name string) string {
	words := strings.SplitN(name, " ", 3)
	return words[0] + " " + words[1] + " "
}

func file(name string) string {
	file, _, _ := strings.Cut(name, " ")
	return file
}
