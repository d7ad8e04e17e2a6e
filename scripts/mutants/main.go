// Command mutants asks whether the tests would notice. It deletes, swaps and
// negates, one at a time, the lines of the mover and of the repair's plan that
// send or decide, and runs the explorations on what is left.
//
//	go run ./scripts/mutants -minutes 20
//	go run ./scripts/mutants -files pkg/move/take.go -list
//
// All mutants are in one test binary, so that a mutant costs a run and not a
// build. What was found is kept, and a later run goes on with the rest; a file
// that has changed begins anew.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

type options struct {
	dir, files string
	minutes    int
	list       bool
	only       int
	workers    int
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".mutants", "where binaries and results are kept")
	flag.StringVar(&o.files, "files", strings.Join(core(), ","), "source files, separated by commas")
	flag.IntVar(&o.minutes, "minutes", 20, "stop after so many")
	flag.BoolVar(&o.list, "list", false, "show the mutants and run none")
	flag.IntVar(&o.workers, "workers", 2, "mutants tried at the same time")
	flag.IntVar(&o.only, "only", -1, "run this one, and show what the tests say")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func core() []string {
	return []string{
		"pkg/move/take.go", "pkg/move/give.go", "pkg/move/open.go", "pkg/move/drain.go", "pkg/move/classic.go",
		"pkg/move/merge.go", "pkg/move/gather.go", "pkg/move/replicas.go", "pkg/move/lanes.go", "pkg/plan/heal.go",
	}
}

// stage is some tests, the quickest ones first.
type stage struct {
	binary string
	tests  string
	args   []string
	limit  time.Duration
}

// stages are bounded generously: a mutant that runs into the bound is noticed.
// The storms have the same seeds for all of them.
func stages() []stage {
	const quick, long = time.Minute, 4 * time.Minute
	return []stage{
		{"move", ".", nil, quick},
		{"plan", "Heal", nil, quick},
		{"apply", "^(TestUndisturbed|TestInterrupted|TestRestartedWithOldData|TestHeal|TestHealTwoClaimants|TestLastSlotIsKept|TestSlotTakenByAnother|TestFailedOverWhileGiving)$", nil, quick},
		{"apply", "^TestStorms$", []string{"-storms=25"}, long},
		{"apply", "^TestEveryFault$/^redis_7.0$", []string{"-coarse=17"}, long},
		{"apply", "^TestEveryFault$/^redis_7.0_strictly$/^tool$", []string{"-coarse=6"}, long},
	}
}

func run(o options) error {
	w, err := prepare(o)
	if err != nil || o.list {
		return err
	}
	if err := w.build(); err != nil {
		return err
	}
	if o.only >= 0 {
		return w.show(o.only)
	}
	if err := w.healthy(); err != nil {
		return err
	}
	w.tryAll(time.Now().Add(time.Duration(o.minutes)*time.Minute), o.workers)
	w.summary()
	return nil
}

// work is a set of mutants and what is known of them.
type work struct {
	dir     string
	mutants []mutant
	hashes  map[string]string // of source files, by base name
	replace map[string]string // the overlay

	mu    sync.Mutex // guards known, and the file of results
	known map[string]verdict
}

// verdict is what became of a mutant.
type verdict struct {
	Mutant string
	Hash   string // of the source file
	By     string // the tests that noticed; empty for nobody
	Unseen bool   // no test came there
}

func prepare(o options) (*work, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	w := &work{dir: dir, hashes: make(map[string]string), replace: make(map[string]string), known: make(map[string]verdict)}
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
	name := filepath.Base(path)
	text, mutants, err := mutate(name, source, len(w.mutants)+1)
	if err != nil {
		return err
	}
	w.mutants = append(w.mutants, mutants...)
	w.hashes[name] = fmt.Sprintf("%.8x", sha256.Sum256(source))
	if err := w.overlay(path, text); err != nil {
		return err
	}
	pkg := filepath.Base(filepath.Dir(path))
	return w.overlay(filepath.Join(filepath.Dir(path), "mutant_is.go"), []byte(fmt.Sprintf(mutantIs, pkg)))
}

// mutantIs is added to each package.
const mutantIs = `package %s

import (
	"os"
	"strconv"
)

var theMutant, _ = strconv.Atoi(os.Getenv("TRIB_MUTANT"))

func mutantIs(n int) bool {
	if n != theMutant {
		return false
	}
	if path := os.Getenv("TRIB_MUTANT_SEEN"); path != "" {
		os.Unsetenv("TRIB_MUTANT_SEEN")
		os.WriteFile(path, nil, 0o600)
	}
	return true
}
`

func (w *work) overlay(path string, text []byte) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	copied := filepath.Join(w.dir, strings.ReplaceAll(filepath.Base(filepath.Dir(path)), "/", "_")+"_"+filepath.Base(path)+".txt")
	w.replace[path] = copied
	return os.WriteFile(copied, text, 0o600)
}

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
		}
	}
	return err
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
	for _, pkg := range []string{"apply", "move", "plan"} {
		cmd := exec.Command("go", "test", "-c", "-vet=off", "-overlay", list, "-o", w.binary(pkg), "./pkg/"+pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

func (w *work) binary(pkg string) string { return filepath.Join(w.dir, pkg+".test") }

// healthy demands that the tests pass where no mutant is switched on.
func (w *work) healthy() error {
	for _, s := range stages() {
		began := time.Now()
		if out, noticed, _ := w.test(s, 0); noticed {
			return fmt.Errorf("%s fails without a mutant:\n%s", s.tests, out)
		}
		fmt.Printf("%-6s %-40.40s %s\n", s.binary, s.tests, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// test runs one stage as one mutant.
func (w *work) test(s stage, number int) (out []byte, noticed, seen bool) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limit)
	defer cancel()
	mark := filepath.Join(w.dir, fmt.Sprintf("seen-%d", number))
	defer os.Remove(mark)
	args := append([]string{"-test.run", s.tests, "-test.failfast"}, s.args...)
	cmd := exec.CommandContext(ctx, w.binary(s.binary), args...)
	cmd.Dir = filepath.Join("pkg", s.binary)
	cmd.Env = append(os.Environ(), "TRIB_MUTANT="+strconv.Itoa(number), "TRIB_MUTANT_SEEN="+mark)
	out, err := cmd.CombinedOutput()
	_, missing := os.Stat(mark)
	return out, err != nil, missing == nil
}

// tryAll tries the mutants that nothing is known of, until the time is up.
func (w *work) tryAll(end time.Time, workers int) {
	order := slices.DeleteFunc(slices.Clone(w.mutants), func(m mutant) bool {
		v, ok := w.known[m.String()]
		return ok && v.Hash == w.hashes[m.File]
	})
	slices.SortFunc(order, func(a, b mutant) int { return cmp.Compare(lot(a), lot(b)) })
	var group errgroup.Group
	group.SetLimit(workers)
	for i, m := range order {
		if time.Now().After(end) {
			fmt.Printf("the time is up with %d mutants left; run it again to go on\n", len(order)-i)
			break
		}
		group.Go(func() error { return w.judge(m) })
	}
	if err := group.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// lot decides the order, so that a run that is cut short is a fair sample.
func lot(m mutant) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(m.String()))) }

func (w *work) judge(m mutant) error {
	v := verdict{Mutant: m.String(), Hash: w.hashes[m.File], Unseen: true}
	for _, s := range stages() {
		_, noticed, seen := w.test(s, m.Number)
		v.Unseen = v.Unseen && !seen
		if noticed {
			v.By = s.tests
			break
		}
	}
	return w.keep(m, v)
}

func (w *work) keep(m mutant, v verdict) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[v.Mutant] = v
	if v.By == "" {
		fmt.Printf("survived: %d %s:%d %s (reached: %v)\n", m.Number, m.File, m.Line, m, !v.Unseen)
	}
	f, err := os.OpenFile(w.results(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(v), f.Close())
}

// show runs one mutant and says what the tests say.
func (w *work) show(number int) error {
	i := slices.IndexFunc(w.mutants, func(m mutant) bool { return m.Number == number })
	if i < 0 {
		return fmt.Errorf("there is no mutant %d", number)
	}
	fmt.Println(w.mutants[i])
	for _, s := range stages() {
		out, noticed, seen := w.test(s, number)
		fmt.Printf("--- %s %s: noticed %v, seen %v\n%.4000s\n", s.binary, s.tests, noticed, seen, out)
		if noticed {
			return nil
		}
	}
	return nil
}

// summary prints the figures of each file.
func (w *work) summary() {
	reasons := readReasons()
	fmt.Printf("%-14s %8s %8s %8s %8s %8s\n", "file", "mutants", "killed", "survived", "of these explained", "untried")
	for _, name := range w.files() {
		total, killed, survived, explained, untried := 0, 0, 0, 0, 0
		for _, m := range w.mutants {
			if m.File != name {
				continue
			}
			total++
			switch v, ok := w.known[m.String()]; {
			case !ok || v.Hash != w.hashes[name]:
				untried++
			case v.By != "":
				killed++
			default:
				survived++
				if reasons[m.String()] {
					explained++
				}
			}
		}
		fmt.Printf("%-14s %8d %8d %8d %8d %8d\n", name, total, killed, survived, explained, untried)
	}
}

func (w *work) files() []string {
	var names []string
	for _, m := range w.mutants {
		if !slices.Contains(names, m.File) {
			names = append(names, m.File)
		}
	}
	return names
}

// survivors is where each known survivor stands with the reason why nobody has to
// notice it: the mutant's name, a tab, and the reason.
const survivors = "scripts/mutants/testdata/survivors.txt"

func readReasons() map[string]bool {
	reasons := make(map[string]bool)
	data, _ := os.ReadFile(survivors)
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, "\t"); ok {
			reasons[name] = true
		}
	}
	return reasons
}
