package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

const mib = 1 << 20

// threeMasters use 100 MiB each, with keys and without a limit.
func threeMasters() cluster.State {
	s := parseState(`
		a 10.0.0.1:7000 0-999      epoch=1 db0=1000
		b 10.0.0.2:7000 1000-1999  epoch=2 db0=1000
		c 10.0.0.3:7000 2000-16383 epoch=3 db0=1000
	`)
	for i := range s.Members {
		s.Members[i].UsedMemory = 100 * mib
		s.Members[i].Server = cluster.Server{Flavor: "redis", Version: "7.0.15"}
	}
	return s
}

func moveStep(from, to, slots string) plan.Step {
	return plan.Step{Action: plan.MoveSlots, From: nodeID(from), To: nodeID(to), Slots: must(cluster.ParseSlotSet(slots))}
}

func TestPreflight(t *testing.T) {
	online, offline := cluster.ReplicaOffset{Online: true}, cluster.ReplicaOffset{}
	limit := func(bytes int64, policy string) func(a, b, c *cluster.Member) {
		return func(_, b, _ *cluster.Member) { b.MaxMemory, b.MaxMemoryPolicy = bytes, policy }
	}
	gather := []plan.Step{{Action: plan.GatherKeys, From: nodeID("a"), To: nodeID("b"), Slots: must(cluster.ParseSlotSet("1000-1001"))}}
	stray := func(bytes int64, policy string) func(a, b, c *cluster.Member) { // half of what a holds
		return func(a, b, _ *cluster.Member) {
			a.SlotKeys = map[int]int64{1000: 400, 1001: 100}
			b.MaxMemory, b.MaxMemoryPolicy = bytes, policy
		}
	}
	half := []plan.Step{moveStep("a", "b", "0-499")} // 50 of a's 100 MiB, and a tenth on top: b needs 155
	for _, tt := range []struct {
		name     string
		steps    []plan.Step
		change   func(a, b, c *cluster.Member)
		replicas int
		want     []string // code: part of the text
	}{
		{"no limit", half, nil, 1, nil},
		{"room enough", half, limit(155*mib, "noeviction"), 1, nil},
		{"a little too tight", half, limit(154*mib, "noeviction"), 1, []string{"memory: 10.0.0.2:7000 uses 100 MiB, is to get about 49 MiB and may have 154 MiB (maxmemory)"}},
		{"policy that could not be read", half, limit(154*mib, ""), 1, []string{"memory: "}},
		{"evicts", half, limit(154*mib, "allkeys-lru"), 1, []string{"eviction: 10.0.0.2:7000 uses 100 MiB"}},
		{"evicts what may expire", half, limit(154*mib, "volatile-ttl"), 1, []string{"eviction: policy volatile-ttl"}},
		{"evicts, with room enough", half, limit(155*mib, "allkeys-lru"), 1, nil},
		{"two sources add up", append([]plan.Step{moveStep("c", "b", "2000-16383")}, half...), limit(200*mib, "noeviction"), 1, []string{"memory: about 149 MiB"}},
		{"full, and nothing is to come", half, func(a, b, _ *cluster.Member) { a.Keyspace, b.MaxMemory = nil, mib }, 1, nil},
		{"full, and takes no part", half, func(_, _, c *cluster.Member) { c.MaxMemory = mib }, 1, nil},
		{"full, and the source", half, func(a, _, _ *cluster.Member) { a.MaxMemory = mib }, 1, nil},
		{"moved already", []plan.Step{moveStep("a", "b", "1000-1999")}, limit(mib, "noeviction"), 1, nil},
		{"no slot moves", []plan.Step{{Action: plan.CloseSlots, Node: nodeID("b")}}, limit(mib, "noeviction"), 3, nil},

		{"keys are gathered, with room enough", gather, stray(156*mib, "noeviction"), 1, nil},
		{"keys are gathered, and it is too tight", gather, stray(154*mib, "noeviction"), 1, []string{"memory: is to get about 50 MiB"}},
		{"keys are gathered, and others evicted", gather, stray(154*mib, "allkeys-lru"), 1, []string{"eviction: policy allkeys-lru"}},
		{"keys are gathered, and nobody has counted", gather, limit(101*mib, "noeviction"), 1, nil},
		{"keys are gathered by an older server", gather, func(a, _, _ *cluster.Member) { a.Server.Version = "8.0.2" }, 1, []string{"dump-version: 10.0.0.2:7000"}},
		{"keys are gathered, without enough replicas", gather, nil, 2, []string{"replicas: "}},
		{"keys are dropped where there is no room", []plan.Step{{Action: plan.DropKeys, From: nodeID("a"), To: nodeID("b"), Slots: gather[0].Slots}}, stray(mib, "noeviction"), 1, nil},

		{"to an older server", half, func(a, _, _ *cluster.Member) { a.Server.Version = "8.0.2" }, 1, []string{"dump-version: 10.0.0.2:7000 (redis 7.0.15) cannot read the values of 10.0.0.1:7000 (redis 8.0.2)"}},
		{"to a newer server", half, func(_, b, _ *cluster.Member) { b.Server.Version = "8.0.2" }, 1, nil},
		{"to a server that is not known", half, func(_, b, _ *cluster.Member) { b.Server = cluster.Server{} }, 1, nil},
		{"to another line", half, func(a, b, _ *cluster.Member) {
			a.Server, b.Server = cluster.Server{Flavor: "redis", Version: "7.4.1"}, cluster.Server{Flavor: "valkey", Version: "9.1.0"}
		}, 1, []string{"dump-version: "}},

		{"one replica is asked for by default", half, nil, 1, nil},
		{"none is asked for", half, nil, -1, nil},
		{"two are asked for", half, nil, 2, []string{"replicas: 10.0.0.2:7000 has 0 online replicas; 2 are asked for"}},
		{"two, and one is online", half, func(_, b, _ *cluster.Member) { b.Replication.Replicas = []cluster.ReplicaOffset{online, offline} }, 2, []string{"replicas: has 1 online"}},
		{"two are online", half, func(_, b, _ *cluster.Member) { b.Replication.Replicas = []cluster.ReplicaOffset{online, online} }, 2, nil},

		{"several at once", half, func(a, b, _ *cluster.Member) { a.Server.Version, b.MaxMemory = "8.0.2", mib }, 2, []string{"dump-version: ", "memory: ", "replicas: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := threeMasters()
			if tt.change != nil {
				tt.change(&s.Members[0], &s.Members[1], &s.Members[2])
			}
			got := plan.Preflight(plan.Plan{Steps: tt.steps}, s, tt.replicas)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i, o := range got {
				code, text, _ := strings.Cut(tt.want[i], ": ")
				if string(o.Code) != code || !strings.Contains(o.Text, text) {
					t.Errorf("got %v, want %s", o, tt.want[i])
				}
			}
		})
	}
}

func TestObstacleCodes(t *testing.T) {
	if got := fmt.Sprint(plan.ObstacleCodes()); got != "[memory eviction dump-version replicas permissions]" {
		t.Errorf("scripts rely on these words: %s", got)
	}
}
