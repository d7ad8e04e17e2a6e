package sim

import "github.com/trib-dev/trib/pkg/cluster"

// rules are what servers do differently.
type rules struct {
	// Valkey 8: SETSLOT reaches the replicas first, open slots follow gossip and
	// failovers, and an import whose source gives the slot up is completed.
	valkey8 bool

	// Valkey 8.1: a living node that is ignored introduces itself again.
	remeets bool

	// Valkey 9: several databases; nothing moves from a node to itself.
	valkey9 bool

	// Redis 7.0: functions and ADDSLOTSRANGE, a new owner broadcasts its claim,
	// who gives its last slot away becomes a replica at once, and a source sends
	// TRYAGAIN.
	modern bool

	// Redis 7.0.12: a slot that its owner stopped claiming goes to the first
	// claimer, whatever its epoch.
	unclaimed bool

	// Redis 7.0 only: a node goes on believing that of a slot when it is told of a
	// new owner, even when that is the node itself. Its own claim then yields to a
	// lower epoch.
	neverForgets bool

	// Redis 7.2: a node that was told to forget another passes that on for as long
	// as it shuns that one itself.
	passesForget bool

	// Redis 7.2: nodes know the shards, show them in CLUSTER NODES, and hand the
	// slots of a demoted master to its successor.
	shards bool

	// Redis 8.0: the deletion of a lost slot's keys reaches the replicas.
	replicatesPurge bool

	dump uint16 // version of DUMP's format
}

func rulesOf(s cluster.Server) rules {
	valkey := s.Flavor == "valkey"
	modern := valkey || s.AtLeast("redis", 7, 0)
	return rules{
		valkey8: s.AtLeast("valkey", 8, 0), remeets: s.AtLeast("valkey", 8, 1), valkey9: s.AtLeast("valkey", 9, 0),
		modern: modern, unclaimed: modern, neverForgets: modern && !valkey && !s.AtLeast("redis", 8, 0),
		replicatesPurge: valkey || s.AtLeast("redis", 8, 0),
		passesForget:    valkey || s.AtLeast("redis", 7, 2),
		shards:          valkey || s.AtLeast("redis", 7, 2), dump: dumpVersion(s),
	}
}

// dumpVersion is RDB_VERSION of the real servers.
func dumpVersion(s cluster.Server) uint16 {
	switch {
	case s.AtLeast("valkey", 9, 0):
		return 80
	case s.Flavor == "valkey":
		return 11
	case s.AtLeast("redis", 8, 0):
		return 12
	case s.AtLeast("redis", 7, 0):
		return 10
	}
	return 9
}
