package ui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// id is the id of node n: forty times its digit.
func id(n int) cluster.NodeID { return cluster.NodeID(strings.Repeat(fmt.Sprint(n), 40)) }

// node is one node of a state that tests describe.
type node struct {
	slots  string // with open slots in brackets
	master int    // whose replica it is; 0 for a master
	down   string // why it does not answer
	keys   int64
}

// stateOf makes a state in which everybody knows the truth. Node n has port
// 7000+n.
func stateOf(t *testing.T, nodes ...node) cluster.State {
	t.Helper()
	var s cluster.State
	for i, n := range nodes {
		m := cluster.Member{ID: id(i + 1), Addr: cluster.Addr{Host: "10.0.0.1", Port: 7001 + i}, Unreachable: n.down}
		if n.down == "" {
			view, err := cluster.ParseNodes(linesFor(nodes, i))
			if err != nil {
				t.Fatal(err)
			}
			m.View, m.ClusterOK, m.UsedMemory = view, true, 3<<20
			m.Server = cluster.Server{Flavor: "valkey", Version: "8.1.1"}
			m.Keyspace = []cluster.DBKeys{{DB: 0, Keys: n.keys}}
		}
		s.Members = append(s.Members, m)
	}
	return s
}

// linesFor is what node self prints: its own open slots and nobody else's.
func linesFor(nodes []node, self int) string {
	var b strings.Builder
	for i, n := range nodes {
		flags, master, slots := "master", "-", n.slots
		if n.master > 0 {
			flags, master = "slave", string(id(n.master))
		}
		if i == self {
			flags = "myself," + flags
		} else {
			slots, _, _ = strings.Cut(slots, "[")
		}
		fmt.Fprintf(&b, "%s 10.0.0.1:%d@%d %s %s 0 0 %d connected %s\n", id(i+1), 7001+i, 17001+i, flags, master, i+1, slots)
	}
	return b.String()
}

// render is the text of a page in plain style.
func render(write func(*Page)) string { return renderIn(Style{}, write) }

func renderIn(s Style, write func(*Page)) string {
	p := &Page{style: s}
	write(p)
	return p.text.String()
}
