package chaos_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

var (
	ledger = flag.String("results", "", "a file to which TestChaos adds a line for every trial")
	commit = flag.String("commit", "", "what TestChaos writes there as the version of trib")
	sum    = flag.String("sum", "", "such a file, of which TestChaos prints the sums, and does nothing else")
)

// result is a trial as it is kept: those of several runs count together.
type result struct {
	Commit  string  `json:"commit"`
	Server  string  `json:"server"`
	Seed    uint64  `json:"seed"`
	Trial   int     `json:"trial"`
	Fault   string  `json:"fault"`
	Victim  string  `json:"victim,omitempty"` // source or target
	Counted bool    `json:"counted"`          // it hit while keys were on both sides, or a job was running
	Failed  bool    `json:"failed"`
	Seconds float64 `json:"seconds"`

	Failover     bool `json:"failover,omitempty"`
	ByKill       bool `json:"by_kill,omitempty"`
	Double       bool `json:"double,omitempty"`        // a node and trib were killed
	RepairKilled bool `json:"repair_killed,omitempty"` // and so was the first repair

	Writes       int64 `json:"writes"`
	Unreplicated int64 `json:"unreplicated,omitempty"`
	Lost         int   `json:"lost"`
	Revived      int   `json:"revived,omitempty"`
	Decided      int   `json:"decided,omitempty"`
}

func resultOf(n *nemesis, tr *trial, o outcome) result {
	f := tr.fault
	return result{
		Commit: *commit, Server: n.server, Seed: *seed, Trial: tr.number, Fault: f.name, Victim: f.victim(),
		Counted: o.hit, Failed: o.problems != nil, Seconds: o.took.Seconds(),
		Failover: f.failover, ByKill: f.byKill, Double: f.byKill && f.ends, RepairKilled: o.repairKilled,
		Writes: o.counted, Unreplicated: o.frail, Lost: o.lost, Revived: o.revived, Decided: o.decided,
	}
}

// note adds a result to the ledger, if there is one.
func (r result) note(t *testing.T) {
	if *ledger == "" {
		return
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	err = os.MkdirAll(filepath.Dir(*ledger), 0o700)
	f, e := os.OpenFile(*ledger, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err = errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func readResults(path string) ([]result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []result
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// printSums prints a table for each server of a ledger.
func printSums(t *testing.T, path string) {
	all, err := readResults(path)
	if err != nil {
		t.Fatal(err)
	}
	perServer := make(map[string][]result)
	for _, r := range all {
		perServer[r.Server] = append(perServer[r.Server], r)
	}
	for _, server := range sortedKeys(perServer) {
		fmt.Printf("\n%s, %s\n%s", server, commits(perServer[server]), table(perServer[server]))
	}
}

// commits tells how many trials were of which version.
func commits(results []result) string {
	count := make(map[string]int)
	for _, r := range results {
		count[r.Commit]++
	}
	var words []string
	for _, c := range sortedKeys(count) {
		words = append(words, fmt.Sprintf("%d trials at %s", count[c], c))
	}
	return strings.Join(words, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// tally is what became of some trials. All but trials, failed and seconds is of
// those that count.
type tally struct {
	trials, counted, failed            int
	failovers, byKill, double, repairs int
	writes, unreplicated               int64
	lost, revived, decided             int
	seconds                            float64
}

func tallyOf(results []result, of func(result) bool) (s tally) {
	for _, r := range results {
		if of(r) {
			s.add(r)
		}
	}
	return s
}

func (s *tally) add(r result) {
	s.trials++
	s.seconds += r.Seconds
	s.failed += one(r.Failed)
	// What is lost is never left out.
	s.lost += r.Lost
	s.revived += r.Revived
	if !r.Counted {
		return
	}
	s.counted++
	s.failovers += one(r.Failover)
	s.byKill += one(r.ByKill)
	s.double += one(r.Double)
	s.repairs += one(r.RepairKilled)
	s.writes += r.Writes
	s.unreplicated += r.Unreplicated
	s.decided += r.Decided
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// table has a row for each fault, and what they add up to.
func table(results []result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\ttrials\tcounted\tfailovers\tby kill\tand trib\trepair killed\twrites\tlost\trevived\tunreplicated\tdecided\tfailed\teach\t")
	line := func(name string, s tally) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t\n", name, s.trials, s.counted, s.failovers, s.byKill, s.double, s.repairs,
			s.writes, s.lost, s.revived, s.unreplicated, s.decided, s.failed, s.seconds/float64(max(1, s.trials)))
	}
	perFault := make(map[string]bool)
	for _, r := range results {
		perFault[r.Fault] = true
	}
	for _, name := range sortedKeys(perFault) {
		line(name, tallyOf(results, func(r result) bool { return r.Fault == name }))
	}
	for _, s := range []side{source, target} {
		line("all of the "+s.String(), tallyOf(results, func(r result) bool { return r.Victim == s.String() }))
	}
	line("all", tallyOf(results, func(result) bool { return true }))
	w.Flush()
	return b.String()
}
