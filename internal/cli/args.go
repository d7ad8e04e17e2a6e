package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// normalize makes the flag names of redis-cli, valkey-cli and redis-trib those
// of trib: --cluster-X is --X, '_' is '-', slave is replica, primary is master.
func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' })
	if len(words) > 1 && words[0] == "cluster" {
		words = words[1:]
	}
	for i, word := range words {
		words[i] = presentName(word)
	}
	joined := strings.Join(words, "-")
	switch joined {
	case "tls-server-name":
		joined = "sni"
	case "masters-id": // valkey-cli's help says so, though it does not take it
		joined = "master-id"
	}
	return pflag.NormalizedName(joined)
}

func presentName(word string) string {
	switch word {
	case "slave":
		return "replica"
	case "slaves":
		return "replicas"
	case "primary":
		return "master"
	case "primaries":
		return "masters"
	}
	return word
}

// arrange puts the command first, so that options may stand anywhere: cobra
// finds a command behind an option only if its parent knows that option too.
// The word --cluster is dropped.
func arrange(root *cobra.Command, args []string) ([]string, error) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		typeArgErrors(c)
	}
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args, nil
	}
	a := arranger{command: root, flags: allFlags(root)}
	for len(args) > 0 && args[0] != "--" {
		// To create it is a number, and here none: it has to stand behind the command.
		if a.command.Name() == "backup" && args[0] == "--replicas" {
			args = append([]string{"--from-replicas"}, args[1:]...)
		}
		n, err := a.take(args)
		if err != nil {
			return nil, err
		}
		args = args[n:]
	}
	return slices.Concat(a.path, a.wanted(), a.rest, a.forwarded(args)), nil
}

// isIdle reports whether an option is one of those that redis-cli takes with
// every command, used or not, and that do no harm where they mean nothing.
// --cluster-simulate is not: who asks for it must not be answered by a change.
func isIdle(arg string) bool {
	if !strings.HasPrefix(arg, "--cluster-") {
		return false
	}
	name, _, _ := strings.Cut(arg[2:], "=")
	switch normalize(nil, name) {
	case "yes", "timeout", "pipeline", "replace", "search-multiple-owners":
		return true
	}
	return false
}

// wanted are the idle options that mean something to the command.
func (a *arranger) wanted() (args []string) {
	for _, option := range a.idle {
		name, _, _ := strings.Cut(option[0][2:], "=")
		if a.command.Flags().Lookup(name) != nil {
			args = append(args, option...)
		}
	}
	return args
}

// forwards marks a command that passes its words on to a server.
const forwards = "forwards"

func (a *arranger) forwards() bool {
	_, ok := a.command.Annotations[forwards]
	return ok
}

// forwarded keeps the words to pass on out of reach of the parser of options.
// args are those that stand behind two dashes already.
func (a *arranger) forwarded(args []string) []string {
	if !a.forwards() {
		return args
	}
	if len(args) > 0 {
		args = args[1:]
	}
	return slices.Concat([]string{"--"}, a.words, args)
}

// isNegative reports whether a word is a number and no option.
func isNegative(arg string) bool {
	_, err := strconv.ParseFloat(arg, 64)
	return err == nil && len(arg) > 1 && strings.ContainsRune("0123456789.", rune(arg[1]))
}

// typeArgErrors makes usage errors of what cobra's own commands say of their
// arguments.
func typeArgErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
	for _, child := range c.Commands() {
		typeArgErrors(child)
	}
}

type arranger struct {
	flags   *pflag.FlagSet
	command *cobra.Command // found so far
	path    []string       // that leads to it
	rest    []string
	idle    [][]string // options that the command may not have
	words   []string   // of a command that forwards them
}

// take sorts the next option with its value, or the next word, and returns how
// many arguments that was.
func (a *arranger) take(args []string) (int, error) {
	arg := args[0]
	switch {
	case a.forwards() && isNegative(arg):
		return 1, a.word(arg)
	case arg == "--cluster" && !a.forwards():
		return 1, nil
	case strings.HasPrefix(arg, "-") && arg != "-":
		n, known := a.width(arg)
		if !known && !a.command.HasParent() && !asksForHelp(arg) {
			return 0, usage("unknown option %s before the command", optionName(arg))
		}
		if known && n <= len(args) && isIdle(arg) {
			a.idle = append(a.idle, args[:n])
			return n, nil
		}
		n = min(n, len(args))
		a.rest = append(a.rest, args[:n]...)
		return n + a.takeMore(arg, args[n:]), nil
	}
	return 1, a.word(arg)
}

// takeMore takes the further values of an option that may have several after
// one name of it, as if the name stood before each of them.
func (a *arranger) takeMore(option string, args []string) int {
	name, _, _ := strings.Cut(strings.TrimLeft(option, "-"), "=")
	f := a.flags.Lookup(name)
	if f == nil {
		return 0
	}
	several, ok := f.Value.(interface{ Continues(word string) bool })
	for n, arg := range args {
		if !ok || !several.Continues(arg) {
			return n
		}
		a.rest = append(a.rest, "--"+f.Name, arg)
	}
	return len(args)
}

func (a *arranger) word(arg string) error {
	for _, c := range a.command.Commands() {
		if strings.EqualFold(c.Name(), arg) || c.HasAlias(arg) { // redis-trib does not mind the case
			a.command, a.path = c, append(a.path, c.Name())
			return nil
		}
	}
	if a.command.HasSubCommands() && a.command.Name() != "help" {
		return unknownCommand(a.command, arg)
	}
	if a.forwards() {
		a.words = append(a.words, arg)
	} else {
		a.rest = append(a.rest, arg)
	}
	return nil
}

func unknownCommand(parent *cobra.Command, name string) error {
	err := usage("unknown command %q for %q", name, parent.CommandPath())
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return &hintError{err, "did you mean " + parent.CommandPath() + " " + strings.Join(near, " or ") + "?"}
	}
	return err
}

func asksForHelp(arg string) bool { return arg == "-h" || arg == "--help" || arg == "--version" }

// optionName is the option without what may be its value.
func optionName(arg string) string {
	if !strings.HasPrefix(arg, "--") {
		return arg[:2]
	}
	name, _, _ := strings.Cut(arg, "=")
	return name
}

// width is how many arguments an option takes up, itself included.
func (a *arranger) width(arg string) (n int, known bool) {
	if strings.HasPrefix(arg, "--") {
		return a.longWidth(arg[2:])
	}
	for i, letter := range arg[1:] {
		f := a.flags.ShorthandLookup(string(letter))
		switch {
		case f == nil:
			return 1, false
		case f.NoOptDefVal != "":
			continue // a switch; the next letter is another one
		case i == len(arg)-2:
			return 2, true
		}
		return 1, true
	}
	return 1, true
}

func (a *arranger) longWidth(name string) (n int, known bool) {
	name, _, hasValue := strings.Cut(name, "=")
	f := a.flags.Lookup(name)
	if f == nil || hasValue || f.NoOptDefVal != "" {
		return 1, f != nil
	}
	return 2, true
}

// allFlags are the flags of every command. A name takes a value in all commands
// that have it, or in none.
func allFlags(root *cobra.Command) *pflag.FlagSet {
	all := pflag.NewFlagSet("all", pflag.ContinueOnError)
	all.SetNormalizeFunc(normalize)
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		all.AddFlagSet(c.Flags())
		all.AddFlagSet(c.PersistentFlags())
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(root)
	return all
}
