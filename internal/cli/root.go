package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
)

// globalOptions belong to every command.
type globalOptions struct {
	output        ui.Format
	noColor       bool
	user          string
	pass          string
	uri           string
	askPass       bool
	source        config.PasswordSource
	noAuthWarning bool
	context       string
	configFile    string
	connect       connectOptions
}

func (o *globalOptions) addFlags(f *pflag.FlagSet) {
	o.output = ui.Table
	o.addOutputFlags(f)
	defer under(f, sectionConnect)()
	f.StringVarP(&o.pass, "pass", "a", "", "the `PASSWORD`; better in TRIB_PASSWORD, where other users cannot see it")
	f.StringVar(&o.user, "user", "", "the ACL user is `NAME`")
	f.StringVarP(&o.uri, "uri", "u", "", "take user and password from `URL`: redis://user:password@host:port")
	f.BoolVar(&o.askPass, "askpass", false, "ask for the password")
	f.StringVar(&o.source.File, "password-file", "", "the password is the first line of `FILE`")
	f.StringVar(&o.source.Command, "password-command", "", "the password is the first line that `COMMAND` prints")
	f.StringVar(&o.context, "context", "", "the cluster that the configuration file calls `NAME`, and the way to it")
	f.StringVar(&o.configFile, "config", "", "the configuration is in `FILE` (also: TRIB_CONFIG)")
	f.BoolVar(&o.noAuthWarning, "no-auth-warning", false, "do not warn of a password on the command line")
	o.connect.addFlags(f)
	f.Bool("verbose", false, "") // of redis-trib; the plan says what it said
	f.MarkHidden("verbose")
}

func (o *globalOptions) addOutputFlags(f *pflag.FlagSet) {
	defer under(f, sectionOutput)()
	f.VarP(choice[ui.Format]{&o.output, ui.Formats()}, "output", "o", "form of the result")
	f.BoolVar(&o.noColor, "no-color", false, "no colours (also: NO_COLOR)")
}

const rootLong = `trib administers Redis Cluster and Valkey clusters: it creates them, checks
them and moves their slots. Every change is shown before it is made, and can be
resumed if it is interrupted.

A cluster is named by any one of its nodes (SEED): host:port, "host port",
[v6]:port, redis://user:password@host:port or the path of a unix socket; or by
a context of the configuration file (trib help context). A node is named by its
id, the beginning of its id, or its address. Options may stand anywhere; those
of redis-cli --cluster and redis-trib.rb are understood.

Environment:
  TRIB_PASSWORD   password (also TRIB_AUTH, VALKEYCLI_AUTH, REDISCLI_AUTH)
  TRIB_USER       ACL user
  TRIB_CONTEXT    the context where no SEED and no --context is given
  TRIB_CONFIG     as --config
  TRIB_YES=1      as --yes (also VALKEYCLI_CLUSTER_YES, REDISCLI_CLUSTER_YES)
  TRIB_STATE_DIR  as --state-dir
  NO_COLOR        as --no-color`

func newRoot(app *App) *cobra.Command {
	root := &cobra.Command{
		Use:               "trib COMMAND",
		Short:             "Administer Redis Cluster and Valkey clusters",
		Long:              rootLong + exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitConflict, exitNoSeed, exitInterrupted),
		Version:           app.Build.Version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: app.begin,
		Args:              cobra.ArbitraryArgs,
		RunE:              noCommand,
	}
	root.SetOut(app.Terminal.Out())
	root.SetErr(app.Terminal.Out())
	root.SetGlobalNormalizationFunc(normalize)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.SetHelpCommand(newHelpCmd())
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { writeHelp(c.OutOrStdout(), c) })
	root.CompletionOptions.DisableDefaultCmd = true
	app.global.addFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupBuild, Title: "Build:"},
		&cobra.Group{ID: groupSlots, Title: "Slots:"},
		&cobra.Group{ID: groupPlans, Title: "Plans:"},
		&cobra.Group{ID: groupHealth, Title: "Health:"},
		&cobra.Group{ID: groupTopology, Title: "Topology:"},
		&cobra.Group{ID: groupNodes, Title: "Nodes:"},
		&cobra.Group{ID: groupMore, Title: "More:"},
	)
	root.AddCommand(
		newCreateCmd(app, nil), newReshardCmd(app, nil), newResumeCmd(app, nil),
		newRebalanceCmd(app, nil), newDrainCmd(app, nil), newImportCmd(app, nil),
		newPlanCmd(app), newApplyCmd(app, nil), newUndoCmd(app, nil), newStatusCmd(app, nil),
		newCheckCmd(app, nil), newFixCmd(app, nil), newExplainCmd(app), newInfoCmd(app, nil),
		newAddNodeCmd(app, nil), newDelNodeCmd(app, nil),
		newReplicateCmd(app, nil), newFailoverCmd(app, nil), newForgetCmd(app, nil),
		newCallCmd(app, nil), newSetTimeoutCmd(app, nil), newBackupCmd(app, nil), newRestoreCmd(app, nil),
		newLabCmd(app), newContextCmd(app), newACLCmd(app), newKeySlotCmd(app), newVersionCmd(app), newCompletionCmd(),
	)
	app.completeFlags(root)
	app.inContext(root)
	return root
}

// The groups of commands in the help.
const (
	groupBuild    = "build"
	groupSlots    = "slots"
	groupPlans    = "plans"
	groupHealth   = "health"
	groupTopology = "topology"
	groupNodes    = "nodes"
	groupMore     = "more"
)

// begin is what every command does first.
func (app *App) begin(cmd *cobra.Command, args []string) error {
	app.line = commandLine(cmd, args)
	app.Terminal.Format = app.global.output
	if app.global.connect.timeout > connectLimit {
		return usage("--connect-timeout: want at most %v", connectLimit)
	}
	if err := app.global.onePassword(); err != nil {
		return err
	}
	if app.global.noColor {
		app.Terminal.NoColor()
	}
	return nil
}

// flagError words pflag's errors. What pflag would repeat of an option that it
// does not know, or that takes no value, may be a password: -phunter2.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if letters := e.GetSpecifiedShortnames(); letters != "" {
			return usage("unknown option -%c", []rune(letters)[0])
		}
		return usage("unknown option --%s", e.GetSpecifiedName())
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok && e.GetFlag().Value.Type() == "bool" {
		return usage("--%s takes no value", e.GetFlag().Name)
	}
	return &usageError{err}
}

func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return usage("no command")
}
