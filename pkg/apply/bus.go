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
	missing := make([][]plan.Node, len(nodes)) // by node: whom it does not reach
	shunned := make(map[cluster.NodeID]int)
	port := make(map[cluster.NodeID]int) // on which the others look for it
	for i, n := range nodes {
		v, answers := views[n.ID]
		if !answers {
			continue
		}
		missing[i] = unlinkedFrom(n, nodes, v)
		for _, m := range missing[i] {
			shunned[m.ID]++
			port[m.ID] = busPort(m, v)
		}
	}
	others := len(nodes) - 1
	var out []string
	for _, n := range nodes {
		if shunned[n.ID] == others {
			out = append(out, fmt.Sprintf("no other node reaches %s on its bus port %d", n.Addr, port[n.ID]))
		}
	}
	for i, n := range nodes {
		var said []plan.Node
		for _, m := range missing[i] {
			if shunned[m.ID] < others {
				said = append(said, m)
			}
		}
		switch {
		case len(said) == 0:
		case len(missing[i]) == others:
			out = append(out, fmt.Sprintf("%s reaches no other node's bus port", n.Addr))
		default:
			out = append(out, fmt.Sprintf("%s does not reach %s on bus port %d%s", n.Addr, said[0].Addr, port[said[0].ID], andMore(len(said)-1)))
		}
	}
	return atMost(maxUnreached, out)
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
