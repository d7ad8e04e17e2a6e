package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// probe is one test or a part of one, such as a single point of an exploration.
type probe struct {
	Package string
	Test    string
	Args    []string
	Cost    time.Duration
	Met     map[int]bool // mutants that it comes to

	rank uint16 // among the points of a test: in whatever part of them, all regions are there
}

func (p *probe) String() string {
	return strings.Join(append([]string{p.Package, p.Test}, p.Args...), " ")
}

const (
	// pointStep thins the points of an exploration out, and most is where they end
	// at the latest.
	pointStep, most = 3, 400
	// stormsTried are as many storms.
	stormsTried = 40
)

// measured are the tests of earlier runs. Their mutants are known by name: what
// has changed since does not make it worthless.
type measured struct {
	Names  []string // of the mutants, the first one is number 1
	Tests  []string // that were measured
	Probes []*probe
}

// explore finds out of tests that are new what they cost and which mutants they
// come to, and remembers that of the others.
func (w *work) explore(anew bool) ([]*probe, error) {
	var kept measured
	if data, err := os.ReadFile(w.measurements()); !anew && err == nil && json.Unmarshal(data, &kept) == nil {
		kept.Probes = w.translated(kept)
	}
	kept.Names = nil
	for _, m := range w.mutants {
		kept.Names = append(kept.Names, m.String())
	}
	for _, pkg := range packages() {
		if err := w.exploreTests(&kept, pkg); err != nil {
			return nil, err
		}
	}
	return ranked(kept.Probes), nil
}

func (w *work) measurements() string { return filepath.Join(w.dir, "probes.json") }

func (w *work) exploreTests(kept *measured, pkg string) error {
	out, err := exec.Command(w.binary(pkg), "-test.list", ".").Output()
	if err != nil {
		return err
	}
	for _, name := range regexp.MustCompile(`(?m)^Test\S+`).FindAllString(string(out), -1) {
		if slices.Contains(elsewhere(), name) || slices.Contains(kept.Tests, pkg+" "+name) {
			continue
		}
		found, err := w.measure(pkg, name)
		if err != nil {
			return err
		}
		kept.Tests = append(kept.Tests, pkg+" "+name)
		kept.Probes = append(kept.Probes, found...)
		data, err := json.Marshal(kept)
		if err := errors.Join(err, os.WriteFile(w.measurements(), data, 0o600)); err != nil {
			return err
		}
		fmt.Printf("%s %s: %d parts come to mutants\n", pkg, name, len(found))
	}
	return nil
}

// elsewhere are tests that build for themselves, and those of other steps, which
// would take long.
func elsewhere() []string {
	return []string{"TestGuardsMatter", "TestEveryFaultOfRites", "TestCreateLarge"}
}

// translated numbers mutants as they are numbered now. One that is new has the
// tests that come to its function, and those of its file where that is new, too.
func (w *work) translated(kept measured) []*probe {
	old, functions := make(map[string]int), make(map[string]bool)
	for i, name := range kept.Names {
		old[name] = i + 1
		functions[place(name)] = true
	}
	for _, p := range kept.Probes {
		places := make(map[string]bool)
		for n := range p.Met {
			name := kept.Names[n-1]
			places[place(name)], places[file(name)] = true, true
		}
		met := make(map[int]bool)
		for _, m := range w.mutants {
			here := place(m.String())
			if !functions[here] {
				here = file(here)
			}
			if n, known := old[m.String()]; known && p.Met[n] || !known && places[here] {
				met[m.Number] = true
			}
		}
		p.Met = met
	}
	return kept.Probes
}

func ranked(probes []*probe) []*probe {
	for i, p := range probes {
		p.rank = bits.Reverse16(uint16(i))
	}
	return probes
}

// leaves are the names of tests that have no parts.
func leaves(names []string) []string {
	parents := make(map[string]bool)
	for _, name := range names {
		for i, r := range name {
			if r == '/' {
				parents[name[:i]] = true
			}
		}
	}
	var out []string
	for _, name := range names {
		if !parents[name] {
			out = append(out, name)
		}
	}
	return out
}

// whole is what a test may cost that is not taken apart.
const whole = 200 * time.Millisecond

// measure runs a test, and then each part of it where it is a long one.
func (w *work) measure(pkg, name string) ([]*probe, error) {
	switch name {
	case "TestStorms":
		return w.meetAll(storms())
	case "TestEveryFault":
		return w.explorePoints(pkg, name, "redis_7.0", "redis_7.0_in_lanes", "redis_7.0_strictly", "valkey_9.1")
	case "TestEveryFaultAtomic":
		return w.explorePoints(pkg, name, "valkey_9.1", "redis_8.4")
	}
	p := &probe{Package: pkg, Test: name}
	out, _, err := w.meet(p)
	if err != nil || len(p.Met) == 0 {
		return nil, err
	}
	if p.Cost < whole {
		return []*probe{p}, nil
	}
	var parts []*probe
	for _, part := range leaves(passed(out)) {
		parts = append(parts, &probe{Package: pkg, Test: part})
	}
	return w.meetAll(parts)
}

// passed are the tests that a report names.
func passed(report []byte) []string {
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^ *--- PASS: (\S+)`).FindAllSubmatch(report, -1) {
		names = append(names, string(match[1]))
	}
	return names
}

func storms() []*probe {
	var all []*probe
	for i := range stormsTried {
		all = append(all, &probe{Package: "apply", Test: "TestStorms", Args: []string{"-storms=1", "-seed=" + strconv.Itoa(1+i)}})
	}
	return all
}

// explorePoints goes through the points of an exploration.
func (w *work) explorePoints(pkg, name string, variants ...string) ([]*probe, error) {
	var all []*probe
	for _, variant := range variants {
		for _, kind := range []string{"tool", "node"} {
			for at := 1; at < most; at += pointStep {
				p := &probe{Package: pkg, Test: name + "/" + variant + "/" + kind, Args: []string{"-point=" + strconv.Itoa(at)}}
				_, there, err := w.meet(p)
				if err != nil {
					return nil, err
				}
				if !there {
					break
				}
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// meetAll leaves out what comes to no mutant.
func (w *work) meetAll(all []*probe) ([]*probe, error) {
	var met []*probe
	for _, p := range all {
		if _, _, err := w.meet(p); err != nil {
			return nil, err
		}
		if len(p.Met) > 0 {
			met = append(met, p)
		}
	}
	return met, nil
}

// meet runs a test without a mutant. An exploration ends with the point that is
// not there.
func (w *work) meet(p *probe) (out []byte, there bool, err error) {
	met := filepath.Join(w.dir, "met")
	os.Remove(met)
	out, r := w.run(p, 0, 5*time.Minute, "TRIB_MUTANTS_MET="+met)
	p.Cost = r.cost
	if r.noticed {
		return out, false, fmt.Errorf("%s fails without a mutant:\n%s", p, out)
	}
	data, _ := os.ReadFile(met)
	p.Met = make(map[int]bool)
	for line := range bytes.Lines(data) {
		if n, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil {
			p.Met[n] = true
		}
	}
	return out, !bytes.Contains(out, []byte("no such point")), nil
}

// result is how a test went.
type result struct {
	noticed, hung bool
	cost          time.Duration // of processors
}

// patience is how long a test may take that waits for nothing but a processor.
const patience = 10 * time.Minute

// run runs a test as one mutant, on one processor. The limit is one of processor
// time: what else the machine does shall not decide.
func (w *work) run(p *probe, number int, limit time.Duration, env ...string) ([]byte, result) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := []string{"-c", `ulimit -t "$0"; exec "$@"`, strconv.Itoa(int(limit/time.Second) + 1), w.binary(p.Package)}
	args = append(args, "-test.v", "-test.failfast", "-test.run", pattern(p.Test))
	cmd := exec.CommandContext(ctx, "sh", append(args, p.Args...)...)
	cmd.Dir = filepath.Join("pkg", p.Package)
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1", "TRIB_MUTANT="+strconv.Itoa(number)), env...)
	out, err := cmd.CombinedOutput()
	r := result{noticed: err != nil}
	if s := cmd.ProcessState; s != nil {
		r.cost = s.UserTime() + s.SystemTime()
		r.hung = err != nil && (r.cost > limit || ctx.Err() != nil)
	}
	return out, r
}

// pattern matches the test of that name alone.
func pattern(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(parts, "/")
}
