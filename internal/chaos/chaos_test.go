package chaos_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

var (
	minutes  = flag.Float64("minutes", 0, "how long TestChaos goes on; 0 is one short trial of a few faults")
	seed     = flag.Uint64("seed", 1, "what TestChaos draws its lots from")
	servers  = flag.String("servers", "redis-7.0,valkey-9.1", "what long runs of TestChaos run on")
	evidence = flag.String("evidence", "", "where TestChaos keeps what failed; default a new directory for temporary files")
	most     = flag.Int("failures", 5, "how many failed trials end TestChaos on a server: more show nothing new")
	only     = flag.String("fault", "", "only faults with this in their name")
)

// TestChaos moves slots under writers on real servers, and lets something happen
// in the middle of a slot: to trib, to a node, to a reply. Then one command must
// bring the cluster back, with every acknowledged write.
func TestChaos(t *testing.T) {
	switch {
	case *sum != "":
		printSums(t, *sum)
		return
	case *minutes == 0:
		short(t)
		return
	}
	names := strings.Split(*servers, ",")
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			n := newNemesis(t, name)
			until := time.Now().Add(time.Duration(*minutes * float64(time.Minute) / float64(len(names))))
			for time.Now().Before(until) && n.failures < *most {
				n.next(t)
			}
			n.tell(t)
		})
	}
	if *ledger != "" {
		printSums(t, *ledger)
	}
}

// short is a trial each of the faults that take little time.
func short(t *testing.T) {
	n := newNemesis(t, labtest.Default)
	for _, f := range faults() {
		switch f.name {
		case "trib killed", "trib interrupted", "second trib", "reply of MIGRATE lost", "target out of memory", "target killed":
			n.trial(t, f)
		}
	}
	n.tell(t)
}

// nemesis goes through all faults, in an order by lot, again and again.
type nemesis struct {
	server   string
	rig      *rig
	lots     *rand.Rand
	deck     []fault
	failures int
	results  []result
}

func newNemesis(t *testing.T, server string) *nemesis {
	return &nemesis{server: server, rig: newRig(t, server), lots: rand.New(rand.NewPCG(*seed, 0))}
}

// next draws a fault without putting it back.
func (n *nemesis) next(t *testing.T) {
	for len(n.deck) == 0 {
		for _, f := range faults() {
			if strings.Contains(f.name, *only) && (!f.atomic || atomicServer(n.server)) {
				n.deck = append(n.deck, f)
			}
		}
		n.lots.Shuffle(len(n.deck), func(i, j int) { n.deck[i], n.deck[j] = n.deck[j], n.deck[i] })
	}
	f := n.deck[0]
	n.deck = n.deck[1:]
	n.trial(t, f)
}

func (n *nemesis) trial(t *testing.T, f fault) {
	t.Helper()
	tr := draw(len(n.results)+1, f, n.lots)
	if err := n.rig.fresh(filepath.Join(n.rig.c.Dir(), "..", "trial")); err != nil {
		t.Fatal(err)
	}
	o, err := n.rig.try(tr)
	if err != nil {
		o.blame(0, "not judged: %v", err)
	}
	kept := resultOf(n, tr, o)
	kept.note(t)
	n.results = append(n.results, kept)
	t.Logf("%s: exit %d, %d writes, %v", tr, o.exit, o.counted, o.took.Round(10*time.Millisecond))
	if o.problems == nil {
		return
	}
	n.failures++
	dir := n.keep(t, tr, o)
	t.Errorf("%s, seed %d: %d acknowledged writes lost; see %s\n%s", tr, *seed, o.lost, dir, strings.Join(o.problems, "\n"))
	if n.failures < *most {
		n.rig.c.Close()
		n.rig = newRig(t, n.server)
	}
}

// keep puts the evidence of a failure in a directory of its own.
func (n *nemesis) keep(t *testing.T, tr *trial, o outcome) string {
	root := *evidence
	if root == "" {
		root = os.TempDir()
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(root, fmt.Sprintf("trib-chaos-%s-seed%d-trial%d-", n.server, *seed, tr.number))
	if err != nil {
		t.Fatal(err)
	}
	n.rig.note(fmt.Sprintf("seed %d, %s\n%s", *seed, tr, strings.Join(o.problems, "\n")))
	n.rig.keep(dir)
	return dir
}

// tell prints the table of all trials.
func (n *nemesis) tell(t *testing.T) {
	all := tallyOf(n.results, func(result) bool { return true })
	t.Logf("%s, seed %d: %d acknowledged writes lost of %d\n%s", n.rig.c.Nodes()[0].Server().Version, *seed, all.lost, all.writes, table(n.results))
}
