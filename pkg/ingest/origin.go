package ingest

import (
	"context"
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Origin is a server that keys come from.
type Origin struct {
	Addr     cluster.Addr
	Server   cluster.Server
	Keyspace []cluster.DBKeys
	Bytes    int64 // of memory that all values take together; 0 where it does not say
	Cluster  bool  // it runs in cluster mode
	Replica  bool  // it cannot MIGRATE or delete
}

// Inspect finds the servers behind an address: the one there or, where that
// belongs to a cluster, all masters of the cluster with slots.
func Inspect(ctx context.Context, d driver.Dialer, addr cluster.Addr) ([]Origin, error) {
	first, masters, err := inspect(ctx, d, addr)
	if err != nil || !first.Cluster {
		return []Origin{first}, err
	}
	var all []Origin
	for _, master := range masters {
		one, _, err := inspect(ctx, d, master)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s is in cluster mode, and knows no master with slots", addr)
	}
	return all, nil
}

func inspect(ctx context.Context, d driver.Dialer, addr cluster.Addr) (o Origin, masters []cluster.Addr, err error) {
	conn, err := d.Dial(ctx, addr, "")
	if err != nil {
		return o, nil, err
	}
	defer conn.Close()
	o = Origin{Addr: addr}
	if err := o.read(ctx, conn); err != nil {
		return o, nil, fmt.Errorf("%s: %w", addr, err)
	}
	if !o.Cluster {
		return o, nil, nil
	}
	view, err := readNodes(ctx, conn)
	if err != nil {
		return o, nil, fmt.Errorf("%s: %w", addr, err)
	}
	for _, n := range view.Nodes {
		if n.IsMaster() && !n.Slots.Empty() {
			masters = append(masters, reachable(n.Addr, addr))
		}
	}
	return o, masters, nil
}

// reachable is a node's address; one without a host is where it was asked.
func reachable(announced, dialled cluster.Addr) cluster.Addr {
	if announced.Host == "" {
		return dialled
	}
	return announced
}

func readNodes(ctx context.Context, conn driver.Conn) (cluster.View, error) {
	reply, err := driver.Call(ctx, conn, "CLUSTER", "NODES")
	if err != nil {
		return cluster.View{}, err
	}
	text, err := reply.Text()
	if err != nil {
		return cluster.View{}, err
	}
	return cluster.ParseNodes(text)
}

func (o *Origin) read(ctx context.Context, conn driver.Conn) error {
	reply, err := driver.Call(ctx, conn, "INFO")
	if err != nil {
		return err
	}
	text, err := reply.Text()
	if err != nil {
		return err
	}
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return err
	}
	if o.Server, err = info.Server(); err != nil {
		return err
	}
	if o.Keyspace, err = info.Keyspace(); err != nil {
		return err
	}
	o.Bytes, _ = info.Int("used_memory_dataset") // Redis 4
	mode := info["redis_mode"] + info["server_mode"]
	if strings.Contains(mode, "sentinel") {
		return fmt.Errorf("a sentinel has no keys: name the server that it watches")
	}
	o.Cluster = strings.Contains(mode, "cluster")
	o.Replica = info["role"] == "slave"
	return nil
}
