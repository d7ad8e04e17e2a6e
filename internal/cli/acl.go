package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/driver"
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

// permissions are what a command takes on every node.
type permissions struct {
	must []string // without it the command fails
	may  []string // with it the command knows more, or serves in rare cases
	keys bool     // it touches keys
}

func permissionsOf(command string) (permissions, bool) {
	p := permissions{must: slices.Clone(toRead), may: slices.Clone(toKnowMore)}
	if more, ok := looking[command]; ok {
		p.must = append(p.must, more...)
		return p, true
	}
	actions, ok := planned[command]
	if command == "apply" {
		for _, more := range planned {
			actions, ok = append(actions, more...), true
		}
	}
	if !ok {
		return p, false
	}
	p.must = slices.Concat(p.must, toCount, toLock, toAsk)
	for _, action := range actions {
		p.take(action)
	}
	if command == "fix" || command == "apply" {
		p.must = append(p.must, "cluster|delslots")
	}
	slices.Sort(p.must)
	p.must = slices.Compact(p.must)
	p.may = slices.DeleteFunc(p.may, func(name string) bool { return slices.Contains(p.must, name) })
	return p, true
}

func (p *permissions) take(action plan.Action) {
	for _, cmd := range apply.Taken(action) {
		name := move.RuleName(cmd)
		// Where there are functions, and where the server says that it has the command.
		if strings.HasPrefix(name, "function|") || name == "cluster|addslotsrange" {
			p.may = append(p.may, name)
			continue
		}
		p.must = append(p.must, name)
	}
	if action == plan.MoveSlots && !p.keys {
		p.keys = true
		p.may = slices.Concat(p.may, toWeigh, toMerge, []string{"multi", "exec"})
	}
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
			p, ok := permissionsOf(strings.ToLower(args[0]))
			if !ok {
				return usage("there is no rule for %q, but for %s", args[0], strings.Join(ruled(), ", "))
			}
			return app.Terminal.Show(p.view(strings.ToLower(args[0])))
		},
	}
}

// ruled are the commands that there are rules for.
func ruled() []string {
	names := []string{"apply"}
	for name := range planned {
		names = append(names, name)
	}
	for name := range looking {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p permissions) view(command string) ui.ACL {
	v := ui.ACL{Schema: ui.Schema, Command: "acl", For: command, Permissions: p.must, Optional: p.may, Rule: rule(p.must), More: rule(p.may)}
	if p.keys {
		v.Rule = "~* " + v.Rule
		v.Target = "~* " + rule(toRestore)
	}
	return v
}

func rule(names []string) string { return "+" + strings.Join(names, " +") }

// takenBySetTimeout is what set-timeout takes, with arguments that servers accept
// when they are asked whether it is allowed.
var takenBySetTimeout = []driver.Command{{"CONFIG", "SET", "cluster-node-timeout", "1"}, {"CONFIG", "REWRITE"}}
