package chaos_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestKillFix is promise P1 and P3 for fix on real servers: of three slots one is
// half moved and written to, one has no owner and keys on two nodes, and of the
// third some keys are on a node that does not own it. The repair is ended by
// SIGKILL at every command that changes something, in every phase. With its
// journal the next one, or resume, needs not be told again what to do.
func TestKillFix(t *testing.T) {
	servers := []string{labtest.Default}
	if *every == 1 {
		servers = append(servers, "valkey-8.1")
	}
	for _, server := range servers {
		t.Run(server, func(t *testing.T) {
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: server, Nodes: 3}), 3, 0)
			keys := keysToMove()
			w := wrecker{c: c, live: newWriters(c, keys[:keysPerSlot]), still: newWriters(c, keys[keysPerSlot:])}
			client := c.Client()
			for i, key := range keys {
				w.of(i/keysPerSlot).write(client, key, "seed")
			}
			client.Close()
			points, trial, step := 0, 0, 1
			if *every > 1 {
				step = 7 * *every
			}
			for at, reached := 1, true; reached; at++ {
				for _, phase := range chaos.Phases() {
					if trial++; trial%step == 0 {
						reached = w.kill(t, &chaos.Fuse{At: at, Phase: phase}, trial/step)
						points++
					}
				}
			}
			t.Logf("%d kill points, %d acknowledged writes", points, w.live.count()+w.still.count())
		})
	}
}

type wrecker struct {
	c           *labtest.Cluster
	live, still *writers // to the first slot all the time, and to the others before
}

func (w *wrecker) of(slot int) *writers {
	if slot == 0 {
		return w.live
	}
	return w.still
}

// wreck opens the three slots from the first master to the second and moves ten
// keys of each; the last two are closed again, and of one nobody is left owner.
func (w *wrecker) wreck(t *testing.T) {
	t.Helper()
	from, to := w.c.Masters[0], w.c.Masters[1]
	for slot := range slotsMoved {
		number := strconv.Itoa(slot)
		w.c.Do(t, to.Node, "CLUSTER", "SETSLOT", number, "IMPORTING", from.ID)
		w.c.Do(t, from.Node, "CLUSTER", "SETSLOT", number, "MIGRATING", to.ID)
		keys := w.of(slot).keys[max(0, slot-1)*keysPerSlot:][:keysPerMove]
		w.c.Do(t, from.Node, append([]string{"MIGRATE", to.Host(), strconv.Itoa(to.Port()), "", "0", "5000", "KEYS"}, keys...)...)
		if slot == 0 {
			continue
		}
		for _, m := range []*labtest.Member{from, to} {
			w.c.Do(t, m.Node, "CLUSTER", "SETSLOT", number, "STABLE")
		}
	}
	for _, m := range w.c.Masters {
		w.c.Do(t, m.Node, "CLUSTER", "DELSLOTS", "1")
	}
}

// kill reports whether the fuse was reached.
func (w *wrecker) kill(t *testing.T, fuse *chaos.Fuse, trial int) bool {
	t.Helper()
	seed, state := w.c.Masters[2].Addr(), t.TempDir()
	fail := func(format string, args ...any) bool {
		t.Errorf("command %d, %s: %s", fuse.At, fuse.Phase, fmt.Sprintf(format, args...))
		return false
	}
	must := func(args ...string) bool {
		out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, append(args, "--yes")...)
		return code == 0 || fail("%v: exit %d:\n%s", args, code, out)
	}
	w.wreck(t)
	w.live.start(t.Context(), 2, trial)
	out, code, killed := trib(t, fuse, "fix", seed, "--yes", "--foreign-keys", "adopt", "--pipeline", "5", "--state-dir", state)
	if !killed && code != 0 {
		w.live.end()
		return fail("it was not killed, exit %d:\n%s", code, out)
	}
	fine := true
	switch {
	case !killed:
	case trial%3 == 0: // from another host
		fine = must("fix", seed, "--foreign-keys", "adopt")
	case trial%3 == 1:
		fine = must("fix", seed, "--state-dir", state)
	default:
		fine = must("resume", seed, "--state-dir", state)
	}
	w.live.end()
	if problems := append(w.live.verify(t), w.still.verify(t)...); len(problems) > 0 {
		fine = fail("%q", problems)
	}
	out, code, _ = trib(t, &chaos.Fuse{Phase: chaos.Before}, "fix", seed, "--yes")
	if code != 0 || !strings.HasSuffix(out, "mutations:0\n") {
		fine = fail("fix once more: exit %d:\n%s", code, out)
	}
	return fine && must("reshard", seed, "--to", w.c.Masters[0].ID, "--slots-list", "0-2") && killed
}
