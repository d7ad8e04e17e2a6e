package ui

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// CreatePlan shows the plan of a new cluster.
type CreatePlan struct {
	Plan plan.Plan
}

// Text writes redis-trib's lines, the reasons, and who gets which slots.
func (v CreatePlan) Text(p *Page) {
	p.Line(">>> Performing hash slots allocation on %d nodes...", len(v.Plan.Nodes))
	for i, s := range v.steps(plan.AssignSlots) {
		p.Line("Master[%d] -> Slots %s", i, spaced(s.Slots))
	}
	for _, s := range v.steps(plan.Replicate) {
		p.Line("Adding replica %s to %s", v.Plan.Addr(s.Node), v.Plan.Addr(s.Master))
	}
	v.placement(p)
	for _, n := range v.nodes() {
		p.block("", n)
	}
	p.Blank()
	v.trees(p)
	p.Blank()
	v.places(p)
	p.remarks(v.Plan)
}

// spaced is "0 - 99, 200 - 200".
func spaced(s cluster.SlotSet) string {
	parts := make([]string, len(s.Ranges()))
	for i, r := range s.Ranges() {
		parts[i] = fmt.Sprintf("%d - %d", r.First, r.Last)
	}
	return strings.Join(parts, ", ")
}

func (v CreatePlan) steps(a plan.Action) []plan.Step {
	var steps []plan.Step
	for _, s := range v.Plan.Steps {
		if s.Action == a {
			steps = append(steps, s)
		}
	}
	return steps
}

// placement says in redis-trib's words how well replicas are kept apart.
func (v CreatePlan) placement(p *Page) {
	hosts := make(map[cluster.NodeID][]string) // of a master and its replicas so far
	var withMaster, withSibling bool
	for _, s := range v.steps(plan.Replicate) {
		host := v.Plan.Addr(s.Node).Host
		withMaster = withMaster || host == v.Plan.Addr(s.Master).Host
		for _, h := range hosts[s.Master] {
			withSibling = withSibling || h == host
		}
		hosts[s.Master] = append(hosts[s.Master], host)
	}
	switch {
	case withMaster:
		p.Line("[WARNING] Some slaves are in the same host as their master")
	case withSibling:
		p.Line("[WARNING] Some slaves of the same master are in the same host")
	case len(hosts) > 0:
		p.Line("[OK] Perfect anti-affinity obtained!")
	}
}

// nodes are the nodes as they will be.
func (v CreatePlan) nodes() []Node {
	replicas := make(map[cluster.NodeID]int)
	future := make(map[cluster.NodeID]Node)
	for _, s := range v.steps(plan.Replicate) {
		replicas[s.Master]++
		future[s.Node] = Node{Role: "replica", MasterID: s.Master}
	}
	for _, s := range v.steps(plan.AssignSlots) {
		future[s.Node] = Node{Role: "master", Slots: s.Slots, SlotCount: s.Slots.Len(), Replicas: replicas[s.Node]}
	}
	out := make([]Node, len(v.Plan.Nodes))
	for i, n := range v.Plan.Nodes {
		node := future[n.ID]
		node.ID, node.Addr, node.Reachable = n.ID, n.Addr, true
		out[i] = node
	}
	return out
}

// remarks adds why the plan is as it is, and what could not be had.
func (p *Page) remarks(v plan.Plan) {
	for _, r := range v.Reasons {
		p.Line("%s", r)
	}
	for _, w := range v.Warnings {
		p.Line("[WARNING] %s", w)
	}
}
