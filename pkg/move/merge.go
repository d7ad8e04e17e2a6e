package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/trib-dev/trib/pkg/driver"
)

// merge moves a batch of which the target has some keys already, and of which
// this process may not say that the source's copy is right. Equal keys are
// replaced, which removes the source's copy; keys that the target lacks are
// moved; any that differ are a conflict.
func (m *mover) merge(ctx context.Context, b batch) error {
	source, err := m.values(ctx, m.src, b, nil)
	if err != nil {
		return err
	}
	// The target serves a slot that it imports only to clients that ask.
	target, err := m.values(ctx, m.dst, b, driver.Cmd("ASKING"))
	if err != nil {
		return err
	}
	var equal, missing []string
	var conflicts []Conflict
	for i, key := range b.keys {
		switch s, t := source[i], target[i]; {
		case s == nil:
		case t == nil:
			missing = append(missing, key)
		case s.sameAs(*t, m.o.Timeout.Milliseconds()):
			equal = append(equal, key)
		default:
			same, err := m.sameContent(ctx, b.db, key, *s, *t)
			if err != nil {
				return err
			}
			if same && s.expiresAs(*t, m.o.Timeout.Milliseconds()) {
				equal = append(equal, key)
				continue
			}
			conflicts = append(conflicts, Conflict{b.slot, b.db, key, m.src.addr, m.dst.addr, [2]Value{*s, *t}})
		}
	}
	if err := m.migrateSome(ctx, b, missing, false); err != nil {
		return err
	}
	if err := m.migrateSome(ctx, b, equal, true); err != nil {
		return err
	}
	if conflicts != nil {
		return &ConflictError{conflicts}
	}
	return nil
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
	for _, key := range b.keys {
		for _, read := range []string{"DUMP", "PTTL"} {
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
	step := (len(cmds) - len(m.selectDB(b.db))) / len(b.keys)
	replies = replies[len(m.selectDB(b.db)):]
	out := make([]*Value, len(b.keys))
	for i := range b.keys {
		dump, ttl := replies[i*step+step/2-1], replies[i*step+step-1]
		if out[i], err = value(dump, ttl); err != nil {
			return nil, fmt.Errorf("%s: reading %.80q: %w", e.addr, b.keys[i], err)
		}
	}
	return out, nil
}

func value(dump, ttl driver.Reply) (*Value, error) {
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
	sum := sha256.Sum256([]byte(payload))
	return &Value{Bytes: len(payload), Digest: hex.EncodeToString(sum[:8]), TTL: left, form: payload[0]}, nil
}

// sameAs compares values by their serialised forms.
func (v Value) sameAs(w Value, slack int64) bool {
	return v.Bytes == w.Bytes && v.Digest == w.Digest && v.expiresAs(w, slack)
}

// expiresAs compares times to live as far as two readings one after the other
// and a move that took slack ms allow.
func (v Value) expiresAs(w Value, slack int64) bool {
	if v.TTL < 0 || w.TTL < 0 {
		return v.TTL < 0 && w.TTL < 0
	}
	return max(v.TTL, w.TTL)-min(v.TTL, w.TTL) <= slack+repliesWithin.Milliseconds()
}
