package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// bench is a place to run commands on.
type bench struct {
	t       *testing.T
	dialer  driver.Dialer
	env     map[string]string
	traits  ui.Traits
	prompt  prompt.Prompter
	signals chan os.Signal
	real    bool // commands reach real nodes, not dialer

	credentials []config.Credentials // that dialers were asked for with
	connections []config.Connection
	in          string
	out, err    bytes.Buffer // of the last run
}

// newBench makes a bench with nobody at the keyboard and no cluster.
func newBench(t *testing.T) *bench {
	return &bench{t: t, dialer: noDialer{t}, env: map[string]string{}, prompt: prompt.Nobody{}}
}

// app makes an App on the bench; it serves one run.
func (b *bench) app() *App {
	b.out.Reset()
	b.err.Reset()
	return &App{
		Terminal: ui.NewTerminal(&b.out, &b.err, b.traits),
		Prompter: b.prompt,
		In:       strings.NewReader(b.in),
		Env:      func(name string) string { return b.env[name] },
		Signals:  b.signals,
		NewDialer: func(c config.Connection) driver.Dialer {
			b.credentials = append(b.credentials, c.Credentials)
			b.connections = append(b.connections, c)
			if b.real {
				return dialReal(c)
			}
			return b.dialer
		},
		Now:    time.Now,
		Holder: "test:1",
		Build:  ui.Version{Schema: ui.Schema, Command: "version", Version: "v1.2.3", Go: "go1.26", Platform: "test/test"},
	}
}

func (b *bench) run(args ...string) int {
	return Main(context.Background(), b.app(), args)
}

// runLine runs a command line as a shell without quoting would.
func (b *bench) runLine(line string) int { return b.run(strings.Fields(line)...) }

func (b *bench) want(got, want int) {
	b.t.Helper()
	if got != want {
		b.t.Fatalf("exit %d, want %d\nstdout:\n%s\nstderr:\n%s", got, want, &b.out, &b.err)
	}
}

func (b *bench) wantOut(parts ...string) {
	b.t.Helper()
	wantIn(b.t, "stdout", b.out.String(), parts)
}

func (b *bench) wantErr(parts ...string) {
	b.t.Helper()
	wantIn(b.t, "stderr", b.err.String(), parts)
}

func (b *bench) wantSilentErr() {
	b.t.Helper()
	if b.err.Len() > 0 {
		b.t.Errorf("stderr is not empty:\n%s", &b.err)
	}
}

func wantIn(t *testing.T, stream, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", stream, part, text)
		}
	}
}

// noDialer fails the test when it is used.
type noDialer struct{ t *testing.T }

func (d noDialer) Dial(_ context.Context, addr cluster.Addr, _ string) (driver.Conn, error) {
	d.t.Errorf("dialled %s", addr)
	return nil, &driver.TransportError{Addr: addr, Err: errors.New("must not be dialled")}
}
