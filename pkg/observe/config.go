package observe

import (
	"strconv"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// asked are the settings that only CONFIG GET tells. With those that INFO tells
// they are what the nodes of a cluster should have in common: with them
// differing, a failover or a moved slot changes how the data behave.
var asked = []string{
	"min-replicas-to-write", "min-replicas-max-lag",
	"cluster-allow-reads-when-down", "cluster-allow-replica-migration", "cluster-databases",
	"cluster-migration-barrier", "cluster-node-timeout", "cluster-replica-validity-factor",
	"cluster-require-full-coverage",
}

// configQuestions ask for one setting each: Redis 6 takes no more at a time, and
// a pattern makes the server search all that it has.
func configQuestions() []driver.Command {
	cmds := make([]driver.Command, len(asked))
	for i, name := range asked {
		cmds[i] = driver.Cmd("CONFIG", "GET", name)
	}
	return cmds
}

// settingsIn are the shared settings that INFO tells to those who may not ask
// for the configuration.
func settingsIn(info cluster.Info) map[string]string {
	settings := make(map[string]string)
	for field, name := range map[string]string{"maxmemory": "maxmemory", "maxmemory_policy": "maxmemory-policy"} {
		if value, ok := info[field]; ok {
			settings[name] = value
		}
	}
	switch info["aof_enabled"] {
	case "0":
		settings["appendonly"] = "no"
	case "1":
		settings["appendonly"] = "yes"
	}
	return settings
}

// readConfig takes the settings that matter from replies to CONFIG GET, where
// it is allowed.
func readConfig(m *cluster.Member, replies []driver.Reply) {
	m.Databases = []int{0}
	for _, r := range replies {
		pairs, err := r.Strings()
		if err != nil {
			continue
		}
		if len(pairs) == 2 {
			setting(m, pairs[0], pairs[1])
		}
	}
	for _, db := range m.Keyspace {
		if db.DB >= len(m.Databases) {
			m.Databases = upTo(db.DB + 1)
		}
	}
}

func setting(m *cluster.Member, name, value string) {
	m.Config[name] = value
	n, err := strconv.Atoi(value)
	if err != nil {
		return
	}
	switch name {
	case "cluster-node-timeout":
		m.NodeTimeout = int64(n)
	case "cluster-databases":
		m.Databases = upTo(n)
	}
}

func upTo(n int) []int {
	dbs := make([]int, max(n, 1))
	for i := range dbs {
		dbs[i] = i
	}
	return dbs
}
