package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// DelNodeOptions are the wishes for a node that is to leave its cluster.
type DelNodeOptions struct {
	Node  cluster.NodeID
	Drain bool             // move its slots away first
	To    []cluster.NodeID // masters that get the slots; empty for all others
	Zones Zones
}

// DelNode plans that a node leaves: its slots go elsewhere where that is wished
// for, its replicas to the masters that need them most, and it is made a
// stranger before the others forget it: a living node that is only forgotten
// comes back. Of a dead node there is nothing to reset.
//
// It keeps its id until all have forgotten it, since it is known by that, also
// to who gives the same command again; then it gets a new one, since the others
// shun the old one for a minute.
func DelNode(s cluster.State, o DelNodeOptions) (Plan, error) {
	p := Plan{Version: Version, Kind: KindDelNode}
	node, ok := s.Get(o.Node)
	if !ok {
		return Plan{}, refuse("there is no node %s", o.Node)
	}
	rest := others(s, o.Node)
	if r := p.mayLeave(s, o, node, rest); r != nil {
		return Plan{}, r
	}
	p.enlist(rest...)
	p.enlist(node)
	if o.Drain && ownsSlots(node) {
		moves, err := Drain(s, DrainOptions{Node: o.Node, To: o.To})
		if err != nil {
			return Plan{}, err
		}
		p.adoptMoves(moves)
	}
	if r := p.rehome(s, o, node); r != nil {
		return Plan{}, r
	}
	p.dismiss(s, node)
	p.thinOut(s, node)
	return p.stamp(), nil
}

// dismiss ends a membership. A master without slots takes a replica that was
// reset for its successor and follows it, on Valkey 8.1: so it forgets it first.
func (p *Plan) dismiss(s cluster.State, node cluster.Member) {
	forget := Step{Action: Forget, Node: node.ID}
	if !node.Reachable() {
		p.Steps = append(p.Steps, forget)
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s does not answer and is not reset: before it is started again, delete its nodes.conf", node.Addr))
		return
	}
	if master, ok := s.Get(node.View.Self().MasterID); ok && !ownsSlots(master) {
		p.Steps = append(p.Steps, Step{Action: Forget, Node: node.ID, Master: master.ID})
	}
	p.Steps = append(p.Steps, Step{Action: Reset, Node: node.ID}, forget, Step{Action: Renew, Node: node.ID})
}

// mayLeave refuses nodes that hold something, or whose removal would not last.
func (p *Plan) mayLeave(s cluster.State, o DelNodeOptions, node cluster.Member, rest []cluster.Member) *Refusal {
	slots := slotsSeen(s, node.ID)
	switch {
	case len(rest) == 0:
		r := refuse("nobody but %s answers: there is no cluster that it could leave", node.Addr)
		r.Hint = "name another node of the cluster as SEED"
		return r
	case !node.Reachable() && !slots.Empty():
		return ownerIsDead(s, node, slots)
	case !node.Reachable() && !Dead(s, node.ID):
		return outOfReach(node)
	case !slots.Empty() && !(o.Drain && ownsSlots(node)):
		r := refuse("%s has %s: %s", node.Addr, count(slots.Len(), "slot"), slots)
		r.Hint = "trib drain moves them away; del-node --drain does both"
		return r
	case node.IsMaster() && node.Keys() > 0 && slots.Empty():
		r := refuse("%s has no slots and yet %s, which would be lost", node.Addr, count(int(node.Keys()), "key"))
		r.Hint = "trib check shows where they belong; FLUSHALL on that node discards them"
		return r
	}
	if r := lastCopy(s, node); r != nil {
		return r
	}
	return p.cannotBeTold(s, node)
}

// ownerIsDead names what brings the slots of a dead node back.
func ownerIsDead(s cluster.State, node cluster.Member, slots cluster.SlotSet) *Refusal {
	r := refuse("%s does not answer and owns %s: %s", node.Addr, count(slots.Len(), "slot"), slots)
	r.Hint = "trib fix gives its slots to others; their keys are lost unless the node comes back"
	if replicas := s.ReplicasOf(node.ID); replicas != nil {
		r.Hint = fmt.Sprintf("trib failover --force makes a replica the owner: %s; where that does not help, trib fix", addrs(replicas))
	}
	return r
}

func outOfReach(node cluster.Member) *Refusal {
	r := refuse("%s does not answer (%s), and yet others see it alive: it would come back", node.Addr, node.Unreachable)
	r.Hint = "let it answer this host, or stop it and wait until the others call it failed, then run this again"
	return r
}

// adoptMoves puts the steps of a plan that moves slots before what follows.
func (p *Plan) adoptMoves(moves Plan) {
	p.Steps = append(p.Steps, moves.Steps...)
	p.Cost = moves.Cost
	p.Reasons = append(p.Reasons, moves.Reasons...)
	p.Warnings = append(p.Warnings, moves.Warnings...)
}

// rehome gives the replicas of a node that leaves to others.
func (p *Plan) rehome(s cluster.State, o DelNodeOptions, node cluster.Member) *Refusal {
	orphans := s.ReplicasOf(node.ID)
	if len(orphans) == 0 {
		return nil
	}
	all := families(s, o.Zones, append([]cluster.NodeID{node.ID}, ids(orphans)...)...)
	if len(all) == 0 {
		return refuse("the replicas of %s have nowhere to go: no other master answers", node.Addr)
	}
	p.settle(all, orphans, o.Zones, func(replica, master cluster.Member) {
		p.Steps = append(p.Steps, Step{Action: Replicate, Node: replica.ID, Master: master.ID})
	})
	return nil
}

func ids(members []cluster.Member) []cluster.NodeID {
	out := make([]cluster.NodeID, len(members))
	for i, m := range members {
		out[i] = m.ID
	}
	return out
}

// minMasters is how many masters it takes to elect a replica when one fails.
const minMasters = 3

// thinOut warns of what the cluster no longer survives.
func (p *Plan) thinOut(s cluster.State, node cluster.Member) {
	m, ok := s.Get(seenMaster(s, node))
	siblings := slices.DeleteFunc(s.ReplicasOf(m.ID), func(r cluster.Member) bool { return r.ID == node.ID })
	if ok && m.IsMaster() && ownsSlots(m) && len(siblings) == 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is left without a replica", m.Addr))
	}
	left := slices.DeleteFunc(s.Masters(), func(m cluster.Member) bool { return m.ID == node.ID || !ownsSlots(m) })
	if ownsSlots(node) && len(left) < minMasters {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s with slots left: a cluster needs %d to elect a replica when one fails",
			count(len(left), "master"), minMasters))
	}
}

// seenMaster is whose replica a node is, as others say where it does not answer.
func seenMaster(s cluster.State, node cluster.Member) cluster.NodeID {
	if node.Reachable() {
		return node.View.Self().MasterID
	}
	for _, m := range s.Members {
		if n, ok := m.View.Get(node.ID); ok {
			return n.MasterID
		}
	}
	return ""
}
