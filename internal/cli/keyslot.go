package cli

import (
	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
)

func newKeySlotCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "keyslot KEY",
		GroupID: groupMore,
		Short:   "Compute the slot of a key",
		Long:    "Computes the slot that a key belongs to. It connects to nothing." + exitCodes(exitUsage),
		Example: `  trib keyslot user:1000
  trib keyslot '{user:1000}.following'
  trib keyslot -- -starts-with-a-dash`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("want one KEY, got %d arguments", len(args))
			}
			return app.Terminal.Show(ui.KeySlot{
				Schema: ui.Schema, Command: "keyslot", Key: args[0], Slot: cluster.KeySlot(args[0]),
			})
		},
	}
}
