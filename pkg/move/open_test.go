package move

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
)

// TestMayOpenAfterFailover: whoever was failed over is known to its successor
// first; the other end of the move hears of it later, and is waited for.
func TestMayOpenAfterFailover(t *testing.T) {
	id := func(c string) cluster.NodeID { return cluster.NodeID(strings.Repeat(c, 40)) }
	source, target, old, stranger := id("a"), id("b"), id("c"), id("d")
	line := func(n cluster.NodeID, flags, master, rest string) string {
		return fmt.Sprintf("%s 10.0.0.%c:7000@17000 %s %s 0 0 1 connected %s\n", n, n[0]-'a'+'1', flags, master, rest)
	}
	replica := func(of cluster.NodeID) string { return line(old, "slave", string(of), "") }
	master, busy := line(old, "master", "-", ""), line(old, "master", "-", "30-40")
	view := func(t *testing.T, text string) cluster.View {
		v, err := cluster.ParseNodes(text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		name               string
		atSource, atTarget string // how they see the old node
		again, refused     bool
		fromImports        bool
	}{
		{"target failed over, both know", replica(target), replica(target), false, false, false},
		{"target failed over, the source has not heard", master, replica(target), true, false, false},
		{"target failed over, neither has heard", master, master, true, false, false},
		{"somebody else's move", busy, busy, false, true, false},
		{"source failed over, both know", replica(source), replica(source), false, false, true},
		{"source failed over, the target has not heard", replica(source), master, true, false, true},
		{"source failed over, neither has heard", master, master, true, false, true},
		{"somebody else's import", replica(stranger), replica(stranger), false, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slots, imports := fmt.Sprintf("0-9 [7->-%s]", old), ""
			if tt.fromImports {
				slots, imports = "0-9", fmt.Sprintf("[7-<-%s]", old)
			}
			m := &mover{
				src: &end{id: source, view: view(t, line(source, "myself,master", "-", slots)+line(target, "master", "-", "10-20")+tt.atSource)},
				dst: &end{id: target, view: view(t, line(target, "myself,master", "-", "10-20 "+imports)+line(source, "master", "-", "0-9")+tt.atTarget)},
			}
			err := m.mayOpen([]int{7})
			if err == nil {
				_, err = m.inherited([]int{7})
			}
			again := errors.Is(err, errLookAgain)
			if again != tt.again || !again && (err != nil) != tt.refused {
				t.Errorf("got %v, want another look %v, refused %v", err, tt.again, tt.refused)
			}
		})
	}
}

// TestWasReplacedBy: a dead node without slots may have been failed over, or never
// have had any.
func TestWasReplacedBy(t *testing.T) {
	old, next := strings.Repeat("c", 40), strings.Repeat("b", 40)
	for _, tt := range []struct {
		name       string
		flags      string
		epoch      int // of the old one; the other's is 5
		shard, her string
		want       bool
	}{
		{"failed over, on servers without shards", "master,fail", 3, "", "", true},
		{"never had slots", "master,fail", 0, "", "", false},
		{"newer than its successor", "master,fail", 6, "", "", false},
		{"one shard", "master,fail", 3, "s1", "s1", true},
		{"two shards", "master,fail", 3, "s1", "s2", false},
		{"one says no shard", "master,fail", 3, "", "s1", true},
		{"the other says none", "master,fail", 3, "s1", "", true},
		{"alive", "master", 3, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			aux := func(shard string) string {
				if shard == "" {
					return ""
				}
				return ",,shard-id=" + shard
			}
			text := strings.Repeat("a", 40) + " 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-9\n" +
				fmt.Sprintf("%s 10.0.0.2:7000@17000%s master - 0 0 5 connected 10-20\n", next, aux(tt.her)) +
				fmt.Sprintf("%s 10.0.0.3:7000@17000%s %s - 0 0 %d connected\n", old, aux(tt.shard), tt.flags, tt.epoch)
			v, err := cluster.ParseNodes(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := wasReplacedBy(v, cluster.NodeID(old), cluster.NodeID(next)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestTargetSeen: the target takes itself for the master of slots 10-20, with
// epoch 3.
func TestTargetSeen(t *testing.T) {
	id := func(c string) string { return strings.Repeat(c, 40) }
	self := id("b") + " 10.0.0.2:7000@17000 myself,master - 0 0 3 connected 10-20\n"
	for _, tt := range []struct {
		name, flags, master string
		epoch               int
		slots               string
		heir                string // another node, as the source sees it
		want                error
	}{
		{"as it sees itself", "master", "-", 3, "10-20", "0 0 4 connected 30-40", nil},
		{"behind on its claims", "master", "-", 2, "10-15", "0 0 2 connected 16-20", nil},
		{"ahead, by the claims of other moves", "master", "-", 5, "10-25", "0 0 4 connected 30-40", nil},
		{"suspected", "master,fail?", "-", 3, "10-20", "0 0 4 connected 30-40", errDown},
		{"failed", "master,fail", "-", 3, "", "0 0 4 connected 10-20", errDown},
		{"back, and its successor has its slots", "master", "-", 3, "", "0 0 4 connected 10-20", errLookAgain},
		{"a replica", "slave", id("c"), 4, "", "0 0 4 connected 10-20", errLookAgain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atSource := id("a") + " 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-9\n" +
				fmt.Sprintf("%s 10.0.0.2:7000@17000 %s %s 0 0 %d connected %s\n", id("b"), tt.flags, tt.master, tt.epoch, tt.slots) +
				fmt.Sprintf("%s 10.0.0.3:7000@17000 master - %s\n", id("c"), tt.heir)
			src, err := cluster.ParseNodes(atSource)
			if err != nil {
				t.Fatal(err)
			}
			dst, err := cluster.ParseNodes(self)
			if err != nil {
				t.Fatal(err)
			}
			m := &mover{src: &end{id: src.Self().ID, view: src}, dst: &end{id: dst.Self().ID, view: dst}}
			if err := m.targetSeen(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
