package prompt

import (
	"context"
	"errors"
	"io"
	"os"
)

// ErrInterrupted is the answer of somebody who pressed Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// ErrNoInput is a question that nobody is there to answer.
var ErrNoInput = errors.New("no input to read an answer from")

// ErrUnclear is an answer that is neither yes nor no.
var ErrUnclear = errors.New("the answer is neither yes nor no")

// Prompter asks questions. Its methods return when their context is done, with
// its cause, and leave the terminal as they found it.
type Prompter interface {
	// Confirm asks for a yes. Whatever is not clearly a yes is false: a no
	// without an error, the end of the input with ErrNoInput, and what nobody
	// can make sense of with ErrUnclear.
	Confirm(ctx context.Context, question string) (bool, error)

	// Password asks for a secret without showing it.
	Password(ctx context.Context, question string) (string, error)
}

// Stdio is where to ask. In and Err are terminals where they say so.
type Stdio struct {
	In           *os.File
	Err          *os.File
	InTTY        bool
	ErrTTY       bool
	DumbTerminal bool // cannot be asked where its cursor is
	Color        func() bool
}

// New is the prompter that suits the input: survey on a terminal, lines from a
// pipe, and nobody where a question could not be seen.
func New(s Stdio) Prompter {
	switch {
	case !s.InTTY && s.ErrTTY:
		return NewLines(s.In, s.Err)
	case !s.InTTY:
		return NewLines(s.In, io.Discard)
	case !s.ErrTTY:
		return Nobody{}
	}
	return terminal{in: s.In, err: s.Err, dumb: s.DumbTerminal, color: s.Color}
}

// Nobody answers nothing.
type Nobody struct{}

// Confirm is a no.
func (Nobody) Confirm(context.Context, string) (bool, error) { return false, ErrNoInput }

// Password fails.
func (Nobody) Password(context.Context, string) (string, error) { return "", ErrNoInput }
