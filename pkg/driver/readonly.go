package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ReadOnly guards a dialer: a connection of it refuses, without sending
// anything, every command that is not known to leave the cluster as it is.
// Commands that only look are dialled through it, so that a dry run is one by
// construction.
func ReadOnly(d Dialer) Dialer { return readOnlyDialer{d} }

type readOnlyDialer struct{ next Dialer }

func (d readOnlyDialer) Dial(ctx context.Context, addr cluster.Addr, name string) (Conn, error) {
	c, err := d.next.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return readOnlyConn{c}, nil
}

type readOnlyConn struct{ Conn }

func (c readOnlyConn) Do(ctx context.Context, cmds ...Command) ([]Reply, error) {
	for i, cmd := range cmds {
		// Keys are counted with thousands of the same command.
		if i > 0 && sameName(cmd, cmds[i-1]) {
			continue
		}
		if Mutates(cmd) {
			return nil, fmt.Errorf("refused %s: this operation only reads", cmd.Name())
		}
	}
	return c.Conn.Do(ctx, cmds...)
}

// sameName reports whether two commands certainly do the same, which no more
// than the first two words say of all but one.
func sameName(a, b Command) bool {
	return len(a) > 1 && len(b) > 1 && a[0] == b[0] && a[1] == b[1] && a.Name() != migration
}

// migration is the command whose third word says what it does.
const migration = "CLUSTER MIGRATION"

// Name is what the command is called, without arguments that may be keys or
// secrets: "MIGRATE", "CLUSTER SETSLOT". It is what logs and errors may print.
func (c Command) Name() string {
	if len(c) == 0 {
		return ""
	}
	name := strings.ToUpper(c[0])
	if len(c) > 1 && slices.Contains(containers, name) {
		name += " " + strings.ToUpper(c[1])
	}
	return name
}

// containers are the commands whose first argument says what they do.
var containers = []string{"CLUSTER", "CLIENT", "CONFIG", "COMMAND", "FUNCTION", "MEMORY", "ACL"}

// readers are the commands that leave data, topology and configuration alone.
var readers = []string{
	"PING", "ECHO", "INFO", "ROLE", "TIME", "DBSIZE", "SELECT", "ASKING", "READONLY", "READWRITE", "WAIT",
	"DUMP", "TTL", "PTTL", "TYPE", "EXISTS", "STRLEN", "SCAN", "GET",
	"LLEN", "LRANGE", "SCARD", "SMEMBERS", "ZCARD", "ZRANGE", "HLEN", "HGETALL", "XLEN", "XRANGE",
	"CLUSTER NODES", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER LINKS", "CLUSTER MYID",
	"CLUSTER KEYSLOT", "CLUSTER COUNTKEYSINSLOT", "CLUSTER GETKEYSINSLOT", "CLUSTER SLOT-STATS",
	"CLUSTER GETSLOTMIGRATIONS",
	"CLIENT LIST", "CLIENT ID", "CLIENT GETNAME", "CLIENT SETNAME",
	"CONFIG GET", "COMMAND INFO", "FUNCTION LIST", "FUNCTION DUMP", "FUNCTION STATS", "MEMORY USAGE", "ACL WHOAMI", "ACL DRYRUN",
}

// Mutates reports whether a command may change anything. What is not known to
// be harmless is taken to change something.
func Mutates(c Command) bool {
	if name := c.Name(); name != migration {
		return !slices.Contains(readers, name)
	}
	return len(c) < 3 || !strings.EqualFold(c[2], "STATUS")
}
