package chaos_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// Commands that change something, of a cluster of six. A second round of MEET
// only adds to those of add-node.
const (
	addCommands = 2*6 + 1 // everybody meets the node, the node everybody; REPLICATE
	delCommands = 1 + 6 + 1
)

// TestKillMembers is promise P3 for add-node and del-node on real servers: a
// node joins as a replica, and leaves; each is ended by SIGKILL at every command
// that changes something, in every phase, with writers at work; the same command
// again ends healthy.
func TestKillMembers(t *testing.T) {
	servers := []string{labtest.Default}
	if *every == 1 {
		servers = append(servers, "valkey-8.1", "valkey-9.1") // these pass on whom they have forgotten
	}
	for _, name := range servers {
		t.Run(name, func(t *testing.T) { killMembers(t, name) })
	}
}

func killMembers(t *testing.T, name string) {
	l := labtest.Start(t, labtest.Options{Server: name, Nodes: 7})
	c := labtest.Form(t, l, 3, 3)
	w := newWriters(c, keysToMove())
	m := &newcomer{c: c, node: l.Nodes()[6]}
	points, survived, trial := 0, 0, 0
	for at := 1; at <= max(addCommands, delCommands); at++ {
		for _, phase := range chaos.Phases() {
			// Every point takes seconds: make test tries a few.
			if trial++; *every > 1 && trial%(5**every) != 0 {
				continue
			}
			points++
			if m.comeAndGo(t, w, &chaos.Fuse{At: at, Phase: phase}, trial) {
				survived++
			}
		}
	}
	t.Logf("%d of %d kill points survived, %d acknowledged writes, %d of unknown outcome, %d refused",
		survived, points, w.count(), len(w.unknown), w.refused)
}

// TestMemberCommandsArePinned keeps the number of kill points honest.
func TestMemberCommandsArePinned(t *testing.T) {
	l := labtest.Start(t, labtest.Options{Nodes: 7})
	m := &newcomer{c: labtest.Form(t, l, 3, 3), node: l.Nodes()[6]}
	for i, args := range [][]string{m.add(), m.del()} {
		out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, args...)
		var got int
		fmt.Sscanf(out[strings.LastIndex(out, "mutations:"):], "mutations:%d", &got)
		want := []int{addCommands, delCommands}[i]
		if code != 0 || got < want || i == 1 && got != want {
			t.Errorf("exit %d and %d commands, want 0 and %d:\n%s", code, got, want, out)
		}
	}
}

// newcomer is a node that comes and goes.
type newcomer struct {
	c    *labtest.Cluster
	node *lab.Node
}

func (m *newcomer) add() []string {
	return []string{"add-node", m.node.Addr(), m.c.Masters[1].Addr(), "--replica", "--master-id", m.c.Masters[0].ID, "--yes"}
}

func (m *newcomer) del() []string {
	return []string{"del-node", m.c.Masters[1].Addr(), m.node.Addr(), "--yes"}
}

// comeAndGo adds the node and removes it, each killed at the fuse's point.
func (m *newcomer) comeAndGo(t *testing.T, w *writers, fuse *chaos.Fuse, trial int) bool {
	t.Helper()
	ok := true
	for i, args := range [][]string{m.add(), m.del()} {
		size := []int{7, 6}[i]
		fail := func(format string, a ...any) bool {
			t.Errorf("%s, command %d, %s: %s", args[0], fuse.At, fuse.Phase, fmt.Sprintf(format, a...))
			return false
		}
		w.start(t.Context(), 3, 2*trial+i)
		time.Sleep(10 * time.Millisecond)
		first, code, killed := trib(t, &chaos.Fuse{At: fuse.At, Phase: fuse.Phase}, args...)
		if !killed && code != 0 {
			ok = fail("the tool was not killed, exit %d:\n%s", code, first)
		}
		out, code, _ := trib(t, &chaos.Fuse{Phase: chaos.Before}, args...)
		w.end()
		if code != 0 {
			return fail("again: exit %d:\n%s", code, out)
		}
		if problems := w.verify(t); len(problems) > 0 {
			ok = fail("%q", problems)
		}
		out, code, _ = trib(t, &chaos.Fuse{Phase: chaos.Before}, args...)
		if code != 0 || !strings.HasSuffix(out, "mutations:0\n") {
			ok = fail("once more changed something, exit %d:\n%s", code, out)
		}
		ok = m.counted(t, size, fail) && healthy(t, m.c, fail) && ok
	}
	return ok
}

// counted holds how many nodes everybody knows.
func (m *newcomer) counted(t *testing.T, size int, fail func(string, ...any) bool) bool {
	t.Helper()
	for _, member := range m.c.Members() {
		info := m.c.Text(t, member.Node, "CLUSTER", "INFO")
		if !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r\n", size)) {
			return fail("%s does not know %d nodes:\n%s", member.Addr(), size, info)
		}
	}
	return true
}
