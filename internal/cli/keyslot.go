package cli

import (
	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
)

func newKeySlotCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "keyslot KEY...",
		GroupID: groupMore,
		Short:   "Compute the slots of keys",
		Long: `Computes the slot that a key belongs to: one key gives the number alone, several
give a line each. Of a key with a {hash tag} the tag decides, so that keys with
the same tag share a slot. It connects to nothing.` + exitCodes(exitUsage),
		Example: `  trib keyslot user:1000
  trib keyslot '{user:1000}.following' '{user:1000}.followers'
  trib keyslot -- -starts-with-a-dash`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("no KEY: name the keys whose slots are wanted")
			}
			return app.Terminal.Show(ui.NewKeySlot(args...))
		},
	}
}
