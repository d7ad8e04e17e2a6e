package driver_test

import (
	"context"
	"fmt"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/driver"
)

// What is dialled through the guard can look and cannot touch. The dialer of a
// real cluster is made by package driver/goredis.
func ExampleReadOnly() {
	ctx := context.Background()
	simulated := sim.New(sim.Options{})
	node := simulated.Form(3, 0)[0]

	conn, err := driver.ReadOnly(simulated.Dialer()).Dial(ctx, node.Addr(), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	reply, err := driver.Call(ctx, conn, "CLUSTER", "COUNTKEYSINSLOT", "0")
	fmt.Println(reply.Value, err)
	_, err = driver.Call(ctx, conn, "FLUSHALL")
	fmt.Println(err)
	// Output:
	// 0 <nil>
	// refused FLUSHALL: this operation only reads
}
