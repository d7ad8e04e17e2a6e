package prompt

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// Lines reads a line for each answer, as from a pipe: so
// "echo yes | trib create ..." works.
type Lines struct {
	echo io.Writer

	mu    sync.Mutex
	input *bufio.Reader
}

// NewLines reads answers from in and writes the questions to echo.
func NewLines(in io.Reader, echo io.Writer) *Lines {
	return &Lines{echo: echo, input: bufio.NewReader(in)}
}

// Confirm accepts the word yes and nothing else.
func (l *Lines) Confirm(ctx context.Context, question string) (bool, error) {
	line, err := l.ask(ctx, question)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(line) {
	case "yes":
		return true, nil
	case "no", "n":
		return false, nil
	}
	return false, ErrUnclear
}

// Password is the next line, spaces included.
func (l *Lines) Password(ctx context.Context, question string) (string, error) {
	return l.ask(ctx, question)
}

// Manner is by lines.
func (l *Lines) Manner() Manner { return Linewise }

// Line is the next line, spaces included.
func (l *Lines) Line(ctx context.Context, question string) (string, error) {
	return l.ask(ctx, question)
}

// Input is the next line, which check must accept: nobody is there to correct
// it.
func (l *Lines) Input(ctx context.Context, question string, check func(string) error) (string, error) {
	line, err := l.ask(ctx, question)
	if err != nil {
		return "", err
	}
	return line, check(line)
}

// Select fails: there is nothing to choose on.
func (l *Lines) Select(context.Context, string, []string) (int, error) { return 0, errNoScreen }

// MultiSelect fails: there is nothing to choose on.
func (l *Lines) MultiSelect(context.Context, string, []string) ([]int, error) {
	return nil, errNoScreen
}

func (l *Lines) ask(ctx context.Context, question string) (string, error) {
	io.WriteString(l.echo, question)
	defer io.WriteString(l.echo, "\n")
	return await(ctx, l.line)
}

// line is the next line without its end; the last one may lack it.
func (l *Lines) line() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, err := l.input.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = ErrNoInput
	}
	return strings.TrimRight(line, "\r\n"), err
}

// await returns what f does, or the context's cause once that is done. A read
// cannot be taken back: f is left behind then, and the program is about to end.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
