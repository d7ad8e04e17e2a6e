package cli

import "github.com/spf13/cobra"

func newVersionCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		GroupID:           groupMore,
		Short:             "Show what this trib was built from",
		Long:              "Shows version, commit, compiler and platform." + exitCodes(exitUsage),
		Example:           "  trib version -o json",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("version takes no arguments")
			}
			return app.Terminal.Show(app.Build)
		},
	}
}
