package apply

import (
	"slices"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// TestGiverIsAsked: a source that gives slots up first takes the right to
// transactions, where it is one.
func TestGiverIsAsked(t *testing.T) {
	for _, test := range []struct {
		finalise move.Order
		waits    bool // the target for its replicas
		method   plan.Method
		want     bool
	}{
		{move.SourceFirst, false, plan.MethodClassic, true},
		{move.SourceFirst, true, plan.MethodClassic, false},
		{move.SourceFirst, false, plan.MethodAtomic, false},
		{move.TargetFirst, false, plan.MethodClassic, false},
	} {
		r := &runner{o: Options{Move: move.Options{Finalise: test.finalise}}}
		r.movers = append(r.movers, plan.Mover{From: "a", To: "b", Method: test.method})
		target := cluster.Member{ID: "b", Features: cluster.Features{ReplicatedSetSlot: test.waits}}
		s := cluster.State{Members: []cluster.Member{{ID: "a"}, target}}
		if got := slices.Contains(r.permissions(s, nil), permission{"a", giver}); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
