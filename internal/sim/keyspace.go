package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// database holds keys by slot, as the servers index them.
type database map[int]map[string]*entry

// entry is the value of one key: a string or a list.
type entry struct {
	list   bool
	text   string
	items  []string
	expire time.Time // zero for a key that stays
}

func (e *entry) clone() *entry {
	f := *e
	f.items = slices.Clone(e.items)
	return &f
}

func (e *entry) size() int {
	size := len(e.text)
	for _, item := range e.items {
		size += len(item)
	}
	return size
}

func (e *entry) kind() string {
	if e.list {
		return "list"
	}
	return "string"
}

func (e *entry) expired(now time.Time) bool {
	return !e.expire.IsZero() && !e.expire.After(now)
}

func newDatabases(count int) []database {
	dbs := make([]database, count)
	for i := range dbs {
		dbs[i] = make(database)
	}
	return dbs
}

func cloneDatabases(dbs []database) []database {
	out := newDatabases(len(dbs))
	for i, db := range dbs {
		for slot, keys := range db {
			out[i][slot] = make(map[string]*entry, len(keys))
			for key, e := range keys {
				out[i][slot][key] = e.clone()
			}
		}
	}
	return out
}

func (db database) get(key string) *entry { return db[cluster.KeySlot(key)][key] }

func (db database) put(key string, e *entry) {
	slot := cluster.KeySlot(key)
	if db[slot] == nil {
		db[slot] = make(map[string]*entry)
	}
	db[slot][key] = e
}

func (db database) drop(key string) {
	slot := cluster.KeySlot(key)
	delete(db[slot], key)
	if len(db[slot]) == 0 {
		delete(db, slot)
	}
}

// keys are a slot's keys in a fixed order.
func (db database) keys(slot int) []string { return slices.Sorted(maps.Keys(db[slot])) }

func (db database) count() int {
	n := 0
	for _, keys := range db {
		n += len(keys)
	}
	return n
}

// countKeys counts a slot's keys in all databases, as the server does before it
// gives a slot away or takes claims for it. Expired keys count until somebody
// has looked at them.
func (n *Node) countKeys(slot int) int {
	count := 0
	for _, db := range n.dbs {
		count += len(db[slot])
	}
	return count
}

func (n *Node) keyCount() int {
	count := 0
	for _, db := range n.dbs {
		count += db.count()
	}
	return count
}

// lookup finds a key's value. A master deletes what has expired on the way, a
// replica only hides it.
func (n *Node) lookup(db int, key string) *entry {
	e := n.dbs[db].get(key)
	if e == nil || !e.expired(n.c.now) {
		return e
	}
	if n.isMaster() {
		n.deleteKey(db, key)
	}
	return nil
}

func (n *Node) setKey(db int, key string, e *entry) {
	n.change(len(key)+e.size(), func(m *Node) { m.dbs[db].put(key, e.clone()) })
	if !e.expire.IsZero() {
		n.expireLater(db, key, e.expire)
	}
}

// expireLater is the servers' active expiry: some time after a key's end it is
// gone even where nobody asks for it.
func (n *Node) expireLater(db int, key string, at time.Time) {
	const cycle = 100 * time.Millisecond
	n.c.eventually(at.Sub(n.c.now)+cycle, func() {
		if n.live() && n.isMaster() {
			n.lookup(db, key)
		}
	})
}

func (n *Node) deleteKey(db int, key string) {
	n.change(len(key), func(m *Node) { m.dbs[db].drop(key) })
}

// deleteSlot is what a lost claim does. Up to Redis 7.0 the replicas are not
// told, and keep the keys until somebody promotes them.
func (n *Node) deleteSlot(slot int) {
	drop := func(m *Node) {
		for _, db := range m.dbs {
			delete(db, slot)
		}
	}
	if n.rules.replicatesPurge {
		n.change(0, drop)
	} else {
		drop(n)
	}
}

func (n *Node) flush() {
	n.change(0, func(m *Node) { m.dbs = newDatabases(len(m.dbs)) })
}

// usedMemory is made up, but grows with what is stored.
func (n *Node) usedMemory() int {
	const empty, perKey = 1 << 20, 64
	used := empty
	for _, db := range n.dbs {
		for _, keys := range db {
			for key, e := range keys {
				used += perKey + len(key) + e.size()
			}
		}
	}
	return used
}
