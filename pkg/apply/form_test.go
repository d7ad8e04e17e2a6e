package apply_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// TestCreateLarge forms a cluster that counts as too large for everybody to meet
// everybody, and counts the introductions that it takes.
func TestCreateLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 64
		c := sim.New(sim.Options{})
		var o plan.CreateOptions
		for range nodes {
			o.Addrs = append(o.Addrs, c.AddNode().Addr())
		}
		o.Replicas = 1
		meets := 0
		c.Intercept(func(e sim.Event) sim.Action {
			if len(e.Cmd) > 1 && e.Cmd[1] == "MEET" {
				meets++
			}
			return sim.Action{}
		})
		p, err := plan.Create(observe.Nodes(t.Context(), c.Dialer(), o.Addrs), o)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := apply.Run(t.Context(), p, apply.Options{Dialer: c.Dialer(), Ready: apply.ReadyJoined, FullMesh: nodes - 1}); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begun)
		t.Logf("%d nodes: %d MEETs, %v", nodes, meets, took)
		if meets > nodes*6*2 || took > 10*time.Second {
			t.Errorf("%d nodes took %d MEETs and %v", nodes, meets, took)
		}
		s, err := observe.Cluster(t.Context(), c.Dialer(), o.Addrs[0])
		if err != nil || len(s.Members) != nodes || !covered(s) {
			t.Errorf("%d members, %v", len(s.Members), err)
		}
	})
}

func covered(s cluster.State) bool {
	var all cluster.SlotSet
	for _, m := range s.Masters() {
		all = all.Union(m.Slots())
	}
	return all.Equal(cluster.AllSlots())
}
