package cluster_test

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

func ExampleParseNodes() {
	view, err := cluster.ParseNodes(`
07c37dfeb235213a872192d90877d0cd55635b91 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8190 [8190->-67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1]
67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1 10.0.0.2:7000@17000,n2.example.com master - 0 1426238316232 2 connected 8191-16383
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range view.Nodes {
		fmt.Println(n.ID.Short(), n.Addr, n.Slots.Len(), "slots:", n.Slots)
	}
	for slot, to := range view.Self().Migrating {
		fmt.Println("slot", slot, "is on its way to", to.Short())
	}
	// Output:
	// 07c37dfe 10.0.0.1:7000 8191 slots: 0-8190
	// 67ed2db8 10.0.0.2:7000 8193 slots: 8191-16383
	// slot 8190 is on its way to 67ed2db8
}

func ExampleKeySlot() {
	fmt.Println(cluster.KeySlot("{user1000}.following"))
	fmt.Println(cluster.KeySlot("{user1000}.followers"))
	// Output:
	// 3443
	// 3443
}

func ExampleSlotSet() {
	mine, _ := cluster.ParseSlotSet("0-99, 200")
	given := mine.Take(50)
	fmt.Println(given, "and", mine.Minus(given))
	// Output:
	// 0-49 and 50-99,200
}
