package move

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// comparableBytes is how big the DUMP of a value may be that is compared member by
// member.
const comparableBytes = 8 << 20

// contents is the command that reads a value as a whole, and how many of its
// replies belong to one member; 0 where the order of members means something. It
// is nil for types that no one command reads.
func contents(kind, key string) (get driver.Command, member int) {
	switch kind {
	case "string":
		return driver.Cmd("GET", key), 0
	case "list":
		return driver.Cmd("LRANGE", key, "0", "-1"), 0
	case "zset":
		return driver.Cmd("ZRANGE", key, "0", "-1", "WITHSCORES"), 0
	case "set":
		return driver.Cmd("SMEMBERS", key), 1
	case "hash":
		return driver.Cmd("HGETALL", key), 2
	}
	return nil, 0
}

// sameContent compares two values whose serialised forms differ: sets and hashes
// that are equal may lie differently in memory. What it cannot compare is not
// the same: streams, and hashes where fields may expire.
func (m *mover) sameContent(ctx context.Context, db int, key string, s, t Value) (bool, error) {
	if s.Bytes > comparableBytes || t.Bytes > comparableBytes {
		return false, nil
	}
	atSource, atTarget := m.asking()
	kind, err := m.src.read(ctx, m.selectDB(db), atSource, driver.Cmd("TYPE", key))
	if err != nil {
		return false, err
	}
	name, _ := kind.Text()
	get, member := contents(name, key)
	if get == nil || name == "hash" && (m.src.fieldsExpire || m.dst.fieldsExpire) {
		return false, nil
	}
	source, err := m.src.read(ctx, m.selectDB(db), atSource, get)
	if err != nil {
		return false, err
	}
	target, err := m.dst.read(ctx, m.selectDB(db), atTarget, get)
	if err != nil {
		return false, err
	}
	// Another type at the target answers WRONGTYPE.
	return source.Err == nil && target.Err == nil && slices.Equal(members(source, member), members(target, member)), nil
}

// read sends one command that only reads, after what has to come before it.
func (e *end) read(ctx context.Context, selecting []driver.Command, asking, cmd driver.Command) (driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := slices.Clone(selecting)
	if asking != nil {
		cmds = append(cmds, asking)
	}
	replies, err := e.do(ctx, append(cmds, cmd)...)
	if err != nil {
		return driver.Reply{}, err
	}
	return replies[len(replies)-1], nil
}

// members brings a value into an order of its own, where its own has no meaning.
func members(r driver.Reply, size int) []string {
	items, ok := r.Value.([]any)
	if !ok {
		return []string{fmt.Sprint(r.Value)}
	}
	flat := make([]string, len(items))
	for i, item := range items {
		flat[i] = fmt.Sprint(item)
	}
	if size == 0 {
		return flat
	}
	groups := slices.Collect(slices.Chunk(flat, size))
	slices.SortFunc(groups, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return slices.Concat(groups...)
}

// fieldsExpire reports whether fields of a hash may have times to live of their
// own, which reading it does not show.
func fieldsExpire(s cluster.Server) bool {
	return s.AtLeast("redis", 7, 4) || s.AtLeast("valkey", 9, 0)
}
