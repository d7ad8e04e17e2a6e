package ui

import (
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/plan"
)

// Narrate tells the events of a run on standard output, each kind of step once
// and in redis-trib's words.
func Narrate(t *Terminal) apply.Observer {
	told := make(map[string]bool)
	return func(e apply.Event) {
		for _, line := range narration(e) {
			if !told[line] {
				told[line] = true
				t.Text(func(p *Page) { p.Line("%s", line) })
			}
		}
	}
}

func narration(e apply.Event) []string {
	switch {
	case e.Kind == apply.Notice:
		return []string{"*** " + e.Text}
	case e.Kind == apply.StepBegun && e.Action == plan.SetEpoch:
		return []string{">>> Assign a different config epoch to each node"}
	case e.Kind == apply.StepDone && e.Action == plan.AssignSlots:
		return []string{">>> Nodes configuration updated"}
	case e.Kind == apply.StepBegun && e.Action == plan.Join:
		return []string{">>> Sending CLUSTER MEET messages to join the cluster", "Waiting for the cluster to join"}
	}
	return memberNarration(e)
}
