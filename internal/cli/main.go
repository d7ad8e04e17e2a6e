package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
)

// Main runs a command line and returns the exit code.
//
// The first signal ends the command's context: what runs finishes the batch in
// hand. At a second one Main returns at once, and leaves the command behind.
func Main(ctx context.Context, app *App, args []string) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan int, 1)
	go func() { done <- app.run(ctx, args) }()
	signals := 0
	for {
		select {
		case code := <-done:
			return code
		case <-app.Signals:
			if signals++; signals > 1 {
				return app.abandon()
			}
			app.announceInterrupt()
			cancel(errInterrupted)
		}
	}
}

func (app *App) announceInterrupt() {
	if app.begun.Load() {
		app.Terminal.Say(func(p *ui.Page) {
			p.Line("interrupted: finishing the batch in hand; interrupt once more to stop at once")
		})
	}
}

func (app *App) abandon() int {
	app.Terminal.Status("")
	if !app.begun.Load() {
		return exitInterrupted
	}
	hint := hintPartial
	if next := app.next.Load(); next != nil {
		hint = *next
	}
	app.Terminal.Fail(ui.Failure{
		Message: "stopped at once, in the middle of a change",
		Hint:    hint,
		Exit:    exitPartial,
	})
	return exitPartial
}

func (app *App) run(ctx context.Context, args []string) int {
	root := newRoot(app)
	arranged, err := arrange(root, args)
	cmd := root
	if err == nil {
		root.SetArgs(arranged)
		cmd, err = root.ExecuteContextC(ctx)
	}
	if lost := app.Terminal.Lost(); err == nil && lost != nil {
		err = fmt.Errorf("the result could not be written: %w", lost)
	}
	if err == nil {
		return exitOK
	}
	return app.fail(cmd, err, args)
}

func (app *App) fail(cmd *cobra.Command, err error, args []string) int {
	if app.Terminal.Format == ui.Table {
		app.Terminal.Format = wantedFormat(args)
	}
	f := failureOf(err)
	if f.Exit == exitUsage && f.Hint == "" {
		f.Hint = cmd.CommandPath() + " --help"
	}
	if app.known.detour != "" && f.Exit != exitUsage {
		f.Hint = app.known.detour
	}
	app.Terminal.Fail(f)
	return f.Exit
}

// wantedFormat finds the format in a command line that could not be parsed.
func wantedFormat(args []string) ui.Format {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		value, ok := strings.CutPrefix(arg, "--output=")
		if !ok {
			value, ok = strings.CutPrefix(arg, "-o")
		}
		if arg == "-o" || arg == "--output" {
			value, ok = strings.Join(args[min(i+1, len(args)):min(i+2, len(args))], ""), true
		}
		if ok && slices.Contains(ui.Formats(), value) {
			return ui.Format(value)
		}
	}
	return ui.Table
}
