package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// System is the App of a real process.
func System(in, out, err *os.File, getenv func(string) string) *App {
	env := config.Env(getenv)
	inTTY, errTTY := isTerminal(in), isTerminal(err)
	terminal := ui.NewTerminal(out, err, ui.Traits{
		Out:    styleOf(env, out),
		Err:    styleOf(env, err),
		ErrTTY: errTTY,
		Width:  func() int { return width(err) },
		Height: func() int { return height(err) },
	})
	return &App{
		Terminal: terminal,
		In:       in,
		Prompter: prompt.New(prompt.Stdio{
			In: in, Err: err, InTTY: inTTY, ErrTTY: errTTY, DumbTerminal: env("TERM") == "dumb",
			Color: func() bool { return terminal.Traits().Err.Color },
		}),
		Env:       env,
		Signals:   signals(),
		NewDialer: dialReal,
		Now:       time.Now,
		Holder:    holder(),
		Build:     build(),
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func styleOf(env config.Env, f *os.File) ui.Style {
	tty := isTerminal(f)
	return ui.Style{Color: tty && !env.NoColor(), Unicode: tty && env.Unicode(), Narrow: tty && width(f) < 110}
}

func width(f *os.File) int {
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return columns
}

func height(f *os.File) int {
	_, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 24
	}
	return lines
}

// signals are those that ask trib to stop. A reader of its output that goes away
// does not: trib reshard | head must not end in the middle of a batch.
func signals() <-chan os.Signal {
	signal.Ignore(syscall.SIGPIPE)
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return c
}

func dialReal(c config.Connection) driver.Dialer {
	return goredis.New(goredis.Options{
		Username: c.User, Password: c.Password.Reveal(), TLS: c.Encryption, ConnectTimeout: c.Timeout,
		Addresses: c.Addresses, DialContext: preferring(c.Network),
	})
}

// preferring dials the addresses of one kind that a name has; where it has none,
// or is an address of the other kind, it dials what there is, as redis-cli does.
// It is nil without a preference.
func preferring(network string) func(ctx context.Context, kind, address string) (net.Conn, error) {
	if network == "" {
		return nil
	}
	d := &net.Dialer{KeepAlive: 15 * time.Second}
	return func(ctx context.Context, kind, address string) (net.Conn, error) {
		if kind == "unix" {
			return d.DialContext(ctx, kind, address)
		}
		c, err := d.DialContext(ctx, network, address)
		if _, none := errors.AsType[*net.AddrError](err); none {
			return d.DialContext(ctx, "tcp", address)
		}
		return c, err
	}
}

func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

func build() ui.Version {
	v := ui.Version{Schema: ui.Schema, Command: "version", Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
