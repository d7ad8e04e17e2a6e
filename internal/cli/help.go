package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelpCmd replaces cobra's, which ends with 0 after an unknown command.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]",
		GroupID:           groupMore,
		Short:             "Explain a command",
		Long:              "Explains a command, as its option --help does." + exitCodes(exitUsage),
		Example:           "  trib help create",
		ValidArgsFunction: completeCommands,
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

// The sections of a help into which options are sorted, in their order there.
// An option that belongs to no other section is the command's own.
const (
	sectionOwn     = "Options:"
	sectionMove    = "Moving slots:"
	sectionChange  = "Change:"
	sectionConnect = "Connection:"
	sectionOutput  = "Output:"
)

func sections() []string {
	return []string{sectionOwn, sectionMove, sectionChange, sectionConnect, sectionOutput}
}

// under sorts into a section what is added to f until the function that it
// returns is called:
//
//	defer under(f, sectionChange)()
func under(f *pflag.FlagSet, section string) func() {
	before := make(map[string]bool)
	f.VisitAll(func(flag *pflag.Flag) { before[flag.Name] = true })
	return func() {
		f.VisitAll(func(flag *pflag.Flag) {
			if !before[flag.Name] && flag.Annotations[sectionKey] == nil {
				f.SetAnnotation(flag.Name, sectionKey, []string{section})
			}
		})
	}
}

const sectionKey = "section"

func sectionOf(f *pflag.Flag) string {
	switch {
	case f.Name == "help" || f.Name == "version":
		return sectionOutput
	case f.Annotations[sectionKey] != nil:
		return f.Annotations[sectionKey][0]
	}
	return sectionOwn
}

// helpWidth is that of the narrowest terminal that people still have.
const helpWidth = 80

const exitHeading = "\n\nExit codes:\n"

// writeHelp explains a command: what for, how, with what, and how it ends.
func writeHelp(w io.Writer, c *cobra.Command) {
	purpose, codes, _ := strings.Cut(c.Long, exitHeading)
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", purpose, useLine(c))
	writeCommands(w, c)
	if c.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	for _, title := range sections() {
		if flags := flagsIn(c, title); flags.HasAvailableFlags() {
			fmt.Fprintf(w, "\n%s\n%s", title, flags.FlagUsagesWrapped(helpWidth))
		}
	}
	if codes != "" {
		fmt.Fprintf(w, "%s%s\n", exitHeading[1:], codes)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help explains a command.\n", c.CommandPath())
	}
}

func useLine(c *cobra.Command) string {
	if c.HasParent() && c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND [options]"
	}
	return strings.Replace(c.UseLine(), "[flags]", "[options]", 1)
}

// flagsIn are the options of a command, its own and everybody's.
func flagsIn(c *cobra.Command, section string) *pflag.FlagSet {
	found := pflag.NewFlagSet(section, pflag.ContinueOnError)
	add := func(f *pflag.Flag) {
		if sectionOf(f) == section {
			found.AddFlag(f)
		}
	}
	c.LocalFlags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	return found
}

// writeCommands lists the commands below a command, by their groups.
func writeCommands(w io.Writer, c *cobra.Command) {
	groups := slices.Clone(c.Groups())
	if len(groups) == 0 && c.HasAvailableSubCommands() {
		groups = append(groups, &cobra.Group{Title: "Commands:"})
	}
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s\n", g.Title)
		for _, child := range c.Commands() {
			if child.GroupID == g.ID && (child.IsAvailableCommand() || child.Name() == "help") {
				fmt.Fprintf(w, "  %-*s  %s\n", child.NamePadding(), child.Name(), child.Short)
			}
		}
	}
}
