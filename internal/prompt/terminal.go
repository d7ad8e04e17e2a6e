package prompt

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/AlecAivazis/survey/v2"
	"github.com/AlecAivazis/survey/v2/core"
	surveyterm "github.com/AlecAivazis/survey/v2/terminal"
	"golang.org/x/term"
)

// terminal asks on a terminal. Questions go to standard error: standard output
// is the result's.
type terminal struct {
	in, err *os.File
	dumb    bool
	color   func() bool
}

// Confirm asks with survey. Ctrl-D and Enter alone mean the default, which is
// no.
func (t terminal) Confirm(ctx context.Context, question string) (bool, error) {
	if t.dumb {
		return NewLines(t.in, t.err).Confirm(ctx, question)
	}
	core.DisableColor = !t.color() // survey has no other switch
	ask := &survey.Confirm{Message: strings.TrimRight(question, ": "), Default: false}
	return guarded(ctx, t, func() (bool, error) {
		var yes bool
		err := survey.AskOne(ask, &yes, survey.WithStdio(t.in, t.err, t.err))
		return yes && err == nil, plain(err)
	})
}

// Password reads without an echo.
func (t terminal) Password(ctx context.Context, question string) (string, error) {
	io.WriteString(t.err, question)
	defer io.WriteString(t.err, "\n")
	return guarded(ctx, t, func() (string, error) {
		secret, err := term.ReadPassword(int(t.in.Fd()))
		return string(secret), plain(err)
	})
}

func plain(err error) error {
	switch {
	case errors.Is(err, surveyterm.InterruptErr):
		return ErrInterrupted
	case errors.Is(err, io.EOF):
		return ErrNoInput
	}
	return err
}

// guarded puts the terminal back as it was when the context ends first: survey
// does not watch it, and would leave the terminal without echo.
func guarded[T any](ctx context.Context, t terminal, f func() (T, error)) (T, error) {
	before, err := term.GetState(int(t.in.Fd()))
	if err != nil {
		var none T
		return none, err
	}
	value, err := await(ctx, f)
	if ctx.Err() != nil {
		term.Restore(int(t.in.Fd()), before)
		io.WriteString(t.err, "\n")
	}
	return value, err
}
