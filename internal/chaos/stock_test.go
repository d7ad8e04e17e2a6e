package chaos_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

var (
	stock = flag.Int("stock", 0, "how often TestStockCompare goes through each scenario; 0 leaves it out")
	scene = flag.String("scenario", "", "only scenarios with this in their name")
)

// scenario is an accident and what the operator does after it. The same is done
// with every tool, on a fresh cluster, with 25 lists in slot 0.
type scenario struct {
	name  string
	quiet bool // nobody writes while it happens and is repaired
	wreck func(*stand) error
	fix   [2][]string // options of the repair: trib's and redis-cli's
}

// scenarios are those of the catalogue of failures that need no luck.
func scenarios() []scenario {
	return []scenario{
		{name: "reshard killed, few keys moved; then `fix`", wreck: killedAfter(2)},
		{name: "reshard killed, most keys moved; then `fix`", wreck: killedAfter(5)},
		{name: "the same with nobody writing", quiet: true, wreck: killedAfter(5)},
		{name: "reply of a MIGRATE lost, then `fix`", wreck: replyLost, fix: [2][]string{nil, {"--cluster-replace"}}},
		{name: "source killed in mid-slot, its replica takes over; then `fix`", quiet: true, wreck: sourceKilled},
		{name: "target paused for 1 s in mid-slot", wreck: targetPaused},
		{name: "two reshards of the same slot at once", wreck: twoAtOnce},
		{name: "keys on a node that does not own their slot", quiet: true, wreck: foreign, fix: [2][]string{{"--foreign-keys", "adopt"}, {"--cluster-search-multiple-owners"}}},
		{name: "slot without owner, keys on two nodes", quiet: true, wreck: uncovered},
	}
}

// TestStockCompare puts the same accidents before trib, redis-cli and valkey-cli,
// and prints what is left of acknowledged writes and of the cluster.
func TestStockCompare(t *testing.T) {
	if *stock == 0 {
		t.Skip("takes minutes: make stock-compare")
	}
	var table strings.Builder
	table.WriteString("| | redis-cli 7.0 | trib, Redis 7.0 | valkey-cli 9.1 | trib, Valkey 9.1 |\n|---|---|---|---|---|\n")
	for _, s := range scenarios() {
		if !strings.Contains(s.name, *scene) {
			continue
		}
		fmt.Fprintf(&table, "| %s |", s.name)
		for _, server := range []string{"redis-7.0", "valkey-9.1"} {
			for _, trib := range []bool{false, true} {
				var sum score
				for range *stock {
					t.Run(fmt.Sprintf("%s/%s/trib=%v", s.name, server, trib), func(t *testing.T) { sum.add(s.play(t, server, trib)) })
				}
				fmt.Fprintf(&table, " %s |", sum)
			}
		}
		table.WriteString("\n")
	}
	fmt.Printf("\n%d times each: acknowledged writes lost of all / ended healthy / seconds of the tool\n\n%s\n", *stock, table.String())
}

// score is how a scenario ended.
type score struct {
	plays, lost, written, healthy int
	took                          time.Duration
}

func (s *score) add(other score) {
	s.plays++
	s.lost += other.lost
	s.written += other.written
	s.healthy += other.healthy
	s.took += other.took
}

func (s score) String() string {
	lost := fmt.Sprintf("%d", s.lost)
	if s.lost > 0 {
		lost = fmt.Sprintf("**%d**", s.lost)
	}
	return fmt.Sprintf("%s of %d / %d of %d / %.1f", lost, s.written, s.healthy, s.plays, s.took.Seconds()/float64(max(1, s.plays)))
}

// stand is a cluster, a tool to work on it, and clients.
type stand struct {
	*rig
	scenario
	trib           bool
	source, target *lab.Node
	ids            [3]string
	seed           string
	model          *model
	took           time.Duration
}

func (s scenario) play(t *testing.T, server string, trib bool) score {
	st := &stand{rig: newRig(t, server), scenario: s, trib: trib}
	if err := st.fresh(filepath.Join(st.c.Dir(), "..", "stage")); err != nil {
		t.Fatal(err)
	}
	st.source, st.target, st.seed = st.c.Masters[0].Node, st.c.Masters[1].Node, st.c.Masters[2].Addr()
	for i, m := range st.c.Masters {
		st.ids[i] = m.ID
	}
	st.model = newModel(st.client, "k", st.tags[:1], 25, func(k kind) bool { return k == list })
	st.model.moving.Store(true)
	for range 4 {
		st.model.fill()
	}
	if !s.quiet {
		st.model.start()
	}
	err := s.wreck(st)
	await(20*time.Second, st.sound)
	time.Sleep(pause)
	st.survey("before the repair")
	out := st.repair()
	time.Sleep(pause)
	st.survey("after the repair")
	st.model.rest()
	unwell := await(15*time.Second, func() error { return errors.Join(st.sound(), st.whole()) })
	v := st.model.verify()
	t.Logf("wreck %v, fix %s, lost %d, unwell %.200v", err, out, v.lost, unwell)
	if trib && (unwell != nil || len(v.problems) > 0) {
		text, _ := os.ReadFile(filepath.Join(st.stage, "story.txt"))
		t.Logf("%.500q\n%s", v.problems, text)
	}
	result := score{lost: v.lost, written: int(st.model.counted.Load()), took: st.took}
	if unwell == nil && len(v.problems) == 0 {
		result.healthy = 1
	}
	return result
}

// survey notes what everybody says of slot 0.
func (st *stand) survey(when string) {
	for _, n := range st.c.Nodes() {
		keys, _ := st.ask(n, "CLUSTER", "COUNTKEYSINSLOT", "0")
		view, err := st.ask(n, "CLUSTER", "NODES")
		st.note(fmt.Sprintf("%s, %s: %v keys of slot 0, %v\n%v", when, n.Addr(), keys, err, view))
	}
}

// whole is an error while not every slot has one owner for everybody, one is
// open, or a node that does not own slot 0 has keys of it.
func (st *stand) whole() error {
	owners := make(map[int]string)
	for _, n := range st.c.Nodes() {
		s, err := st.self(n)
		switch {
		case err != nil:
			return err
		case len(s.open) > 0:
			return fmt.Errorf("%s has open slots %v", n.Addr(), s.open)
		}
		for slot := range s.slots {
			if owners[slot] != "" {
				return fmt.Errorf("slot %d has two owners", slot)
			}
			owners[slot] = s.id
		}
		info, _ := st.ask(n, "CLUSTER", "INFO")
		keys, _ := st.ask(n, "CLUSTER", "COUNTKEYSINSLOT", "0")
		if !strings.Contains(fmt.Sprint(info), "cluster_state:ok") || s.master && !s.slots[0] && keys != int64(0) {
			return fmt.Errorf("%s has %v keys of slot 0 that it does not own, or is down", n.Addr(), keys)
		}
	}
	if len(owners) != labtest.Slots {
		return fmt.Errorf("%d slots have owners", len(owners))
	}
	return nil
}

// pause is how long clients write before and after the repair.
const pause = 300 * time.Millisecond

// toolLimit is how long a tool may take: the stock tools have waits without end.
const toolLimit = 60 * time.Second

// tool prepares a run of the tool under test.
func (st *stand) tool(ctx context.Context, command string, trib, theirs []string) *exec.Cmd {
	if st.trib {
		cmd := exec.CommandContext(ctx, os.Args[0], append([]string{command, st.seed, "--yes"}, trib...)...)
		cmd.Env = append(os.Environ(), asTool+"="+(&chaos.Fuse{Phase: chaos.Before}).Setting(), "TRIB_STATE_DIR="+st.journals())
		return cmd
	}
	server := st.source.Server()
	cli := filepath.Join(filepath.Dir(server.Path), server.Kind+"-cli")
	cmd := exec.CommandContext(ctx, cli, append([]string{"--cluster", command, st.seed, "--cluster-yes"}, theirs...)...)
	cmd.Stdin = strings.NewReader("yes\nyes\nyes\n")
	return cmd
}

// use runs the tool and counts its time.
func (st *stand) use(cmd *exec.Cmd) string {
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	st.took += time.Since(begun)
	st.note(fmt.Sprintf("%q after %v: %v\n%s", cmd.Args[1:], time.Since(begun), err, out))
	return fmt.Sprintf("%v", err)
}

func (st *stand) repair() string {
	ctx, cancel := context.WithTimeout(st.t.Context(), toolLimit)
	defer cancel()
	return st.use(st.tool(ctx, "fix", st.fix[0], st.fix[1]))
}

// reshard moves slot 0 to another master.
func (st *stand) reshard(ctx context.Context, to int) *exec.Cmd {
	return st.tool(ctx, "reshard", []string{"--from", st.ids[0], "--to", st.ids[to], "--slots", "1", "--method", "classic", "--pipeline", "4"},
		[]string{"--cluster-from", st.ids[0], "--cluster-to", st.ids[to], "--cluster-slots", "1", "--cluster-pipeline", "4"})
}

// hit reshards and does something when the MIGRATE comes that is so many later
// than the first.
func (st *stand) hit(later int, m chaos.Mischief, at *lab.Node) error {
	m.Skip = later
	st.relays[at].Arm(m)
	ctx, cancel := context.WithTimeout(st.t.Context(), toolLimit)
	defer cancel()
	cmd := st.reshard(ctx, 1)
	if call := m.Call; call == nil && m.Hold == 0 && !m.Lose {
		st.relays[at].Arm(chaos.Mischief{Command: m.Command, Skip: later, Call: func() { cmd.Process.Kill() }})
	}
	st.use(cmd)
	if !st.relays[at].Disarm() {
		return fmt.Errorf("no %s came", m.Command)
	}
	return nil
}

func killedAfter(batches int) func(*stand) error {
	return func(st *stand) error { return st.hit(batches, chaos.Mischief{Command: "MIGRATE"}, st.source) }
}

// replyLost loses the reply of the target to the source and lets clients write
// for a while. Whoever does not try again leaves two copies of these keys.
func replyLost(st *stand) error {
	err := st.hit(4, chaos.Mischief{Command: "RESTORE-ASKING", Lose: true}, st.target)
	time.Sleep(300 * time.Millisecond)
	return err
}

func sourceKilled(st *stand) error {
	err := st.hit(3, chaos.Mischief{Command: "MIGRATE", Call: func() { st.source.Kill() }}, st.source)
	return errors.Join(err, st.succeeded(st.source), st.source.Restart(st.t.Context()))
}

func targetPaused(st *stand) error {
	return st.hit(3, chaos.Mischief{Command: "MIGRATE", Call: func() {
		st.target.Pause()
		time.AfterFunc(time.Second, func() { st.target.Resume() })
	}}, st.source)
}

// twoAtOnce lets two operators move the slot to different masters; each has
// looked at the cluster before the other changes something.
func twoAtOnce(st *stand) error {
	ctx, cancel := context.WithTimeout(st.t.Context(), toolLimit)
	defer cancel()
	for _, m := range st.c.Masters[1:] {
		st.relays[m.Node].Arm(chaos.Mischief{Command: "SETSLOT", Call: func() { time.Sleep(700 * time.Millisecond) }})
		defer st.relays[m.Node].Disarm()
	}
	other := st.reshard(ctx, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err := other.CombinedOutput()
		st.note(fmt.Sprintf("the other: %v\n%s", err, out))
	}()
	st.use(st.reshard(ctx, 1))
	<-done
	return nil
}

// half moves ten of the keys and leaves the slot open.
func (st *stand) half() error {
	_, e1 := st.ask(st.target, "CLUSTER", "SETSLOT", "0", "IMPORTING", st.ids[0])
	_, e2 := st.ask(st.source, "CLUSTER", "SETSLOT", "0", "MIGRATING", st.ids[1])
	errs := []error{e1, e2}
	for _, r := range st.model.records[:10] {
		_, err := st.ask(st.source, "MIGRATE", st.target.Host(), fmt.Sprint(st.target.Port()), r.key, "0", "5000")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (st *stand) each(nodes []*labtest.Member, command ...string) error {
	var errs []error
	for _, m := range nodes {
		_, err := st.ask(m.Node, command...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func foreign(st *stand) error {
	return errors.Join(st.half(), st.each(st.c.Masters[:2], "CLUSTER", "SETSLOT", "0", "STABLE"))
}

func uncovered(st *stand) error {
	return errors.Join(foreign(st), st.each(st.c.Masters, "CLUSTER", "DELSLOTS", "0"))
}
