package apply

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/plan"
)

// StaleError is a plan that does not fit the cluster any more. Nothing was
// changed.
type StaleError struct {
	Reasons []string
}

func (e *StaleError) Error() string {
	return "the plan does not fit the cluster any more: " + strings.Join(e.Reasons, "; ")
}

// PreflightError is a plan that the cluster is not fit for. Nothing was changed.
type PreflightError struct {
	Obstacles []plan.Obstacle
}

func (e *PreflightError) Error() string {
	texts := make([]string, len(e.Obstacles))
	for i, o := range e.Obstacles {
		texts[i] = o.Text
	}
	return "the cluster is not fit for this plan: " + strings.Join(texts, "; ")
}

// PartialError is a run that stopped after it had changed something. The
// cluster is in order or resumable.
type PartialError struct {
	Done, Left int   // steps
	Cause      error // why it stopped
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("stopped with %d steps done and %d left: %v", e.Done, e.Left, e.Cause)
}

// Unwrap is the cause.
func (e *PartialError) Unwrap() error { return e.Cause }

// WaitError is a wait that reached its deadline.
type WaitError struct {
	For   string   // what was waited for
	Nodes []string // who held it up, with what each lacked
	Bus   bool     // nodes that do not reach each other over the cluster bus hold it up
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("gave up waiting for %s; held up by %s", e.For, strings.Join(e.Nodes, ", "))
}
