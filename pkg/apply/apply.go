package apply

import (
	"context"
	"errors"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// Readiness is how far a new cluster must have come before create is done.
type Readiness string

// A cluster is joined when every node has met every other and every replica
// follows its master; it is ok when every node also serves clients and every
// replica holds its master's data.
const (
	ReadyJoined Readiness = "joined"
	ReadyOK     Readiness = "ok"
)

// Options say how to carry out a plan.
type Options struct {
	Dialer   driver.Dialer
	Observer Observer // may be nil
	Lock     lock.Options
	Move     move.Options

	Ready       Readiness     // for create; default ReadyOK
	WaitTimeout time.Duration // for every wait; default 60 s
}

// Run carries out a plan. Its error is a *StaleError or a *lock.HeldError where
// nothing was changed, a *PartialError where something was, and otherwise
// whatever kept it from starting.
func Run(ctx context.Context, p plan.Plan, o Options) error {
	return errors.New("not implemented")
}
