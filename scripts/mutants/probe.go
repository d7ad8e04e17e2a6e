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

// measured are the tests of an earlier run. Its mutants are known by name: what
// has changed since does not make it worthless.
type measured struct {
	Names  []string // of the mutants, the first one is number 1
	Probes []*probe
}

// explore finds out what each test costs and which mutants it comes to, or
// remembers that.
func (w *work) explore(anew bool) ([]*probe, error) {
	path := filepath.Join(w.dir, "probes.json")
	var kept measured
	if data, err := os.ReadFile(path); !anew && err == nil && json.Unmarshal(data, &kept) == nil {
		return w.translated(kept), nil
	}
	began := time.Now()
	for _, pkg := range packages() {
		found, err := w.probesOf(pkg)
		if err != nil {
			return nil, err
		}
		kept.Probes = append(kept.Probes, found...)
	}
	fmt.Printf("%d tests and points come to mutants; that took %s\n", len(kept.Probes), time.Since(began).Round(time.Second))
	for _, m := range w.mutants {
		kept.Names = append(kept.Names, m.String())
	}
	data, err := json.Marshal(kept)
	if err := errors.Join(err, os.WriteFile(path, data, 0o600)); err != nil {
		return nil, err
	}
	return w.translated(kept), nil
}

// translated numbers mutants as they are numbered now. One that is new has the
// tests that come to its function.
func (w *work) translated(kept measured) []*probe {
	old := make(map[string]int)
	for i, name := range kept.Names {
		old[name] = i + 1
	}
	for _, p := range kept.Probes {
		places := make(map[string]bool)
		for n := range p.Met {
			places[place(kept.Names[n-1])] = true
		}
		met := make(map[int]bool)
		for _, m := range w.mutants {
			if n, known := old[m.String()]; known && p.Met[n] || !known && places[place(m.String())] {
				met[m.Number] = true
			}
		}
		p.Met = met
	}
	return ranked(kept.Probes)
}

func ranked(probes []*probe) []*probe {
	for i, p := range probes {
		p.rank = bits.Reverse16(uint16(i))
	}
	return probes
}

// probesOf runs a package's tests without a mutant. All of them must pass.
func (w *work) probesOf(pkg string) ([]*probe, error) {
	names, err := w.tests(pkg)
	if err != nil {
		return nil, err
	}
	var probes []*probe
	for _, name := range names {
		found, err := w.measure(pkg, name)
		if err != nil {
			return nil, err
		}
		probes = append(probes, found...)
	}
	return probes, nil
}

// tests are those of a package: of the explorations each part by itself.
func (w *work) tests(pkg string) ([]string, error) {
	args := []string{"-test.list", "."}
	if pkg == "apply" {
		args = []string{"-test.v", "-test.run", ".", "-test.skip", "^(TestGuardsMatter|TestStorms|TestEveryFault|TestEveryFaultAtomic)$"}
	}
	cmd := exec.Command(w.binary(pkg), args...)
	cmd.Dir = filepath.Join("pkg", pkg)
	out, err := cmd.Output()
	if err != nil || pkg != "apply" {
		return regexp.MustCompile(`(?m)^Test\S+`).FindAllString(string(out), -1), err
	}
	names := []string{"TestStorms"}
	for _, match := range regexp.MustCompile(`(?m)^ *--- PASS: (\S+)`).FindAllSubmatch(out, -1) {
		names = append(names, string(match[1]))
	}
	names = leaves(names)
	for _, test := range []string{
		"TestEveryFault/redis_7.0/", "TestEveryFault/redis_7.0_in_lanes/", "TestEveryFault/redis_7.0_strictly/", "TestEveryFault/valkey_9.1/",
		"TestEveryFaultAtomic/valkey_9.1/", "TestEveryFaultAtomic/redis_8.4/",
	} {
		names = append(names, test+"tool", test+"node")
	}
	return names, nil
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

// measure runs a test, or each point of one.
func (w *work) measure(pkg, name string) ([]*probe, error) {
	var all []*probe
	switch {
	case name == "TestStorms":
		for i := range stormsTried {
			all = append(all, &probe{Package: pkg, Test: name, Args: []string{"-storms=1", "-seed=" + strconv.Itoa(1+i)}})
		}
	case strings.HasPrefix(name, "TestEveryFault"):
		for at := 1; at < most; at += pointStep {
			all = append(all, &probe{Package: pkg, Test: name, Args: []string{"-point=" + strconv.Itoa(at)}})
		}
	default:
		all = []*probe{{Package: pkg, Test: name}}
	}
	var reaching []*probe
	for _, p := range all {
		passed, err := w.meet(p)
		if err != nil || !passed {
			return reaching, err
		}
		if len(p.Met) > 0 {
			reaching = append(reaching, p)
		}
	}
	return reaching, nil
}

// meet runs a test without a mutant. An exploration ends with the point that is
// not there.
func (w *work) meet(p *probe) (there bool, err error) {
	met := filepath.Join(w.dir, "met")
	os.Remove(met)
	out, r := w.run(p, 0, 5*time.Minute, "TRIB_MUTANTS_MET="+met)
	p.Cost = r.cost
	if r.noticed {
		return false, fmt.Errorf("%s fails without a mutant:\n%s", p, out)
	}
	data, _ := os.ReadFile(met)
	p.Met = make(map[int]bool)
	for line := range bytes.Lines(data) {
		if n, err := strconv.Atoi(strings.TrimSpace(string(line))); err == nil {
			p.Met[n] = true
		}
	}
	return !bytes.Contains(out, []byte("no such point")), nil
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
