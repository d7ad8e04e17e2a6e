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

	// Manner says which of the following suit whoever answers.
	Manner() Manner

	// Line asks for a line and returns it as it is.
	Line(ctx context.Context, question string) (string, error)

	// Input asks for a line until check has nothing against it.
	Input(ctx context.Context, question string, check func(string) error) (string, error)

	// Select lets one of the options be chosen, by its index.
	Select(ctx context.Context, question string, options []string) (int, error)

	// MultiSelect lets some of the options be chosen, one at least.
	MultiSelect(ctx context.Context, question string, options []string) ([]int, error)
}

// Manner is how a prompter asks.
type Manner int

// Nobody answers, or lines are read from somebody who cannot be corrected, or
// there is a screen on which to choose.
const (
	Silent Manner = iota
	Linewise
	Visual
)

// errNoScreen is a choice asked of a prompter that has no screen for it.
var errNoScreen = errors.New("there is no screen to choose on")

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
	t := terminal{in: s.In, err: s.Err, color: s.Color}
	if s.DumbTerminal {
		t.lines = NewLines(s.In, s.Err)
	}
	return t
}

// Nobody answers nothing.
type Nobody struct{}

// Confirm is a no.
func (Nobody) Confirm(context.Context, string) (bool, error) { return false, ErrNoInput }

// Password fails.
func (Nobody) Password(context.Context, string) (string, error) { return "", ErrNoInput }

// Manner is silent.
func (Nobody) Manner() Manner { return Silent }

// Line fails.
func (Nobody) Line(context.Context, string) (string, error) { return "", ErrNoInput }

// Input fails.
func (Nobody) Input(context.Context, string, func(string) error) (string, error) {
	return "", ErrNoInput
}

// Select fails.
func (Nobody) Select(context.Context, string, []string) (int, error) { return 0, ErrNoInput }

// MultiSelect fails.
func (Nobody) MultiSelect(context.Context, string, []string) ([]int, error) { return nil, ErrNoInput }
