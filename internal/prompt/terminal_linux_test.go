package prompt

import (
	"context"
	"errors"
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

// confirm asks in the background and keeps reading what survey writes after the
// last expectation: a terminal that nobody reads blocks it.
func (y *tty) confirm(ctx context.Context) (wait func() result) {
	done := make(chan result, 1)
	go func() {
		yes, err := y.prompter().Confirm(ctx, question)
		done <- result{yes, err}
	}()
	return func() result {
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
			return result{}
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
			y.await("(type 'yes' to accept) (y/N)")
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
