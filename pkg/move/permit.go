package move

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// What a classic move takes at its two ends, and at the source where it is decided
// which of two values stays.
var (
	takenAtSource = []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "INFO"},
		{"CLUSTER", "SETSLOT", "0", "STABLE"},
		{"CLUSTER", "GETKEYSINSLOT", "0", "1"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
		{"MIGRATE", "127.0.0.1", "1", "", "0", "1", "KEYS", "k"},
		{"INFO", "replication"},
		{"ROLE"},
		{"DUMP", "k"},
		{"PTTL", "k"},
	}
	takenToDecide = []driver.Command{
		{"WATCH", "k"},
		{"MULTI"},
		{"DEL", "k"},
		{"EXEC"},
	}
	takenToReplace = []driver.Command{{"WATCH", "k"}, {"MULTI"}, {"EXEC"}}
	takenToGive    = []driver.Command{{"MULTI"}, {"EXEC"}}
	takenAtTarget  = []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "SETSLOT", "0", "STABLE"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
		{"SELECT", "0"}, // from the source, before the keys
		{"RESTORE-ASKING", "k", "0", "v"},
		{"INFO", "replication"},
		{"ASKING"},
		{"DUMP", "k"},
		{"PTTL", "k"},
	}
)

// What bringing keys to the owner of their slot, or dropping them, takes at the
// node that holds them, and what giving slots to a node takes there.
var (
	takenAtHolder = []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "SETSLOT", "0", "STABLE"},
		{"CLUSTER", "DELSLOTS", "0"},
		{"CLUSTER", "GETKEYSINSLOT", "0", "1"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
		{"MIGRATE", "127.0.0.1", "1", "", "0", "1", "KEYS", "k"},
		{"ASKING"},
		{"DUMP", "k"},
		{"PTTL", "k"},
		{"DEL", "k"},
	}
	takenToClaim = []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "SETSLOT", "0", "STABLE"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
		{"CLUSTER", "DELSLOTS", "0"},
		{"CLUSTER", "ADDSLOTS", "0"},
		{"CLUSTER", "BUMPEPOCH"},
	}
)

// DeniedAtSource says what the user of the dialer may not do at a node and a
// move away from it takes, a classic or an atomic one. The server is asked, and
// nothing is tried; one that cannot be asked (Redis 6) or does not allow it denies
// nothing here.
func DeniedAtSource(ctx context.Context, d driver.Dialer, name string, m cluster.Member, atomic bool) ([]string, error) {
	takes := takenAtSource
	if atomic {
		takes = takenByAtomic(m, cluster.MigrateSlots)
	}
	return Denied(ctx, d, name, m.Addr, takes)
}

// DeniedToDecide is the same for deleting values at a source that Options.Decide
// decides against.
func DeniedToDecide(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return Denied(ctx, d, name, addr, takenToDecide)
}

// DeniedToReplace is the same for replacing values at the owner of their slot that
// Options.Decide decides against.
func DeniedToReplace(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return Denied(ctx, d, name, addr, takenToReplace)
}

// DeniedToGive is the same for a source that gives slots up first, see SourceFirst.
func DeniedToGive(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return Denied(ctx, d, name, addr, takenToGive)
}

// DeniedAtTarget is the same for a move to the node.
func DeniedAtTarget(ctx context.Context, d driver.Dialer, name string, m cluster.Member, atomic bool) ([]string, error) {
	takes := takenAtTarget
	if atomic {
		takes = takenByAtomic(m, cluster.Migration)
	}
	return Denied(ctx, d, name, m.Addr, takes)
}

// takenToLook is how both ends of an atomic move are watched, beside their jobs.
var takenToLook = []driver.Command{
	{"CLUSTER", "NODES"},
	{"CLUSTER", "COUNTKEYSINSLOT", "0"},
	{"INFO", "replication"},
}

// takenByAtomic is what an atomic move takes at one of its ends; ordered is the
// dialect in which that end is given the orders.
func takenByAtomic(m cluster.Member, ordered cluster.Dialect) []driver.Command {
	takes := append(slices.Clone(takenToLook), driver.JobsCommand(m.Features.Atomic))
	switch {
	case m.Features.Atomic != ordered:
		return takes
	case ordered == cluster.Migration:
		return append(takes, driver.Cmd("CLUSTER", "MIGRATION", "IMPORT", "0", "0"), driver.Cmd("CLUSTER", "MIGRATION", "CANCEL", "ID", "x"))
	}
	return append(takes, driver.Cmd("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "0", "NODE", "x"), driver.Cmd("CLUSTER", "CANCELSLOTMIGRATIONS"))
}

// TakenByAtomic are the commands that an atomic move takes in a dialect, beside
// those that look.
func TakenByAtomic(d cluster.Dialect) []driver.Command {
	m := cluster.Member{Features: cluster.Features{Atomic: d}}
	return takenByAtomic(m, d)[len(takenToLook):]
}

// DeniedAtHolder is the same for a node from which keys are gathered, and which
// does not own their slots.
func DeniedAtHolder(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return Denied(ctx, d, name, addr, takenAtHolder)
}

// DeniedToClaim is the same for a node that is to claim slots.
func DeniedToClaim(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return Denied(ctx, d, name, addr, takenToClaim)
}

// Taken are the commands that a classic move takes at either end.
func Taken() (atSource, atTarget []driver.Command) {
	return slices.Clone(takenAtSource), slices.Clone(takenAtTarget)
}

// Denied says which of the commands the user of the dialer may not send to a node,
// or the node does not have, as DeniedAtSource does.
func Denied(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr, takes []driver.Command) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	missing, err := unknown(ctx, conn, takes)
	if err != nil || missing != nil {
		return prefixed(addr, missing), err
	}
	user, err := whoAmI(ctx, conn)
	if err != nil || user == "" {
		return nil, err
	}
	cmds := make([]driver.Command, len(takes))
	for i, cmd := range takes {
		cmds[i] = append(driver.Cmd("ACL", "DRYRUN", user), cmd...)
	}
	replies, err := conn.Do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	return prefixed(addr, denials(user, takes, replies)), nil
}

// denials words what was refused. The keys that were asked for are none of the
// cluster's.
func denials(user string, takes []driver.Command, replies []driver.Reply) []string {
	var never, someKeys []string
	for i, r := range replies {
		// A refusal is a text, as a reply and not as an error.
		switch why, err := r.Text(); {
		case err != nil, why == "OK":
		case strings.Contains(why, "access the"):
			someKeys = append(someKeys, RuleName(takes[i]))
		default:
			never = append(never, RuleName(takes[i]))
		}
	}
	var texts []string
	if never != nil {
		texts = append(texts, fmt.Sprintf("user %s may not %s", user, strings.Join(never, ", ")))
	}
	if someKeys != nil {
		texts = append(texts, fmt.Sprintf("user %s may not reach all keys (~*) with %s", user, strings.Join(someKeys, ", ")))
	}
	return texts
}

// unknown are the commands that a server does not have. Whoever runs servers for
// others renames or disables some.
func unknown(ctx context.Context, conn driver.Conn, takes []driver.Command) ([]string, error) {
	ask := driver.Cmd("COMMAND", "INFO")
	for _, cmd := range takes {
		// CLUSTER was used already, and other containers are optional.
		if name := strings.ToLower(cmd[0]); cmd.Name() == strings.ToUpper(name) && !slices.Contains(ask, name) {
			ask = append(ask, name)
		}
	}
	if len(ask) == 2 {
		return nil, nil // COMMAND INFO alone would list all that there are
	}
	replies, err := conn.Do(ctx, ask)
	if err != nil {
		return nil, err
	}
	known, _ := replies[0].Value.([]any) // none where the question is forbidden
	var texts []string
	for i, info := range known {
		if info == nil && i+2 < len(ask) {
			texts = append(texts, "the server has no command "+ask[i+2]+": it was renamed or disabled")
		}
	}
	return texts, nil
}

func prefixed(addr cluster.Addr, texts []string) []string {
	for i, text := range texts {
		texts[i] = addr.String() + ": " + text
	}
	return texts
}

// RuleName is what a rule of an access control list calls a command.
func RuleName(c driver.Command) string {
	return strings.ReplaceAll(strings.ToLower(c.Name()), " ", "|")
}

// whoAmI is empty where the server does not say.
func whoAmI(ctx context.Context, conn driver.Conn) (string, error) {
	replies, err := conn.Do(ctx, driver.Cmd("ACL", "WHOAMI"))
	if err != nil {
		return "", err
	}
	user, _ := replies[0].Text()
	return user, nil
}
