package cluster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

func TestPortsIn(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	node := func(fields ...any) []any { return fields }
	reply := []any{
		[]any{"slots", []any{int64(0), int64(9)}, "nodes", []any{
			node("id", a, "port", int64(7000), "tls-port", int64(8000), "ip", "10.0.0.1"),
			node("id", b, "port", int64(7001), "ip", "10.0.0.1"),
		}},
		[]any{"nodes", []any{node("id", "x", "port", int64(1)), node("id", a[1:]+"c", "port", int64(70000)), node("id"), "node"}},
		"shard",
	}
	if diff := cmp.Diff(map[cluster.NodeID]int{cluster.NodeID(a): 7000, cluster.NodeID(b): 7001}, cluster.PortsIn(reply, false)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[cluster.NodeID]int{cluster.NodeID(a): 8000}, cluster.PortsIn(reply, true)); diff != "" {
		t.Error(diff)
	}
	for _, other := range []any{nil, "OK", int64(1), []any{}} {
		if got := cluster.PortsIn(other, true); len(got) != 0 {
			t.Errorf("%v: %v", other, got)
		}
	}
}
