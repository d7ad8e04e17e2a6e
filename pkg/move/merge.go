package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// merge moves a batch of which the target has some keys already, and of which
// this process may not say that the source's copy is right. Keys that the target
// lacks are moved, equal ones leave the source, and any that differ are a
// conflict, unless somebody has decided it.
func (m *mover) merge(ctx context.Context, b batch) error {
	found, err := m.compare(ctx, b)
	if err != nil {
		return err
	}
	if err := m.migrateSome(ctx, b, found.missing, false); err != nil {
		return overtaken(err)
	}
	if err := m.putWinners(ctx, b, found.sourceWins); err != nil {
		return err
	}
	if err := m.dropLosers(ctx, b, found.targetWins); err != nil {
		return err
	}
	if err := m.drop(ctx, b, found.given); err != nil {
		return err
	}
	if err := m.dropEqual(ctx, b, found.equal); err != nil {
		return err
	}
	m.tally.note(found)
	if found.conflicts != nil {
		return &ConflictError{found.conflicts}
	}
	return nil
}

// overtaken has a key compared anew that somebody made at the target after it was
// found missing there, or that went away at the source.
func overtaken(err error) error {
	if driver.Mentions(err, "BUSYKEY") || driver.HasCode(err, "ASK") || driver.HasCode(err, "EXECABORT") {
		return fmt.Errorf("%w: %w", errLookAgain, err)
	}
	return err
}

// comparison sorts the keys of a batch by what is to become of them.
type comparison struct {
	missing, equal                    []string
	given                             []string // up, though only the source has them
	sourceWins, targetWins, conflicts []Conflict
}

func (m *mover) compare(ctx context.Context, b batch) (comparison, error) {
	var found comparison
	begun := time.Now()
	source, target, err := m.bothValues(ctx, b)
	if err != nil {
		return found, err
	}
	apart := time.Since(begun)
	for i, key := range b.keys {
		same, err := m.same(ctx, b.db, key, source[i], target[i])
		if err != nil {
			return found, err
		}
		c := Conflict{Slot: b.slot, DB: b.db, Key: key, Source: m.src.addr, Target: m.dst.addr, apart: apart}
		switch s, t := source[i], target[i]; {
		case s == nil:
		case t == nil:
			c.Values = [2]Value{*s, {Absent: true}}
			found.lone(c, m.lone(c))
		case same:
			found.equal = append(found.equal, key)
		default:
			c.Values = [2]Value{*s, *t}
			found.differing(c, m.o.decide(c))
		}
	}
	return found, nil
}

func (found *comparison) lone(c Conflict, w Winner) {
	switch w {
	case SourceWins:
		found.missing = append(found.missing, c.Key)
	case TargetWins:
		found.given = append(found.given, c.Key)
	default:
		found.conflicts = append(found.conflicts, c)
	}
}

func (found *comparison) differing(c Conflict, w Winner) {
	switch w {
	case SourceWins:
		found.sourceWins = append(found.sourceWins, c)
	case TargetWins:
		found.targetWins = append(found.targetWins, c)
	default:
		found.conflicts = append(found.conflicts, c)
	}
}

func (o Options) decide(c Conflict) Winner {
	if o.Decide == nil {
		return NoWinner
	}
	return o.Decide(c)
}

// asking is what goes ahead of reading a key at either end: a node that imports
// a slot serves it only to clients that ask.
func (m *mover) asking() (atSource, atTarget driver.Command) {
	if m.gathers() {
		return driver.Cmd("ASKING"), nil
	}
	return nil, driver.Cmd("ASKING")
}

func (m *mover) bothValues(ctx context.Context, b batch) (source, target []*Value, err error) {
	atSource, atTarget := m.asking()
	if source, err = m.values(ctx, m.src, b, atSource); err != nil {
		return nil, nil, err
	}
	target, err = m.values(ctx, m.dst, b, atTarget)
	return source, target, err
}

// dropEqual removes the source's copies of keys that the target has as well. A
// source that migrates serves its copies to clients, who may have changed them
// since they were compared: sending them once more takes the latest. A node that
// only holds them serves nobody, while the owner's copies change.
func (m *mover) dropEqual(ctx context.Context, b batch, keys []string) error {
	if m.gathers() {
		return m.drop(ctx, b, keys)
	}
	return m.migrateSome(ctx, b, keys, true)
}

// drop deletes keys at the source.
func (m *mover) drop(ctx context.Context, b batch, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(b.db)
	asking, _ := m.asking()
	for _, key := range keys {
		if asking != nil {
			cmds = append(cmds, asking)
		}
		cmds = append(cmds, driver.Cmd("DEL", key))
	}
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return err
	}
	for _, r := range replies {
		// A key that is gone already is asked for at the target.
		if r.Err != nil && !driver.HasCode(r.Err, "ASK") {
			return fmt.Errorf("%s: deleting keys of slot %d: %w", m.src.addr, b.slot, r.Err)
		}
	}
	return nil
}

// same compares a key's values on both ends.
func (m *mover) same(ctx context.Context, db int, key string, s, t *Value) (bool, error) {
	if s == nil || t == nil || !s.expiresWith(*t, m.o.Timeout.Milliseconds()) {
		return false, nil
	}
	if s.Bytes == t.Bytes && s.Digest == t.Digest {
		return true, nil
	}
	return m.sameContent(ctx, db, key, *s, *t)
}

func (m *mover) migrateSome(ctx context.Context, b batch, keys []string, replace bool) error {
	if len(keys) == 0 {
		return nil
	}
	return m.migrate(ctx, batch{slot: b.slot, db: b.db, keys: keys}, replace)
}

// values reads a batch's keys on one end; nil stands for a key that is not
// there. before goes ahead of every read.
func (m *mover) values(ctx context.Context, e *end, b batch, before driver.Command) ([]*Value, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(b.db)
	skip := len(cmds)
	for _, key := range b.keys {
		for _, read := range []string{"DUMP", "PTTL", "TYPE"} {
			if before != nil {
				cmds = append(cmds, before)
			}
			cmds = append(cmds, driver.Cmd(read, key))
		}
	}
	replies, err := e.do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	replies = answers(replies[skip:], before != nil)
	out := make([]*Value, len(b.keys))
	for i := range b.keys {
		dump, ttl, kind := replies[3*i], replies[3*i+1], replies[3*i+2]
		if out[i], err = value(dump, ttl, kind); err != nil {
			return nil, fmt.Errorf("%s: reading %.80q: %w", e.addr, b.keys[i], err)
		}
	}
	return out, nil
}

// answers leaves out the replies to what went ahead of every command.
func answers(replies []driver.Reply, preceded bool) []driver.Reply {
	if !preceded {
		return replies
	}
	out := make([]driver.Reply, len(replies)/2)
	for i := range out {
		out[i] = replies[2*i+1]
	}
	return out
}

func value(dump, ttl, kind driver.Reply) (*Value, error) {
	if dump.Err == nil && dump.Value == nil || driver.HasCode(dump.Err, "ASK") {
		// An open slot's owner answers ASK for a key that it does not have.
		return nil, nil
	}
	payload, err := dump.Text()
	if err != nil {
		return nil, err
	}
	left, err := ttl.Int()
	if err != nil {
		return nil, err
	}
	if payload == "" {
		return nil, errors.New("an empty DUMP")
	}
	name, _ := kind.Text() // for people; an ACL may forbid it
	sum := sha256.Sum256([]byte(payload))
	return &Value{Type: name, Bytes: len(payload), Digest: hex.EncodeToString(sum[:8]), TTL: left, form: payload[0]}, nil
}

// expiresWith compares times to live, as far as two readings one after the other
// and a move that took slack ms allow.
func (v Value) expiresWith(w Value, slack int64) bool {
	if v.TTL < 0 || w.TTL < 0 {
		return v.TTL < 0 && w.TTL < 0
	}
	return max(v.TTL, w.TTL)-min(v.TTL, w.TTL) <= slack+repliesWithin.Milliseconds()
}
