package cli

import (
	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/health"
)

func newExplainCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "explain [CODE]",
		GroupID: groupHealth,
		Short:   "Tell what a finding of check means and what to do about it",
		Long: `Tells what a finding of trib check means, how it comes about, what may happen,
what to do, and which commands help. Without a code it lists all codes. It
connects to nothing.` + exitCodes(exitUsage),
		Example: `  trib explain
  trib explain epoch-collision
  trib explain -o json | jq -r '.stories[].code'`,
		ValidArgsFunction: completeCodes,
		RunE: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return app.Terminal.Show(ui.NewExplanation(health.Stories()...))
			case 1:
				return app.explain(args[0])
			}
			return usage("explain takes one code, not %d arguments", len(args))
		},
	}
}

func (app *App) explain(code string) error {
	story, ok := health.Explain(health.Code(code))
	if !ok {
		return usage("no finding has the code %.40q; trib explain lists all codes", code)
	}
	return app.Terminal.Show(ui.NewExplanation(story))
}

func completeCodes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var codes []string
	for _, s := range health.Stories() {
		if len(args) == 0 {
			codes = append(codes, cobra.CompletionWithDesc(string(s.Code), s.Title))
		}
	}
	return codes, cobra.ShellCompDirectiveNoFileComp
}
