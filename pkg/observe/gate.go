package observe

import (
	"sync"
	"time"
)

const (
	// parallel is how many nodes are read at once. More is no faster, and costs
	// sockets.
	parallel = 32
	// patience is how long one that says nothing counts among them. Any number of
	// silent nodes then takes hardly longer than one.
	patience = 150 * time.Millisecond
)

// gate lets so many pass at a time.
type gate chan struct{}

func newGate() gate { return make(gate, parallel) }

// enter waits for a place, which is given to the next when leave is called, or
// when patience has run out.
func (g gate) enter() (leave func()) {
	g <- struct{}{}
	free := sync.OnceFunc(func() { <-g })
	late := time.AfterFunc(patience, free)
	return func() {
		late.Stop()
		free()
	}
}
