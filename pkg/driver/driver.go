package driver

import (
	"context"
	"errors"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ProbeTimeout bounds a call whose context has no deadline: long enough for a
// busy server, short enough that a paused one is named within five seconds.
const ProbeTimeout = 2 * time.Second

// Command is a command with its arguments, binary safe.
type Command []string

// Cmd makes a Command: Cmd("CLUSTER", "NODES").
func Cmd(args ...string) Command { return args }

// Dialer opens connections to nodes.
type Dialer interface {
	// Dial connects to addr and authenticates. It honours ctx's deadline, or
	// ProbeTimeout where there is none, and fails with an error that names addr.
	// A refused password is an *AuthError, anything else that kept the node from
	// answering is a *TransportError.
	//
	// A name that is not empty becomes the connection's client name, which is
	// how operators see each other; a server that refuses it fails the dial.
	Dial(ctx context.Context, addr cluster.Addr, name string) (Conn, error)
}

// Conn is one connection to one node. It is not safe for concurrent use.
type Conn interface {
	// Do sends cmds in one pipeline and waits for their replies, which come in
	// the same order, one for each command. It honours ctx's deadline, or
	// ProbeTimeout where there is none.
	//
	// Where the connection fails on the way, Do returns the replies that had
	// arrived and a *TransportError; the outcome of the remaining commands is
	// unknown, and the connection is broken: every later call fails with
	// ErrBroken and sends nothing. A context that is done before the call sends
	// nothing, breaks nothing, and returns its cause.
	Do(ctx context.Context, cmds ...Command) ([]Reply, error)

	// Close ends the connection. It may be called more than once.
	Close() error
}

// ErrBroken is the error of every call on a connection that failed before.
var ErrBroken = errors.New("connection is broken")

// Call sends one command and returns its reply; a reply that is an error is
// returned as the error.
func Call(ctx context.Context, c Conn, args ...string) (Reply, error) {
	replies, err := c.Do(ctx, args)
	if err != nil {
		return Reply{}, err
	}
	return replies[0], replies[0].Err
}
