package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/plan"
)

// known is what a run knows of its cluster before it asks it.
type known struct {
	context   *config.Context // nil without one
	addresses driver.AddressMap
	ports     map[cluster.NodeID]int // for MIGRATE, where they are not those that nodes announce to trib; nil before they were asked for
	proven    bool                   // the cluster is the one that the context means
	detour    string                 // what to do about nodes that announce addresses which are not reached
}

// contexts reads the configuration file.
func (app *App) contexts() (config.Contexts, error) {
	path := app.global.configFile
	if path == "" {
		path = app.Env.ConfigFile(runtime.GOOS)
	}
	c, err := config.ReadContexts(path, app.Env)
	if err != nil {
		return c, &usageError{err}
	}
	return c, nil
}

// inContext lets every command that works with a cluster learn what is known of
// it, and do without SEED where a context has one.
func (app *App) inContext(root *cobra.Command) {
	for _, c := range root.Commands() {
		run := c.RunE
		if run == nil || !connects(c) {
			continue
		}
		c.RunE = func(cmd *cobra.Command, args []string) error {
			args, err := app.learn(cmd, args)
			if err != nil {
				return err
			}
			app.tellContext(cmd)
			return run(cmd, args)
		}
	}
}

// connects reports whether a command works with a cluster, by the words that its
// usage names.
func connects(c *cobra.Command) bool {
	_, seeded := wordsBehindSeed(c)
	return seeded || c.Name() == "create" || slices.Contains(fromPlans, c.Name())
}

// wordsBehindSeed is how many words a command has besides SEED.
func wordsBehindSeed(c *cobra.Command) (n int, seeded bool) {
	for _, word := range strings.Fields(c.Use)[1:] {
		switch {
		case strings.ContainsAny(word[:1], "-["):
			return n, seeded
		case word == "SEED":
			seeded = true
		default:
			n++
		}
	}
	return n, seeded
}

// learn finds the context and the address map of a run, and adds the SEED that
// is left out.
func (app *App) learn(cmd *cobra.Command, args []string) (_ []string, err error) {
	if app.known.addresses, err = app.global.connect.addressMap(); err != nil {
		return nil, err
	}
	c, found, err := app.chosen(cmd, args)
	if err != nil || !found {
		return args, err
	}
	if err := app.adopt(c); err != nil {
		return nil, err
	}
	switch seed := c.Seeds[0].String(); {
	case !seedLeftOut(cmd, args):
		return args, nil
	case strings.HasSuffix(cmd.Use, " SEED"):
		return append(slices.Clone(args), seed), nil
	default:
		return append([]string{seed}, args...), nil
	}
}

// tellContext names the context on a terminal, where a command that changes
// something has not named it itself.
func (app *App) tellContext(cmd *cobra.Command) {
	c := app.known.context
	if c != nil && app.global.context == "" && cmd.Flags().Lookup("yes") != nil && app.Terminal.Traits().ErrTTY {
		app.Terminal.Say(func(p *ui.Page) { p.Line("By the context %s.", c.Name) })
	}
}

// chosen is the context that a command line means. One that it does not name, but
// the environment or the file does, holds only for its own cluster. A password
// must not go anywhere else.
func (app *App) chosen(cmd *cobra.Command, args []string) (c config.Context, found bool, err error) {
	file, err := app.contexts()
	if err != nil {
		return c, false, err
	}
	if name := app.global.context; name != "" {
		if c, err = file.Get(name); err != nil {
			err = usage("--context: %w", err)
		}
		return c, err == nil, err
	}
	name := app.Env.Context()
	if name == "" {
		name = file.Current
	}
	if name == "" {
		return c, false, nil
	}
	if c, err = file.Get(name); err != nil {
		return c, false, usage("TRIB_CONTEXT: %w", err)
	}
	return c, meant(c, cmd, args), nil
}

// meant reports whether a command works with a context's cluster: SEED is left out
// or one of its seeds, and so is one of the nodes of which a cluster is to be
// formed, or one of those in a saved plan.
func meant(c config.Context, cmd *cobra.Command, args []string) bool {
	if slices.Contains(fromPlans, cmd.Name()) && len(args) == 1 {
		p, err := readPlan(args[0])
		return err == nil && slices.ContainsFunc(p.Nodes, func(n plan.Node) bool {
			return slices.Contains(c.ClusterID, n.ID) || c.HasSeed(n.Addr)
		})
	}
	return seedLeftOut(cmd, args) || slices.ContainsFunc(args, func(arg string) bool {
		s, err := parseSeed(arg)
		return err == nil && c.HasSeed(s.addr)
	})
}

// fromPlans are the commands that find the nodes in a saved plan.
var fromPlans = []string{"apply", "undo"}

// seedLeftOut reports whether a command line has no SEED.
func seedLeftOut(cmd *cobra.Command, args []string) bool {
	n, seeded := wordsBehindSeed(cmd)
	switch {
	case !seeded:
		return false
	case cmd.Name() == "call":
		return len(args) == 0 || !looksLikeSeed(args)
	}
	return len(args) <= n
}

// looksLikeSeed tells the SEED of a call from its command, which has no colon.
func looksLikeSeed(args []string) bool {
	if _, err := parseSeed(args[0]); err == nil {
		return true
	}
	numeric := strings.Trim(args[0], "0123456789.") == ""
	return len(args) > 1 && (numeric || args[0] == "localhost") && isHostAndPort(args[0], args[1])
}

// adopt takes from a context what the command line does not say.
func (app *App) adopt(c config.Context) error {
	addresses, err := c.Addresses()
	if err != nil {
		return &usageError{err}
	}
	app.known.context = &c
	app.known.addresses = app.known.addresses.Over(addresses)
	if o := &app.global.connect; c.TLS {
		o.tls = true
		o.files = o.files.Or(c.TLSFiles())
	}
	return nil
}

// contextCredentials adds those of the context, where some are missing.
func (app *App) contextCredentials(ctx context.Context, given config.Credentials) (config.Credentials, error) {
	c := app.known.context
	if c == nil {
		return given, nil
	}
	given = given.Or(config.Credentials{User: c.User})
	switch {
	case given.Password != "":
	case c.PasswordEnv != "":
		given.Password = config.Secret(app.Env(c.PasswordEnv))
		if given.Password == "" {
			return given, usage("context %s: password-env: %s is not set", c.Name, c.PasswordEnv)
		}
	case c.Source().Given():
		password, err := c.Source().Read(ctx)
		if ctx.Err() != nil {
			return given, context.Cause(ctx)
		}
		if err != nil {
			return given, usage("context %s: %w", c.Name, err)
		}
		given.Password = password
	}
	return given, nil
}

// contextSeed is the SEED that completion may use where there is none yet.
func (app *App) contextSeed(cmd *cobra.Command) []string {
	if _, seeded := wordsBehindSeed(cmd); !seeded {
		return nil
	}
	args, err := app.learn(cmd, nil)
	if err != nil || app.known.context == nil || app.known.context.PasswordCommand != "" {
		return nil
	}
	return args
}

// seeds are those that were given and, where they are the context's, its others.
func (app *App) seeds(given []cluster.Addr) []cluster.Addr {
	c := app.known.context
	if c == nil || !slices.ContainsFunc(given, func(a cluster.Addr) bool { return slices.Contains(c.Seeds, a) }) {
		return given
	}
	all := slices.Clone(given)
	for _, s := range c.Seeds {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// zones are those that were given and, of other hosts, those of the context.
func (app *App) zones(given map[string]string) map[string]string {
	if app.known.context == nil || len(app.known.context.Zones) == 0 {
		return given
	}
	all := maps.Clone(app.known.context.Zones)
	maps.Copy(all, given)
	return all
}

// recognise holds what was read against what is known.
func (app *App) recognise(ctx context.Context, a access, typed []cluster.Addr, s cluster.State) error {
	for i := range s.Members {
		if at := app.known.addresses.Reach(s.Members[i].Addr); at != s.Members[i].Addr {
			s.Members[i].Reached = at
		}
	}
	if err := app.prove(s); err != nil {
		return err
	}
	if len(typed) != 1 {
		return nil
	}
	if hint, seed, found := detour(typed[0], s); found && !answersAt(ctx, a, seed) {
		app.known.detour = hint
	}
	return nil
}

// answersAt reports whether a member that was read as the seed answers where it
// announces to be, too.
func answersAt(ctx context.Context, a access, m cluster.Member) bool {
	conn, err := a.reader().Dial(ctx, m.Addr, "")
	if err != nil {
		return false
	}
	defer conn.Close()
	reply, err := driver.Call(ctx, conn, "CLUSTER", "MYID")
	if err != nil {
		return false
	}
	id, _ := reply.Text()
	return id == string(m.ID)
}

// prove refuses a cluster that is not the one to which the context is pinned: one
// to which no more than half of the pinned nodes belong.
func (app *App) prove(s cluster.State) error {
	c := app.known.context
	if c == nil || app.known.proven || len(c.ClusterID) == 0 {
		return nil
	}
	there := 0
	for _, id := range c.ClusterID {
		if _, member := s.Get(id); member {
			there++
		}
	}
	if app.known.proven = 2*there > len(c.ClusterID); app.known.proven {
		return nil
	}
	return &hintError{
		&unfitError{[]string{fmt.Sprintf("this is not the cluster of the context %s: of its %d pinned nodes (cluster-id) %d are here", c.Name, len(c.ClusterID), there)}},
		"trib context pin " + c.Name + " pins the context to this cluster, if it is the right one",
	}
}

// proveFresh is the same for nodes that are to form a cluster.
func (app *App) proveFresh(s cluster.State) error {
	err := app.prove(s)
	if e, ok := errors.AsType[*hintError](err); ok {
		e.hint = "a new cluster needs a context without cluster-id; trib context pin pins it once the cluster is there"
	}
	return err
}
