package observe

import (
	"context"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// ForHeal counts what plan.Heal needs: what a check does and, on every node, the
// keys of slots that are open or do not have exactly one owner. A replica may
// hold the last copy of some. Of keys on nodes that do not own them it counts
// those that the owner lacks.
func ForHeal(ctx context.Context, d driver.Dialer, s cluster.State) {
	ForCheck(ctx, d, s)
	odd := oddSlots(s)
	Count(ctx, d, s, func(cluster.Member) cluster.SlotSet { return odd })
	lone(ctx, d, s)
}

func oddSlots(s cluster.State) cluster.SlotSet {
	var odd, owned cluster.SlotSet
	for _, m := range s.Masters() {
		odd = odd.Union(m.OpenSlots()).Union(m.Slots().Intersect(owned))
		owned = owned.Union(m.Slots())
	}
	return odd.Union(cluster.AllSlots().Minus(owned))
}
