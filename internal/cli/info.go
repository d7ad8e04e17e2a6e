package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
)

type infoOptions struct {
	seed seed
}

func newInfoCmd(app *App, run func(context.Context, *infoOptions) error) *cobra.Command {
	o := &infoOptions{}
	if run == nil {
		run = app.runInfo
	}
	return &cobra.Command{
		Use:     "info SEED",
		GroupID: groupHealth,
		Short:   "Show the nodes of a cluster with their slots and keys",
		Long: `Shows every node of the cluster: its role, slots, keys, memory and version.
It judges nothing and changes nothing.` + exitCodes(exitUsage, exitNoSeed, exitInterrupted),
		Example: `  trib info 10.0.0.1:7000
  trib info 10.0.0.1:7000 -o json | jq '.nodes[] | {addr, keys}'`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.seed, err = seedOf(args); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
}

func (app *App) runInfo(ctx context.Context, o *infoOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeCluster(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	return app.Terminal.Show(ui.NewInfo(o.seed.addr.String(), s))
}
