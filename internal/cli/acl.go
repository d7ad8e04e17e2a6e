package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/ingest"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// Permissions by what they are for, in the words of access control lists.
var (
	toRead     = []string{"ping", "info", "cluster|nodes", "cluster|info"}
	toCount    = []string{"cluster|countkeysinslot"}
	toLock     = []string{"client|setname", "client|list"}
	toAsk      = []string{"acl|whoami", "acl|dryrun"}
	toKnowMore = []string{"command|info", "config|get", "function|list"}
	toWeigh    = []string{"memory|usage", "type", "llen", "scard", "zcard", "hlen", "xlen"}
	toMerge    = []string{"del", "get", "lrange", "smembers", "zrange", "hgetall"}
	toRestore  = []string{"select", "restore-asking"}
	toBringIn  = []string{"select", "restore"}

	toBreakLock = []string{"client|kill"}
	// Between servers of different versions, values are written by what they hold.
	toRewrite = []string{"watch", "multi", "exec", "del", "pexpire", "set", "rpush", "sadd", "hset", "zadd", "xadd", "xgroup|create", "xclaim"}
)

// planned are the commands that change a cluster by plans, with the actions that
// these may have.
var planned = map[string][]plan.Action{
	"create":    {plan.SetEpoch, plan.AssignSlots, plan.Join, plan.Replicate},
	"reshard":   {plan.MoveSlots},
	"rebalance": {plan.MoveSlots},
	"drain":     {plan.MoveSlots},
	"undo":      {plan.MoveSlots},
	"resume":    {plan.MoveSlots, plan.CloseSlots},
	"add-node":  {plan.Meet, plan.CopyFunctions, plan.Replicate},
	"del-node":  {plan.MoveSlots, plan.Replicate, plan.Reset, plan.Forget, plan.Renew},
	"replicate": {plan.Replicate},
	"failover":  {plan.Failover},
	"forget":    {plan.Forget},
	"fix":       {plan.MoveSlots, plan.CloseSlots, plan.AssignSlots, plan.Meet, plan.Forget, plan.Failover, plan.Replicate, plan.BumpEpoch},
}

// looking are the commands that change nothing or no topology, with what they
// take beside reading.
var looking = map[string][]string{
	"check":       toCount,
	"info":        nil,
	"call":        nil,
	"status":      {"cluster|countkeysinslot", "client|list"},
	"set-timeout": {"acl|whoami", "acl|dryrun", "config|set", "config|rewrite"},
}

// keyed are the commands that bring keys in or out without a plan. What they take
// at the masters is in grantFor.
var keyed = []string{"import", "restore", "backup"}

// grant is what a user may have to do.
type grant struct {
	must []string // without it the command fails
	may  []string // with it the command knows more, or serves in rare cases
	keys bool     // it touches keys
}

// sorted leaves nothing standing twice.
func (g grant) sorted() grant {
	slices.Sort(g.must)
	g.must = slices.Compact(g.must)
	g.may = slices.DeleteFunc(g.may, func(name string) bool { return slices.Contains(g.must, name) })
	return g
}

// grantFor is what a command takes on every node.
func grantFor(command string) (grant, bool) {
	g := grant{must: slices.Clone(toRead), may: slices.Clone(toKnowMore)}
	if more, ok := looking[command]; ok {
		g.must = append(g.must, more...)
		return g, true
	}
	if slices.Contains(keyed, command) {
		return g.withKeys(command).sorted(), true
	}
	actions, ok := planned[command]
	if command == "apply" {
		for _, more := range planned {
			actions, ok = append(actions, more...), true
		}
	}
	if !ok {
		return g, false
	}
	g.must = slices.Concat(g.must, toCount, toLock, toAsk)
	g.may = append(g.may, toBreakLock...)
	for _, action := range actions {
		g.take(action)
	}
	if command == "fix" || command == "apply" {
		g.must = append(g.must, "cluster|delslots")
	}
	return g.sorted(), true
}

func (g *grant) take(action plan.Action) {
	for _, cmd := range apply.Taken(action) {
		name := move.RuleName(cmd)
		// Where there are functions, and where the server says that it has the command.
		if strings.HasPrefix(name, "function|") || name == "cluster|addslotsrange" {
			g.may = append(g.may, name)
			continue
		}
		g.must = append(g.must, name)
	}
	if action == plan.MoveSlots && !g.keys {
		g.keys = true
		g.may = slices.Concat(g.may, toWeigh, toMerge, []string{"multi", "exec"})
	}
}

// withKeys adds what a command takes that brings keys in or out.
func (g grant) withKeys(command string) grant {
	g.must = slices.Concat(g.must, toLock, toAsk)
	g.may = append(g.may, toBreakLock...)
	if command == "backup" {
		g.must = append(g.must, ruleNames(takenByBackup)...)
		return g
	}
	g.keys = true
	g.must = append(g.must, ruleNames(takenByIntake())...)
	g.may = append(g.may, toRewrite...)
	if command == "restore" {
		g.may = append(g.may, "function|load")
	}
	return g
}

// grantAtSource is what an import takes at the source.
func grantAtSource() grant {
	atSource, _, _ := ingest.Taken()
	g := grant{must: append(ruleNames(atSource), toAsk...), may: []string{"migrate", "memory|usage", "cluster|nodes"}, keys: true}
	return g.sorted()
}

func ruleNames(cmds []driver.Command) []string {
	names := make([]string, len(cmds))
	for i, cmd := range cmds {
		names[i] = move.RuleName(cmd)
	}
	return names
}

// casesOf are what a command takes in some cases, on servers that know it: a rule
// with a name that a server does not know is refused as a whole.
func casesOf(command string, g grant) (cases []ui.ACLCase) {
	if slices.Contains(g.must, "cluster|countkeysinslot") && !slices.Contains(g.must, "select") {
		cases = append(cases, caseOf("in clusters with several databases", false, []string{"select"}))
	}
	const fields = "on servers where fields of hashes expire: Redis 7.4, Valkey 9.0 and newer"
	switch {
	case command == "import":
		_, toMove, _ := ingest.Taken()
		return append(cases,
			caseOf(fields, false, []string{"hpttl"}), caseOf(fields, true, []string{"hpttl"}),
			caseOf("with --move", true, ruleNames(toMove)))
	case command == "restore":
		return append(cases, caseOf(fields, false, []string{"hpttl"}))
	case !slices.Contains(planned[command], plan.MoveSlots) && command != "apply":
		return cases
	}
	// COMMAND INFO tells that servers can; without it they are not asked to.
	byThemselves := func(d cluster.Dialect) []string {
		return append(ruleNames(move.TakenByAtomic(d)), "command|info")
	}
	return append(cases,
		caseOf("with these, Valkey 9.0 and newer move slots by themselves", false, byThemselves(cluster.MigrateSlots)),
		caseOf("with these, Redis 8.4 and newer do", false, byThemselves(cluster.Migration)))
}

func caseOf(text string, source bool, names []string) ui.ACLCase {
	slices.Sort(names)
	names = slices.Compact(names)
	return ui.ACLCase{Case: text, Source: source, Permissions: names, Rule: rule(names)}
}

func newACLCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:     "acl COMMAND",
		GroupID: groupMore,
		Short:   "Print the permissions that a command takes",
		Long: `Prints the rule of an access control list for a user who may do what a command
of trib takes and nothing else, for every node of the cluster; then what makes
it know more, and what MIGRATE takes at the node that gets keys: it presents the
same user there. It connects to nothing. Servers before 6.2 do not know all of
the names; leave out what they refuse.` + exitCodes(exitUsage),
		Example: `  trib acl reshard
  trib acl check -o json | jq -r '.rule'`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return ruled(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("want one COMMAND: %s", strings.Join(ruled(), ", "))
			}
			command := strings.ToLower(args[0])
			g, ok := grantFor(command)
			if !ok {
				return usage("there is no rule for %q, but for %s", args[0], strings.Join(ruled(), ", "))
			}
			return app.Terminal.Show(g.forCommand(command))
		},
	}
}

// ruled are the commands that there are rules for.
func ruled() []string {
	names := append([]string{"apply"}, keyed...)
	for name := range planned {
		names = append(names, name)
	}
	for name := range looking {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// forCommand is what is shown of a command.
func (g grant) forCommand(command string) ui.ACL {
	v := ui.ACL{Schema: ui.Schema, Command: "acl", For: command, Grant: g.view(), Cases: casesOf(command, g)}
	switch {
	case !g.keys:
	case slices.Contains(keyed, command):
		v.Target = "~* " + rule(toBringIn)
	default:
		v.Target = "~* " + rule(toRestore)
	}
	if command == "import" {
		source := grantAtSource().view()
		v.Source = &source
	}
	return v
}

func (g grant) view() ui.Grant {
	v := ui.Grant{Permissions: g.must, Optional: g.may, Rule: rule(g.must), More: rule(g.may)}
	if g.keys {
		v.Rule = "~* " + v.Rule
	}
	return v
}

func rule(names []string) string { return "+" + strings.Join(names, " +") }

// takenBySetTimeout is what set-timeout takes, with arguments that servers accept
// when they are asked whether it is allowed.
var takenBySetTimeout = []driver.Command{{"CONFIG", "SET", "cluster-node-timeout", "1"}, {"CONFIG", "REWRITE"}}
