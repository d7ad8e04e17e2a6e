package sim

import (
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Options describe a simulated cluster. The zero value is a Redis 7.0 cluster
// with the servers' default behaviour.
type Options struct {
	// Server decides which rules the nodes follow: which commands exist, whether
	// SETSLOT is replicated (Valkey 8), how gossip treats open slots. A single
	// node may differ, see Node.SetServer.
	Server cluster.Server

	Addrs       []cluster.Addr // where the nodes are, in their order; then 127.0.0.1:7001 and on
	Databases   int            // databases of a cluster (Valkey 9); default 1
	NodeTimeout time.Duration  // cluster-node-timeout; default 2 s
	Password    string         // demanded of every connection; none by default

	GossipDelay   time.Duration // until an ordinary change is heard; default 100 ms
	GossipJitter  time.Duration // added to GossipDelay at random, by Seed; default none
	BusDelay      time.Duration // until a broadcast is heard; default 1 ms
	FailoverDelay time.Duration // from FAIL to a replica's promotion; default 1 s
	ReplicaLag    time.Duration // until a write reaches the replicas; default none
	AckInterval   time.Duration // between the replicas' acknowledgements; default 1 s
	Latency       time.Duration // round trip of the tool's commands; default none

	PartialCoverage bool // cluster-require-full-coverage no
	NoAutoFailover  bool // replicas never promote themselves
	Untold          bool // no Trace, for clusters that run for long
	Seed            int  // makes other node ids, hence other collisions, and other jitter
}

func (o Options) withDefaults() Options {
	if o.Server == (cluster.Server{}) {
		o.Server = cluster.Server{Flavor: "redis", Version: "7.0.15"}
	}
	o.Databases = max(o.Databases, 1)
	orDefault(&o.NodeTimeout, 2*time.Second)
	orDefault(&o.GossipDelay, 100*time.Millisecond)
	orDefault(&o.BusDelay, time.Millisecond)
	orDefault(&o.FailoverDelay, time.Second)
	orDefault(&o.AckInterval, time.Second)
	return o
}

// addr is where the node of that number listens.
func (o Options) addr(i int) cluster.Addr {
	if i < len(o.Addrs) {
		return o.Addrs[i]
	}
	return cluster.Addr{Host: "127.0.0.1", Port: 7001 + i}
}

func orDefault(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}
