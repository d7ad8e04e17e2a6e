package driver

import (
	"context"
	"errors"
	"strconv"
)

// KeysInSlots counts keys by slot over the databases, in one round trip. Every
// slot is in the result. The connection is left in database 0.
func KeysInSlots(ctx context.Context, conn Conn, databases, slots []int) (map[int]int64, error) {
	replies, err := conn.Do(ctx, CountCommands(databases, slots)...)
	if err != nil {
		return nil, err
	}
	return ReadCounts(replies, databases, slots)
}

// CountCommands are the commands whose replies ReadCounts reads. A server with
// one database is never told to select it.
func CountCommands(databases, slots []int) []Command {
	cmds := make([]Command, 0, len(databases)*(len(slots)+1)+1)
	for _, db := range databases {
		if len(databases) > 1 {
			cmds = append(cmds, Cmd("SELECT", strconv.Itoa(db)))
		}
		for _, slot := range slots {
			cmds = append(cmds, Cmd("CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot)))
		}
	}
	if len(databases) > 1 {
		cmds = append(cmds, Cmd("SELECT", "0"))
	}
	return cmds
}

// ReadCounts adds up the replies to CountCommands. Any refused command makes
// the count an error, and so does having no database to look into: a slot is
// never taken for empty because it could not be counted.
func ReadCounts(replies []Reply, databases, slots []int) (map[int]int64, error) {
	if len(databases) == 0 {
		return nil, errors.New("keys were counted in no database")
	}
	counts := make(map[int]int64, len(slots))
	for range databases {
		if len(databases) > 1 {
			if err := replies[0].OK(); err != nil {
				return nil, err
			}
			replies = replies[1:]
		}
		for i, slot := range slots {
			n, err := replies[i].Int()
			if err != nil {
				return nil, err
			}
			counts[slot] += n
		}
		replies = replies[len(slots):]
	}
	return counts, nil
}
