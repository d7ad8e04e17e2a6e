package apply

import (
	"fmt"
	"strings"
)

// StaleError is a plan that does not fit the cluster any more. Nothing was
// changed.
type StaleError struct {
	Reasons []string
}

func (e *StaleError) Error() string {
	return "the plan does not fit the cluster any more: " + strings.Join(e.Reasons, "; ")
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
