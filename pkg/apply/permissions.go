package apply

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// taken are the commands that steps take beside those that look, with arguments
// that a server accepts when it is asked whether they are allowed. What moves of
// slots take is package move's.
var taken = map[plan.Action][]driver.Command{
	plan.SetEpoch:      {{"CLUSTER", "SET-CONFIG-EPOCH", "1"}},
	plan.AssignSlots:   {{"CLUSTER", "ADDSLOTSRANGE", "0", "1"}},
	plan.Join:          {{"CLUSTER", "MEET", "127.0.0.1", "1"}},
	plan.Meet:          {{"CLUSTER", "MEET", "127.0.0.1", "1"}},
	plan.Replicate:     {{"CLUSTER", "REPLICATE", "id"}},
	plan.CloseSlots:    {{"CLUSTER", "SETSLOT", "0", "STABLE"}},
	plan.CopyFunctions: {{"FUNCTION", "RESTORE", "dump"}},
	plan.Reset:         {{"CLUSTER", "RESET", "SOFT"}},
	plan.Renew:         {{"CLUSTER", "RESET", "HARD"}},
	plan.Forget:        {{"CLUSTER", "FORGET", "id"}},
	plan.Failover:      {{"CLUSTER", "FAILOVER"}},
	plan.BumpEpoch:     {{"CLUSTER", "BUMPEPOCH"}},
}

// Commands that a step takes in other cases or at another node.
var (
	takenBefore7  = []driver.Command{{"CLUSTER", "ADDSLOTS", "0"}}
	takenAtGiver  = []driver.Command{{"FUNCTION", "DUMP"}}
	takenToVerify = []driver.Command{{"CLUSTER", "COUNTKEYSINSLOT", "0"}}
	takenInOthers = []driver.Command{{"SELECT", "0"}} // databases beside the first
)

// Taken are the commands that a step of this action takes, at any node.
func Taken(action plan.Action) []driver.Command {
	switch action {
	case plan.MoveSlots:
		source, target := move.Taken()
		return append(source, target...)
	case plan.AssignSlots:
		return slices.Concat(taken[action], takenBefore7)
	case plan.CopyFunctions:
		return slices.Concat(taken[action], takenAtGiver)
	}
	return slices.Clone(taken[action])
}

// deniedSteps is what the user may not do of the steps that are no moves, and of
// looking at the result.
func (r *runner) deniedSteps(ctx context.Context, s cluster.State, todo []int) ([]plan.Obstacle, error) {
	needs := make(map[cluster.NodeID][]driver.Command)
	for _, n := range r.p.Nodes {
		m, _ := s.Get(n.ID)
		if m.Reachable() {
			needs[n.ID] = slices.Clone(takenToVerify)
		}
		if m.Reachable() && len(m.Databases) > 1 {
			needs[n.ID] = append(needs[n.ID], takenInOthers...)
		}
	}
	for _, i := range todo {
		step := r.p.Steps[i]
		for _, at := range r.actors(step, s) {
			if m, _ := s.Get(at); m.Reachable() && m.ID != "" {
				needs[at] = append(needs[at], takenAt(step, m)...)
			}
		}
	}
	var obstacles []plan.Obstacle
	for _, m := range s.Members {
		if needs[m.ID] == nil {
			continue
		}
		texts, err := move.Denied(ctx, r.o.Dialer, r.name, m.Addr, needs[m.ID])
		if err != nil {
			return nil, err
		}
		for _, text := range texts {
			o := plan.Obstacle{Code: plan.ObstaclePermissions, Text: text}
			if !slices.Contains(obstacles, o) {
				obstacles = append(obstacles, o)
			}
		}
	}
	return obstacles, nil
}

// actors are the nodes that are told something in a step.
func (r *runner) actors(step plan.Step, s cluster.State) []cluster.NodeID {
	var ids []cluster.NodeID
	switch step.Action {
	case plan.Join, plan.Meet:
		for _, n := range r.p.Nodes {
			ids = append(ids, n.ID)
		}
	case plan.Forget:
		for _, m := range s.Members {
			if m.ID != step.Node && (step.Master == "" || step.Master == m.ID) {
				ids = append(ids, m.ID)
			}
		}
	case plan.CopyFunctions:
		ids = []cluster.NodeID{step.Node, step.From}
	default:
		ids = []cluster.NodeID{step.Node}
	}
	return ids
}

// takenAt is what a step takes at one of its nodes.
func takenAt(step plan.Step, m cluster.Member) []driver.Command {
	switch {
	case step.Action == plan.AssignSlots && !m.Features.AddSlotsRange:
		return takenBefore7
	case step.Action == plan.CopyFunctions && m.ID == step.From:
		return takenAtGiver
	}
	return taken[step.Action]
}
