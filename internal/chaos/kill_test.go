package chaos_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/cli"
	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// every is which kill points are tried: all of them by make prove, every third
// one by make test.
var every = flag.Int("every", 3, "try every n-th kill point")

// The test binary is also the tool: with this variable set it is trib, with the
// fuse that the variable describes.
const asTool = "TRIB_TEST_FUSE"

func TestMain(m *testing.M) {
	if setting, ok := os.LookupEnv(asTool); ok {
		os.Exit(tool(setting))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func tool(setting string) int {
	fuse, err := chaos.ParseFuse(setting)
	if err != nil {
		panic(err)
	}
	fuse.Blow = killMyself
	if os.Getenv(stopping) != "" {
		fuse.Blow = askParent
	}
	app := cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	app.NewDialer = func(config.Connection) driver.Dialer {
		return goredis.New(goredis.Options{DialContext: fuse.DialContext})
	}
	code := cli.Main(context.Background(), app, os.Args[1:])
	fmt.Fprintf(os.Stdout, "\nmutations:%d\n", fuse.Count())
	return code
}

// trib runs the tool; a fuse that blew shows as killed.
func trib(t *testing.T, fuse *chaos.Fuse, args ...string) (out string, code int, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	// No journal survives: what is resumed is what the cluster says.
	cmd.Env = append(os.Environ(), asTool+"="+fuse.Setting(), "TRIB_STATE_DIR="+t.TempDir())
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status, _ := exit.Sys().(syscall.WaitStatus)
		return string(text), exit.ExitCode(), status.Signaled() && status.Signal() == syscall.SIGKILL
	case err != nil:
		t.Fatal(err)
	}
	return string(text), 0, false
}

const (
	slotsMoved  = 3
	keysPerSlot = 25
	keysPerMove = 10
	// mutations of a reshard of three slots in one window: open at both ends, three
	// batches each, guard, claim and release.
	mutations = slotsMoved * (2 + 3 + 2)
)

func tagged(slot int) string {
	for i := 0; ; i++ {
		if tag := fmt.Sprintf("{t%d}", i); labtest.Slot(tag) == slot {
			return tag
		}
	}
}

func keysToMove() []string {
	var keys []string
	for slot := range slotsMoved {
		tag := tagged(slot)
		for i := range keysPerSlot {
			keys = append(keys, fmt.Sprintf("%s%d", tag, i))
		}
	}
	return keys
}

// TestKillEverywhere is promise P1 and P3 on real servers: a move of slots is
// ended by SIGKILL at every command that changes something, in every phase, with
// writers at work; one resume ends healthy, and no acknowledged write is lost.
func TestKillEverywhere(t *testing.T) {
	for _, k := range []struct {
		command, server string
		thin            int // of the points that -every leaves, try every n-th
		kill            func(*testing.T, *labtest.Cluster, *writers, *chaos.Fuse, int) bool
	}{
		{"reshard", "redis-7.0", 1, killOnce},
		{"reshard", "valkey-8.1", 2, killOnce},
		{"drain", "redis-7.0", 2, killDrain},
		{"drain", "valkey-8.1", 4, killDrain},
	} {
		t.Run(k.command+"/"+k.server, func(t *testing.T) {
			step := *every
			if step > 1 {
				step *= k.thin
			}
			killAll(t, k.server, step, k.kill)
		})
	}
}

// killAll lets slots go back and forth between two masters with a replica each.
func killAll(t *testing.T, server string, step int, kill func(*testing.T, *labtest.Cluster, *writers, *chaos.Fuse, int) bool) {
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: server, Nodes: 6}), 3, 3)
	w := newWriters(c, keysToMove())
	w.start(t.Context(), 3, 0)
	time.Sleep(2 * keysPerSlot * slotsMoved * time.Millisecond)
	w.end()

	points, survived, trial := 0, 0, 0
	for at := 1; at <= mutations; at++ {
		for _, phase := range chaos.Phases() {
			if trial++; trial%step != 0 {
				continue
			}
			points++
			if kill(t, c, w, &chaos.Fuse{At: at, Phase: phase}, trial) {
				survived++
			}
		}
	}
	t.Logf("%d of %d kill points survived, %d acknowledged writes, %d of unknown outcome, %d refused",
		survived, points, w.count(), len(w.unknown), w.refused)
}

// killDrain drains a master that has the slots and no others. It stays a master
// without them, and gets them back afterwards.
func killDrain(t *testing.T, c *labtest.Cluster, w *writers, fuse *chaos.Fuse, trial int) bool {
	t.Helper()
	seed := c.Masters[2].Addr()
	fail := func(format string, args ...any) bool {
		t.Errorf("command %d, %s: %s", fuse.At, fuse.Phase, fmt.Sprintf(format, args...))
		return false
	}
	must := func(args ...string) bool {
		out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, args...)
		return code == 0 || fail("%v: exit %d:\n%s", args, code, out)
	}
	for _, n := range c.Nodes() {
		c.Do(t, n, "CONFIG", "SET", "cluster-allow-replica-migration", "no")
	}
	if !must("reshard", seed, "--to", seed, "--slots-list", fmt.Sprintf("%d-5460", slotsMoved), "--yes") ||
		!must("reshard", seed, "--to", c.Masters[0].ID, "--slots-list", fmt.Sprintf("0-%d", slotsMoved-1), "--yes") {
		return false
	}
	drain := []string{"drain", seed, c.Masters[0].ID, "--to", c.Masters[1].ID, "--pipeline", fmt.Sprint(keysPerMove), "--yes"}
	w.start(t.Context(), 3, trial)
	time.Sleep(20 * time.Millisecond)
	out, code, killed := trib(t, fuse, drain...)
	if !killed && !(fuse.Phase == chaos.Replied && code == 0) {
		w.end()
		return fail("the tool was not killed, exit %d:\n%s", code, out)
	}
	// Half of the trials resume first, and all drain again.
	again := trial%2 == 0 || must("resume", seed, "--yes")
	again = again && must(drain...)
	w.end()
	if problems := w.verify(t); len(problems) > 0 {
		return fail("%q", problems)
	}
	return again && !ownsFirstSlots(t, c, 0) && healthy(t, c, fail)
}

// TestMutationsArePinned keeps the number of kill points honest.
func TestMutationsArePinned(t *testing.T) {
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0)
	w := newWriters(c, keysToMove())
	client := c.Client()
	defer client.Close()
	for _, key := range w.keys {
		w.write(client, key, "seed")
	}
	out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, reshardArgs(c, 0, 1)...)
	if want := fmt.Sprintf("mutations:%d\n", mutations); code != 0 || !strings.HasSuffix(out, want) {
		t.Errorf("reshard: exit %d, want 0 and %q at the end of:\n%s", code, want, out)
	}
}

func reshardArgs(c *labtest.Cluster, from, to int) []string {
	return []string{
		"reshard", c.Masters[2].Addr(), "--from", c.Masters[from].ID, "--to", c.Masters[to].ID,
		"--slots", fmt.Sprint(slotsMoved), "--pipeline", fmt.Sprint(keysPerMove), "--yes",
	}
}

// killOnce moves the slots away from whoever has them.
func killOnce(t *testing.T, c *labtest.Cluster, w *writers, fuse *chaos.Fuse, trial int) bool {
	t.Helper()
	from, to := 0, 1
	if ownsFirstSlots(t, c, 1) {
		from, to = 1, 0
	}
	fail := func(format string, args ...any) bool {
		t.Errorf("command %d, %s: %s", fuse.At, fuse.Phase, fmt.Sprintf(format, args...))
		return false
	}
	w.start(t.Context(), 3, trial)
	time.Sleep(20 * time.Millisecond)
	out, code, killed := trib(t, fuse, reshardArgs(c, from, to)...)
	if !killed && !(fuse.Phase == chaos.Replied && code == 0) {
		w.end()
		return fail("the tool was not killed, exit %d:\n%s", code, out)
	}
	out, code, _ = trib(t, &chaos.Fuse{Phase: chaos.Before}, "resume", c.Masters[2].Addr(), "--yes")
	w.end()
	if code != 0 {
		return fail("resume: exit %d:\n%s", code, out)
	}
	if problems := w.verify(t); len(problems) > 0 {
		return fail("%q", problems)
	}
	return healthy(t, c, fail)
}

func healthy(t *testing.T, c *labtest.Cluster, fail func(string, ...any) bool) bool {
	t.Helper()
	if out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, "check", c.Masters[2].Addr()); code != 0 {
		return fail("check: exit %d:\n%s", code, out)
	}
	out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, "resume", c.Masters[2].Addr(), "--yes")
	if code != 0 || !strings.HasSuffix(out, "mutations:0\n") {
		return fail("a second resume changed something, exit %d:\n%s", code, out)
	}
	return true
}

// ownsFirstSlots asks a master itself, without the engine.
func ownsFirstSlots(t *testing.T, c *labtest.Cluster, master int) bool {
	t.Helper()
	for line := range strings.Lines(c.Text(t, c.Masters[master].Node, "CLUSTER", "NODES")) {
		if strings.Contains(line, "myself") {
			fields := strings.Fields(line)
			return len(fields) > 8 && (strings.HasPrefix(fields[8], "0-") || fields[8] == "0")
		}
	}
	return false
}
