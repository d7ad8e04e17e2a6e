package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
)

// foreign reports whether a target cannot read the source's serialised form: it is
// of an older version, or of the other project.
func foreign(err error) bool {
	return driver.Mentions(err, "Bad data format") || driver.Mentions(err, "DUMP payload version or checksum")
}

var errTaken = errors.New("the target has the key")

// rewrite copies a key by what it holds, in a transaction: the target has all of
// it or nothing.
func (l *lane) rewrite(ctx context.Context, to *peer, db int, key string, ttl int64) error {
	cmds, err := l.content(ctx, db, key)
	if err != nil {
		return err
	}
	if ttl >= 0 {
		cmds = append(cmds, driver.Cmd("PEXPIRE", key, strconv.FormatInt(max(ttl, 1), 10)))
	}
	target := l.r.o.target(db)
	replies, err := to.do(ctx, repliesWithin, target, driver.Cmd("WATCH", key), driver.Cmd("EXISTS", key))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		return err
	}
	if replies[1].Value != int64(0) {
		if !l.r.o.Replace {
			return errTaken
		}
		cmds = slices.Insert(cmds, 0, driver.Cmd("DEL", key))
	}
	return transact(ctx, to, target, cmds)
}

func transact(ctx context.Context, p *peer, db int, cmds []driver.Command) error {
	cmds = slices.Concat([]driver.Command{driver.Cmd("MULTI")}, cmds, []driver.Command{driver.Cmd("EXEC")})
	replies, err := p.do(ctx, repliesWithin, db, cmds...)
	if err != nil {
		return err
	}
	if err := driver.FirstErr(replies); err != nil {
		return err
	}
	results, ok := replies[len(replies)-1].Value.([]any)
	if !ok {
		return errTaken // somebody has written it since it was looked for
	}
	for _, result := range results {
		if refused, ok := result.(*driver.ServerError); ok {
			return refused
		}
	}
	return nil
}

// content are the commands that make a key what it is at the source.
func (l *lane) content(ctx context.Context, db int, key string) ([]driver.Command, error) {
	kind, ok := l.kind(ctx, db, key)
	if !ok {
		return nil, errors.New("its type cannot be read")
	}
	if kind == "stream" {
		return stream(ctx, &l.source, db, key)
	}
	get := move.ReadWhole(kind, key)
	if get == nil {
		return nil, fmt.Errorf("a value of type %s cannot be copied between servers of these versions", kind)
	}
	if kind == "hash" && fieldTimes(ctx, &l.source, db, key) {
		return nil, errors.New("its fields have times to live of their own, which the cluster's version does not know")
	}
	replies, err := l.source.do(ctx, repliesWithin, db, get)
	if err != nil {
		return nil, err
	}
	if kind == "string" {
		text, err := replies[0].Text()
		return []driver.Command{driver.Cmd("SET", key, text)}, err
	}
	members, err := replies[0].Strings()
	return writers(kind, key, members), err
}

// membersAtOnce is how many words of a collection one command writes; even, since
// some are pairs.
const membersAtOnce = 1000

func writers(kind, key string, members []string) []driver.Command {
	verb := map[string]string{"list": "RPUSH", "set": "SADD", "hash": "HSET", "zset": "ZADD"}[kind]
	if kind == "zset" { // the score comes first when it is written
		members = slices.Clone(members)
		for i := 0; i+1 < len(members); i += 2 {
			members[i], members[i+1] = members[i+1], members[i]
		}
	}
	var cmds []driver.Command
	for part := range slices.Chunk(members, membersAtOnce) {
		cmds = append(cmds, append(driver.Cmd(verb, key), part...))
	}
	return cmds
}

// stream copies entries, and groups with what they have read and not acknowledged.
func stream(ctx context.Context, p *peer, db int, key string) ([]driver.Command, error) {
	replies, err := p.do(ctx, repliesWithin, db, driver.Cmd("XRANGE", key, "-", "+"), driver.Cmd("XINFO", "STREAM", key, "FULL", "COUNT", "0"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		return nil, err
	}
	entries, _ := replies[0].Value.([]any)
	var cmds []driver.Command
	ids := make(map[string]bool)
	for _, e := range entries {
		pair, _ := e.([]any)
		if len(pair) != 2 {
			return nil, errors.New("an entry of the stream cannot be read")
		}
		fields, err := driver.Reply{Value: pair[1]}.Strings()
		if err != nil {
			return nil, err
		}
		id := fmt.Sprint(pair[0])
		ids[id] = true
		cmds = append(cmds, append(driver.Cmd("XADD", key, id), fields...))
	}
	if len(cmds) == 0 {
		return nil, errors.New("an empty stream cannot be copied between servers of these versions")
	}
	groups, err := groupCommands(key, replies[1], ids)
	return append(cmds, groups...), err
}

// groupCommands make a stream's groups. Where one waits for the acknowledgement of
// an entry that was deleted, that cannot be copied.
func groupCommands(key string, r driver.Reply, ids map[string]bool) (cmds []driver.Command, err error) {
	groups, ok := facts(r.Value)["groups"].([]any)
	if !ok {
		return nil, errors.New("the groups of the stream cannot be read")
	}
	for _, g := range groups {
		of := facts(g)
		name := fmt.Sprint(of["name"])
		cmds = append(cmds, driver.Cmd("XGROUP", "CREATE", key, name, fmt.Sprint(of["last-delivered-id"])))
		waits, ok := of["pending"].([]any)
		if !ok {
			return nil, errors.New("the groups of the stream cannot be read")
		}
		for _, w := range waits {
			entry, _ := w.([]any) // id, consumer, when and how often it was given out
			if len(entry) != 4 || !ids[fmt.Sprint(entry[0])] {
				return nil, errors.New("a group of the stream's waits for the acknowledgement of an entry that was deleted, which cannot be copied between servers of these versions")
			}
			cmds = append(cmds, driver.Cmd("XCLAIM", key, name, fmt.Sprint(entry[1]), "0", fmt.Sprint(entry[0]),
				"TIME", fmt.Sprint(entry[2]), "RETRYCOUNT", fmt.Sprint(entry[3]), "FORCE", "JUSTID"))
		}
	}
	return cmds, nil
}

// fieldTimes reports whether fields of a hash have times to live of their own,
// which reading it does not show. A server that does not know the question has
// none.
func fieldTimes(ctx context.Context, p *peer, db int, key string) bool {
	replies, err := p.do(ctx, repliesWithin, db, driver.Cmd("HKEYS", key))
	if err != nil {
		return true
	}
	fields, err := replies[0].Strings()
	if err != nil || len(fields) == 0 {
		return err != nil
	}
	replies, err = p.do(ctx, repliesWithin, db, append(driver.Cmd("HPTTL", key, "FIELDS", strconv.Itoa(len(fields))), fields...))
	if err != nil || replies[0].Err != nil {
		return err != nil || !driver.Mentions(replies[0].Err, "unknown command")
	}
	times, ok := replies[0].Value.([]any)
	return !ok || slices.ContainsFunc(times, func(t any) bool { n, ok := t.(int64); return !ok || n >= 0 })
}

// sameStream compares entries, and groups with what they have read and not
// acknowledged.
func (l *lane) sameStream(ctx context.Context, to *peer, db int, key string) bool {
	ours, errA := wholeStream(ctx, &l.source, db, key)
	theirs, errB := wholeStream(ctx, to, l.r.o.target(db), key)
	return errA == nil && errB == nil && ours == theirs
}

// wholeStream is what two streams have in common that are the same.
func wholeStream(ctx context.Context, p *peer, db int, key string) (string, error) {
	replies, err := p.do(ctx, repliesWithin, db, driver.Cmd("XRANGE", key, "-", "+"), driver.Cmd("XINFO", "STREAM", key, "FULL", "COUNT", "0"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		return "", err
	}
	groups, ok := facts(replies[1].Value)["groups"].([]any)
	if !ok {
		return "", errors.New("XINFO STREAM: no groups")
	}
	text := fmt.Sprintf("%q", replies[0].Value)
	for _, g := range groups {
		of := facts(g)
		if of["pending"] == nil {
			return "", errors.New("XINFO STREAM: a group without what it waits for")
		}
		text += fmt.Sprintf(" %q %q %q", of["name"], of["last-delivered-id"], of["pending"])
		consumers, _ := of["consumers"].([]any)
		for _, c := range consumers {
			text += fmt.Sprintf(" %q", facts(c)["name"])
		}
	}
	return text, nil
}

// facts are the names and values of a list.
func facts(list any) map[any]any {
	words, _ := list.([]any)
	all := make(map[any]any)
	for i := 0; i+1 < len(words); i += 2 {
		if name, ok := words[i].(string); ok {
			all[name] = words[i+1]
		}
	}
	return all
}
