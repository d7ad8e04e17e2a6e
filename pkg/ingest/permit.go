package ingest

import (
	"slices"

	"github.com/trib-dev/trib/pkg/driver"
)

// What bringing keys in takes at the servers that have them, with arguments that a
// server accepts when it is asked whether it is allowed. MIGRATE is not among it:
// without it keys go through this process. HPTTL, which compares hashes, is not
// either, since older servers do not know it.
var (
	takenAtSource = []driver.Command{
		{"PING"},
		{"INFO"},
		{"SCAN", "0"},
	}
	takenToCompare = []driver.Command{
		{"DUMP", "k"},
		{"PTTL", "k"},
		{"TYPE", "k"},
		{"GET", "k"},
		{"LRANGE", "k", "0", "0"},
		{"SMEMBERS", "k"},
		{"ZRANGE", "k", "0", "0"},
		{"HGETALL", "k"},
		{"HKEYS", "k"},
		{"XRANGE", "k", "-", "+"},
		{"XINFO", "STREAM", "k"},
	}
	takenElsewhere = []driver.Command{{"SELECT", "0"}} // for databases beside the first
	takenToMove    = []driver.Command{
		{"WATCH", "k"},
		{"UNWATCH"},
		{"MULTI"},
		{"DEL", "k"},
		{"EXEC"},
	}
	takenAtTarget = []driver.Command{
		{"CLUSTER", "NODES"},
		{"SELECT", "0"}, // from the source, before the keys
		{"EXISTS", "k"},
		{"RESTORE", "k", "0", "v"},
	}
)

// Taken are the commands that bringing keys in may take at the servers that have
// them, those that deleting them there takes besides, and what every master of
// the cluster must allow.
func Taken() (atSource, toMove, atTarget []driver.Command) {
	return slices.Concat(takenAtSource, takenToCompare, takenElsewhere), slices.Clone(takenToMove), slices.Concat(takenAtTarget, takenToCompare)
}

// TakenAtSource are the commands that this run takes at its origins.
func (o Options) TakenAtSource() []driver.Command {
	takes := slices.Concat(takenAtSource, takenToCompare)
	if slices.ContainsFunc(o.databases(), func(db int) bool { return db != 0 }) {
		takes = append(takes, takenElsewhere...)
	}
	if o.Move {
		takes = append(takes, takenToMove...)
	}
	return takes
}
