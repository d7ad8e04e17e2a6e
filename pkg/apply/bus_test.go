package apply

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// viewsWithout are the views of the first n nodes, in which links are missing:
// "ab" is the one from a to b. A small letter stands for a node that is known
// and not linked, a capital one for a node that is in handshake.
func viewsWithout(t *testing.T, n int, missing string) ([]plan.Node, map[cluster.NodeID]cluster.View) {
	t.Helper()
	var nodes []plan.Node
	for i := range n {
		id := cluster.NodeID(strings.Repeat(string("abcdef"[i]), 40))
		nodes = append(nodes, plan.Node{ID: id, Addr: cluster.Addr{Host: string("abcdef"[i]), Port: 7000 + i}})
	}
	views := make(map[cluster.NodeID]cluster.View)
	for _, from := range nodes {
		text := ""
		for _, to := range nodes {
			pair := from.Addr.Host + to.Addr.Host
			id, flags, link := to.ID, "master", "connected"
			switch {
			case from.ID == to.ID:
				flags = "myself,master"
			case strings.Contains(missing, pair):
				link = "disconnected"
			case strings.Contains(missing, from.Addr.Host+strings.ToUpper(to.Addr.Host)):
				id, flags = cluster.NodeID(strings.Repeat("0", 39)+to.Addr.Host), "handshake"
			}
			text += fmt.Sprintf("%s %s:%d@%d %s - 0 0 1 %s\n", id, "10.0.0.1", to.Addr.Port, to.Addr.Port+10000, flags, link)
		}
		v, err := cluster.ParseNodes(text)
		if err != nil {
			t.Fatal(err)
		}
		views[from.ID] = v
	}
	return nodes, views
}

func TestUnreached(t *testing.T) {
	tests := []struct {
		name    string
		nodes   int
		missing string
		want    []string
	}{
		{"all reach all", 3, "", nil},
		{"a single node", 1, "", nil},
		{"one direction", 3, "ab", []string{"a:7000 does not reach b:7001 on bus port 17001"}},
		{"in handshake", 3, "aB", []string{"a:7000 does not reach b:7001 on bus port 17001"}},
		{"several", 4, "ab ac", []string{"a:7000 does not reach b:7001 on bus port 17001, nor 1 more"}},
		{"nobody reaches it", 3, "aC bc", []string{"no other node reaches c:7002 on its bus port 17002"}},
		{"it reaches nobody", 3, "ca cb", []string{"c:7002 reaches no other node's bus port"}},
		{"cut off", 4, "ad bd cd da db dc", []string{"no other node reaches d:7003 on its bus port 17003", "d:7003 reaches no other node's bus port"}},
		{"two halves", 4, "ac ad bc bd ca cb da db", []string{
			"a:7000 does not reach c:7002 on bus port 17002, nor 1 more", "b:7001 does not reach c:7002 on bus port 17002, nor 1 more",
			"c:7002 does not reach a:7000 on bus port 17000, nor 1 more", "d:7003 does not reach a:7000 on bus port 17000, nor 1 more",
		}},
		{"two nodes", 2, "ab", []string{"no other node reaches b:7001 on its bus port 17001"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, unreached(viewsWithout(t, tt.nodes, tt.missing))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnreachedIsBounded: a large cluster does not fill the screen.
func TestUnreachedIsBounded(t *testing.T) {
	var nodes []plan.Node
	views := make(map[cluster.NodeID]cluster.View)
	for i := range 50 {
		n := plan.Node{ID: cluster.NodeID(fmt.Sprintf("%040x", i)), Addr: cluster.Addr{Host: "h", Port: i + 1}}
		nodes, views[n.ID] = append(nodes, n), cluster.View{}
	}
	if got := unreached(nodes, views); len(got) != maxUnreached+1 || got[maxUnreached] != "40 more of that kind" {
		t.Errorf("%d sentences, the last one %q", len(got), got[len(got)-1])
	}
}

// TestChords promises of the sparse scheme that one round connects everybody
// with everybody over a few others, that it takes no more than 2 log n MEETs of
// each node, and that rounds alone, without any gossip, bring everybody together.
func TestChords(t *testing.T) {
	for _, n := range []int{2, 3, 201, 500} {
		r := &runner{}
		for i := range n {
			r.p.Nodes = append(r.p.Nodes, plan.Node{ID: cluster.NodeID(fmt.Sprintf("%040x", i)), Addr: cluster.Addr{Host: "h", Port: i + 1}})
		}
		met := make([]map[int]bool, n)
		for i := range met {
			met[i] = map[int]bool{i: true}
		}
		rounds, total := 0, 0
		for ; total < n*n-n; rounds++ {
			sent := 0
			for i := range n {
				var strangers []plan.Node
				for j, other := range r.p.Nodes {
					if !met[i][j] {
						strangers = append(strangers, other)
					}
				}
				for _, other := range r.chords(i, strangers) {
					j := other.Addr.Port - 1
					if sent++; !met[i][j] {
						total += 2
					}
					met[i][j], met[j][i] = true, true
				}
			}
			if rounds == 0 && reach(met) > 6 {
				t.Errorf("%d nodes: %d hops after one round", n, reach(met))
			}
			if sent > n*12 {
				t.Errorf("%d nodes: %d commands in one round", n, sent)
			}
		}
		t.Logf("%d nodes: %d rounds without gossip", n, rounds)
	}
}

// reach is over how many hops the first node has heard of all.
func reach(met []map[int]bool) int {
	known := map[int]bool{0: true}
	for hops := 0; ; hops++ {
		if len(known) == len(met) {
			return hops
		}
		next := make(map[int]bool)
		for i := range known {
			for j := range met[i] {
				next[j] = true
			}
		}
		known = next
	}
}
