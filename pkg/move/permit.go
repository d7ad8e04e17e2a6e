package move

import (
	"context"
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// What a classic move takes at its two ends.
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
	takenAtTarget = []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "SETSLOT", "0", "STABLE"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
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
	return denied(ctx, d, name, m.Addr, takes)
}

// DeniedAtTarget is the same for a move to the node.
func DeniedAtTarget(ctx context.Context, d driver.Dialer, name string, m cluster.Member, atomic bool) ([]string, error) {
	takes := takenAtTarget
	if atomic {
		takes = takenByAtomic(m, cluster.Migration)
	}
	return denied(ctx, d, name, m.Addr, takes)
}

// takenByAtomic is what an atomic move takes at one of its ends; ordered is the
// dialect in which that end is given the orders.
func takenByAtomic(m cluster.Member, ordered cluster.Dialect) []driver.Command {
	takes := []driver.Command{
		{"CLUSTER", "NODES"},
		{"CLUSTER", "COUNTKEYSINSLOT", "0"},
		{"INFO", "replication"},
		driver.JobsCommand(m.Features.Atomic),
	}
	switch {
	case m.Features.Atomic != ordered:
		return takes
	case ordered == cluster.Migration:
		return append(takes, driver.Cmd("CLUSTER", "MIGRATION", "IMPORT", "0", "0"), driver.Cmd("CLUSTER", "MIGRATION", "CANCEL", "ID", "x"))
	}
	return append(takes, driver.Cmd("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "0", "NODE", "x"), driver.Cmd("CLUSTER", "CANCELSLOTMIGRATIONS"))
}

// DeniedAtHolder is the same for a node from which keys are gathered, and which
// does not own their slots.
func DeniedAtHolder(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return denied(ctx, d, name, addr, takenAtHolder)
}

// DeniedToClaim is the same for a node that is to claim slots.
func DeniedToClaim(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr) ([]string, error) {
	return denied(ctx, d, name, addr, takenToClaim)
}

func denied(ctx context.Context, d driver.Dialer, name string, addr cluster.Addr, takes []driver.Command) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	conn, err := d.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
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
	var texts []string
	for i, r := range replies {
		// A refusal is a text, as a reply and not as an error.
		if why, err := r.Text(); err == nil && why != "OK" {
			texts = append(texts, fmt.Sprintf("%s: user %s may not %s", addr, user, strings.ToLower(takes[i].Name())))
		}
	}
	return texts, nil
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
