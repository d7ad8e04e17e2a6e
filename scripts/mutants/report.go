package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// survivors is where each known survivor stands with the reason why nobody has to
// notice it: the mutant's name, a tab, and the reason.
const survivors = "scripts/mutants/testdata/survivors.txt"

func readReasons() (map[string]string, error) {
	reasons := make(map[string]string)
	data, err := os.ReadFile(survivors)
	for line := range strings.Lines(string(data)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			reasons[name] = reason
		}
	}
	return reasons, err
}

// figures are what became of the mutants of one file.
type figures struct{ mutants, killed, explained, unexplained, untried int }

func (f *figures) add(g figures) {
	f.mutants += g.mutants
	f.killed += g.killed
	f.explained += g.explained
	f.unexplained += g.unexplained
	f.untried += g.untried
}

// summary prints the figures, which tests noticed, and the survivors for which
// nobody has a reason.
func (w *work) summary() error {
	reasons, err := readReasons()
	if err != nil {
		return err
	}
	var total figures
	byFile, byTest := make(map[string]*figures), make(map[string]int)
	for _, m := range w.mutants {
		if byFile[m.File] == nil {
			byFile[m.File] = new(figures)
		}
		f := w.figure(m, reasons)
		byFile[m.File].add(f)
		total.add(f)
		if v, _ := w.verdict(m); f.killed > 0 {
			byTest[strings.Join(strings.FieldsFunc(v.By, func(r rune) bool { return r == '/' || r == ' ' })[:2], " ")]++
		}
		if f.unexplained > 0 {
			fmt.Printf("unexplained: %s:%d %s\n", m.File, m.Line, m)
		}
	}
	printFigures(w.files(), byFile)
	printTests(byTest)
	w.stale(reasons)
	fmt.Printf("%d of %d mutants killed, %d survivors explained, %d unexplained, %d not tried\n",
		total.killed, total.mutants, total.explained, total.unexplained, total.untried)
	return nil
}

func (w *work) figure(m mutant, reasons map[string]string) figures {
	f := figures{mutants: 1}
	switch v, ok := w.verdict(m); {
	case !ok:
		f.untried = 1
	case v.By != "":
		f.killed = 1
	case reasons[m.String()] != "":
		f.explained = 1
	default:
		f.unexplained = 1
	}
	return f
}

func printFigures(files []string, byFile map[string]*figures) {
	fmt.Printf("%-18s %8s %8s %10s %12s %8s\n", "file", "mutants", "killed", "explained", "unexplained", "untried")
	for _, name := range files {
		f := byFile[name]
		fmt.Printf("%-18s %8d %8d %10d %12d %8d\n", name, f.mutants, f.killed, f.explained, f.unexplained, f.untried)
	}
}

func printTests(byTest map[string]int) {
	var names []string
	for name := range byTest {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return byTest[b] - byTest[a] })
	for _, name := range names {
		fmt.Printf("%6d noticed by %s\n", byTest[name], name)
	}
}

// stale names reasons that nobody needs: the line is gone, or a test notices.
func (w *work) stale(reasons map[string]string) {
	needed := make(map[string]bool)
	for _, m := range w.mutants {
		v, ok := w.verdict(m)
		needed[m.String()] = !ok || v.By == ""
	}
	for name := range reasons {
		if !needed[name] {
			fmt.Printf("a reason that nobody needs: %s\n", name)
		}
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
