package driver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ServerError is a command that arrived and was refused.
type ServerError struct {
	Text string // as sent, e.g. "ERR Unknown node 07c3..."
}

func (e *ServerError) Error() string { return e.Text }

// Code is the error's first word: ERR, MOVED, CLUSTERDOWN, NOPERM...
func (e *ServerError) Code() string {
	code, _, _ := strings.Cut(e.Text, " ")
	return code
}

// TransportError is a connection that could not be made or did not last: what
// was sent on it may or may not have been carried out.
type TransportError struct {
	Addr cluster.Addr
	Err  error
}

func (e *TransportError) Error() string { return fmt.Sprintf("%s: %v", e.Addr, e.Err) }

// Unwrap is the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// AuthError is a node that refused the credentials, or demands some.
type AuthError struct {
	Addr cluster.Addr
	Err  error
}

func (e *AuthError) Error() string { return fmt.Sprintf("%s: %v", e.Addr, e.Err) }

// Unwrap is the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// HasCode reports whether err is a server's error with that first word.
func HasCode(err error, code string) bool {
	var e *ServerError
	return errors.As(err, &e) && e.Code() == code
}

// Mentions reports whether err is a server's error whose text contains part.
// MIGRATE needs it: what the target refused arrives wrapped in the source's
// words ("ERR Target instance replied with error: BUSYKEY ...").
func Mentions(err error, part string) bool {
	var e *ServerError
	return errors.As(err, &e) && strings.Contains(e.Text, part)
}

// IsTransport reports whether err leaves the outcome of a command unknown.
func IsTransport(err error) bool {
	var e *TransportError
	return errors.As(err, &e) || errors.Is(err, ErrBroken)
}
