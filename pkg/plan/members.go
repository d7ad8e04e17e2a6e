package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Knowing are the members that answer and hold a node for one of the cluster,
// or are about to: the node itself is not among them.
func Knowing(s cluster.State, id cluster.NodeID) []cluster.Member {
	subject, _ := s.Get(id)
	var out []cluster.Member
	for _, m := range s.Members {
		if m.ID != id && slices.ContainsFunc(m.View.Nodes, func(n cluster.Node) bool {
			return n.ID == id || n.Flags.Has(cluster.FlagHandshake) && n.Addr == subject.Addr
		}) {
			out = append(out, m)
		}
	}
	return out
}

// ToForget are the members that a forget step has still to be told to.
func ToForget(step Step, s cluster.State) []cluster.Member {
	return slices.DeleteFunc(Knowing(s, step.Node), func(m cluster.Member) bool {
		return step.Master != "" && m.ID != step.Master
	})
}

// met reports whether a view holds a node as met.
func met(v cluster.View, id cluster.NodeID) bool {
	n, ok := v.Get(id)
	return ok && !n.Flags.Has(cluster.FlagHandshake)
}

// alone reports whether a member answers and knows nobody.
func alone(m cluster.Member) bool { return m.Reachable() && len(m.View.Nodes) == 1 }

// Dead reports whether everybody who knows a node, and answers, takes it for
// failed or suspects it. A node that only this host cannot reach is not dead.
func Dead(s cluster.State, id cluster.NodeID) bool {
	if m, ok := s.Get(id); ok && m.Reachable() {
		return false
	}
	for _, m := range s.Members {
		n, ok := m.View.Get(id)
		if ok && !n.Flags.Has(cluster.FlagFailed) && !n.Flags.Has(cluster.FlagSuspect) {
			return false
		}
	}
	return true
}

// slotsSeen are the slots that anybody, itself included, gives to a node.
func slotsSeen(s cluster.State, id cluster.NodeID) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, m := range s.Members {
		if n, ok := m.View.Get(id); ok {
			slots = slots.Union(n.Slots)
		}
	}
	return slots
}

// hearers sorts the others who do not answer, and so cannot be told that a node
// is gone: the dead ones tell nobody, those who live bring it back.
func hearers(s cluster.State, gone cluster.NodeID) (dead, living []cluster.Member) {
	for _, m := range s.Unreachable() {
		switch {
		case m.ID == gone:
		case Dead(s, m.ID):
			dead = append(dead, m)
		default:
			living = append(living, m)
		}
	}
	return dead, living
}

// cannotBeTold refuses to forget a node while somebody out of reach would bring
// it back, and warns of those who would if they came back themselves.
func (p *Plan) cannotBeTold(s cluster.State, node cluster.Member) *Refusal {
	dead, living := hearers(s, node.ID)
	if living != nil {
		return &Refusal{
			Reasons: []string{fmt.Sprintf("%s cannot be told to forget %s: it does not answer, and the others see it alive, so it would bring %s back",
				addrs(living), node.Addr, node.Addr)},
			Hint: "let it answer this host, or stop it, then run this again",
		}
	}
	if dead != nil {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s cannot be told: whoever starts it again brings %s back; trib del-node removes it, too",
			addrs(dead), node.Addr))
	}
	return nil
}

func addrs(members []cluster.Member) string {
	texts := make([]string, len(members))
	for i, m := range members {
		texts[i] = m.Addr.String()
	}
	return strings.Join(texts, ", ")
}

// enlist names nodes in the plan: those who answer first, since whoever comes
// first is asked for the others.
func (p *Plan) enlist(members ...cluster.Member) {
	for _, m := range members {
		if !p.lists(m.ID) {
			p.Nodes = append(p.Nodes, nodeOf(m))
		}
	}
}

func (p *Plan) lists(id cluster.NodeID) bool {
	return slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.ID == id })
}

// others are the members who answer, but for some.
func others(s cluster.State, than ...cluster.NodeID) []cluster.Member {
	var out []cluster.Member
	for _, m := range s.Members {
		if m.Reachable() && !slices.Contains(than, m.ID) {
			out = append(out, m)
		}
	}
	return out
}

// stamp adds the fingerprint, over the nodes and the steps.
func (p Plan) stamp() Plan {
	facts := []string{string(p.Kind)}
	for _, n := range p.Nodes {
		facts = append(facts, fmt.Sprintf("%s %s", n.ID, n.Addr))
	}
	for _, step := range p.Steps {
		facts = append(facts, p.Describe(step))
	}
	p.Fingerprint = fingerprint(facts)
	return p
}

// lastCopy refuses to take a replica from a master that does not answer: it may
// be the only one that still has the master's keys.
func lastCopy(s cluster.State, node cluster.Member) *Refusal {
	master := node.View.Self().MasterID
	m, _ := s.Get(master)
	if master == "" || m.Reachable() && m.ID != "" || slotsSeen(s, master).Empty() {
		return nil
	}
	r := refuse("%s, the master of %s, does not answer: %s may have the only copy of its keys", m.Addr, node.Addr, node.Addr)
	r.Hint = "bring the master back, or make a replica of it the master: trib failover --force"
	return r
}
