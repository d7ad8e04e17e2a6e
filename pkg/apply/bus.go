package apply

import (
	"errors"
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// maxUnreached is how many sentences say who does not reach whom.
const maxUnreached = 10

// unreached says who does not reach whom over the cluster bus. Each node's own
// view tells the one direction: a node has a link of its own to every other one,
// and knows it only once that link has brought an answer. What holds for all
// others is said once. Nodes without a view are not spoken for.
func unreached(nodes []plan.Node, views map[cluster.NodeID]cluster.View) []string {
	g := gaps{others: len(nodes) - 1, shunned: make(map[cluster.NodeID]int), port: make(map[cluster.NodeID]int)}
	missing := make([][]plan.Node, len(nodes))
	for i, n := range nodes {
		if v, answers := views[n.ID]; answers {
			missing[i] = unlinkedFrom(n, nodes, v)
		}
		for _, m := range missing[i] {
			g.shunned[m.ID]++
			g.port[m.ID] = busPort(m, views[n.ID])
		}
	}
	var out []string
	for _, n := range nodes {
		if g.byAll(n) {
			out = append(out, fmt.Sprintf("no other node reaches %s on its bus port %d", n.Addr, g.port[n.ID]))
		}
	}
	for i, n := range nodes {
		if text := g.from(n, missing[i]); text != "" {
			out = append(out, text)
		}
	}
	return atMost(maxUnreached, out)
}

// gaps are the links that are missing.
type gaps struct {
	others  int                    // nodes beside any one
	shunned map[cluster.NodeID]int // by how many a node is not reached
	port    map[cluster.NodeID]int // on which they look for it
}

func (g gaps) byAll(n plan.Node) bool { return g.shunned[n.ID] > 0 && g.shunned[n.ID] == g.others }

// from says whom n does not reach, beside those whom nobody does.
func (g gaps) from(n plan.Node, missing []plan.Node) string {
	var left []plan.Node
	for _, m := range missing {
		if !g.byAll(m) {
			left = append(left, m)
		}
	}
	switch {
	case left == nil:
		return ""
	case len(missing) == g.others:
		return fmt.Sprintf("%s reaches no other node's bus port", n.Addr)
	}
	return fmt.Sprintf("%s does not reach %s on bus port %d%s", n.Addr, left[0].Addr, g.port[left[0].ID], andMore(len(left)-1))
}

func atMost(n int, texts []string) []string {
	if len(texts) <= n {
		return texts
	}
	return append(texts[:n:n], fmt.Sprintf("%d more of that kind", len(texts)-n))
}

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", nor %d more", n)
}

// unlinkedFrom are the nodes to which n has no link that works.
func unlinkedFrom(n plan.Node, nodes []plan.Node, v cluster.View) []plan.Node {
	linked := make(map[cluster.NodeID]bool, len(v.Nodes))
	for _, known := range v.Nodes {
		linked[known.ID] = known.Linked && !known.Flags.Has(cluster.FlagHandshake)
	}
	var out []plan.Node
	for _, other := range nodes {
		if other.ID != n.ID && !linked[other.ID] {
			out = append(out, other)
		}
	}
	return out
}

// busPort is where the one whose view it is looks for n; Redis 6.0 tells others
// an announced port and not the one who asks it.
func busPort(n plan.Node, seen cluster.View) int {
	for _, known := range seen.Nodes {
		if (known.ID == n.ID || known.Addr == n.Addr) && known.BusPort != 0 {
			return known.BusPort
		}
	}
	return n.Addr.Port + cluster.BusPortOffset
}

// onBus notes in the error of a wait that the cluster bus held it up.
func onBus(err error, blocked bool) error {
	if e, ok := errors.AsType[*WaitError](err); ok {
		e.Bus = blocked
	}
	return err
}
