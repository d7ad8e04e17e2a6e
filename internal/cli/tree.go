package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/driver"
)

// Commands are all commands that the help shows, the root first. They are there
// to be documented: what they would write goes nowhere, and they reach nobody.
func Commands() []*cobra.Command {
	nowhere := &App{
		Terminal:  ui.NewTerminal(io.Discard, io.Discard, ui.Traits{}),
		Prompter:  prompt.Nobody{},
		Env:       func(string) string { return "" },
		NewDialer: func(config.Connection) driver.Dialer { return nil },
		Now:       func() time.Time { return time.Time{} },
		Build:     ui.Version{Version: "v0"},
	}
	root := newRoot(nowhere)
	root.InitDefaultHelpCmd()
	return available(root)
}

func available(c *cobra.Command) []*cobra.Command {
	found := []*cobra.Command{c}
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() {
			found = append(found, available(child)...)
		}
	}
	return found
}
