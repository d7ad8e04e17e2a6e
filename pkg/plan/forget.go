package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ForgetOptions are the wishes for a node that the cluster is to forget.
type ForgetOptions struct {
	Node  cluster.NodeID
	Force bool // although it lives, and may come back
}

// ForgetNode plans that every member forgets a node that is gone, whether all or
// only some of them know it still.
func ForgetNode(s cluster.State, o ForgetOptions) (Plan, error) {
	p := Plan{Version: Version, Kind: KindForget}
	node, ok := s.Get(o.Node)
	if !ok {
		return Plan{}, refuse("there is no node %s", o.Node)
	}
	rest := others(s, o.Node)
	if r := p.mayForget(s, o, node, rest); r != nil {
		return Plan{}, r
	}
	p.enlist(rest...)
	p.enlist(node)
	step := Step{Action: Forget, Node: node.ID}
	if o.Force && !gone(s, node) {
		step.Watch = true
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is alive and may come back: after a minute the others are asked once more", node.Addr))
	}
	p.Steps = []Step{step}
	if half := Knowing(s, node.ID); len(half) < len(rest) {
		p.Reasons = append(p.Reasons, fmt.Sprintf("%d of %s still know %s", len(half), count(len(rest), "node"), node.Addr))
	}
	p.thinOut(s, node)
	return p.stamp(), nil
}

// gone reports whether a node is dead, or a stranger that was reset.
func gone(s cluster.State, node cluster.Member) bool {
	return alone(node) || !node.Reachable() && Dead(s, node.ID)
}

func (p *Plan) mayForget(s cluster.State, o ForgetOptions, node cluster.Member, rest []cluster.Member) *Refusal {
	slots := slotsSeen(s, node.ID)
	replicas := s.ReplicasOf(node.ID)
	switch {
	case len(rest) == 0:
		r := refuse("nobody but %s answers: there is no cluster that could forget it", node.Addr)
		r.Hint = "name another node of the cluster as SEED"
		return r
	case !node.Reachable() && !slots.Empty():
		return ownerIsDead(s, node, slots)
	case !slots.Empty():
		r := refuse("%s has %s: %s", node.Addr, count(slots.Len(), "slot"), slots)
		r.Hint = "trib del-node --drain moves them away and removes the node"
		return r
	case replicas != nil:
		r := refuse("%s replicate %s", addrs(replicas), node.Addr)
		r.Hint = "trib del-node gives them another master; trib replicate does so one by one"
		return r
	case !o.Force && !gone(s, node):
		r := refuse("%s is alive: it would come back", node.Addr)
		r.Hint = "trib del-node resets it as well; --force tries without"
		return r
	}
	return p.cannotBeTold(s, node)
}
