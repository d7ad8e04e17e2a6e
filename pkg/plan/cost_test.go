package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

func TestEstimate(t *testing.T) {
	const text = `
		a 10.0.0.1:7000 0-2 keys=0:1000,1:0,2:24
		b 10.0.0.2:7000 3-5 keys=3:0,4:0,5:0
		c 10.0.0.3:7000
		d 10.0.0.4:7000 6-16383`
	steps := func(list ...plan.Step) []plan.Step { return list }
	ac := plan.Step{Action: plan.MoveSlots, From: nodeID("a"), To: nodeID("c"), Slots: cluster.SlotsOf(0, 1, 2)}
	bd := plan.Step{Action: plan.MoveSlots, From: nodeID("b"), To: nodeID("d"), Slots: cluster.SlotsOf(3, 4, 5)}
	bc := plan.Step{Action: plan.MoveSlots, From: nodeID("b"), To: nodeID("c"), Slots: cluster.SlotsOf(3, 4, 5)}
	tests := []struct {
		name    string
		steps   []plan.Step
		keys    int64
		average map[cluster.NodeID]int64
		want    plan.Cost
	}{
		{"nothing", nil, 0, nil, plan.Cost{}},
		{"not counted", steps(ac), -1, nil, plan.Cost{Keys: -1, Bytes: -1, EstimateMS: -1}},
		{"not sampled", steps(ac), 1024, nil, plan.Cost{Keys: 1024, Bytes: -1, EstimateMS: 9}},
		{"sampled", steps(ac), 1024, map[cluster.NodeID]int64{nodeID("a"): 1024}, plan.Cost{Keys: 1024, Bytes: 1 << 20, EstimateMS: 13}},
		{"no keys need no sample", steps(bd), 0, nil, plan.Cost{EstimateMS: 2}},
		{"at the same time", steps(ac, bd), 1024, map[cluster.NodeID]int64{nodeID("a"): 1024}, plan.Cost{Keys: 1024, Bytes: 1 << 20, EstimateMS: 13}},
		{"one after the other", steps(ac, bc), 1024, map[cluster.NodeID]int64{nodeID("a"): 100_000}, plan.Cost{Keys: 1024, Bytes: 102_400_000, EstimateMS: 411}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := plan.Plan{Steps: tt.steps, Cost: plan.Cost{Keys: tt.keys}}
			p.Estimate(parseState(text), tt.average, plan.MoverOptions{})
			if diff := cmp.Diff(tt.want, p.Cost); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWarnOfBigKey(t *testing.T) {
	p := plan.Plan{Nodes: []plan.Node{{ID: nodeID("a"), Addr: cluster.Addr{Host: "h", Port: 1}}}}
	p.WarnOfBigKey(nodeID("a"), "small", 1<<20)
	p.WarnOfBigKey(nodeID("a"), "big\n", 20<<20)
	want := []string{`key "big\n" on h:1 takes 20 MiB: its nodes serve nobody while it moves; there may be more like it`}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
