package chaos_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
)

// fault is one way to hurt a move of slots. strike is called while trib stands
// still before or after a MIGRATE, with keys of a slot on both sides; what it
// returns puts right what does not mend by itself, and runs beside trib.
type fault struct {
	name     string
	failover bool // a replica takes over
	byKill   bool // because its master was killed
	ends     bool // for trib itself
	splits   bool // keys may come to have two values, of which trib must choose none
	atomic   bool // the servers move the slots by themselves
	strike   func(*rig, *trial) (mend func() error, err error)
}

// faults are all of them; those of nodes are for source and target.
func faults() []fault {
	all := []fault{
		{name: "trib killed", ends: true, strike: killTrib},
		{name: "trib interrupted", ends: true, strike: interruptTrib},
		{name: "second trib", strike: secondTrib},
		{name: "reply of MIGRATE late", strike: mischief(source, chaos.Mischief{Command: "MIGRATE", Hold: 2 * time.Second})},
		{name: "reply of MIGRATE lost", strike: mischief(source, chaos.Mischief{Command: "MIGRATE", Lose: true})},
		{name: "reply of RESTORE late", strike: mischief(target, chaos.Mischief{Command: "RESTORE-ASKING", Hold: nodeTimeout / 2})},
		{name: "reply of RESTORE lost", strike: mischief(target, chaos.Mischief{Command: "RESTORE-ASKING", Lose: true})},
		{name: "target out of memory", strike: fillMemory},
		{name: "reply of RESTORE lost, then trib killed", ends: true, splits: true, strike: orphanCopy},
		{name: "source killed, clients go on", failover: true, byKill: true, splits: true, strike: killNode(source)},
	}
	for _, s := range []side{source, target} {
		all = append(all, ofNodes(s)...)
		all = append(all, fault{name: s.String() + " paused", strike: pauseNode(s)})
	}
	return append(all, ofJobs()...)
}

// ofNodes are what may happen to one end of a move.
func ofNodes(s side) []fault {
	return []fault{
		{name: s.String() + " killed", failover: true, byKill: true, strike: killNode(s)},
		{name: s.String() + " killed, then trib", failover: true, byKill: true, ends: true, strike: both(killNode(s), killTrib)},
		{name: s.String() + " failed over", failover: true, strike: failOver(s)},
		{name: s.String() + " paused for long", failover: true, strike: pauseLong(s)},
		{name: s.String() + " killed and restarted", strike: restartNode(s)},
	}
}

// ofJobs are what may happen while servers move slots by themselves.
func ofJobs() []fault {
	all := []fault{
		{name: "trib killed", ends: true, strike: killTrib},
		{name: "trib interrupted", ends: true, strike: interruptTrib},
		{name: "second trib", strike: secondTrib},
		{name: "target out of memory", strike: fillMemory},
	}
	all = slices.Concat(all, ofNodes(source), ofNodes(target))
	for i := range all {
		all[i].name, all[i].atomic = atomicMark+all[i].name, true
	}
	return all
}

// atomicMark begins the names of faults that hit a job of the servers.
const atomicMark = "job: "

// atomicServer reports whether a server of the matrix moves slots by itself.
func atomicServer(name string) bool { return name == "valkey-9.1" }

// mayConflict reports whether keys may be found with two values that differ. A
// source that is killed or stopped in a MIGRATE has not passed on that it has
// deleted the keys, or copies them when it goes on; clients write to its
// successor meanwhile.
func (f fault) mayConflict() bool {
	return f.splits || f.failover && !f.atomic && f.victim() == source.String()
}

// victim is the node that is hit, if one is.
func (f fault) victim() string {
	for _, s := range []side{source, target} {
		if strings.HasPrefix(strings.TrimPrefix(f.name, atomicMark), s.String()) {
			return s.String()
		}
	}
	return ""
}

// side is an end of a move.
type side int

const (
	source side = iota
	target
)

func (s side) String() string { return [...]string{"source", "target"}[s] }

func nothing() error { return nil }

func killTrib(_ *rig, tr *trial) (func() error, error) {
	return nothing, tr.worker.cmd.Process.Kill()
}

func interruptTrib(_ *rig, tr *trial) (func() error, error) {
	return nothing, tr.worker.cmd.Process.Signal(syscall.SIGINT)
}

// both lets one fault follow on the other. The second one needs no mending.
func both(first, second func(*rig, *trial) (func() error, error)) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		mend, err := first(r, tr)
		_, also := second(r, tr)
		return mend, errors.Join(err, also)
	}
}

// secondTrib starts another operator, who has to leave the cluster alone.
func secondTrib(r *rig, tr *trial) (func() error, error) {
	if out, code := r.run("resume", tr.seed, "--yes"); code != 4 {
		return nothing, fmt.Errorf("a second trib: exit %d:\n%s", code, out)
	}
	return nothing, nil
}

// mischief is done to one reply that passes the relay of one end.
func mischief(at side, m chaos.Mischief) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		relay := r.relays[tr.ends[at]]
		relay.Arm(m)
		return func() error {
			<-tr.worker.ended
			if !relay.Disarm() {
				return fmt.Errorf("no %s came", m.Command)
			}
			return nil
		}, nil
	}
}

// orphanCopy leaves keys on both sides, of which clients go on to change the
// source's: the target has them, the source does not know it, and whoever could
// have told is gone.
func orphanCopy(r *rig, tr *trial) (func() error, error) {
	from, to := r.relays[tr.ends[source]], r.relays[tr.ends[target]]
	from.Arm(chaos.Mischief{Command: "MIGRATE", Hold: 10 * time.Second})
	to.Arm(chaos.Mischief{Command: "RESTORE-ASKING", Lose: true})
	return func() error {
		err := await(10*time.Second, func() error { return done(to) })
		from.Disarm()
		to.Disarm()
		return errors.Join(err, tr.worker.cmd.Process.Kill())
	}, nil
}

func done(relay *chaos.Relay) error {
	if !relay.Done() {
		return errors.New("the command has not come")
	}
	return nil
}

// fillMemory leaves the target no room.
func fillMemory(r *rig, tr *trial) (func() error, error) {
	_, err := r.ask(tr.ends[target], "CONFIG", "SET", "maxmemory", "1")
	return func() error {
		<-tr.worker.ended
		_, err := r.ask(tr.ends[target], "CONFIG", "SET", "maxmemory", "0")
		return err
	}, err
}

// succeeded waits until the other server of a shard has taken over.
func (r *rig) succeeded(n *lab.Node) error {
	return await(20*time.Second, func() error {
		s, err := r.self(r.follower(n))
		if err == nil && !(s.master && len(s.slots) > 0) {
			err = fmt.Errorf("%s has not taken over", r.follower(n).Addr())
		}
		return err
	})
}

func killNode(at side) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		n := tr.ends[at]
		return func() error {
			return errors.Join(r.succeeded(n), n.Restart(r.t.Context()))
		}, n.Kill()
	}
}

func restartNode(at side) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		n := tr.ends[at]
		return func() error { return n.Restart(r.t.Context()) }, n.Kill()
	}
}

func failOver(at side) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		n := tr.ends[at]
		_, err := r.ask(r.follower(n), "CLUSTER", "FAILOVER")
		return func() error { return r.succeeded(n) }, err
	}
}

func pauseNode(at side) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		n := tr.ends[at]
		return func() error {
			time.Sleep(nodeTimeout / 3)
			return n.Resume()
		}, n.Pause()
	}
}

func pauseLong(at side) func(*rig, *trial) (func() error, error) {
	return func(r *rig, tr *trial) (func() error, error) {
		n := tr.ends[at]
		return func() error { return errors.Join(r.succeeded(n), n.Resume()) }, n.Pause()
	}
}
