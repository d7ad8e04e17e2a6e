package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

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

// TestNewReplicasAreSpread promises of any cluster and any number of new
// replicas that no master is left with two fewer than one that got some, and
// that a lone new replica is only on its master's host where every master that
// has as few is.
func TestNewReplicasAreSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		masters := rapid.IntRange(1, 5).Draw(t, "masters")
		host := func() int { return rapid.IntRange(1, 3).Draw(t, "host") }
		on := make(map[int]int)    // host of a master
		count := make(map[int]int) // replicas of a master
		for m := range masters {
			on[m] = host()
			fmt.Fprintf(&b, "a%d 10.0.0.%d:70%02d %d\n", m, on[m], m, m)
			for r := range rapid.IntRange(0, 2).Draw(t, "replicas") {
				fmt.Fprintf(&b, "b%d%d0 10.0.0.%d:71%d%d replica=a%d\n", m, r, host(), m, r, m)
				count[m]++
			}
		}
		var fresh []string
		at := 0
		for n := range rapid.IntRange(1, 4).Draw(t, "new") {
			at = host()
			fresh = append(fresh, fmt.Sprintf("c%d", n))
			fmt.Fprintf(&b, "c%d 10.0.0.%d:72%02d outside=yes knows=-\n", n, at, n)
		}
		p, err := plan.AddNode(parseState(b.String()), plan.AddNodeOptions{New: idsOf(fresh), Replica: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, &b)
		}
		got := make(map[int]int)
		for _, step := range p.Steps {
			for m := range masters {
				if step.Action == plan.Replicate && step.Master == nodeID(fmt.Sprintf("a%d", m)) {
					got[m]++
				}
			}
		}
		for m := range got {
			for other := range masters {
				if count[other]+got[other] < count[m]+got[m]-1 {
					t.Fatalf("master %d has %d+%d, master %d %d+%d\n%s", m, count[m], got[m], other, count[other], got[other], &b)
				}
				alike := len(fresh) == 1 && count[other] == count[m]
				if alike && on[m] == at && on[other] != at {
					t.Fatalf("it shares the host of master %d, and need not\n%s", m, &b)
				}
			}
		}
	})
}
