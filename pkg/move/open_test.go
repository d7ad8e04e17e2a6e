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
	master := line(old, "master", "-", "")
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
		{"somebody else's move", master, master, false, true, false},
		{"source failed over, both know", replica(source), replica(source), false, false, true},
		{"source failed over, the target has not heard", replica(source), master, true, false, true},
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
