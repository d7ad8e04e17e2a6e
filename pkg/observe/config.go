package observe

import (
	"context"
	"slices"
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

// configQuestion asks for all of them: each CONFIG GET costs a server as much as
// counting the keys of forty slots. Redis 6 takes one name at a time.
func configQuestion() driver.Command {
	return append(driver.Cmd("CONFIG", "GET"), asked...)
}

// configQuestions ask for one setting each.
func configQuestions() []driver.Command {
	cmds := make([]driver.Command, len(asked))
	for i, name := range asked {
		cmds[i] = driver.Cmd("CONFIG", "GET", name)
	}
	return cmds
}

// configOf are the replies to whichever of the two the server understands;
// first is the one to configQuestion. Redis 6 has told its version by then, and
// a server that forbids the command is not asked again.
func configOf(ctx context.Context, conn driver.Conn, s cluster.Server, first driver.Reply) ([]driver.Reply, error) {
	if first.Err == nil || s.Flavor == "valkey" || s.AtLeast("redis", 7, 0) {
		return []driver.Reply{first}, nil
	}
	return conn.Do(ctx, configQuestions()...)
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
		if err != nil || len(pairs)%2 != 0 {
			continue
		}
		for pair := range slices.Chunk(pairs, 2) {
			setting(m, pair[0], pair[1])
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
