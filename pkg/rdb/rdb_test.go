package rdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// text is a text with its length.
func text(s string) string { return string(rune(len(s))) + s }

func times(ms int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(ms))) }

var now = time.UnixMilli(1_700_000_000_000)

// parse reads a file that was made by hand.
func parse(t testing.TB, body string) (*File, error) {
	return read(t.Context(), bytes.NewReader([]byte(body)), func() time.Time { return now })
}

// small are values of every type, each with less than 64 of everything.
func small() map[byte]string {
	id := strings.Repeat("i", 16)
	stream := func(more, perGroup, perConsumer string) string {
		group := text("g") + "\x02\x01" + perGroup +
			"\x01" + id + times(5) + "\x01" + // one entry waits
			"\x01" + text("me") + times(5) + perConsumer + "\x01" + id
		return "\x01" + text(id) + text("entries") + "\x01\x02\x03" + more + "\x01" + group
	}
	return map[byte]string{
		typeString:         text("v"),
		typeList:           "\x02" + text("a") + text("b"),
		typeSet:            "\x01" + text("a"),
		typeZSetText:       "\x03" + text("a") + "\x031.5" + text("b") + "\xfe" + text("c") + "\xfd",
		typeHash:           "\x01" + text("f") + text("v"),
		typeZSet:           "\x01" + text("a") + times(0),
		typeModule:         "\x81" + times(77) + "\x01\x05" + "\x02\x05" + "\x03abcd" + "\x04" + times(1) + "\x05" + text("x") + "\x00",
		typeSetIntset:      text("packed"),
		typeListQuick:      "\x01" + text("packed"),
		typeStream:         stream("", "", ""),
		typeListQuick2:     "\x01\x02" + text("packed"),
		typeStream2:        stream("\x01\x01\x01\x01\x09", "\x01", ""),
		typeStream3:        stream("\x01\x01\x01\x01\x09", "\x01", times(6)),
		typeHashMeta:       times(9) + "\x01" + "\x05" + text("f") + text("v"),
		typeHashListpackEx: times(9) + text("packed"),
	}
}

func TestFile(t *testing.T) {
	var body strings.Builder
	body.WriteString("REDIS0012" + "\xfa" + text("redis-ver") + text("8.0.2") + "\xf5" + text("#!lua name=lib\ncode"))
	body.WriteString("\xf7\x01\x02\x00\x05" + text("of a module") + "\x00")
	body.WriteString("\xfe\x00\xfb\x20\x05\xf4\x01\x02\x03")
	for kind, value := range small() {
		body.WriteString(string([]byte{kind}) + text(fmt.Sprint("key", kind)) + value)
	}
	body.WriteString("\xfc" + times(now.UnixMilli()-1) + "\x00" + text("expired") + text("v"))
	body.WriteString("\xfd" + "\xff\xff\xff\x7f" + "\xf8\x05" + "\x00" + text("expires") + text("v"))
	body.WriteString("\xfc" + times(now.UnixMilli()+5000) + "\xf9\x05" + "\x00" + text("soon") + "\xc1\x18\xfc")
	body.WriteString("\xfe\x07\x00" + text("seven") + text("v") + "\xff")
	f, err := parse(t, body.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.databases[0].names) != len(small())+2 {
		t.Errorf("keys: %q", f.databases[0].names)
	}
	c, err := f.Dial(t.Context(), cluster.Addr{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for kind, value := range small() {
		got := do(t, c, "DUMP", fmt.Sprint("key", kind)).(string)
		if body, end := got[:len(got)-10], got[len(got)-10:]; body != string([]byte{kind})+value || end[:2] != "\x0c\x00" {
			t.Errorf("type %d: %q", kind, got)
		}
		if binary.LittleEndian.Uint64([]byte(got[len(got)-8:])) != Checksum([]byte(got[:len(got)-8])) {
			t.Errorf("type %d: a wrong checksum", kind)
		}
	}
	tests := []struct {
		command string
		want    any
	}{
		{"PING", "PONG"},
		{"PTTL soon", int64(5000)},
		{"PTTL key0", int64(-1)},
		{"PTTL none", int64(-2)},
		{"PTTL expired", int64(-2)},
		{"DUMP expired", nil},
		{"EXISTS key0", int64(1)},
		{"EXISTS none", int64(0)},
		{"TYPE key0", "string"},
		{"TYPE key24", "hash"},
		{"TYPE none", "none"},
		{"MEMORY USAGE key0", int64(2)},
		{"FUNCTION LIST", []any{[]any{"library_name", "lib", "library_code", "#!lua name=lib\ncode"}}},
		{"SELECT 7", "OK"},
		{"EXISTS key0", int64(0)},
		{"SCAN 0 COUNT 1000", []any{"0", []any{"seven"}}},
		{"SELECT 3", "OK"},
		{"SCAN 0", []any{"0", []any{}}},
	}
	for _, tt := range tests {
		if got := do(t, c, strings.Fields(tt.command)...); !cmp.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.command, got, tt.want)
		}
	}
	info, err := cluster.ParseInfo(do(t, c, "INFO").(string))
	if err != nil || info["db0"] != fmt.Sprintf("keys=%d,expires=2,avg_ttl=0", len(small())+2) || info["db7"] == "" {
		t.Errorf("%v, %v", info, err)
	}
	if server, err := info.Server(); err != nil || server.String() != "redis 8.0.2" {
		t.Errorf("%v, %v", server, err)
	}
	if replies, err := c.Do(t.Context(), driver.Cmd("SET", "a", "b"), driver.Cmd("GET", "a"), driver.Cmd("SCAN", "99")); err != nil || replies[0].Err == nil || replies[1].Err == nil || replies[2].Err == nil {
		t.Errorf("%v, %v", replies, err)
	}
}

func do(t testing.TB, c driver.Conn, cmd ...string) any {
	t.Helper()
	reply, err := driver.Call(t.Context(), c, cmd...)
	if err != nil {
		t.Fatalf("%q: %v", cmd, err)
	}
	return reply.Value
}

// TestScan lists every key once.
func TestScan(t *testing.T) {
	body := "REDIS0010"
	for i := range 50 {
		body += "\x00" + text(fmt.Sprint("k", i)) + text("v")
	}
	f, err := parse(t, body+"\xff")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := f.Dial(t.Context(), cluster.Addr{}, "")
	seen := 0
	for cursor := "0"; seen == 0 || cursor != "0"; {
		page := do(t, c, "SCAN", cursor, "COUNT", "7").([]any)
		cursor = page[0].(string)
		seen += len(page[1].([]any))
	}
	if seen != 50 {
		t.Errorf("%d keys", seen)
	}
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct{ name, in, want string }{
		{"short", "\x03abc", "abc"},
		{"of 14 bits", "\x41\x2c" + long, long},
		{"of 32 bits", "\x80\x00\x00\x01\x2c" + long, long},
		{"of 64 bits", "\x81\x00\x00\x00\x00\x00\x00\x01\x2c" + long, long},
		{"a byte", "\xc0\xff", "-1"},
		{"two bytes", "\xc1\x18\xfc", "-1000"},
		{"four bytes", "\xc2\x40\x42\x0f\x00", "1000000"},
		{"compressed", "\xc3\x05\x0d\x00a\xe0\x03\x00", "aaaaaaaaaaaaa"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parse(t, "REDIS0010\x00"+tt.in+text("v")+"\xff")
			if err != nil || len(f.databases[0].names) != 1 || f.databases[0].names[0] != tt.want {
				t.Errorf("%v, %v", f, err)
			}
			if f, err = parse(t, "REDIS0010\x00"+text("key")+tt.in+"\xff"); err != nil || f.databases[0].values["key"].size != int64(len(tt.in)) {
				t.Errorf("as a value: %v, %v", f, err)
			}
		})
	}
}

// TestDamaged names the byte from which on a file cannot be read.
func TestDamaged(t *testing.T) {
	tests := []struct{ name, file, says string }{
		{"empty", "", "no RDB file"},
		{"something else", "<html></html>", "no RDB file"},
		{"a strange version", "REDISx010", "no RDB file"},
		{"no end", "REDIS0010", "at byte 9: unexpected EOF"},
		{"cut in a value", "REDIS0010\x00\x01k\x05ab", `at byte 15: key "k": unexpected EOF`},
		{"an unknown type", "REDIS0010\x63\x01k\x01v\xff", "unknown type 99"},
		{"a value only Valkey has", "REDIS0012\x16\x01k\x00\xff", "unknown type 22"},
		{"a length of 16 EiB", "REDIS0010\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffk\xff", "bytes"},
		{"a list of so many", "REDIS0010\x01\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01v", "EOF"},
		{"a text as a length", "REDIS0010\xfe\xc0\x01\xff", "a length belongs"},
		{"a strange length", "REDIS0010\xfe\xbf\xff", "a length that begins"},
		{"a strange form", "REDIS0010\x00\xc9\xff", "form 9"},
		{"a reference to nothing", "REDIS0010\x00\xc3\x02\x05\x20\x00\x01v\xff", "compressed"},
		{"a key twice", "REDIS0010\x00\x01k\x01v\x00\x01k\x01v\xff", "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := parse(t, tt.file); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for kind, value := range small() {
		f.Add([]byte("REDIS0012" + string([]byte{kind}) + text("key") + value + "\xff"))
		f.Add([]byte("VALKEY080" + string([]byte{kind}) + text("key") + value + "\xff"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := read(t.Context(), bytes.NewReader(data), func() time.Time { return now })
		if err != nil {
			return
		}
		c, _ := file.Dial(t.Context(), cluster.Addr{}, "")
		for _, n := range file.numbers() {
			do(t, c, "SELECT", fmt.Sprint(n))
			for _, name := range file.databases[n].names {
				if v, ok := do(t, c, "DUMP", name).(string); !ok || len(v) < 11 {
					t.Errorf("%q is %q", name, v)
				}
			}
		}
	})
}
