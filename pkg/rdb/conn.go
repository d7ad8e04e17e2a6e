package rdb

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

// conn answers the commands with which the keys of a server are copied.
type conn struct {
	file *File
	db   int
}

// Close does nothing.
func (c *conn) Close() error { return nil }

// Do answers commands.
func (c *conn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	replies := make([]driver.Reply, 0, len(cmds))
	for _, cmd := range cmds {
		if ctx.Err() != nil {
			return replies, context.Cause(ctx)
		}
		value, err := c.answer(cmd)
		if err != nil {
			err = &driver.ServerError{Text: "ERR " + err.Error()}
		}
		replies = append(replies, driver.Reply{Value: value, Err: err})
	}
	return replies, nil
}

func (c *conn) answer(cmd driver.Command) (any, error) {
	switch name := cmd.Name(); {
	case name == "PING":
		return "PONG", nil
	case name == "INFO":
		return c.file.info(), nil
	case name == "FUNCTION LIST":
		return c.file.functions(), nil
	case name == "SELECT" && len(cmd) == 2:
		n, err := strconv.Atoi(cmd[1])
		c.db = n
		return "OK", err
	case name == "SCAN" && len(cmd) >= 2:
		return c.scan(cmd)
	case name == "MEMORY USAGE" && len(cmd) == 3:
		return c.with(cmd[2], nil, func(p place) (any, error) { return p.size, nil })
	case len(cmd) == 2:
		return c.of(name, cmd[1])
	}
	return nil, unknown(cmd)
}

func unknown(cmd driver.Command) error {
	return fmt.Errorf("unknown command '%s': a file is read here, and no server", cmd.Name())
}

// of answers what is asked of one key.
func (c *conn) of(name, key string) (any, error) {
	switch name {
	case "DUMP":
		return c.with(key, nil, c.dump)
	case "TYPE":
		return c.with(key, "none", func(p place) (any, error) { return kindOf(p.kind), nil })
	case "EXISTS":
		return c.with(key, int64(0), func(place) (any, error) { return int64(1), nil })
	case "PTTL":
		return c.with(key, int64(-2), func(p place) (any, error) {
			if p.expires == 0 {
				return int64(-1), nil
			}
			return p.expires - c.file.now().UnixMilli(), nil
		})
	}
	return nil, unknown(driver.Cmd(name))
}

func (c *conn) with(key string, absent any, do func(place) (any, error)) (any, error) {
	db := c.file.databases[c.db]
	if db == nil {
		return absent, nil
	}
	p, ok := db.values[key]
	if !ok || p.expires != 0 && p.expires <= c.file.now().UnixMilli() {
		return absent, nil
	}
	return do(p)
}

// scan lists keys in the order of the file; the cursor is how many came before.
func (c *conn) scan(cmd driver.Command) (any, error) {
	from, err := strconv.Atoi(cmd[1])
	count := 10
	for i := 2; i < len(cmd); i += 2 {
		if i+1 == len(cmd) || !strings.EqualFold(cmd[i], "COUNT") {
			return nil, unknown(cmd)
		}
		if count, err = strconv.Atoi(cmd[i+1]); err != nil {
			return nil, err
		}
	}
	var names []string
	if db := c.file.databases[c.db]; db != nil {
		names = db.names
	}
	if err != nil || from < 0 || from > len(names) || count < 1 {
		return nil, fmt.Errorf("invalid cursor")
	}
	to := min(from+count, len(names))
	page := []any{}
	for _, name := range names[from:to] {
		page = append(page, name)
	}
	if to == len(names) {
		to = 0
	}
	return []any{strconv.Itoa(to), page}, nil
}

// dump is a value as DUMP hands it out: the type, the value, the version of its
// form and a checksum.
func (c *conn) dump(p place) (any, error) {
	b := make([]byte, 1+p.size, 1+p.size+10)
	b[0] = p.kind
	if _, err := c.file.in.ReadAt(b[1:], p.at); err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint16(b, c.file.version)
	return string(binary.LittleEndian.AppendUint64(b, Checksum(b))), nil
}

// info says what is asked of a server before it is copied.
func (f *File) info() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Server\r\nredis_version:%s\r\n", f.server.Version)
	if f.server.Flavor == "valkey" {
		fmt.Fprintf(&b, "server_name:valkey\r\nvalkey_version:%s\r\n", f.server.Version)
	}
	b.WriteString("redis_mode:standalone\r\nrole:master\r\n# Keyspace\r\n")
	for _, n := range f.numbers() {
		db, expires := f.databases[n], 0
		for _, p := range db.values {
			if p.expires != 0 {
				expires++
			}
		}
		fmt.Fprintf(&b, "db%d:keys=%d,expires=%d,avg_ttl=0\r\n", n, len(db.names), expires)
	}
	return b.String()
}

// functions are the libraries as FUNCTION LIST WITHCODE shows them. A library says
// its name in its first line: #!lua name=mylib.
func (f *File) functions() any {
	all := []any{}
	for _, code := range f.libraries {
		line, _, _ := strings.Cut(code, "\n")
		name := ""
		for word := range strings.FieldsSeq(line) {
			if n, ok := strings.CutPrefix(word, "name="); ok {
				name = n
			}
		}
		all = append(all, []any{"library_name", name, "library_code", code})
	}
	return all
}
