// Package sim is a simulated Redis Cluster or Valkey cluster behind
// driver.Dialer: a deterministic state machine without goroutines, sockets or
// clocks of its own, in which an explorer can kill the tool, fail a node over or
// let a user write between any two commands, and see what was lost.
//
// # Time
//
// Run it inside a testing/synctest bubble. Gossip, replication, failure
// detection and timeouts are effects with a due time; they are carried out in
// their order, and lazily: before the next command, verb or question. So a
// change and what follows from it have GossipDelay between them in which the
// explorer can act. [Cluster.Settle] waits for everything that is on its way,
// [Cluster.Advance] lets a given time pass.
//
// # A cluster, a tool, a user
//
//	c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "8.1.1"}})
//	nodes := c.Form(3, 1)        // masters first, then replicas; no engine involved
//	tool := c.Dialer()           // a driver.Dialer; tool.Kill() is kill -9
//	model, user := sim.NewModel(), c.Client()
//	model.Write(user, "k", "v1") // RPUSH of a unique value: acked, refused or unknown
//	...
//	c.Settle()
//	losses := model.Check(c)     // lost, duplicated, resurrected, reordered values
//	breaches := c.Violations()   // slots given away over somebody's keys (P2)
//
// # Interference
//
// [Cluster.Intercept] sees every command of every tool before it arrives and
// decides: [Deliver], [DropBefore] or [DropReply], with functions to run right
// before and right after. They may use everything here:
//
//	c.Intercept(func(e sim.Event) sim.Action {
//		if e.Mutation == 7 {
//			return sim.Action{After: e.Dialer.Kill} // carried out, reply lost, tool dead
//		}
//		return sim.Action{}
//	})
//
// The verbs of a [Node]: Crash, Restart, Pause, Resume, Failover (graceful),
// Takeover (with what the replica has), ReplicaLag, Config, Functions,
// SetServer. A command sent to a paused node times out for its sender and is
// carried out by Resume, as on a real socket.
//
// # What is simulated
//
// Claims by config epoch and what they do to the loser (keys of dirty slots are
// deleted, who loses its last slot becomes a replica and is wiped), importing
// nodes that listen to no gossip (Redis), open slots that follow a failover
// (Valkey 8), epoch bumps and collisions, broadcasts that are overtaken by a
// change of mind, MEET and FORGET, failure detection and elections, asynchronous
// replication with acknowledgements once a second, replicated SETSLOT (Valkey
// 8), MIGRATE key by key with partial success and a source that is blocked while
// its target does not answer, expiry, MULTI/EXEC and WATCH, several databases (Valkey 9),
// eviction, passwords. What servers do differently is in one place, the type rules.
//
// The rules were compared with Redis 6.0, 7.0 and 8.0 and Valkey 8.1 and 9.1 by
// random sequences of commands on both, state against state after every step, and
// TestDifferential goes on comparing them (make differential).
// Among what that brought to light, and is simulated: on Redis 7.0 a node that
// took a slot which its owner had given up before loses it to any later claim,
// even one with a lower epoch; DELSLOTS ends an import; up to Redis 7.0 replicas
// keep the keys that a lost claim deleted on their master; SETSLOT inside a
// transaction kills a Valkey master that has replicas.
//
// # What is not
//
// Partitions between nodes, LOADING and partial resynchronisation, ACL users, TLS,
// hostnames, replica migration, CLUSTER SHARDS, LINKS and SLOT-STATS, values other
// than strings and lists, the trimming that follows an atomic slot migration on
// Redis 8.4. Of such a migration the moments count at which it may break off, and
// not how the keys travel; a client that has to wait for the hand-over is refused.
// Redis 8.4 is written from its documentation alone. A [Client] follows a redirection at
// once: nothing happens between ASK and ASKING. Failure is judged once, when a
// node has been silent for the node timeout, and elections are held once. Texts
// of errors are those of Redis 7.0 where servers differ in words only.
package sim
