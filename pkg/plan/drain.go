package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// DrainOptions say whose slots go to whom.
type DrainOptions struct {
	Node cluster.NodeID
	To   []cluster.NodeID // empty means all other masters that have slots
}

// Drain plans to move all slots off a node, so that the receivers have as equal
// numbers of slots afterwards as their present ones allow. A node without slots
// is done already.
//
// Masters without slots receive none unless they are named: one that was
// drained a moment ago is not to be filled again by the next drain.
//
// Slots that an interrupted drain left open between the node and a receiver
// stay with that receiver, so the same command again finishes it. Slots open
// anywhere else are refused. s must have keys counted for the open slots.
func Drain(s cluster.State, o DrainOptions) (Plan, error) {
	node, ok := s.Get(o.Node)
	if !ok || !node.Reachable() {
		return Plan{}, refuse("%s %s", name(s, o.Node), unfit(s, o.Node))
	}
	if !node.IsMaster() {
		return drainReplica(s, node)
	}
	to, refusal := o.receivers(s, node)
	if refusal != nil {
		return Plan{}, refusal
	}
	t, refusal := newTransfer(s, append([]cluster.Member{node}, to...))
	if refusal != nil {
		return Plan{}, refusal
	}
	if r := t.allFromFirst(); r != nil {
		return Plan{}, r
	}
	if len(t.moves) == 0 && t.own[0].Empty() {
		return drained(s, node, "has no slots"), nil
	}
	if len(to) == 0 {
		r := refuse("no other master has slots: name who gets those of %s", node.Addr)
		r.Hint = "--to names masters that get the slots"
		return Plan{}, r
	}
	p := Plan{Version: Version, Kind: KindDrain, Reasons: t.begunReasons()}
	t.empty()
	t.writeTo(&p)
	p.seal(s)
	return p, nil
}

// drainReplica is the plan for a node that has become a replica, as servers
// before Valkey 8 make one of a master that gave its last slot. What that move
// may have left open must not be passed over.
func drainReplica(s cluster.State, node cluster.Member) (Plan, error) {
	if r := noOpenBut(s, cluster.SlotSet{}); r != nil {
		return Plan{}, r
	}
	return drained(s, node, "is a replica: it has no slots"), nil
}

func drained(s cluster.State, node cluster.Member, why string) Plan {
	p := Plan{Version: Version, Kind: KindDrain, Nodes: []Node{nodeOf(node)}, Reasons: []string{fmt.Sprintf("%s %s", node.Addr, why)}}
	p.seal(s)
	return p
}

// receivers are those who get the slots, in the order of the state.
func (o DrainOptions) receivers(s cluster.State, node cluster.Member) ([]cluster.Member, *Refusal) {
	if len(o.To) == 0 {
		return slices.DeleteFunc(s.Masters(), func(m cluster.Member) bool {
			return m.ID == node.ID || m.Slots().Empty()
		}), nil
	}
	named := make(map[cluster.NodeID]bool)
	for _, id := range o.To {
		switch why := unfit(s, id); {
		case why != "":
			return nil, refuse("the receiver %s %s", name(s, id), why)
		case id == node.ID:
			return nil, refuse("%s is to be drained and to receive", node.Addr)
		case named[id]:
			return nil, refuse("the receiver %s is named twice", name(s, id))
		}
		named[id] = true
	}
	return slices.DeleteFunc(s.Masters(), func(m cluster.Member) bool { return !named[m.ID] }), nil
}

// allFromFirst refuses what is open between receivers: somebody else's work.
func (t *transfer) allFromFirst() *Refusal {
	for _, l := range t.links() {
		if l.from != 0 {
			return openElsewhere(t.moves[l], t.masters[l.from])
		}
	}
	return nil
}

// empty moves all slots of the first master to the others, and levels these.
func (t *transfer) empty() {
	loads := make([]load, len(t.masters))
	give, take := make([]int, len(loads)), make([]int, len(loads))
	for i := range loads {
		loads[i] = load{weight: One, slots: t.own[i].Len(), most: cluster.SlotCount}
		take[i] = loads[i].slots
	}
	give[0] = loads[0].slots
	loads[0].most = 0
	raise(loads, take, give[0])
	for i := range take {
		take[i] -= loads[i].slots
	}
	t.carry(give, take)
}
