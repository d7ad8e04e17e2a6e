package cluster

// PortsIn are the ports of one kind, for TLS or without, that a reply to CLUSTER
// SHARDS names: lists of names and values. A node without such a port is absent,
// and so are all where the reply is of another form.
func PortsIn(reply any, tls bool) map[NodeID]int {
	name := "port"
	if tls {
		name = "tls-port"
	}
	ports := make(map[NodeID]int)
	shards, _ := reply.([]any)
	for _, shard := range shards {
		nodes, _ := named(shard, "nodes").([]any)
		for _, node := range nodes {
			text, _ := named(node, "id").(string)
			port, _ := named(node, name).(int64)
			if id, err := ParseNodeID(text); err == nil && port > 0 && port <= 65535 {
				ports[id] = int(port)
			}
		}
	}
	return ports
}

// named is a value in a list of names and values.
func named(list any, name string) any {
	fields, _ := list.([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == name {
			return fields[i+1]
		}
	}
	return nil
}
