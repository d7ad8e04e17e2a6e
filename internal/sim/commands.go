package sim

import (
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

// commandTable is every command of the simulated servers. It is made per
// cluster, since package variables are not.
func commandTable() map[string]command {
	t := make(map[string]command)
	for _, rows := range []map[string]command{serverCommands(), clientCommands(), keyCommands(), clusterCommands(), slotCommands(), topologyCommands(), atomicCommands()} {
		for name, row := range rows {
			row.mutates = driver.Mutates(strings.Split(name, " "))
			t[name] = row
		}
	}
	return t
}

func firstKey(args []string) []string {
	if len(args) < 2 {
		return nil
	}
	return args[1:2]
}

func allKeys(args []string) []string { return args[1:] }

// migrateKeys are the key, or what follows KEYS where the key is empty.
func migrateKeys(args []string) []string {
	if args[3] != "" {
		return args[3:4]
	}
	for i := 6; i < len(args); i++ {
		if strings.EqualFold(args[i], "KEYS") {
			return args[i+1:]
		}
	}
	return nil
}

func parseInt(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, refuse("ERR value is not an integer or out of range")
	}
	return n, nil
}
