package plan_test

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// A state usually comes from package observe; here it is two masters.
func ExampleReshard() {
	var state cluster.State
	for _, view := range []string{
		"07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383",
		"67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.0.0.2:7000@17000 myself,master - 0 0 2 connected",
	} {
		v, err := cluster.ParseNodes(view)
		if err != nil {
			fmt.Println(err)
			return
		}
		state.Members = append(state.Members, cluster.Member{ID: v.Self().ID, Addr: v.Self().Addr, View: v})
	}
	to, _ := state.Find("10.0.0.2:7000")
	p, err := plan.Reshard(state, plan.ReshardOptions{To: to.ID, Slots: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range p.Steps {
		status, _ := p.Status(step, state)
		fmt.Printf("%s (%s)\n", p.Describe(step), status)
	}
	// Output:
	// move 1000 slots (0-999) from 10.0.0.1:7000 to 10.0.0.2:7000 (ready)
}

// A second master without slots gets its share; the first one keeps what the
// threshold allows.
func ExampleRebalance() {
	state := parseState(`
		a 10.0.0.1:7000 0-16383
		b 10.0.0.2:7000`)
	p, err := plan.Rebalance(state, plan.RebalanceOptions{Threshold: plan.DefaultThreshold, UseEmptyMasters: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range p.Steps {
		fmt.Println(p.Describe(step))
	}
	// Output:
	// move 8029 slots (0-8028) from 10.0.0.1:7000 to 10.0.0.2:7000
}
