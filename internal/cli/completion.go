package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// newCompletionCmd replaces cobra's, which has neither examples nor exit codes.
func newCompletionCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "completion",
		GroupID: groupMore,
		Short:   "Write the completion script of a shell",
		Long: `Writes the script that completes commands, options and, from the cluster whose
SEED stands on the line, the names of nodes. A cluster that does not answer
within a second completes nothing, and no password is asked for.` + exitCodes(exitUsage),
		RunE: noCommand,
	}
	for _, s := range shells() {
		cmd.AddCommand(newShellCmd(s))
	}
	return cmd
}

type shell struct {
	name, title, needs, example string
	write                       func(*cobra.Command, io.Writer) error
}

func shells() []shell {
	return []shell{
		{
			"bash", "bash", " It needs the package bash-completion.", "  source <(trib completion bash)\n  trib completion bash > ~/.local/share/bash-completion/completions/trib",
			func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		},
		{"zsh", "zsh", "", "  trib completion zsh > \"${fpath[1]}/_trib\"", (*cobra.Command).GenZshCompletion},
		{
			"fish", "fish", "", "  trib completion fish > ~/.config/fish/completions/trib.fish",
			func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		},
		{
			"powershell", "PowerShell", "", "  trib completion powershell | Out-String | Invoke-Expression",
			(*cobra.Command).GenPowerShellCompletionWithDesc,
		},
	}
}

func newShellCmd(s shell) *cobra.Command {
	return &cobra.Command{
		Use:               s.name,
		Short:             "Write the script for " + s.title,
		Long:              "Writes the completion script for " + s.title + "." + s.needs + exitCodes(exitUsage),
		Example:           s.example,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
			}
			return s.write(cmd.Root(), cmd.OutOrStdout())
		},
	}
}

func completeCommands(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	subject, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, c := range subject.Commands() {
		if c.IsAvailableCommand() {
			found = append(found, cobra.CompletionWithDesc(c.Name(), c.Short))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeFlags completes the values of options that say what they take: one of
// some words, or nodes.
func (app *App) completeFlags(root *cobra.Command) {
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { app.completeFlag(root, f) })
	eachLocalFlag(root, app.completeFlag)
}

func eachLocalFlag(c *cobra.Command, visit func(*cobra.Command, *pflag.Flag)) {
	for _, child := range c.Commands() {
		child.Flags().VisitAll(func(f *pflag.Flag) { visit(child, f) })
		eachLocalFlag(child, visit)
	}
}

func (app *App) completeFlag(c *cobra.Command, f *pflag.Flag) {
	takes, _ := pflag.UnquoteUsage(f)
	switch {
	case f.Name == "context":
		c.RegisterFlagCompletionFunc(f.Name, app.completeContexts)
	case strings.HasPrefix(takes, "NODE"):
		c.RegisterFlagCompletionFunc(f.Name, app.completeNodes)
	case strings.ContainsAny(f.Value.Type(), "|,"):
		words := strings.FieldsFunc(f.Value.Type(), func(r rune) bool { return r == '|' || r == ',' })
		c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	case takes != "FILE" && takes != "DIR":
		c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
	}
}

// completionLimit is how long somebody waits who has pressed the tabulator key.
const completionLimit = time.Second

// completeNodes completes the name of a node, an address or an id, from the
// cluster whose SEED stands on the line already. It is for options and for
// arguments behind SEED. Whatever fails completes nothing.
func (app *App) completeNodes(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const quiet = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		args = app.contextSeed(cmd)
	}
	s, _, err := seedBefore(args)
	if err != nil || app.global.askPass || app.global.source.Command != "" {
		return nil, quiet
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
	defer cancel()
	view, err := app.glimpse(ctx, s)
	if err != nil {
		return nil, quiet
	}
	done, last := "", begun // of --from a,b
	if i := strings.LastIndexByte(begun, ','); i >= 0 {
		done, last = begun[:i+1], begun[i+1:]
	}
	return nodeCompletions(view, done, last), quiet
}

// glimpse is what the seed knows of its cluster: one node and one question.
func (app *App) glimpse(ctx context.Context, s seed) (cluster.View, error) {
	given, err := app.flagCredentials(ctx)
	if err != nil {
		return cluster.View{}, err
	}
	a, err := app.access(ctx, given.Or(s.credentials))
	if err != nil {
		return cluster.View{}, err
	}
	conn, err := a.reader().Dial(ctx, s.addr, "")
	if err != nil {
		return cluster.View{}, err
	}
	defer conn.Close()
	reply, err := driver.Call(ctx, conn, "CLUSTER", "NODES")
	if err != nil {
		return cluster.View{}, err
	}
	text, err := reply.Text()
	if err != nil {
		return cluster.View{}, err
	}
	return cluster.ParseNodes(text)
}

// nodeCompletions are the addresses, and then the ids, that begin with last.
func nodeCompletions(v cluster.View, done, last string) (found []cobra.Completion) {
	add := func(name, about string) {
		if strings.HasPrefix(name, last) {
			found = append(found, cobra.CompletionWithDesc(done+name, about))
		}
	}
	for _, n := range v.Nodes {
		if n.Addr.Known() {
			add(n.Addr.String(), roleOf(n)+" "+n.ID.Short())
		}
	}
	for _, n := range v.Nodes {
		if !n.Flags.Has(cluster.FlagHandshake) {
			add(string(n.ID), roleOf(n)+" "+n.Addr.String())
		}
	}
	return found
}

func roleOf(n cluster.Node) string {
	if n.Flags.Has(cluster.FlagReplica) {
		return "replica"
	}
	return fmt.Sprintf("master, %d slots,", n.Slots.Len())
}
