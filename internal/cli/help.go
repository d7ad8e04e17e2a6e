package cli

import "github.com/spf13/cobra"

// newHelpCmd replaces cobra's, which ends with 0 after an unknown command.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Explain a command",
		Long:              "Explains a command, as its option --help does." + exitCodes(exitUsage),
		Example:           "  trib help create",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			subject, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args[len(args)-max(len(rest), 1)])
			}
			subject.InitDefaultHelpFlag()
			return subject.Help()
		},
	}
}
