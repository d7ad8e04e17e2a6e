package sim

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

func keyCommands() map[string]command {
	return map[string]command{
		"GET":            {arity: 2, keys: firstKey, run: cmdGet},
		"SET":            {arity: -3, keys: firstKey, write: true, run: cmdSet},
		"DEL":            {arity: -2, keys: allKeys, write: true, run: cmdDel},
		"EXISTS":         {arity: -2, keys: allKeys, run: cmdExists},
		"TYPE":           {arity: 2, keys: firstKey, run: cmdType},
		"TTL":            {arity: 2, keys: firstKey, run: cmdTTL},
		"PTTL":           {arity: 2, keys: firstKey, run: cmdTTL},
		"EXPIRE":         {arity: 3, keys: firstKey, write: true, run: cmdExpire},
		"PEXPIRE":        {arity: 3, keys: firstKey, write: true, run: cmdExpire},
		"PERSIST":        {arity: 2, keys: firstKey, write: true, run: cmdPersist},
		"SCAN":           {arity: -2, run: cmdScan},
		"RPUSH":          {arity: -3, keys: firstKey, write: true, run: cmdRPush},
		"LRANGE":         {arity: 4, keys: firstKey, run: cmdLRange},
		"DUMP":           {arity: 2, keys: firstKey, run: cmdDump},
		"RESTORE":        {arity: -4, keys: firstKey, write: true, run: cmdRestore},
		"RESTORE-ASKING": {arity: -4, keys: firstKey, write: true, run: cmdRestore},
		"MIGRATE":        {arity: -6, keys: migrateKeys, write: true, run: cmdMigrate},
		"FLUSHALL":       {arity: -1, write: true, run: cmdFlushAll},
	}
}

var errWrongType = &driver.ServerError{Text: "WRONGTYPE Operation against a key holding the wrong kind of value"}

func (r *request) key() *entry { return r.n.lookup(r.db, r.args[1]) }

func cmdGet(r *request) any {
	e := r.key()
	if e == nil {
		return nil
	}
	if e.list {
		return errWrongType
	}
	return e.text
}

func cmdSet(r *request) any {
	e := &entry{text: r.args[2]}
	for i := 3; i < len(r.args); i += 2 {
		unit := map[string]time.Duration{"EX": time.Second, "PX": time.Millisecond}[strings.ToUpper(r.args[i])]
		if unit == 0 || i+1 >= len(r.args) {
			return refuse("ERR syntax error")
		}
		n, err := parseInt(r.args[i+1])
		if err != nil {
			return err
		}
		if n <= 0 {
			return refuse("ERR invalid expire time in 'set' command")
		}
		e.expire = r.c.now.Add(time.Duration(n) * unit)
	}
	r.n.setKey(r.db, r.args[1], e)
	return "OK"
}

func cmdDel(r *request) any {
	count := int64(0)
	for _, key := range r.args[1:] {
		if r.n.lookup(r.db, key) != nil {
			r.n.deleteKey(r.db, key)
			count++
		}
	}
	return count
}

func cmdExists(r *request) any {
	count := int64(0)
	for _, key := range r.args[1:] {
		if r.n.lookup(r.db, key) != nil {
			count++
		}
	}
	return count
}

func cmdType(r *request) any {
	if e := r.key(); e != nil {
		return e.kind()
	}
	return "none"
}

func cmdTTL(r *request) any {
	e := r.key()
	if e == nil {
		return int64(-2)
	}
	if e.expire.IsZero() {
		return int64(-1)
	}
	left := e.expire.Sub(r.c.now).Milliseconds()
	if strings.EqualFold(r.args[0], "TTL") {
		return (left + 500) / 1000
	}
	return left
}

// cmdExpire is EXPIRE and PEXPIRE without the conditions of Redis 7.0.
func cmdExpire(r *request) any {
	n, err := parseInt(r.args[2])
	if err != nil {
		return err
	}
	unit := time.Millisecond
	if strings.EqualFold(r.args[0], "EXPIRE") {
		unit = time.Second
	}
	e := r.key()
	switch {
	case e == nil:
		return int64(0)
	case n <= 0:
		r.n.deleteKey(r.db, r.args[1])
		return int64(1)
	}
	e = e.clone()
	e.expire = r.c.now.Add(time.Duration(n) * unit)
	r.n.setKey(r.db, r.args[1], e)
	return int64(1)
}

func cmdPersist(r *request) any {
	e := r.key()
	if e == nil || e.expire.IsZero() {
		return int64(0)
	}
	e = e.clone()
	e.expire = time.Time{}
	r.n.setKey(r.db, r.args[1], e)
	return int64(1)
}

// cmdScan is SCAN cursor [MATCH pattern] [COUNT n] [TYPE kind]: everything in one
// reply, for which the protocol allows.
func cmdScan(r *request) any {
	if _, err := parseInt(r.args[1]); err != nil {
		return refuse("ERR invalid cursor")
	}
	pattern, kind := "*", ""
	for i := 2; i+1 < len(r.args); i += 2 {
		switch strings.ToUpper(r.args[i]) {
		case "MATCH":
			pattern = r.args[i+1]
		case "TYPE":
			kind = strings.ToLower(r.args[i+1])
		case "COUNT":
		default:
			return refuse("ERR syntax error")
		}
	}
	keys := []any{}
	for _, slot := range slices.Sorted(maps.Keys(r.n.dbs[r.db])) {
		for _, key := range r.n.dbs[r.db].keys(slot) {
			ok, _ := path.Match(pattern, key)
			if e := r.n.lookup(r.db, key); ok && e != nil && (kind == "" || kind == e.kind()) {
				keys = append(keys, key)
			}
		}
	}
	return []any{"0", keys}
}

func cmdRPush(r *request) any {
	e := r.key()
	if e == nil {
		e = &entry{list: true}
	}
	if !e.list {
		return errWrongType
	}
	e = e.clone()
	e.items = append(e.items, r.args[2:]...)
	r.n.setKey(r.db, r.args[1], e)
	return int64(len(e.items))
}

func cmdLRange(r *request) any {
	from, err := parseInt(r.args[2])
	if err != nil {
		return err
	}
	to, err := parseInt(r.args[3])
	if err != nil {
		return err
	}
	e := r.key()
	if e == nil {
		return []any{}
	}
	if !e.list {
		return errWrongType
	}
	return span(e.items, from, to)
}

// span is items from..to, both included, negative ones counted from the end.
func span(items []string, from, to int64) []any {
	n := int64(len(items))
	if from < 0 {
		from = max(from+n, 0)
	}
	if to < 0 {
		to += n
	}
	out := []any{}
	for i := from; i <= min(to, n-1); i++ {
		out = append(out, items[i])
	}
	return out
}

func cmdDump(r *request) any {
	if e := r.key(); e != nil {
		return r.n.dump(e)
	}
	return nil
}

// cmdRestore is RESTORE key ttl payload [REPLACE] [ABSTTL].
func cmdRestore(r *request) any {
	replace, absolute := false, false
	for _, option := range r.args[4:] {
		switch strings.ToUpper(option) {
		case "REPLACE":
			replace = true
		case "ABSTTL":
			absolute = true
		default:
			return refuse("ERR syntax error")
		}
	}
	if !replace && r.key() != nil {
		return refuse("BUSYKEY Target key name already exists.")
	}
	ttl, err := parseInt(r.args[2])
	if err != nil {
		return err
	}
	if ttl < 0 {
		return refuse("ERR Invalid TTL value, must be >= 0")
	}
	e, err := r.n.restore(r.args[3])
	if err != nil {
		return err
	}
	if ttl > 0 {
		e.expire = r.c.now.Add(time.Duration(ttl) * time.Millisecond)
	}
	if absolute && ttl > 0 {
		e.expire = time.UnixMilli(ttl)
	}
	r.n.setKey(r.db, r.args[1], e)
	return "OK"
}

func cmdFlushAll(r *request) any {
	r.n.flush()
	return "OK"
}
