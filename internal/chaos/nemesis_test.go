package chaos_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
)

// trial is a move of slots with a fault in it.
type trial struct {
	number int
	fault  fault
	at     int // MIGRATE at which it happens
	phase  chaos.Phase
	stage  string        // of a job: the word of the source that it stops at
	repair string        // the command that brings the cluster back
	again  *chaos.Fuse   // ends the first repair; nil where it may work to its end
	dwell  time.Duration // how long clients write to the open slots before it
	slots  []int

	ends   [2]*lab.Node
	ids    [2]string
	seed   string
	worker *worker
	model  *model
}

func (tr *trial) String() string {
	at := fmt.Sprintf("MIGRATE %d (%s)", tr.at, tr.phase)
	if tr.fault.atomic {
		at = tr.stage
	}
	again := ""
	if tr.again != nil {
		again = fmt.Sprintf(" killed at %d (%s) and again", tr.again.At, tr.again.Phase)
	}
	return fmt.Sprintf("trial %d: %s at %s, then %s%s; slots %v", tr.number, tr.fault.name, at, tr.repair, again, tr.slots)
}

const (
	chaosSlots   = 3
	chaosKeys    = 25 // in each slot
	chaosBatch   = 4
	slotsInTrial = 10922 // of the first two shards
)

// draw decides by lot what a trial is like.
func draw(number int, f fault, lots *rand.Rand) *trial {
	tr := &trial{
		number: number, fault: f,
		at:     2 + lots.IntN(10),
		phase:  chaos.Phases()[lots.IntN(3)],
		stage:  []string{"ESTABLISH", "SNAPSHOT-EOF", "PAUSED"}[lots.IntN(3)],
		repair: []string{"resume", "fix"}[lots.IntN(2)],
		dwell:  time.Duration(150+lots.IntN(200)) * time.Millisecond,
		slots:  []int{lots.IntN(slotsInTrial)},
	}
	if lots.IntN(3) == 0 {
		tr.again = &chaos.Fuse{At: 1 + lots.IntN(12), Phase: chaos.Phases()[lots.IntN(3)]}
	}
	return tr
}

// outcome is how a trial went.
type outcome struct {
	hit     bool  // while a slot was open, with keys on both sides
	counted int64 // acknowledged writes to slots that were moving
	frail   int64 // acknowledged by a master whose replica did not have them
	exit    int   // of the trib that was hit
	decided int   // keys with two values
	took    time.Duration

	repairKilled bool
	verdict
}

// run carries out a trial: clients write, slots move, the fault strikes, what is
// hurt mends, one command repairs, and everything is looked at. The error is of
// what keeps the trial from being judged.
func (r *rig) try(tr *trial) (o outcome, err error) {
	begun := time.Now()
	defer func() { o.took = time.Since(begun) }()
	r.note(tr.String())
	if err := r.cast(tr); err != nil {
		return o, err
	}
	tr.model.fill()
	tr.model.start()
	defer tr.model.rest()
	move := r.move
	if tr.fault.atomic {
		move = r.moveByJob
	}
	if err := move(tr, &o); err != nil {
		return o, err
	}
	if err := await(30*time.Second, r.sound); err != nil {
		return o, fmt.Errorf("the servers are not in order: %w", err)
	}
	if tr.again != nil {
		_, code := r.runFused(tr.again, tr.repair, tr.seed, "--yes")
		o.repairKilled = code < 0
	}
	out, code := r.run(tr.repair, tr.seed, "--yes")
	tr.model.moving.Store(false)
	tr.model.rest()
	if code == conflict && tr.fault.mayConflict() {
		out, code = r.decide(tr, &o)
	}
	if code != 0 {
		o.blame(0, "%s: exit %d:\n%s", tr.repair, code, out)
		// What is only out of sight is not lost.
		await(20*time.Second, func() error {
			_, code := r.run("fix", tr.seed, "--yes", "--foreign-keys", "adopt")
			return errors.Join(r.sound(), exitError(code))
		})
	}
	o.judge(r, tr)
	return o, nil
}

func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("exit %d", code)
}

// cast finds slots that one shard owns, and who is who.
func (r *rig) cast(tr *trial) error {
	from := -1
	for shard := range 2 {
		n, s, err := r.leader(shard)
		if err != nil {
			return err
		}
		tr.ends[shard], tr.ids[shard] = n, s.id
		if s.slots[tr.slots[0]] {
			from = shard
			tr.slots = r.neighbours(s, tr.slots[0])
		}
	}
	if from < 0 {
		return fmt.Errorf("nobody owns slot %d", tr.slots[0])
	}
	if from == 1 {
		slices.Reverse(tr.ends[:])
		slices.Reverse(tr.ids[:])
	}
	seed, _, err := r.leader(2)
	if err != nil {
		return err
	}
	tr.seed = seed.Addr()
	var tags []string
	for _, slot := range tr.slots {
		tags = append(tags, r.tags[slot])
	}
	tr.model = newModel(r.client, fmt.Sprint("t", tr.number), tags, chaosKeys, func(k kind) bool { return k.appends() || !tr.fault.splits })
	return nil
}

// neighbours are slots of the same owner.
func (r *rig) neighbours(s self, first int) []int {
	slots := []int{first}
	for slot := first + 1; len(slots) < chaosSlots && slot < first+200; slot++ {
		if s.slots[slot%slotsInTrial] {
			slots = append(slots, slot%slotsInTrial)
		}
	}
	return slots
}

// command moves the slots key by key, also where the servers could do it by
// themselves, unless the fault is for that.
func (tr *trial) command() []string {
	var slots []string
	for _, slot := range tr.slots {
		slots = append(slots, strconv.Itoa(slot))
	}
	args := []string{"reshard", tr.seed, "--to", tr.ids[target], "--slots-list", strings.Join(slots, ","), "--yes"}
	if tr.fault.atomic {
		return args
	}
	return append(args, "--method", "classic", "--pipeline", strconv.Itoa(chaosBatch))
}

// move starts trib, lets the fault strike where trib has stopped, and waits for
// the end of both.
func (r *rig) move(tr *trial, o *outcome) (err error) {
	tr.worker, err = r.begin(&chaos.Fuse{At: tr.at, Phase: tr.phase, Only: "MIGRATE"}, tr.command()...)
	if err != nil {
		return err
	}
	w := tr.worker
	defer func() { r.note(fmt.Sprintf("trib reshard: exit %d\n%s", o.exit, w.out.String())) }()
	if !w.stopped(20 * time.Second) {
		w.release()
		o.exit, err = w.wait(60 * time.Second)
		return err // it moved in fewer batches, or not at all
	}
	return r.strike(tr, o, r.halfway, w.release)
}

// strike lets clients write, hits, lets go of what stands still, and waits until
// trib has ended and all is mended. A job goes on when everybody knows of the
// failover: what one costs in the very moment of a hand-over is the servers' own.
func (r *rig) strike(tr *trial, o *outcome, counts func(*trial) bool, release func()) error {
	tr.model.moving.Store(true)
	time.Sleep(tr.dwell)
	o.hit = counts(tr)
	if tr.silent(r) {
		tr.model.rest()
	}
	mend, err := tr.fault.strike(r, tr)
	if !tr.fault.atomic || !tr.fault.failover {
		release()
	}
	mended := make(chan error, 1)
	go func() {
		err := mend()
		if tr.fault.atomic && tr.fault.failover {
			await(10*time.Second, r.sound)
		}
		release()
		mended <- err
	}()
	var late error
	o.exit, late = tr.worker.wait(60 * time.Second)
	if late != nil {
		o.blame(0, "%v", late)
	}
	if o.exit == 0 {
		tr.model.moving.Store(false)
	}
	if may := []int{0, 3, 5}; !tr.fault.ends && !slices.Contains(may, o.exit) && !(tr.fault.mayConflict() && o.exit == conflict) {
		o.blame(0, "reshard: exit %d", o.exit)
	}
	return errors.Join(err, <-mended)
}

// moveByJob starts trib, which lets the servers move the slots, and lets the
// fault strike where what the source says to the target is held back.
func (r *rig) moveByJob(tr *trial, o *outcome) (err error) {
	stopped, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	relay := r.relays[tr.ends[target]]
	relay.Arm(chaos.Mischief{Command: tr.stage, Call: func() {
		close(stopped)
		<-goOn
	}})
	defer relay.Disarm()
	tr.worker, err = r.begin(&chaos.Fuse{Phase: chaos.Before}, tr.command()...)
	if err != nil {
		return err
	}
	w := tr.worker
	defer func() { r.note(fmt.Sprintf("trib reshard: exit %d\n%s", o.exit, w.out.String())) }()
	select {
	case <-stopped:
		return r.strike(tr, o, r.atWork, release)
	case <-w.ended:
	case <-time.After(20 * time.Second):
	}
	o.exit, err = w.wait(60 * time.Second)
	return err
}

// atWork reports whether the source is about to move slots by itself.
func (r *rig) atWork(tr *trial) bool {
	reply, err := r.ask(tr.ends[source], "CLUSTER", "GETSLOTMIGRATIONS")
	r.note(fmt.Sprintf("%s has the jobs %v, %v", tr.ends[source].Addr(), reply, err))
	jobs, _ := reply.([]any)
	return slices.ContainsFunc(jobs, func(job any) bool {
		words := strings.Fields(fmt.Sprint(job))
		i := slices.Index(words, "state")
		return i >= 0 && !slices.Contains([]string{"success", "failed", "cancelled"}, words[i+1])
	})
}

// halfway reports whether a slot is open with keys on both sides.
func (r *rig) halfway(tr *trial) bool {
	return slices.ContainsFunc(tr.slots, func(slot int) bool {
		return !slices.ContainsFunc(tr.ends[:], func(n *lab.Node) bool {
			keys, _ := r.ask(n, "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot))
			count, _ := keys.(int64)
			s, err := r.self(n)
			open := slices.ContainsFunc(s.open, func(word string) bool { return strings.HasPrefix(word, fmt.Sprintf("[%d-", slot)) })
			r.note(fmt.Sprintf("%s has %d keys of slot %d; open %v", n.Addr(), count, slot, s.open))
			return err != nil || !open || count == 0
		})
	})
}

// silent reports whether nobody writes from the fault until the repair: the
// successor of a source does not know of the move before Valkey 8, and lets
// clients make anew the keys that have moved out of its sight.
func (tr *trial) silent(r *rig) bool {
	return tr.fault.failover && !tr.fault.splits && strings.HasPrefix(tr.fault.name, "source") && strings.HasPrefix(r.c.Nodes()[0].Server().Name(), "redis")
}

// conflict is the exit code where keys have two values.
const conflict = 6

// decide holds that nothing is lost while nobody has decided between two values:
// what was acknowledged is on one side or the other. Then it decides.
func (r *rig) decide(tr *trial, o *outcome) (out string, code int) {
	for _, record := range tr.model.records {
		found, values := make(map[string]bool), make(map[string]bool)
		for _, n := range r.c.Nodes() {
			has := r.peek(n, record.read())
			for _, item := range has {
				found[item] = true
			}
			if len(has) > 0 {
				values[fmt.Sprint(has)] = true
			}
		}
		if len(values) > 1 {
			o.decided++
		}
		record.decide(found, o)
	}
	return r.run("fix", tr.seed, "--yes", "--conflict", "source")
}

// decide takes what either side has for the truth, if nothing is missing there.
// One side alone would not satisfy the model any more.
func (r *record) decide(found map[string]bool, o *outcome) {
	if !r.kind.appends() {
		if !slices.ContainsFunc(r.states, func(s state) bool { return s.value == "" || s.expires || found[s.value] }) {
			o.blame(1, "%s: neither side has what it was set to", r.key)
		}
		r.either = found
		return
	}
	lost := slices.DeleteFunc(slices.Clone(r.acked), func(v string) bool { return found[v] })
	if len(lost) > 0 {
		o.blame(len(lost), "%s: neither side has %q", r.key, lost)
	}
	r.acked, r.unknown = nil, found
}

// peek reads a key at a server, whether it owns the slot or imports it.
func (r *rig) peek(n *lab.Node, command []string) []string {
	conn, err := r.c.Open(r.t.Context(), n)
	if err != nil {
		return nil
	}
	defer conn.Close()
	replies, err := conn.Pipeline([]string{"ASKING"}, command)
	if err != nil {
		return nil
	}
	if value, ok := replies[1].(string); ok {
		return []string{value}
	}
	return items(replies[1])
}

// judge looks at what clients find, and at the cluster.
func (o *outcome) judge(r *rig, tr *trial) {
	found := tr.model.verify()
	o.lost += found.lost
	o.revived += found.revived
	o.problems = append(o.problems, found.problems...)
	o.counted, o.frail = tr.model.counted.Load(), tr.model.frail.Load()
	if out, code := r.check(tr); code != 0 {
		o.blame(0, "check: exit %d:\n%s", code, out)
	}
	if out, code := r.run(tr.repair, tr.seed, "--yes"); code != 0 || !strings.HasSuffix(out, "mutations:0\n") {
		o.blame(0, "a second %s changed something, exit %d:\n%s", tr.repair, code, out)
	}
	tr.model.clear()
}

// check is the last look at the cluster. Servers that were left alone with
// a job may have ended it just before, and others hear of that a moment later.
func (r *rig) check(tr *trial) (out string, code int) {
	limit := time.Duration(0)
	if tr.fault.atomic {
		limit = 5 * time.Second
	}
	await(limit, func() error {
		out, code = r.run("check", tr.seed)
		return exitError(code)
	})
	return out, code
}

// fresh gives a trial an empty directory.
func (r *rig) fresh(dir string) error {
	r.stage = dir
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(r.journals(), 0o700))
}
