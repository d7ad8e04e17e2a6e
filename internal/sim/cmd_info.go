package sim

import (
	"fmt"
	"strings"
)

// cmdInfo is INFO [section...].
func cmdInfo(r *request) any {
	sections := []struct {
		name string
		text func() string
	}{
		{"Server", r.n.infoServer},
		{"Memory", r.n.infoMemory},
		{"Persistence", func() string { return infoText("loading", 0) }},
		{"Replication", r.n.infoReplication},
		{"Modules", r.n.infoModules},
		{"Cluster", func() string { return infoText("cluster_enabled", 1) }},
		{"Keyspace", r.n.infoKeyspace},
	}
	var parts []string
	for _, s := range sections {
		if wanted(r.args[1:], s.name) {
			parts = append(parts, "# "+s.name+"\r\n"+s.text())
		}
	}
	return strings.Join(parts, "\r\n")
}

func wanted(args []string, section string) bool {
	for _, a := range args {
		switch strings.ToLower(a) {
		case strings.ToLower(section), "all", "everything", "default":
			return true
		}
	}
	return len(args) == 0
}

// infoText writes name and value pairs as INFO does.
func infoText(pairs ...any) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%v:%v\r\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

func (n *Node) infoServer() string {
	text := infoText("redis_version", n.server.Version)
	if n.server.Flavor == "valkey" {
		// What Valkey tells clients that look for Redis.
		text = infoText("redis_version", "7.2.4", "server_name", "valkey", "valkey_version", n.server.Version)
	}
	return text + infoText("redis_mode", "cluster", "run_id", n.runID, "tcp_port", n.self.addr.Port)
}

func (n *Node) infoMemory() string {
	text := infoText("used_memory", n.usedMemory(), "maxmemory", n.config["maxmemory"], "maxmemory_policy", n.config["maxmemory-policy"])
	if n.missing("FUNCTION LIST") {
		return text
	}
	return text + infoText("number_of_functions", len(n.functions), "number_of_libraries", len(n.functions))
}

func (n *Node) infoReplication() string {
	if n.link != nil {
		return n.infoReplica()
	}
	replicas := n.replicas()
	text := infoText("role", "master", "connected_slaves", len(replicas))
	for i, r := range replicas {
		text += fmt.Sprintf("slave%d:ip=%s,port=%d,state=online,offset=%d,lag=0\r\n", i, r.self.addr.Host, r.self.addr.Port, r.link.acked)
	}
	return text + infoText("master_failover_state", "no-failover", "master_repl_offset", n.offset)
}

func (n *Node) infoReplica() string {
	status := "down"
	if n.link.up {
		status = "up"
	}
	m := n.self.master.addr
	return infoText("role", "slave", "master_host", m.Host, "master_port", m.Port, "master_link_status", status,
		"master_sync_in_progress", 0, "slave_read_repl_offset", n.link.applied, "slave_repl_offset", n.link.applied,
		"connected_slaves", 0, "master_repl_offset", n.link.applied)
}

func (n *Node) infoKeyspace() string {
	text := ""
	for i, db := range n.dbs {
		keys, expires := 0, 0
		for _, slot := range db {
			for _, e := range slot {
				keys++
				if !e.expire.IsZero() {
					expires++
				}
			}
		}
		if keys > 0 {
			text += fmt.Sprintf("db%d:keys=%d,expires=%d,avg_ttl=0\r\n", i, keys, expires)
		}
	}
	return text
}
