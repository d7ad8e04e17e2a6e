package ui

import (
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// Plans of members, as they are shown before anybody is asked.
func TestMemberPlans(t *testing.T) {
	s := healthy(t)
	seed := cluster.Addr{Host: "10.0.0.1", Port: 7001}
	for name, make := range map[string]func() (plan.Plan, error){
		"member-drain": func() (plan.Plan, error) {
			return plan.DelNode(s, plan.DelNodeOptions{Node: id(1), Drain: true})
		},
		"member-added": func() (plan.Plan, error) {
			return plan.AddNode(s, plan.AddNodeOptions{New: []cluster.NodeID{id(4)}, Replica: true})
		},
		"member-takeover": func() (plan.Plan, error) {
			return plan.Promote(s, plan.PromoteOptions{Node: id(4), Mode: plan.Takeover})
		},
		"member-master": func() (plan.Plan, error) {
			return plan.Promote(s, plan.PromoteOptions{Node: id(1)})
		},
	} {
		p, err := make()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", render(MemberPlan{Plan: p, State: s, Seed: seed}.Text))
	}
}
