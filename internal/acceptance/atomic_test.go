package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// held is a cluster of Valkey 9.1 of which a master writes a dump for some
// seconds: a job that takes slots away from it waits for that, and can be caught
// in the middle.
type held struct {
	*labtest.Cluster
	treasure *treasure
	before   picture
	from, to server
}

const heldFor = 4 * time.Second

func hold(t *testing.T, replicas int, config ...string) *held {
	t.Helper()
	h := &held{Cluster: labtest.Form(t, labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3 + replicas, Config: config}), 3, replicas)}
	h.treasure = bury(t, h.Lab)
	h.before = look(t, h.Lab)
	h.from, h.to = h.before.masters()[0], h.before.masters()[1]
	h.stall(t)
	return h
}

func (h *held) stall(t *testing.T) {
	t.Helper()
	perKey := heldFor / time.Duration(dbSize(t, h.Lab, h.from.Node))
	h.Do(t, h.from.Node, "CONFIG", "SET", "rdb-key-save-delay", fmt.Sprint(perKey.Microseconds()))
	h.Do(t, h.from.Node, "BGSAVE")
}

// move begins to move slots, and returns when the source waits to hand them over.
func (h *held) move(t *testing.T, slots int) *run {
	t.Helper()
	r := how{}.start(t, between(h.from, h.to, slots, "--method", "atomic")...)
	labtest.Await(t, 10*time.Second, "the job waits", func() error {
		if r.over() {
			t.Fatalf("it ended too early: %v", r.wait(t))
		}
		jobs := fmt.Sprint(h.Do(t, h.from.Node, "CLUSTER", "GETSLOTMIGRATIONS"))
		if !strings.Contains(jobs, "waiting-to-snapshot") {
			return fmt.Errorf("jobs: %s", jobs)
		}
		return nil
	})
	return r
}

// TestAtomicKilled: the servers go on when trib is killed. Nobody gets in their
// way, and resume waits for them.
func TestAtomicKilled(t *testing.T) {
	t.Parallel()
	h := hold(t, 3)
	r := h.move(t, 100)
	r.signal(t, os.Kill)
	r.wait(t)
	unlocked(t, h.Lab)
	trib(t, "status", h.to.Addr()).exit(t, 0).prints(t, "are moving slots 0-99 by themselves .waiting-to-snapshot", "^-> trib resume")
	trib(t, between(h.from, h.to, 200, "--method", "classic")...).exit(t, 4).
		complains(t, "are moving slots 0-99 by themselves", "^hint: .*trib resume")
	trib(t, "failover", h.to.Addr(), h.Replicas[0].Addr(), "--yes").exit(t, 4).complains(t, "are moving slots 0-99 by themselves")
	trib(t, "resume", h.to.Addr(), "--yes").done(t, "that is waited for", "^Method: atomic", "^.OK. All 16384 slots covered")
	soonWhole(t, h.Lab).exactly(t, h.before, h.from.self.slots[:100], h.to.Addr())
	h.treasure.intact(t)
	trib(t, "resume", h.to.Addr(), "--yes").done(t, "nothing to resume")
}

// TestAtomicInterrupted: Ctrl-C cancels the job in hand, and nothing has moved.
func TestAtomicInterrupted(t *testing.T) {
	t.Parallel()
	h := hold(t, 0)
	r := h.move(t, 100)
	r.signal(t, os.Interrupt)
	signalled := time.Now()
	r.wait(t).exit(t, 5).complains(t, "^trib: stopped with .*interrupted$")
	if late := time.Since(signalled); late > 3*time.Second {
		t.Errorf("it ended %v after the signal", late)
	}
	soonWhole(t, h.Lab).exactly(t, h.before, nil, "")
	h.treasure.intact(t)
	trib(t, "status", h.to.Addr()).exit(t, 0).prints(t, "moving slots 0-99 .* came to nothing .cancelled", "No slot is open")
	trib(t, "check", h.to.Addr()).done(t)
}

// TestAtomicSourceKilled: the source dies in the middle. Its replica takes its
// place, with everything, and the cluster is in order.
func TestAtomicSourceKilled(t *testing.T) {
	t.Parallel()
	h := hold(t, 3)
	r := h.move(t, 100)
	if err := h.from.Kill(); err != nil {
		t.Fatal(err)
	}
	r.wait(t).exit(t, 5).complains(t, "^trib: stopped with ")
	labtest.Await(t, 20*time.Second, "the replica is promoted", func() error {
		if info := h.Text(t, h.to.Node, "CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") {
			return fmt.Errorf("%s", info)
		}
		return nil
	})
	h.treasure.client = h.Client() // the other one has a connection to the dead
	t.Cleanup(h.treasure.client.Close)
	h.treasure.intact(t)
	trib(t, "resume", h.to.Addr(), "--yes").done(t, "nothing to resume")
	if gained := len(ownSlots(t, h.Lab, h.to.Node)) - len(h.to.self.slots); gained != 0 {
		t.Errorf("the target has %d slots more", gained)
	}
}

// recovered waits until the nodes see that a cluster works of which one is dead.
func (h *held) recovered(t *testing.T, dead *lab.Node) {
	t.Helper()
	labtest.Await(t, 20*time.Second, "a replica is promoted", func() error {
		for _, n := range h.Nodes() {
			if n == dead {
				continue
			}
			if info := h.Text(t, n, "CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") {
				return fmt.Errorf("%s: %s", n.Addr(), info)
			}
		}
		return nil
	})
	h.treasure.client = h.Client() // the other one has a connection to the dead
	t.Cleanup(h.treasure.client.Close)
}

// owner has a slot, by what all but one see.
func (h *held) owner(t *testing.T, slot int, dead *lab.Node) server {
	t.Helper()
	p := look(t, h.Lab, dead)
	return p.at(p.owners()[slot])
}

// TestAtomicTargetKilled: the target dies in the middle, under writes. The slots are
// where they were, with every write, and the target's heir gets them next.
func TestAtomicTargetKilled(t *testing.T) {
	t.Parallel()
	h := hold(t, 3)
	c := count(t, h.Lab, 100)
	r := h.move(t, 100)
	must(t, h.to.Kill())
	r.wait(t).exit(t, 5).complains(t, "^trib: stopped with .*"+h.to.Addr()+": connect: connection refused", "^hint: trib resume "+h.from.Addr())
	h.recovered(t, h.to.Node)
	seed, heir := h.from.Addr(), h.owner(t, h.to.self.slots[0], h.to.Node)
	if got := ownSlots(t, h.Lab, h.from.Node); !slices.Equal(got, h.from.self.slots) {
		t.Errorf("the source has %d slots, and had %d", len(got), len(h.from.self.slots))
	}
	trib(t, "status", seed).done(t, "moving slots 0-99 from "+seed+".* came to nothing .failed: ", "No slot is open")
	trib(t, "resume", seed, "--yes").done(t, "nothing to resume")
	trib(t, "fix", seed, "--yes").done(t, "nothing to fix")
	trib(t, between(h.from, heir, 100, "--method", "atomic")...).done(t, "^Method: atomic", `^\[OK\] Moved 100 slots`)
	c.rest()
	c.right(t)
	h.treasure.intact(t)
}

// TestAtomicFailover: the source is failed over in the middle, under writes, with
// trib at work and with trib killed before. Nothing has moved, and nothing is left.
func TestAtomicFailover(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("trib killed ", killed), func(t *testing.T) {
			t.Parallel()
			h := hold(t, 3)
			c := count(t, h.Lab, 100)
			r := h.move(t, 100)
			if killed {
				r.signal(t, os.Kill)
				r.wait(t)
			}
			heir := h.Replicas[slices.IndexFunc(h.Masters, func(m *labtest.Member) bool { return m.ID == h.from.self.id })]
			h.Do(t, heir.Node, "CLUSTER", "FAILOVER")
			if !killed {
				r.wait(t).exit(t, 5).complains(t, "^trib: stopped with .*"+h.from.Addr()+" is not a master any more: slots 0-99 are with "+heir.Addr(), "^hint: trib resume")
			}
			labtest.Await(t, 20*time.Second, "the replica is the master", func() error {
				if got := look(t, h.Lab).owners()[0]; got != heir.Addr() {
					return fmt.Errorf("slot 0 is with %s", got)
				}
				return nil
			})
			soonWhole(t, h.Lab)
			unlocked(t, h.Lab)
			trib(t, "status", h.to.Addr()).done(t, "No slot is open")
			trib(t, "resume", h.to.Addr(), "--yes").done(t, "nothing to resume")
			trib(t, "fix", h.to.Addr(), "--yes").done(t, "nothing to fix")
			trib(t, "check", h.to.Addr()).done(t)
			trib(t, between(h.owner(t, 0, nil), h.to, 100, "--method", "atomic")...).done(t, "^Method: atomic", `^\[OK\] Moved 100 slots`)
			c.rest()
			c.right(t)
			h.treasure.intact(t)
		})
	}
}

// TestAtomicFull: a target without room says so, and nothing is lost or moved.
func TestAtomicFull(t *testing.T) {
	t.Parallel()
	l, keys := load(t, labtest.Options{Server: "valkey-9.1", Nodes: 3}, 0, 40, 50, 1000)
	before := look(t, l)
	m := before.masters()
	used := l.Text(t, m[1].Node, "INFO", "memory")
	bytes := 0
	fmt.Sscanf(used[strings.Index(used, "used_memory:"):], "used_memory:%d", &bytes)
	l.Do(t, m[1].Node, "CONFIG", "SET", "maxmemory", fmt.Sprint(bytes+500_000))
	trib(t, between(m[0], m[1], 40)...).exit(t, 5).complains(t, "Ran out of memory")
	soonWhole(t, l).exactly(t, before, nil, "")
	loaded(t, l, keys, 1000)
}

// TestAtomicPassword: a source that has no password for the others is found out
// before anything is begun.
func TestAtomicPassword(t *testing.T) {
	t.Parallel()
	const password = "sesame"
	l := labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3, Password: password})
	env := how{env: []string{"TRIB_PASSWORD=" + password}}
	env.run(t, append([]string{"create", "--yes"}, l.Addrs()...)...).exit(t, 0)
	m := look(t, l).masters()
	env.run(t, between(m[0], m[1], 10, "--method", "atomic")...).done(t, "^Method: atomic")
	for _, s := range m {
		l.Do(t, s.Node, "CONFIG", "SET", "primaryauth", "")
	}
	env.run(t, between(m[0], m[1], 10, "--method", "atomic")...).exit(t, 4).complains(t, "demands a password and .* has none to show .primaryauth.")
	r := env.run(t, between(m[0], m[1], 10)...).done(t, "^Method: classic, since .*primaryauth")
	if strings.Contains(r.out+r.err, password) {
		t.Error("the password is shown")
	}
}

// TestAtomicUnderWrites: every write that was acknowledged while slots went to
// and fro is there, once.
func TestAtomicUnderWrites(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 6})
	c := labtest.Form(t, l, 3, 3)
	m := look(t, l).masters()
	keys := keysFor(func(slot int) int {
		if slot < 300 {
			return 1
		}
		return 0
	})
	acked, unknown := make(map[string]int), 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		client := l.Client()
		defer client.Close()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := keys[i%len(keys)]
			switch client.Do(t.Context(), key, "INCR", key).Outcome {
			case labtest.Acknowledged:
				acked[key]++
			case labtest.Refused:
			default:
				unknown++
			}
		}
	}()
	trib(t, between(m[0], m[1], 300, "--method", "atomic", "--max-pause", "2ms")...).done(t, "^.OK. Moved 300 slots")
	trib(t, between(m[1], m[0], 300, "--method", "atomic")...).exit(t, 0)
	close(stop)
	<-stopped
	client, sum := l.Client(), 0
	defer client.Close()
	for _, key := range keys {
		n := 0
		fmt.Sscan(fmt.Sprint(client.Do(t.Context(), key, "GET", key).Reply), &n)
		if n < acked[key] || n > acked[key]+unknown {
			t.Errorf("%s is %d; %d were acknowledged, and %d of all have an unknown outcome", key, n, acked[key], unknown)
		}
		sum += n
	}
	if sum < 100 {
		t.Errorf("no more than %d writes", sum)
	}
	t.Logf("%d writes, %d with an unknown outcome", sum, unknown)
	for i, r := range c.Replicas[:2] {
		if got := dbSize(t, l, r.Node); got != dbSize(t, l, c.Masters[i].Node) {
			t.Errorf("replica %s has %d keys", r.Addr(), got)
		}
	}
}

// forbidding is a module that does not say that it can stand slots which come and
// go by themselves. It needs nothing of the server's headers.
const forbidding = `
int ValkeyModule_OnLoad(void *ctx, void **argv, int argc) {
	int (*find)(const char *, void *) = (int (*)(const char *, void *))*(void **)ctx;
	int (*name)(void *, const char *, int, int);
	if (find("ValkeyModule_SetModuleAttribs", &name) != 0) return 1;
	name(ctx, "stubborn", 1, 1);
	return 0;
}
`

// TestAtomicModule: a module that forbids it is found before anything is begun, at
// either end.
func TestAtomicModule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, module := filepath.Join(dir, "stubborn.c"), filepath.Join(dir, "stubborn.so")
	if err := os.WriteFile(source, []byte(forbidding), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", module, source).CombinedOutput(); err != nil {
		t.Skipf("no compiler for a module here: %v: %s", err, out)
	}
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3, Config: []string{"enable-module-command yes"}}), 3, 0)
	h := bury(t, c.Lab)
	m := look(t, c.Lab).masters()
	trib(t, between(m[0], m[1], 5, "--method", "atomic")...).done(t, "^Method: atomic")
	c.Do(t, m[0].Node, "MODULE", "LOAD", module)
	for _, ends := range [][2]server{{m[0], m[1]}, {m[1], m[0]}} {
		before := memory(t, c.Lab)
		trib(t, between(ends[0], ends[1], 5, "--method", "atomic")...).exit(t, 4).
			complains(t, m[0].Addr()+" has loaded what forbids it: module stubborn", "^hint: --method auto")
		untouched(t, c.Lab, before)
		trib(t, between(ends[0], ends[1], 5)...).done(t, "^Method: classic, since .*module stubborn", `^\[OK\] Moved 5 slots`)
	}
	h.intact(t)
}
