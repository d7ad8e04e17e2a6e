package move

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

// comparableBytes is how big the DUMP of a value may be that is read whole.
const comparableBytes = 8 << 20

// layout is how a value is read whole.
type layout struct {
	read  driver.Command // with the key in second place
	group int            // so many replies belong together, and the groups come in no order; 0 where they do
}

// layouts are those of the types of which one reading shows all. It does not for
// streams, which have consumer groups.
var layouts = []struct {
	layout
	kind  string // as TYPE says
	forms []byte // first bytes of a DUMP; not those of hashes whose fields expire
}{
	{layout{driver.Command{"GET"}, 0}, "string", []byte{0}},
	{layout{driver.Command{"LRANGE", "0", "-1"}, 0}, "list", []byte{1, 10, 14, 18}},
	{layout{driver.Command{"SMEMBERS"}, 1}, "set", []byte{2, 11, 20}},
	{layout{driver.Command{"ZRANGE", "0", "-1", "WITHSCORES"}, 0}, "zset", []byte{5, 12, 17}},
	{layout{driver.Command{"HGETALL"}, 2}, "hash", []byte{4, 13, 16}},
}

// layoutOf finds how two values can be compared by reading both.
func layoutOf(v, w Value) (layout, bool) {
	for _, l := range layouts {
		if slices.Contains(l.forms, v.form) && slices.Contains(l.forms, w.form) {
			return l.layout, true
		}
	}
	return layout{}, false
}

// sameContent compares two values that are serialised differently. Two servers
// store the members of one set in different orders, and servers of two versions
// serialise nearly everything differently.
func (m *mover) sameContent(ctx context.Context, db int, key string, v, w Value) (bool, error) {
	l, ok := layoutOf(v, w)
	if !ok || v.Bytes > comparableBytes || w.Bytes > comparableBytes {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	atSource, atTarget := m.asking()
	source, err := m.content(ctx, m.src, db, atSource, l.command(key))
	if err != nil || source == nil {
		return false, err
	}
	target, err := m.content(ctx, m.dst, db, atTarget, l.command(key))
	return l.arranged(source) == l.arranged(target), err
}

func (l layout) command(key string) driver.Command {
	return slices.Insert(slices.Clone(l.read), 1, key)
}

// content is the reply to a command that reads a key; nil where there is no such
// key any more. before goes ahead of it, where it is not nil.
func (m *mover) content(ctx context.Context, e *end, db int, before, read driver.Command) ([]string, error) {
	cmds := m.selectDB(db)
	if before != nil {
		cmds = append(cmds, before)
	}
	replies, err := e.do(ctx, append(cmds, read)...)
	if err != nil {
		return nil, err
	}
	last := replies[len(replies)-1]
	if driver.HasCode(last.Err, "ASK") {
		return nil, nil
	}
	value, err := parts(last)
	if err != nil {
		return nil, fmt.Errorf("%s: reading a value: %w", e.addr, err)
	}
	return value, nil
}

// arranged is a value's content in the same order on every server.
func (l layout) arranged(parts []string) string {
	groups := make([]string, 0, len(parts))
	for group := range slices.Chunk(parts, max(1, l.group)) {
		groups = append(groups, fmt.Sprintf("%q", group))
	}
	if l.group > 0 {
		slices.Sort(groups)
	}
	return strings.Join(groups, " ")
}
