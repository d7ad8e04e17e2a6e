// Command mutants asks whether the tests would notice. It deletes, swaps and
// negates, one at a time, the lines of the mover and of the repair's plan that
// send or decide, and runs on what is left those tests that come there.
//
//	go run ./scripts/mutants -minutes 20
//	go run ./scripts/mutants -files pkg/move/take.go -list
//	go run ./scripts/mutants -only 'take.go guard negate: counts[slot] > 0'
//
// All mutants are in one test binary, so that a mutant costs a run and not a
// build. What was found is kept: a later run goes on with the rest, and begins
// anew only with the functions that have changed.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type options struct {
	dir, files, only string
	minutes, workers int
	budget           time.Duration
	list, report     bool
	anew             bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", ".mutants", "where binaries and results are kept")
	flag.StringVar(&o.files, "files", strings.Join(core(), ","), "source files, separated by commas")
	flag.IntVar(&o.minutes, "minutes", 20, "stop after so many")
	flag.DurationVar(&o.budget, "budget", 10*time.Second, "how long the tests may take, without a mutant, that a survivor meets")
	flag.IntVar(&o.workers, "workers", 2, "mutants tried at the same time")
	flag.BoolVar(&o.list, "list", false, "show the mutants and run none")
	flag.BoolVar(&o.report, "report", false, "show what is known and run none")
	flag.BoolVar(&o.anew, "measure", false, "measure anew which tests come to which mutants: there are new tests")
	flag.StringVar(&o.only, "only", "", "run this one, and show what the tests say")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// core is all of the mover but its options and its pace, and the repair's plan.
func core() []string {
	move, _ := filepath.Glob("pkg/move/*.go")
	heal, _ := filepath.Glob("pkg/plan/heal*.go")
	return slices.DeleteFunc(slices.Concat(move, heal), func(path string) bool {
		return strings.HasSuffix(path, "_test.go") || slices.Contains([]string{"doc.go", "options.go", "pace.go"}, filepath.Base(path))
	})
}

func run(o options) error {
	w, err := prepare(o)
	if err != nil || o.list {
		return err
	}
	if o.report {
		return w.summary()
	}
	if err := w.build(); err != nil {
		return err
	}
	if w.probes, err = w.explore(o.anew); err != nil {
		return err
	}
	if o.only != "" {
		return w.show(o.only)
	}
	w.tryAll(time.Now().Add(time.Duration(o.minutes)*time.Minute), o.workers)
	return w.summary()
}
