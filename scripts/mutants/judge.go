package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// tryAll tries the mutants of which nothing is known, and survivors that have a
// larger budget or more tests now, until the time is up.
func (w *work) tryAll(end time.Time, workers int) {
	order := slices.DeleteFunc(slices.Clone(w.mutants), func(m mutant) bool {
		v, ok := w.verdict(m)
		return ok && (v.By != "" || v.Budget >= w.budget && v.Reach >= w.reach(m))
	})
	slices.SortFunc(order, func(a, b mutant) int { return cmp.Or(cmp.Compare(turn(a), turn(b)), cmp.Compare(lot(a), lot(b))) })
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

// turn has the files first in which keys are lost.
func turn(m mutant) uint8 {
	first := []string{"take.go", "give.go", "open.go", "drain.go", "classic.go", "merge.go", "gather.go", "heal.go", "heal_owner.go"}
	return uint8(slices.Index(first, m.File)) // others are 255
}

// lot decides the order within the files, so that a run that is cut short is a
// fair sample.
func lot(m mutant) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(m.String()))) }

func (w *work) judge(m mutant) error {
	v := verdict{Mutant: m.String(), Hash: m.Hash, Budget: w.budget, Reach: w.reach(m)}
	for _, p := range w.choose(m) {
		v.Met++
		_, r := w.run(p, m.Number, limit(p))
		v.Took += r.cost
		if r.noticed {
			v.By, v.Hung = p.String(), r.hung
			break
		}
	}
	if v.By == "" {
		fmt.Printf("survived: %d %s:%d %s (%d tests)\n", m.Number, m.File, m.Line, m, v.Met)
	}
	return w.keep(v)
}

// reach is how many tests come to a mutant.
func (w *work) reach(m mutant) int {
	n := 0
	for _, p := range w.probes {
		if p.Met[m.Number] {
			n++
		}
	}
	return n
}

// limit is far above what a test needs without a mutant, so that what runs into
// it hangs.
func limit(p *probe) time.Duration { return 4*p.Cost + 2*time.Second }

// choose picks the tests that come to a mutant: first those that noticed others
// of its function, then one of each kind, the quickest ones first, and then more
// of each, for as long as the budget lasts.
func (w *work) choose(m mutant) []*probe {
	kinds := make(map[string][]*probe)
	var lucky []*probe
	w.mu.Lock()
	here := place(m.String())
	for _, p := range w.probes {
		if !p.Met[m.Number] {
			continue
		}
		if w.luck[here+p.String()] > 0 {
			lucky = append(lucky, p)
			continue
		}
		kind, _, _ := strings.Cut(p.Test, "/")
		kinds[kind] = append(kinds[kind], p)
	}
	slices.SortFunc(lucky, func(a, b *probe) int {
		return cmp.Or(-cmp.Compare(w.luck[here+a.String()], w.luck[here+b.String()]), cmp.Compare(a.Cost, b.Cost))
	})
	w.mu.Unlock()
	return within(w.budget, append(lucky, inTurn(kinds)...))
}

func inTurn(kinds map[string][]*probe) []*probe {
	type placed struct {
		*probe
		turn int
	}
	var all []placed
	for _, probes := range kinds {
		slices.SortFunc(probes, func(a, b *probe) int { return cmp.Compare(a.rank, b.rank) })
		for i, p := range probes {
			all = append(all, placed{p, i})
		}
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.Cost, b.Cost), cmp.Compare(a.rank, b.rank))
	})
	var out []*probe
	for _, p := range all {
		out = append(out, p.probe)
	}
	return out
}

// within leaves out what the budget has no room for.
func within(budget time.Duration, probes []*probe) []*probe {
	var out []*probe
	for _, p := range probes {
		if p.Cost > budget && len(out) > 0 {
			continue
		}
		budget -= p.Cost
		out = append(out, p)
	}
	return out
}

// show runs one mutant and says what the tests say.
func (w *work) show(name string) error {
	i := slices.IndexFunc(w.mutants, func(m mutant) bool { return m.String() == name })
	if i < 0 {
		return fmt.Errorf("there is no mutant %q", name)
	}
	m := w.mutants[i]
	for _, p := range w.choose(m) {
		out, r := w.run(p, m.Number, limit(p))
		fmt.Printf("%s: %+v\n", p, r)
		if r.noticed {
			fmt.Printf("%.6000s\n", out)
			return nil
		}
	}
	return nil
}
