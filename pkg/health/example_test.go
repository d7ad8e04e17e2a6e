package health_test

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// A state usually comes from package observe; here it is one node that owns
// half of the slots.
func ExampleCheck() {
	view, err := cluster.ParseNodes("07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191")
	if err != nil {
		fmt.Println(err)
		return
	}
	self := view.Self()
	state := cluster.State{Members: []cluster.Member{{ID: self.ID, Addr: self.Addr, View: view, ClusterOK: true}}}
	for _, f := range health.Check(state) {
		fmt.Printf("%s %s: %s\n", f.Severity, f.Code, f.Summary)
	}
	// Output:
	// error uncovered-slots: 8192 slots have no owner that answers: 8192-16383
	// warning quorum-at-risk: one failure more can leave the cluster without a majority of masters
	// warning no-replica: 1 master has no replica: what it holds is lost with it
}
