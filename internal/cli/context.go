package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
)

const contextLong = `Names clusters in a configuration file, with all that leads there: some of the
nodes, user, certificates, where the password is, zones, and where nodes are
reached that announce other addresses. With a context a command needs no SEED.

  contexts:
    prod:
      seeds: [10.0.0.1:7000, 10.0.0.2:7000]
      user: ops
      password-file: prod.password  # or password-command, password-env
      tls: true                     # and cacertdir, cert, key, sni, insecure
      cacert: ca.pem
      address-map: {10.0.0.0/24: 203.0.113.0/24}
      zones: {10.0.0.1: a, 10.0.0.2: b}

--context NAME chooses one for whatever stands on the line. Without it, that of
TRIB_CONTEXT or else the current one of the file holds for its own cluster only:
where SEED is left out, where SEED or a node for create is one of its seeds,
and for a saved plan (apply, undo) in which one of its seeds or of the nodes in
its cluster-id stands. Its password goes to no other cluster, and a change that
goes by it says so on a terminal. Options outweigh the environment, and that the
file. The file is trib/config.yaml in XDG_CONFIG_HOME (~/.config).`

func newContextCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "context",
		GroupID: groupMore,
		Short:   "Name clusters, with all that leads there",
		Long:    contextLong + exitCodes(exitUsage),
		RunE:    noCommand,
	}
	cmd.AddCommand(newContextListCmd(app), newContextShowCmd(app), newContextUseCmd(app), newContextPinCmd(app))
	return cmd
}

func newContextListCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List the contexts",
		Long:              "Lists the contexts of the configuration file; a star marks the current one." + exitCodes(exitUsage),
		Example:           "  trib context list\n  trib context list -o json | jq -r '.contexts[].name'",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("want no words after list, got %d", len(args))
			}
			file, err := app.contexts()
			if err != nil {
				return err
			}
			return app.Terminal.Show(contextsView(file, file.Names()...))
		},
	}
}

func newContextShowCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show a context",
		Long:              "Shows a context, or the current one. Passwords are not read." + exitCodes(exitUsage),
		Example:           "  trib context show prod",
		ValidArgsFunction: app.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			file, c, err := app.contextNamed(args)
			if err != nil {
				return err
			}
			return app.Terminal.Show(ui.ContextShown{Contexts: contextsView(file, c.Name)})
		},
	}
}

func newContextUseCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Make a context the current one",
		Long:              "Makes a context the current one, in the configuration file." + exitCodes(exitRefused, exitUsage),
		Example:           "  trib context use prod",
		ValidArgsFunction: app.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("want the NAME of one context")
			}
			file, c, err := app.contextNamed(args)
			if err != nil {
				return err
			}
			if err := file.Use(c.Name); err != nil {
				return err
			}
			file.Current = c.Name
			return app.Terminal.Show(ui.ContextShown{Contexts: contextsView(file, c.Name), Done: "The current context is " + c.Name + "."})
		},
	}
}

func newContextPinCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "pin [NAME]",
		Short: "Let a context refuse any other cluster",
		Long: `Reads the cluster of a context, or of the current one, and writes the ids of its
nodes into the configuration file (cluster-id). From then on every command with
this context refuses a cluster to which no more than half of them belong. Do it
again when the nodes have changed.` + exitCodes(exitRefused, exitUsage, exitNoSeed, exitInterrupted),
		Example:           "  trib context pin prod",
		ValidArgsFunction: app.completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, c, err := app.contextNamed(args)
			if err != nil {
				return err
			}
			return app.runPin(cmd.Context(), file, c)
		},
	}
}

func (app *App) runPin(ctx context.Context, file config.Contexts, c config.Context) (err error) {
	c.ClusterID = nil // what it was pinned to does not count any more
	if app.known.addresses, err = app.global.connect.addressMap(); err != nil {
		return err
	}
	if err := app.adopt(c); err != nil {
		return err
	}
	a, err := app.connect(ctx, config.Credentials{})
	if err != nil {
		return err
	}
	s, err := app.observeCluster(ctx, a, c.Seeds[0])
	if err != nil {
		return err
	}
	for _, m := range s.Members {
		c.ClusterID = append(c.ClusterID, m.ID)
	}
	if err := file.Pin(c.Name, c.ClusterID); err != nil {
		return err
	}
	file.Contexts[c.Name] = c
	return app.Terminal.Show(ui.ContextShown{Contexts: contextsView(file, c.Name), Done: "The context " + c.Name + " is pinned to this cluster."})
}

// contextNamed is the one that is named, or that which holds where none is.
func (app *App) contextNamed(args []string) (file config.Contexts, c config.Context, err error) {
	if file, err = app.contexts(); err != nil {
		return file, c, err
	}
	name := app.Env.Context()
	if name == "" {
		name = file.Current
	}
	if app.global.context != "" {
		name = app.global.context
	}
	switch {
	case len(args) > 1:
		return file, c, usage("want one NAME, got %d words", len(args))
	case len(args) == 1:
		name = args[0]
	case name == "":
		return file, c, usage("no NAME, and no context is the current one")
	}
	c, err = file.Get(name)
	if err != nil {
		err = &usageError{err}
	}
	return file, c, err
}

func contextsView(file config.Contexts, names ...string) ui.Contexts {
	v := ui.Contexts{Schema: ui.Schema, Command: "context", File: file.Path(), Contexts: []ui.Context{}}
	for _, name := range names {
		c := file.Contexts[name]
		v.Contexts = append(v.Contexts, ui.Context{
			Name: name, Current: name == file.Current, Seeds: c.Seeds, User: c.User, Password: passwordPlace(c),
			TLS: c.TLS, CACert: c.CACert, CACertDir: c.CACertDir, Cert: c.Cert, Key: c.Key, SNI: c.SNI, Insecure: c.Insecure,
			AddressMap: c.AddressMap, Zones: c.Zones, ClusterID: append([]cluster.NodeID{}, c.ClusterID...),
		})
	}
	return v
}

// passwordPlace says where a password is. A command may hold secrets of its own.
func passwordPlace(c config.Context) string {
	switch {
	case c.PasswordFile != "":
		return "file " + c.PasswordFile
	case c.PasswordCommand != "":
		return "command"
	case c.PasswordEnv != "":
		return "variable " + c.PasswordEnv
	}
	return ""
}

// completeContexts completes the name of a context, of an option or of the
// command's one argument.
func (app *App) completeContexts(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	file, err := app.contexts()
	if taken := len(args) > 0 && cmd.Parent().Name() == "context"; err != nil || taken {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}
