package plan_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

func planMembers(t *testing.T, d *datadriven.TestData, s cluster.State) (plan.Plan, error) {
	zones := make(plan.Zones)
	for _, pair := range values(d, "zones") {
		host, zone, _ := strings.Cut(pair, ":")
		zones[host] = zone
	}
	node, master := oneID(d, "node"), oneID(d, "master")
	switch d.Cmd {
	case "add-node":
		return plan.AddNode(s, plan.AddNodeOptions{New: idsOf(values(d, "new")), Replica: d.HasArg("replica"), Master: master, Zones: zones})
	case "del-node":
		return plan.DelNode(s, plan.DelNodeOptions{Node: node, Drain: d.HasArg("drain"), To: idsOf(values(d, "to")), Zones: zones})
	case "replicate":
		return plan.Reparent(s, plan.ReparentOptions{Node: node, Master: master, Zones: zones})
	case "failover":
		mode := strings.Join(values(d, "mode"), "")
		return plan.Promote(s, plan.PromoteOptions{Node: node, Mode: plan.FailoverMode(mode)})
	}
	return plan.ForgetNode(s, plan.ForgetOptions{Node: node, Force: d.HasArg("force")})
}

func values(d *datadriven.TestData, name string) []string {
	arg, _ := d.Arg(name)
	return arg.Vals
}

func idsOf(names []string) []cluster.NodeID {
	var out []cluster.NodeID
	for _, name := range names {
		out = append(out, nodeID(name))
	}
	return out
}

func oneID(d *datadriven.TestData, name string) cluster.NodeID {
	if names := values(d, name); len(names) == 1 {
		return nodeID(names[0])
	}
	return ""
}
