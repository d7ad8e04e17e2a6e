package observe_test

import (
	"context"
	"fmt"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/observe"
)

// The dialer of a real cluster is made by package driver/goredis.
func ExampleCluster() {
	simulated := sim.New(sim.Options{})
	seed := simulated.Form(3, 1)[0].Addr()

	state, err := observe.Cluster(context.Background(), simulated.Dialer(), seed)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range state.Masters() {
		fmt.Println(m.Addr, m.Server, m.Slots(), len(state.ReplicasOf(m.ID)), "replica")
	}
	// Output:
	// 127.0.0.1:7001 redis 7.0.15 0-5460 1 replica
	// 127.0.0.1:7002 redis 7.0.15 5461-10921 1 replica
	// 127.0.0.1:7003 redis 7.0.15 10922-16383 1 replica
}
