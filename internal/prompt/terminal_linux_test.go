package prompt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	expect "github.com/Netflix/go-expect"
	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/term"
)

const question = "Can I set the above configuration? (type 'yes' to accept): "

// tty is a pseudo-terminal with somebody at it.
type tty struct {
	t       *testing.T
	console *expect.Console
	screen  vt10x.Terminal
}

// newTTY emulates a screen too: survey asks where the cursor is and waits for
// the answer.
func newTTY(t *testing.T) *tty {
	t.Helper()
	answers, screenEnd, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	screen := vt10x.New(vt10x.WithWriter(screenEnd))
	console, err := expect.NewConsole(
		expect.WithStdin(answers), expect.WithStdout(screen), expect.WithCloser(answers, screenEnd),
		expect.WithDefaultTimeout(10*time.Second),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { console.Close() })
	return &tty{t, console, screen}
}

func (y *tty) prompter() Prompter {
	f := y.console.Tty()
	return New(Stdio{In: f, Err: f, InTTY: true, ErrTTY: true, Color: func() bool { return false }})
}

// await waits for text on the screen and for the terminal to be raw: before
// that, Ctrl-C would be a signal and Enter would be echoed.
func (y *tty) await(text string) {
	y.t.Helper()
	if _, err := y.console.ExpectString(text); err != nil {
		y.t.Fatalf("%v; screen:\n%s", err, y.screen)
	}
}

func (y *tty) send(keys string) {
	y.t.Helper()
	if _, err := y.console.Send(keys); err != nil {
		y.t.Fatal(err)
	}
}

type result struct {
	yes bool
	err error
}

func (y *tty) confirm(ctx context.Context) (wait func() result) {
	return asked(y, func(p Prompter) result {
		yes, err := p.Confirm(ctx, question)
		return result{yes, err}
	})
}

// asked asks in the background and keeps reading what survey writes after the
// last expectation: a terminal that nobody reads blocks it.
func asked[R any](y *tty, ask func(Prompter) R) (wait func() R) {
	done := make(chan R, 1)
	go func() { done <- ask(y.prompter()) }()
	return func() R {
		y.t.Helper()
		drained := make(chan struct{})
		go func() { defer close(drained); y.console.ExpectEOF() }()
		select {
		case r := <-done:
			y.console.Tty().Close()
			<-drained
			return r
		case <-time.After(10 * time.Second):
			y.t.Fatalf("no answer; screen:\n%s", y.screen)
			panic("unreachable")
		}
	}
}

func TestTerminalConfirm(t *testing.T) {
	tests := []struct {
		name, keys string
		want       result
	}{
		{"yes", "yes\r", result{true, nil}},
		{"y", "y\r", result{true, nil}},
		{"no", "no\r", result{false, nil}},
		{"enter alone is no", "\r", result{false, nil}},
		{"ctrl-d is no", "\x04", result{false, nil}},
		{"ctrl-c interrupts", "\x03", result{false, ErrInterrupted}},
		{"nonsense is asked again", "maybe\rno\r", result{false, nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			y := newTTY(t)
			wait := y.confirm(context.Background())
			y.await("Can I set the above configuration? (y/N)")
			y.awaitRaw()
			y.send(tt.keys)
			if got := wait(); got.yes != tt.want.yes || !errors.Is(got.err, tt.want.err) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if strings.Contains(y.screen.String(), "\x1b[3") {
				t.Error("coloured")
			}
		})
	}
}

const (
	down  = "\x1b[B"
	enter = "\r"
	space = " "
	sorry = "Sorry, your reply was invalid" // what survey says before it asks again
)

// choice is what was chosen or typed.
type choice struct {
	indexes []int
	text    string
	err     error
}

func TestTerminalChoices(t *testing.T) {
	options := []string{"10.0.0.1:7000 aaaa", "10.0.0.2:7000 bbbb", "10.0.0.3:7000 cccc"}
	ctx := context.Background()
	one := func(p Prompter) choice {
		i, err := p.Select(ctx, "Which node?", options)
		return choice{indexes: []int{i}, err: err}
	}
	some := func(p Prompter) choice {
		chosen, err := p.MultiSelect(ctx, "Which node?", options)
		return choice{indexes: chosen, err: err}
	}
	number := func(p Prompter) choice {
		text, err := p.Input(ctx, "Which node?", func(s string) error {
			if s != "7" {
				return errors.New("want 7")
			}
			return nil
		})
		return choice{text: text, err: err}
	}
	tests := []struct {
		name, keys string
		ask        func(Prompter) choice
		want       choice
	}{
		{"the first", enter, one, choice{indexes: []int{0}}},
		{"the second", down + enter, one, choice{indexes: []int{1}}},
		{"by typing", "ccc" + enter, one, choice{indexes: []int{2}}},
		{"interrupted list", down + "\x03", one, choice{indexes: []int{-1}, err: ErrInterrupted}},
		{"two of them", space + down + down + space + enter, some, choice{indexes: []int{0, 2}}},
		{"none is asked again", enter + sorry + down + space + enter, some, choice{indexes: []int{1}}},
		{"interrupted boxes", space + "\x03", some, choice{err: ErrInterrupted}},
		{"a number", "7" + enter, number, choice{text: "7"}},
		{"a wrong number is asked again", "8" + enter + sorry + "7" + enter, number, choice{text: "7"}},
		{"interrupted number", "7\x03", number, choice{err: ErrInterrupted}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			y := newTTY(t)
			wait := asked(y, tt.ask)
			y.await("Which node?")
			y.awaitRaw()
			first, second, again := strings.Cut(tt.keys, sorry)
			y.send(first)
			if again {
				y.await(sorry)
				y.await("Which node?")
				y.awaitRaw()
				y.send(second)
			}
			got := wait()
			if !slices.Equal(got.indexes, tt.want.indexes) || got.text != tt.want.text || !errors.Is(got.err, tt.want.err) {
				t.Errorf("got %+v, want %+v; screen:\n%s", got, tt.want, y.screen)
			}
		})
	}
}

// awaitRaw polls the terminal's mode.
func (y *tty) awaitRaw() {
	y.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for echoes(y.t, y.console.Tty()) {
		if time.Now().After(deadline) {
			y.t.Fatal("the terminal does not become raw")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTerminalIsRestoredWhenTheContextEnds(t *testing.T) {
	y := newTTY(t)
	before, err := term.GetState(int(y.console.Tty().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("SIGTERM")
	done := make(chan result, 1)
	go func() {
		yes, err := y.prompter().Confirm(ctx, question)
		done <- result{yes, err}
	}()
	y.await("(y/N)")
	y.awaitRaw()
	cancel(cause)
	if got := <-done; got.yes || !errors.Is(got.err, cause) {
		t.Errorf("%+v", got)
	}
	after, err := term.GetState(int(y.console.Tty().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if *after != *before {
		t.Error("the terminal was left in another mode")
	}
}

func TestTerminalPasswordIsNotShown(t *testing.T) {
	y := newTTY(t)
	type secret struct {
		text string
		err  error
	}
	done := make(chan secret, 1)
	go func() {
		text, err := y.prompter().Password(context.Background(), "Password: ")
		done <- secret{text, err}
	}()
	y.await("Password: ")
	y.awaitRaw()
	y.send("hunter2\n")
	if got := <-done; got.text != "hunter2" || got.err != nil {
		t.Errorf("%+v", got)
	}
	y.await("\n")
	if strings.Contains(y.screen.String(), "hunter2") {
		t.Errorf("screen:\n%s", y.screen)
	}
}

// A terminal that cannot say where its cursor is gets the line reader.
func TestDumbTerminal(t *testing.T) {
	y := newTTY(t)
	f := y.console.Tty()
	p := New(Stdio{In: f, Err: f, InTTY: true, ErrTTY: true, DumbTerminal: true})
	done := make(chan result, 1)
	go func() {
		yes, err := p.Confirm(context.Background(), question)
		done <- result{yes, err}
	}()
	y.await(question)
	y.send("yes\n")
	if got := <-done; !got.yes || got.err != nil {
		t.Errorf("%+v", got)
	}
}
