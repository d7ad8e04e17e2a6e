package ui

import (
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// MemberPlan shows a plan that changes who belongs to a cluster, or in what
// role.
type MemberPlan struct {
	Plan  plan.Plan
	State cluster.State
	Seed  cluster.Addr
}

// Text writes redis-trib's lines, the steps, and the reasons.
func (v MemberPlan) Text(p *Page) {
	v.headlines(p)
	if len(v.Plan.Steps) == 0 {
		p.remarks(v.Plan)
		return
	}
	p.Line("Steps:")
	for i, s := range v.Plan.Steps {
		done := ""
		if status, _ := v.Plan.Status(s, v.State); status == plan.Done {
			done = " (done)"
		}
		p.Line("  %d. %s%s", i+1, v.Plan.Describe(s), done)
	}
	if v.Plan.Cost.Slots > 0 {
		p.Blank()
		MovePlan{Plan: v.Plan, State: v.State}.picture(p)
		p.Blank()
		p.Line("%s", cost(v.Plan))
	}
	p.remarks(v.Plan)
}

func (v MemberPlan) headlines(p *Page) {
	for _, s := range v.Plan.Steps {
		switch {
		case s.Action == plan.Meet:
			p.Line(">>> Adding node %s to cluster %s", v.Plan.Addr(s.Node), v.Seed)
		case s.Action == plan.Forget && v.Plan.Kind == plan.KindDelNode:
			p.Line(">>> Removing node %s from cluster %s", s.Node, v.Seed)
		case s.Action == plan.Replicate && v.Plan.Kind == plan.KindAddNode:
			p.Line("Selected master %s for %s", v.Plan.Addr(s.Master), v.Plan.Addr(s.Node))
		}
	}
}

// Added is what follows an add-node of n nodes.
func Added(n int) func(Check, *Page) {
	return func(c Check, p *Page) {
		if n == 1 {
			p.Line("[OK] New node added correctly.")
		} else {
			p.Line("[OK] %d new nodes added correctly.", n)
		}
		c.Verdict(p)
	}
}

// Removed is what follows a del-node.
func Removed(id cluster.NodeID) func(Check, *Page) {
	return func(c Check, p *Page) {
		p.Line("[OK] Node %s removed from the cluster.", id)
		c.Verdict(p)
	}
}

// memberNarration is what redis-trib and redis-cli say when such a step begins.
func memberNarration(e apply.Event) []string {
	if e.Kind != apply.StepBegun || len(e.Nodes) == 0 {
		return nil
	}
	node := e.Nodes[0]
	switch e.Action {
	case plan.Meet:
		return []string{">>> Send CLUSTER MEET to node " + node + " to make it join the cluster.", "Waiting for the cluster to join"}
	case plan.CopyFunctions:
		return []string{">>> Getting functions from cluster", ">>> Send FUNCTION RESTORE to " + node}
	case plan.Replicate:
		return []string{">>> Configure node " + node + " as replica of " + e.Nodes[len(e.Nodes)-1] + "."}
	case plan.Reset:
		return []string{">>> Sending CLUSTER RESET SOFT to the deleted node."}
	case plan.Forget:
		return []string{">>> Sending CLUSTER FORGET messages to the cluster..."}
	}
	return nil
}
