package apply_test

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// A storm is a run with several faults, drawn from a seed: kills of the tool and
// of what resumes it, failovers, crashes and pauses of any node, lost replies.

var (
	minutes = flag.Int("minutes", 0, "explore further storms for so many minutes; see make explore")
	seed    = flag.Int("seed", 1, "the first storm")
	storms  = flag.Int("storms", 60, "how many storms to explore at least")
)

// enoughWrites bounds what users write in one storm.
const enoughWrites = 300

// blow is one fault of a storm.
type blow struct {
	at   int // which command, counted through the whole storm
	kind string
	node int
	long time.Duration // of a pause
}

func (b blow) String() string {
	return fmt.Sprintf("%s at %d (node %d, %s)", b.kind, b.at, b.node, b.long)
}

// kinds of faults; kills come more often than others.
func blowKinds() []string {
	return []string{
		"kill before", "kill after", "kill before", "kill after", "lose command", "lose reply",
		"take over", "hand over", "crash", "pause", "restart",
	}
}

type storm struct {
	*trial
	seed   int
	r      *rand.Rand
	server string
	work   string // what the tool is to do
	blows  []blow

	count     int // commands so far
	kills     int // tools killed
	resumed   int // of them while they resumed
	masters   string
	failovers int
	proofs    map[string]int // by slot: failovers before its emptiness was proven
	pending   []string
	dead      []int
	log       []string
	undecided []plan.Undecided
	seen      map[uint64]bool // states
}

func newStorm(seed int, seen map[uint64]bool) *storm {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	names := []string{"redis 7.0", "valkey 9.1"}
	s := &storm{seed: seed, r: r, server: names[r.IntN(len(names))], proofs: make(map[string]int), seen: seen}
	s.work = []string{"reshard", "reshard", "drain", "fix"}[r.IntN(4)]
	ways := []move.Options{oneLane, oneLane, twoLanes, strict}
	s.trial = newTrial(sim.Options{Server: servers[s.server], Seed: seed, PartialCoverage: r.IntN(2) == 0}, ways[r.IntN(len(ways))])
	at := 0
	for range 1 + r.IntN(4) {
		at += 1 + r.IntN(45)
		kinds := blowKinds()
		s.blows = append(s.blows, blow{at, kinds[r.IntN(len(kinds))], r.IntN(6), time.Duration(r.IntN(6000)) * time.Millisecond})
	}
	return s
}

func (s *storm) String() string {
	return fmt.Sprintf("storm %d: %s on %s, %+v, %v", s.seed, s.work, s.server, s.move, s.blows)
}

// prepare brings about what the tool works on.
func (s *storm) prepare(t *testing.T) {
	switch s.work {
	case "drain":
		s.nodes = append(s.nodes, s.c.AddNode())
		s.must(t, func(st cluster.State) (plan.Plan, error) {
			return plan.AddNode(st, plan.AddNodeOptions{New: s.ids(fresh)})
		}, fresh)
		s.must(t, func(st cluster.State) (plan.Plan, error) {
			return plan.Reshard(st, plan.ReshardOptions{From: s.ids(masterA), To: s.id(fresh), Slots: movedSlots})
		})
	case "fix":
		i := s.r.IntN(len(damages))
		damages[i].do(t, &broken{c: s.c, nodes: s.nodes[:3], model: s.model})
		s.failedOver = true // keys may be out of sight: nothing is deleted
		if i > 0 {
			s.spareNodes()
		}
	}
	s.c.Settle()
}

// spareNodes lets the tool alone suffer. Where slots are nobody's, a replica that
// is promoted and the master that comes back lose keys by themselves: on Redis 7.0
// the one yields what it holds to the other's lower epoch.
func (s *storm) spareNodes() {
	for i, b := range s.blows {
		if !slices.Contains(blowKinds()[:6], b.kind) {
			s.blows[i].kind = "kill after"
		}
	}
}

// tool lets a tool work once, under the storm.
func (s *storm) tool(ctx context.Context, resumes bool, work func(driver.Dialer) error) error {
	d := s.c.Dialer()
	s.c.Intercept(func(e sim.Event) sim.Action { return s.meet(e, d, resumes) })
	defer s.c.Intercept(nil)
	return work(d)
}

// meet is what happens at a command: nothing much, or a blow.
func (s *storm) meet(e sim.Event, d *sim.Dialer, resumes bool) sim.Action {
	if !isMoment(e) {
		return sim.Action{}
	}
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	s.count++
	i := slices.IndexFunc(s.blows, func(b blow) bool { return b.at == s.count })
	if i < 0 {
		return sim.Action{Before: func() { s.instant(e) }}
	}
	b := s.blows[i]
	s.log = append(s.log, fmt.Sprintf("%s before %s to %s", b, strings.Join(e.Cmd[:min(len(e.Cmd), 5)], " "), e.Node))
	a := sim.Action{Before: func() { s.instant(e) }}
	switch b.kind {
	case "kill before":
		s.noteKill(resumes)
		a.Outcome, a.Before = sim.DropBefore, func() { s.instant(e); d.Kill() }
	case "kill after":
		s.noteKill(resumes)
		a.Outcome, a.After = sim.DropReply, d.Kill
	case "lose command":
		a.Outcome = sim.DropBefore
	case "lose reply":
		a.Outcome = sim.DropReply
	default:
		a.Before = func() { s.strike(b); s.instant(e) }
	}
	return a
}

// isMoment leaves out the commands that only count the keys of slots in which
// nothing happens.
func isMoment(e sim.Event) bool {
	switch e.Cmd.Name() {
	case "CLUSTER COUNTKEYSINSLOT":
		return slices.Contains([]string{"0", "1", "2"}, e.Cmd[2])
	case "CLUSTER NODES", "CLUSTER GETKEYSINSLOT", "INFO":
		return true
	}
	return e.Mutation > 0
}

func (s *storm) noteKill(resumes bool) {
	s.kills++
	if resumes {
		s.resumed++
	}
}

// strike hits a node. From then on keys may be out of sight for a while, and
// deleting what is out of sight does nothing.
func (s *storm) strike(b blow) {
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	s.trial.mu.Lock()
	s.failedOver = true
	s.trial.mu.Unlock()
	n := s.nodes[b.node%len(s.nodes)]
	switch b.kind {
	case "take over":
		n.Takeover()
	case "hand over":
		n.Failover()
	case "crash":
		n.Crash()
		s.dead = append(s.dead, b.node)
	case "restart":
		n.Crash()
		n.Restart(true)
	case "pause":
		n.Pause()
		time.AfterFunc(b.long, func() { s.wake(n) })
	}
	time.Sleep(heard)
}

// wake lets a paused node run on. Nobody writes before it has heard what it
// missed: what a master that was replaced acknowledges is lost by the servers.
func (s *storm) wake(n *sim.Node) {
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	n.Resume()
	time.Sleep(300 * time.Millisecond)
}

// instant is right before a command: users write, and proofs are noted.
func (s *storm) instant(e sim.Event) {
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	if s.writes < enoughWrites { // a tool may wait for long, and look often
		s.write()
	}
	s.countFailovers()
	if e.Mutation > 0 {
		s.digest()
	}
	switch name := e.Cmd.Name(); {
	case name == "CLUSTER COUNTKEYSINSLOT":
		s.pending = append(s.pending, e.Cmd[2])
	case name == "CLUSTER NODES":
		for _, slot := range s.pending {
			s.proofs[slot] = s.failovers
		}
		s.pending = nil
	case name == "CLUSTER SETSLOT" && e.Cmd[3] == "NODE":
		lease := servers[s.server].Flavor == "redis" && s.move.Finalise != move.SourceFirst
		s.residual = s.residual || lease && s.failovers > s.proofs[e.Cmd[2]]
	}
}

// digest notes the state.
func (s *storm) digest() {
	h := fnv.New64a()
	for _, n := range s.c.Nodes() {
		fmt.Fprint(h, n.IsMaster(), n.Alive(), n.Epoch())
		for slot := range movedSlots {
			fmt.Fprint(h, n.Owner(slot), n.Migrating(slot), n.Importing(slot), len(n.Keys(0, slot)))
		}
	}
	s.seen[h.Sum64()] = true
}

// countFailovers looks whether anybody was promoted since the last time.
func (s *storm) countFailovers() {
	var masters strings.Builder
	for _, n := range s.c.Nodes() {
		if n.IsMaster() {
			fmt.Fprintf(&masters, "%s,", n)
		}
	}
	if s.masters != "" && masters.String() != s.masters {
		s.failovers++
	}
	s.masters = masters.String()
}

// begin is the tool's first run.
func (s *storm) begin(ctx context.Context, d driver.Dialer) error {
	switch s.work {
	case "drain":
		st, err := observe.Cluster(ctx, d, s.seed0())
		if err != nil {
			return err
		}
		p, err := plan.Drain(st, plan.DrainOptions{Node: s.id(fresh)})
		if err != nil {
			return err
		}
		return apply.Run(ctx, p, s.options(d))
	case "fix":
		_, err := s.heal(ctx, d, plan.HealOptions{})
		return err
	}
	return s.reshard(ctx, d)
}

// seed0 is a node that answers.
func (s *storm) seed0() cluster.Addr {
	for _, i := range []int{2, 5, 1, 4, 0, 3} {
		if s.nodes[i].Alive() {
			return s.nodes[i].Addr()
		}
	}
	return s.nodes[2].Addr()
}

// heal is fix, as a process of its own.
func (s *storm) heal(ctx context.Context, d driver.Dialer, o plan.HealOptions) (steps int, err error) {
	st, err := observe.Cluster(ctx, d, s.seed0())
	if err != nil {
		return 0, err
	}
	observe.ForHeal(ctx, d, st)
	p, left := plan.Heal(st, o)
	s.undecided = left
	if len(p.Steps) == 0 {
		return 0, nil
	}
	return len(p.Steps), apply.Run(ctx, p, s.options(d))
}

// calm lets everything come to rest: whoever died is started again.
func (s *storm) calm() {
	s.c.Advance(10 * time.Second)
	for _, i := range s.dead {
		s.nodes[i%len(s.nodes)].Restart(true)
	}
	s.dead = nil
	s.c.Settle()
	s.c.Advance(5 * time.Second)
	s.c.Settle()
	s.digest()
}

// survive is the whole story; it returns what is wrong in the end.
func (s *storm) survive(t *testing.T) []string {
	ctx := t.Context()
	s.prepare(t)
	damage := len(s.c.Violations())
	err := s.tool(ctx, false, func(d driver.Dialer) error { return s.begin(ctx, d) })
	s.log = append(s.log, fmt.Sprintf("%s: %v", s.work, err))
	s.isConflict(err)
	foreign := plan.ForeignPolicy("")
	for range 8 {
		s.calm()
		steps := 0
		s.conflicts = nil
		err := s.tool(ctx, true, func(d driver.Dialer) (err error) {
			steps, err = s.heal(ctx, d, plan.HealOptions{ForeignKeys: foreign})
			return err
		})
		s.log = append(s.log, fmt.Sprintf("fix: %d steps, %v, left %v", steps, err, s.undecided))
		if s.undecided != nil && foreign == "" {
			foreign = plan.ForeignAdopt
			continue
		}
		if s.isConflict(err) || err == nil && steps == 0 {
			break
		}
	}
	s.calm()
	return s.wrong(ctx, damage)
}

// wrong is what breaks P1 or P2, or is not in order though nothing was named.
func (s *storm) wrong(ctx context.Context, damage int) []string {
	var out []string
	if got := s.c.Violations()[damage:]; len(got) > 0 && !s.residual {
		out = append(out, fmt.Sprint(got))
	}
	named := len(s.conflicts) > 0 || s.undecided != nil
	for _, l := range s.model.Check(s.c) {
		if s.residual || named && (l.Kind != sim.Lost || s.somewhere(l)) {
			continue
		}
		out = append(out, l.String())
	}
	if named {
		return out
	}
	steps, err := s.heal(ctx, driver.ReadOnly(s.c.Dialer()), plan.HealOptions{})
	if steps > 0 || err != nil || s.undecided != nil {
		out = append(out, fmt.Sprintf("not in order: %d steps, %v, %v", steps, err, s.undecided))
	}
	return out
}

// TestStorms is P1, P2 and P3 under several faults: after any of them fix ends
// healthy or names what needs a decision, and nothing that trib was told is lost.
func TestStorms(t *testing.T) {
	seen := make(map[uint64]bool)
	var total struct{ storms, commands, kills, double, conflicts, residual, acked int }
	for end := time.Now().Add(time.Duration(*minutes) * time.Minute); total.storms < *storms || time.Now().Before(end); total.storms++ {
		number := *seed + total.storms
		synctest.Test(t, func(t *testing.T) {
			s := newStorm(number, seen)
			problems := s.survive(t)
			total.commands += s.count
			total.kills += s.kills
			total.double += min(s.resumed, 1)
			total.acked += s.model.Acked()
			if len(s.conflicts) > 0 || s.undecided != nil {
				total.conflicts++
			}
			if s.residual {
				total.residual++
			}
			if problems != nil {
				t.Errorf("%s\n%s\n%.1500q", s, strings.Join(s.log, "\n"), problems)
				trace := s.c.Trace()
				t.Log(strings.Join(trace[max(0, len(trace)-60):], "\n"))
			}
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%d storms: %d states, %d transitions, %d acknowledged writes; %d tools killed, in %d storms a resuming one; %d ended with decisions named, %d in the named residual",
		total.storms, len(seen), total.commands, total.acked, total.kills, total.double, total.conflicts, total.residual)
}
