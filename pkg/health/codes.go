package health

// Code names a kind of finding. Codes are stable: scripts match them.
type Code string

// The findings. Each has a [Story].
const (
	Unreachable      Code = "node-unreachable"  // a node does not answer
	Suspected        Code = "node-suspected"    // a node answers, and others call it failed
	Handshake        Code = "handshake"         // a node is being met and does not answer
	Split            Code = "split-cluster"     // groups of nodes do not see each other
	HalfForgotten    Code = "half-forgotten"    // some nodes know a node and others do not
	AddressesDiffer  Code = "addresses-differ"  // nodes know a node under different addresses
	ClusterDown      Code = "cluster-down"      // a node says cluster_state:fail
	Disagreement     Code = "disagreement"      // nodes see different owners of slots
	OpenSlots        Code = "open-slots"        // slots are migrating or importing
	Uncovered        Code = "uncovered-slots"   // slots that no node owns
	MultipleOwners   Code = "multiple-owners"   // slots that several nodes say they own
	ForeignKeys      Code = "foreign-keys"      // keys on a node that does not own their slot
	EpochCollision   Code = "epoch-collision"   // masters with the same config epoch
	QuorumLost       Code = "quorum-lost"       // too few masters answer to agree on a failover
	QuorumAtRisk     Code = "quorum-at-risk"    // one failure makes them too few
	NoReplica        Code = "no-replica"        // a master without replicas
	LinkDown         Code = "replica-link-down" // a replica gets nothing from its master
	Lag              Code = "replica-lag"       // a replica is far behind
	ReplicaOfReplica Code = "replica-of-replica"
	Orphaned         Code = "orphaned-replica"  // a replica of a node that is gone
	SameHost         Code = "replica-same-host" // as its master
	SameZone         Code = "replica-same-zone" // as its master
	VersionsDiffer   Code = "versions-differ"   // nodes run different servers
	ConfigDiffers    Code = "config-differs"    // a setting that nodes should share
	FunctionsDiffer  Code = "functions-differ"  // masters have different functions
)
