package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ObstacleCode names a kind of obstacle: what an operator has to say to go ahead
// all the same.
type ObstacleCode string

// The kinds of obstacles.
const (
	ObstacleMemory      ObstacleCode = "memory"       // a target has no room for what it is to get
	ObstacleEviction    ObstacleCode = "eviction"     // a target would evict keys to make room
	ObstacleDump        ObstacleCode = "dump-version" // a target cannot read the source's values
	ObstacleReplicas    ObstacleCode = "replicas"     // a target has fewer online replicas than asked for
	ObstaclePermissions ObstacleCode = "permissions"  // the user may not do what the plan takes
)

// ObstacleCodes are all of them.
func ObstacleCodes() []ObstacleCode {
	return []ObstacleCode{ObstacleMemory, ObstacleEviction, ObstacleDump, ObstacleReplicas, ObstaclePermissions}
}

// Obstacle is why a plan should not be carried out on the cluster as it is.
type Obstacle struct {
	Code ObstacleCode `json:"code"`
	Text string       `json:"text"`
}

// Preflight looks for obstacles to bringing keys from node to node, as moving
// slots and gathering keys do. waitReplicas is how many replicas of a target must
// have what moves.
func Preflight(p Plan, s cluster.State, waitReplicas int) []Obstacle {
	incoming := make(map[cluster.NodeID]int64)
	var obstacles []Obstacle
	for _, step := range p.Steps {
		if step.Action != MoveSlots && step.Action != GatherKeys {
			continue
		}
		from, _ := s.Get(step.From)
		to, _ := s.Get(step.To)
		if step.Action == MoveSlots {
			incoming[step.To] += share(from, Remaining(step, s))
		} else {
			incoming[step.To] += shareByKeys(from, step.Slots)
		}
		if !to.Server.Restores(from.Server) {
			obstacles = append(obstacles, Obstacle{ObstacleDump, fmt.Sprintf(
				"%s (%s) cannot read the values of %s (%s); upgrade it first", to.Addr, to.Server, from.Addr, from.Server)})
		}
	}
	for _, m := range s.Members {
		if bytes, ok := incoming[m.ID]; ok {
			obstacles = append(obstacles, room(m, bytes)...)
			obstacles = append(obstacles, enoughReplicas(m, waitReplicas)...)
		}
	}
	return obstacles
}

// share estimates the memory of slots by how many of the node's slots they are.
func share(m cluster.Member, slots cluster.SlotSet) int64 {
	owned := m.Slots().Len()
	if owned == 0 || m.Keys() == 0 {
		return 0
	}
	return m.UsedMemory / int64(owned) * int64(slots.Intersect(m.Slots()).Len())
}

// shareByKeys estimates the memory of slots by how many of the node's keys are
// in them: it does not own them, and has counted them.
func shareByKeys(m cluster.Member, slots cluster.SlotSet) int64 {
	keys, _, _ := strays(m, slots)
	if keys == 0 || m.Keys() == 0 {
		return 0
	}
	return int64(float64(m.UsedMemory) * float64(min(keys, m.Keys())) / float64(m.Keys()))
}

// room holds what a target is to get, and a tenth on top, against its limit.
func room(m cluster.Member, incoming int64) []Obstacle {
	need := m.UsedMemory + incoming + incoming/10
	if m.MaxMemory == 0 || need <= m.MaxMemory || incoming == 0 {
		return nil
	}
	text := fmt.Sprintf("%s uses %d MiB, is to get about %d MiB and may have %d MiB (maxmemory)",
		m.Addr, m.UsedMemory>>20, incoming>>20, m.MaxMemory>>20)
	if m.MaxMemoryPolicy == "noeviction" || m.MaxMemoryPolicy == "" {
		return []Obstacle{{ObstacleMemory, text}}
	}
	return []Obstacle{{ObstacleEviction, text + ": it would evict keys, policy " + m.MaxMemoryPolicy}}
}

func enoughReplicas(m cluster.Member, want int) []Obstacle {
	online := 0
	for _, r := range m.Replication.Replicas {
		if r.Online {
			online++
		}
	}
	if want <= 1 || online >= want {
		return nil
	}
	return []Obstacle{{ObstacleReplicas, fmt.Sprintf("%s has %d online replicas; %d are asked for", m.Addr, online, want)}}
}
