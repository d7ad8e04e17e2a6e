package move

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/trib-dev/trib/pkg/driver"
)

const (
	// suspicious is the size from which a key is asked for its members.
	suspicious = 64 << 10
	// probedKeys is how many keys of a slot are weighed before it is opened, where
	// nothing depends on finding every big one.
	probedKeys = 4_000
	// skippedKeys is the same where slots with big ones are to be left.
	skippedKeys = 1_000_000
	// weighedAtOnce bounds the pipeline, and with it the time that it takes the node.
	weighedAtOnce = 1000
)

// withoutBigKeys are the slots that may move. A slot that is open already is
// finished whatever it holds.
func (m *mover) withoutBigKeys(ctx context.Context, held []int) ([]int, error) {
	m.scale.forget()
	if m.o.Big.Policy == BigMove {
		return held, nil
	}
	if err := m.probe(ctx, held); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(held), m.scale.leaves), nil
}

// probe looks for big keys in slots that are not open yet.
func (m *mover) probe(ctx context.Context, slots []int) error {
	closed := slices.DeleteFunc(slices.Clone(slots), func(slot int) bool {
		_, migrating := m.src.view.Self().Migrating[slot]
		_, importing := m.dst.view.Self().Importing[slot]
		return migrating || importing || m.scale.probed[slot]
	})
	if len(closed) == 0 {
		return nil
	}
	for _, db := range m.databases {
		listed, err := m.peek(ctx, db, closed)
		if err != nil {
			return err
		}
		if err := m.weigh(ctx, db, keysOf(listed)); err != nil {
			return err
		}
		for _, b := range listed {
			if err := m.probeSlot(ctx, b); err != nil {
				return err
			}
		}
		// Slots that were open already were not listed.
		if len(closed) == len(slots) {
			m.scale.peeked[db] = listed
		}
	}
	for _, slot := range closed {
		m.scale.probed[slot] = true
	}
	return nil
}

// probeSlot judges the keys of one slot, which were weighed.
func (m *mover) probeSlot(ctx context.Context, b batch) error {
	suspects := m.scale.suspects(b)
	if len(suspects) == 0 {
		return nil
	}
	members, err := m.members(ctx, b.db, suspects)
	if err != nil {
		return err
	}
	for i, key := range suspects {
		bytes := m.scale.sizes[keyName{b.db, key}]
		m.judge(BigKey{Slot: b.slot, DB: b.db, Key: key, Bytes: bytes, Members: members[i], Blocks: blocks(bytes, members[i])})
	}
	return nil
}

func (m *mover) judge(k BigKey) {
	name := keyName{k.DB, k.Key}
	if !m.scale.isBig(k) || m.scale.told[name] {
		return
	}
	m.scale.told[name] = true
	switch {
	case m.scale.stays(k):
		m.scale.left = append(m.scale.left, k)
	default:
		m.report(Progress{Notice: k.String()})
	}
}

// weigh asks the source for the sizes of the keys that were not weighed yet. A
// server that does not tell leaves them at 0.
func (m *mover) weigh(ctx context.Context, db int, keys []string) error {
	for part := range slices.Chunk(m.scale.unknown(db, keys), weighedAtOnce) {
		if m.scale.blind {
			return nil
		}
		sizes, err := m.ask(ctx, db, part, func(int) driver.Command { return driver.Cmd("MEMORY", "USAGE") })
		if err != nil {
			return err
		}
		for i, size := range sizes {
			n, err := size.Int()
			m.scale.blind = m.scale.blind || driver.HasCode(size.Err, "NOPERM")
			if err == nil {
				m.scale.sizes[keyName{db, part[i]}] = n
			}
		}
	}
	return nil
}

// members are the numbers of members of the keys; 0 for a string.
func (m *mover) members(ctx context.Context, db int, keys []string) ([]int64, error) {
	types, err := m.ask(ctx, db, keys, func(int) driver.Command { return driver.Cmd("TYPE") })
	if err != nil {
		return nil, err
	}
	counts, err := m.ask(ctx, db, keys, func(i int) driver.Command {
		kind, _ := types[i].Text()
		return driver.Cmd(cardinality(kind))
	})
	if err != nil {
		return nil, err
	}
	members := make([]int64, len(keys))
	for i, count := range counts {
		members[i], _ = count.Int()
	}
	return members, nil
}

// cardinality is the command that counts a value's members; one that says
// nothing about them for other types.
func cardinality(kind string) string {
	switch kind {
	case "list":
		return "LLEN"
	case "set":
		return "SCARD"
	case "zset":
		return "ZCARD"
	case "hash":
		return "HLEN"
	case "stream":
		return "XLEN"
	}
	return "TYPE"
}

// ask sends one command to the source for each key.
func (m *mover) ask(ctx context.Context, db int, keys []string, command func(i int) driver.Command) ([]driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(db)
	skip := len(cmds)
	before, _ := m.asking()
	for i, key := range keys {
		if before != nil {
			cmds = append(cmds, before)
		}
		cmds = append(cmds, append(command(i), key))
	}
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	return answers(replies[skip:], before != nil), m.src.allOK(cmds[:skip], replies)
}

// peek lists the keys of slots that are closed: at most so many that the listing
// does not hold the source up. Where every big key is to be found, it lists all,
// slot by slot.
func (m *mover) peek(ctx context.Context, db int, slots []int) ([]batch, error) {
	if m.o.Big.Policy != BigSkip {
		return m.listKeys(ctx, db, slots, max(m.o.Batch, probedKeys*defaultWindow/max(len(slots), defaultWindow)))
	}
	var all []batch
	for _, slot := range slots {
		listed, err := m.listKeys(ctx, db, []int{slot}, skippedKeys)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
	}
	return all, nil
}

// listKeys lists up to limit keys of each slot that the source holds.
func (m *mover) listKeys(ctx context.Context, db int, slots []int, limit int) ([]batch, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(db)
	skip := len(cmds)
	for _, slot := range slots {
		cmds = append(cmds, driver.Cmd("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(limit)))
	}
	replies, err := m.src.do(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	if err := m.src.allOK(cmds[:skip], replies); err != nil {
		return nil, err
	}
	var listed []batch
	for i, slot := range slots {
		keys, err := replies[skip+i].Strings()
		if err != nil {
			return nil, fmt.Errorf("%s: listing slot %d: %w", m.src.addr, slot, err)
		}
		listed = append(listed, batch{slot: slot, db: db, keys: keys})
	}
	return listed, nil
}
