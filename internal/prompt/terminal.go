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
	lines   *Lines // instead of survey, where the cursor's place cannot be asked for
	color   func() bool
}

// longestList is how many options are shown at a time.
const longestList = 15

// Manner is visual, on a terminal that is able to.
func (t terminal) Manner() Manner {
	if t.lines != nil {
		return Linewise
	}
	return Visual
}

// Confirm asks with survey. Ctrl-D and Enter alone mean the default, which is
// no.
func (t terminal) Confirm(ctx context.Context, question string) (bool, error) {
	if t.lines != nil {
		return t.lines.Confirm(ctx, question)
	}
	var yes bool
	err := t.ask(ctx, &survey.Confirm{Message: spoken(question), Default: false}, &yes)
	return err == nil && yes, err
}

// spoken is a question without the answers that it takes, which survey adds in
// its own way.
func spoken(question string) string {
	for _, answers := range []string{" (type 'yes' to accept)", " (yes/no)"} {
		question = strings.Replace(question, answers, "", 1)
	}
	return strings.TrimRight(question, ": ")
}

// ask puts a question to survey. Where it fails the answer must not be looked at:
// survey may be left behind, and write it.
func (t terminal) ask(ctx context.Context, question survey.Prompt, answer any, options ...survey.AskOpt) error {
	core.DisableColor = !t.color() // survey has no other switch
	options = append(options, survey.WithStdio(t.in, t.err, t.err), survey.WithPageSize(longestList))
	_, err := guarded(ctx, t, func() (struct{}, error) {
		return struct{}{}, plain(survey.AskOne(question, answer, options...))
	})
	return err
}

// Line asks with survey, or by the line.
func (t terminal) Line(ctx context.Context, question string) (string, error) {
	return t.Input(ctx, question, func(string) error { return nil })
}

// Input asks again until check accepts the answer.
func (t terminal) Input(ctx context.Context, question string, check func(string) error) (string, error) {
	if t.lines != nil {
		return t.lines.Input(ctx, question, check)
	}
	var answer string
	err := t.ask(ctx, &survey.Input{Message: spoken(question)}, &answer,
		survey.WithValidator(func(v any) error { return check(v.(string)) }))
	if err != nil {
		return "", err
	}
	return answer, nil
}

// Select shows the options as a list to move and type in.
func (t terminal) Select(ctx context.Context, question string, options []string) (int, error) {
	if t.lines != nil {
		return t.lines.Select(ctx, question, options)
	}
	chosen := -1
	if err := t.ask(ctx, &survey.Select{Message: spoken(question), Options: options}, &chosen); err != nil {
		return -1, err
	}
	return chosen, nil
}

// MultiSelect shows the options as a list with boxes to tick.
func (t terminal) MultiSelect(ctx context.Context, question string, options []string) ([]int, error) {
	if t.lines != nil {
		return t.lines.MultiSelect(ctx, question, options)
	}
	var chosen []int
	err := t.ask(ctx, &survey.MultiSelect{Message: spoken(question), Options: options}, &chosen,
		survey.WithValidator(survey.MinItems(1)))
	if err != nil {
		return nil, err
	}
	return chosen, nil
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
