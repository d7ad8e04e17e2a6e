package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// remembering are masters a, b, c... with a slot each, but for the last, which
// has none.
func remembering(members ...cluster.Member) cluster.State {
	for i := range members {
		m := &members[i]
		m.ID = cluster.NodeID(string(rune('a' + i)))
		m.View.Nodes = []cluster.Node{{ID: m.ID, Flags: cluster.FlagMyself | cluster.FlagMaster}}
		if i < len(members)-1 {
			m.View.Nodes[0].Slots = cluster.SlotsOf(i)
		}
	}
	return cluster.State{Members: members}
}

func TestMemoryWeights(t *testing.T) {
	limited := func(bytes int64) cluster.Member { return cluster.Member{MaxMemory: bytes << 20, HostMemory: 99 << 30} }
	on := func(host string, bytes int64) cluster.Member {
		return cluster.Member{Addr: cluster.Addr{Host: host, Port: 1}, HostMemory: bytes << 20}
	}
	for _, tt := range []struct {
		name    string
		state   cluster.State
		options plan.RebalanceOptions
		want    string
	}{
		{"by maxmemory", remembering(limited(100), limited(300), limited(100)), plan.RebalanceOptions{}, "a=0.5 b=1.5"},
		{"with the empty master", remembering(limited(100), limited(300), limited(200)), plan.RebalanceOptions{UseEmptyMasters: true}, "a=0.5 b=1.5 c=1"},
		{"without who stands aside", remembering(limited(100), limited(300), limited(100)), plan.RebalanceOptions{UseEmptyMasters: true, Exclude: []cluster.NodeID{"b"}}, "a=1 c=1"},
		{"by a part of the host", remembering(on("h", 800), on("h", 800), on("i", 400)), plan.RebalanceOptions{UseEmptyMasters: true}, "a=1 b=1 c=1"},
		{"kernels differ a little", remembering(on("h", 8000), on("i", 8001), on("j", 0)), plan.RebalanceOptions{}, "a=1 b=1"},
		{"nobody knows", remembering(limited(100), on("j", 0), limited(1)), plan.RebalanceOptions{}, "j:1 tells neither maxmemory nor the memory of its host"},
	} {
		weights, err := plan.MemoryWeights(tt.state, tt.options)
		var got []string
		for _, id := range []cluster.NodeID{"a", "b", "c"} {
			if w, ok := weights[id]; ok {
				got = append(got, string(id)+"="+w.String())
			}
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
