package move

import (
	"context"
	"fmt"
	"strconv"

	"github.com/trib-dev/trib/pkg/driver"
)

// What is decided about a key holds for the values that were seen. Where clients
// reach the one that is to go, it goes in a transaction that fails if any of them
// has written since, and the key is compared anew.

// putWinners replaces values at the target that were decided against. Of a slot that
// moves, no client reaches them: the source has the key. A holder's value takes the
// place of one that the owner serves.
func (m *mover) putWinners(ctx context.Context, b batch, won []Conflict) error {
	keys := keysIn(won)
	if len(keys) == 0 || !m.gathers() {
		return m.migrateSome(ctx, b, keys, true)
	}
	b = batch{slot: b.slot, db: b.db, keys: keys}
	puts, err := m.puts(ctx, b)
	if err != nil {
		return err
	}
	if err := m.unwritten(ctx, m.dst, b, won, 1); err != nil {
		return err
	}
	if err := m.transact(ctx, m.dst, b.slot, puts); err != nil {
		return err
	}
	return m.drop(ctx, b, keys)
}

// puts are the commands that bring the source's values to the target.
func (m *mover) puts(ctx context.Context, b batch) ([]driver.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(b.db)
	skip := len(cmds)
	for _, key := range b.keys {
		cmds = append(cmds, driver.Cmd("ASKING"), driver.Cmd("DUMP", key), driver.Cmd("ASKING"), driver.Cmd("PTTL", key))
	}
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	replies = answers(replies[skip:], true)
	puts := make([]driver.Command, len(b.keys))
	for i, key := range b.keys {
		payload, err := replies[2*i].Text()
		if err != nil {
			return nil, fmt.Errorf("%w: %s does not have key %.80q any more: %w", errLookAgain, m.src.addr, key, err)
		}
		ttl, err := replies[2*i+1].Int()
		if err != nil {
			return nil, fmt.Errorf("%s: reading %.80q: %w", m.src.addr, key, err)
		}
		puts[i] = driver.Cmd("RESTORE-ASKING", key, strconv.FormatInt(max(ttl, 0), 10), payload, "REPLACE")
	}
	return puts, nil
}

// dropLosers deletes values at the source that were decided against. A source that
// migrates serves them to clients, a holder does not.
func (m *mover) dropLosers(ctx context.Context, b batch, lost []Conflict) error {
	keys := keysIn(lost)
	if len(keys) == 0 || m.gathers() {
		return m.drop(ctx, b, keys)
	}
	if err := m.unwritten(ctx, m.src, batch{slot: b.slot, db: b.db, keys: keys}, lost, 0); err != nil {
		return err
	}
	cmds := make([]driver.Command, len(keys))
	for i, key := range keys {
		cmds[i] = driver.Cmd("DEL", key)
	}
	return m.transact(ctx, m.src, b.slot, cmds)
}

func keysIn(conflicts []Conflict) []string {
	keys := make([]string, len(conflicts))
	for i, c := range conflicts {
		keys[i] = c.Key
	}
	return keys
}

// unwritten watches keys at a node, and demands that it has the values that were
// decided about: those of one side of the conflicts.
func (m *mover) unwritten(ctx context.Context, e *end, b batch, decided []Conflict, side int) error {
	if err := m.watch(ctx, e, b.db, b.keys); err != nil {
		return err
	}
	now, err := m.values(ctx, e, b, nil)
	if err != nil {
		return err
	}
	for i, c := range decided {
		then := c.Values[side]
		if now[i] == nil || now[i].Bytes != then.Bytes || now[i].Digest != then.Digest || !now[i].expiresWith(then, 0) {
			e.close() // and with it the watch
			return fmt.Errorf("%w: key %.80q of slot %d was written to", errLookAgain, c.Key, b.slot)
		}
	}
	return nil
}

func (m *mover) watch(ctx context.Context, e *end, db int, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	if err := e.mayTransact(ctx); err != nil {
		return fmt.Errorf("%s: %w", e.addr, err)
	}
	cmds := m.selectDB(db)
	for _, key := range keys {
		cmds = append(cmds, driver.Cmd("WATCH", key))
	}
	replies, err := e.do(ctx, cmds...)
	if err == nil {
		err = driver.FirstErr(replies)
	}
	return overtaken(err)
}

// transact carries out commands on watched keys, all or none.
func (m *mover) transact(ctx context.Context, e *end, slot int, cmds []driver.Command) error {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	results, err := e.transact(ctx, cmds...)
	if err != nil {
		return overtaken(err)
	}
	if len(results) != len(cmds) {
		return fmt.Errorf("%w: keys of slot %d were written to while it was decided about them", errLookAgain, slot)
	}
	for _, result := range results {
		if refusal, ok := result.(error); ok {
			return fmt.Errorf("%s: deciding about keys of slot %d: %w", e.addr, slot, refusal)
		}
	}
	return nil
}
