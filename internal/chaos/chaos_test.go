package chaos_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
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
	if *minutes == 0 {
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
	number   int
	failures int
	tallies  map[string]*tally
	order    []string
}

// tally is what became of the trials with one fault.
type tally struct {
	trials, hits, failovers, kills, failed int
	counted, frail                         int64
	lost, revived                          int
	took                                   time.Duration
}

func newNemesis(t *testing.T, server string) *nemesis {
	n := &nemesis{server: server, rig: newRig(t, server), lots: rand.New(rand.NewPCG(*seed, 0)), tallies: make(map[string]*tally)}
	for _, f := range faults() {
		n.order = append(n.order, f.name)
		n.tallies[f.name] = new(tally)
	}
	return n
}

// next draws a fault without putting it back.
func (n *nemesis) next(t *testing.T) {
	for len(n.deck) == 0 {
		for _, f := range faults() {
			if strings.Contains(f.name, *only) {
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
	n.number++
	tr := draw(n.number, f, n.lots)
	if err := n.rig.fresh(filepath.Join(n.rig.c.Dir(), "..", "trial")); err != nil {
		t.Fatal(err)
	}
	o, err := n.rig.try(tr)
	if err != nil {
		o.blame(0, "not judged: %v", err)
	}
	n.tallies[f.name].add(f, o)
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

func (s *tally) add(f fault, o outcome) {
	s.trials++
	s.took += o.took
	s.lost += o.lost
	s.revived += o.revived
	if o.problems != nil {
		s.failed++
	}
	if !o.hit {
		return
	}
	s.hits++
	s.counted += o.counted
	s.frail += o.frail
	if f.failover {
		s.failovers++
	}
	if f.byKill {
		s.kills++
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
	var sum tally
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, s *tally) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t\n",
			name, s.trials, s.hits, s.failovers, s.kills, s.counted, s.lost, s.revived, s.frail, s.failed, s.took.Seconds()/float64(max(1, s.trials)))
	}
	fmt.Fprintln(w, "fault\ttrials\tcounted\tfailovers\tby kill\twrites\tlost\trevived\tunreplicated\tfailed\teach\t")
	for _, name := range n.order {
		s := n.tallies[name]
		if s.trials == 0 {
			continue
		}
		line(name, s)
		sum.trials, sum.hits, sum.failovers, sum.kills = sum.trials+s.trials, sum.hits+s.hits, sum.failovers+s.failovers, sum.kills+s.kills
		sum.counted, sum.frail, sum.lost, sum.revived = sum.counted+s.counted, sum.frail+s.frail, sum.lost+s.lost, sum.revived+s.revived
		sum.failed, sum.took = sum.failed+s.failed, sum.took+s.took
	}
	line("all", &sum)
	w.Flush()
	t.Logf("%s, seed %d: %d acknowledged writes lost of %d\n%s", n.rig.c.Nodes()[0].Server().Version, *seed, sum.lost, sum.counted, b.String())
}
