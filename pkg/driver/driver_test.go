package driver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// recorder is a node that answers whatever it is told to, and remembers what
// was sent.
type recorder struct {
	answer func(driver.Command) driver.Reply
	err    error
	sent   []driver.Command
	dials  []string
	closed int
}

func (r *recorder) Dial(_ context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	r.dials = append(r.dials, addr.String()+" "+name)
	if r.err != nil {
		return nil, r.err
	}
	return r, nil
}

func (r *recorder) Do(_ context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	r.sent = append(r.sent, cmds...)
	var replies []driver.Reply
	for _, cmd := range cmds {
		if r.answer == nil {
			replies = append(replies, driver.Reply{Value: "OK"})
		} else {
			replies = append(replies, r.answer(cmd))
		}
	}
	return replies, r.err
}

func (r *recorder) Close() error { r.closed++; return nil }

var node = cluster.Addr{Host: "10.0.0.1", Port: 7000}

func readOnly(t *testing.T, r *recorder) driver.Conn {
	t.Helper()
	c, err := driver.ReadOnly(r).Dial(t.Context(), node, "trib")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mutating are the verbs that change data, topology or configuration, or end
// something, on the servers that trib knows.
const mutating = `
SET k v
GETDEL k
GETEX k
DEL k
UNLINK k
EXPIRE k 1
RPUSH k v
COPY a b
RENAME a b
MOVE k 1
SWAPDB 0 1
FLUSHALL
FLUSHDB ASYNC
RESTORE k 0 x
RESTORE-ASKING k 0 x
MIGRATE h 1 k 0 1000
SORT k STORE l
EVAL return 0
EVALSHA x 0
FCALL f 0
SCRIPT FLUSH
FUNCTION LOAD x
FUNCTION RESTORE x
FUNCTION FLUSH
FUNCTION DELETE x
FUNCTION KILL
PUBLISH c m
MULTI
EXEC
CLUSTER MEET h 1
CLUSTER FORGET id
CLUSTER RESET HARD
CLUSTER REPLICATE id
CLUSTER FAILOVER TAKEOVER
CLUSTER ADDSLOTS 1
CLUSTER ADDSLOTSRANGE 1 2
CLUSTER DELSLOTS 1
CLUSTER DELSLOTSRANGE 1 2
CLUSTER FLUSHSLOTS
CLUSTER FLUSHSLOT 1
CLUSTER SETSLOT 1 STABLE
CLUSTER SETSLOT 1 NODE id
CLUSTER SET-CONFIG-EPOCH 1
CLUSTER BUMPEPOCH
CLUSTER MIGRATESLOTS SLOTSRANGE 0 1 NODE x
CLUSTER CANCELSLOTMIGRATIONS
CLUSTER MIGRATION IMPORT 0 1
CLUSTER MIGRATION CANCEL ALL
CLUSTER SAVECONFIG
CLUSTER MIGRATESLOTS SLOTSRANGE 1 2 NODE id
CLUSTER CANCELSLOTMIGRATIONS
CLUSTER MIGRATION IMPORT 1 2
CLUSTER SYNCSLOTS x
CLIENT KILL ID 1
CLIENT PAUSE 1000
CLIENT UNPAUSE
CLIENT REPLY OFF
CLIENT NO-EVICT on
CONFIG SET maxmemory 1
CONFIG REWRITE
CONFIG RESETSTAT
ACL SETUSER u
ACL DELUSER u
ACL LOAD
MEMORY PURGE
DEBUG SLEEP 10
SHUTDOWN NOSAVE
SAVE
BGSAVE
BGREWRITEAOF
REPLICAOF NO ONE
SLAVEOF h 1
FAILOVER
PSYNC ? -1
MODULE LOAD x
LATENCY RESET
SLOWLOG RESET
MONITOR
SUBSCRIBE c
BLPOP k 0
HELLO 3
AUTH x
RESET
QUIT
NOSUCHCOMMAND
CLUSTER
CLUSTER NOSUCH
CONFIG
`

// TestReadOnlyRefuses promises that nothing which may change anything gets past
// the guard, in whatever letters and company: nothing at all is sent.
func TestReadOnlyRefuses(t *testing.T) {
	for line := range strings.Lines(strings.TrimSpace(mutating)) {
		cmd := driver.Command(strings.Fields(line))
		t.Run(strings.Join(cmd, " "), func(t *testing.T) {
			if !driver.Mutates(cmd) {
				t.Error("it is taken for harmless")
			}
			r := &recorder{}
			c := readOnly(t, r)
			for _, cmds := range [][]driver.Command{
				{cmd},
				{lower(cmd)},
				{driver.Cmd("PING"), cmd, driver.Cmd("INFO")},
			} {
				replies, err := c.Do(t.Context(), cmds...)
				if err == nil || len(replies) != 0 || driver.IsTransport(err) {
					t.Errorf("%q: %v, %v", cmds, replies, err)
				}
			}
			if len(r.sent) != 0 {
				t.Errorf("sent %q", r.sent)
			}
		})
	}
	if _, err := readOnly(t, &recorder{}).Do(t.Context(), driver.Cmd()); err == nil {
		t.Error("the empty command was sent")
	}
}

func lower(cmd driver.Command) driver.Command {
	out := make(driver.Command, len(cmd))
	for i, arg := range cmd {
		out[i] = strings.ToLower(arg)
	}
	return out
}

// TestReadOnlyPasses promises that what a look at a cluster needs is sent as it
// is.
func TestReadOnlyPasses(t *testing.T) {
	r := &recorder{}
	c := readOnly(t, r)
	cmds := []driver.Command{
		{"PING"},
		{"INFO"},
		{"info", "server"},
		{"ROLE"},
		{"DBSIZE"},
		{"SELECT", "2"},
		{"ASKING"},
		{"DUMP", "k"},
		{"PTTL", "k"},
		{"CLUSTER", "NODES"},
		{"Cluster", "Info"},
		{"CLUSTER", "COUNTKEYSINSLOT", "1"},
		{"CLUSTER", "GETKEYSINSLOT", "1", "10"},
		{"CLUSTER", "SHARDS"},
		{"CLUSTER", "GETSLOTMIGRATIONS"},
		{"CLUSTER", "MIGRATION", "STATUS", "ALL"},
		{"CLUSTER", "LINKS"},
		{"CLUSTER", "SLOT-STATS", "SLOTSRANGE", "0", "1"},
		{"COMMAND", "INFO", "x"},
		{"CONFIG", "GET", "*"},
		{"CLIENT", "LIST"},
		{"CLIENT", "SETNAME", "x"},
		{"MEMORY", "USAGE", "k"},
		{"FUNCTION", "LIST"},
		{"ACL", "DRYRUN", "u", "CLUSTER", "RESET"},
	}
	replies, err := c.Do(t.Context(), cmds...)
	if err != nil || len(replies) != len(cmds) {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	if diff := cmp.Diff(cmds, r.sent); diff != "" {
		t.Errorf("(-want +sent):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.0.0.1:7000 trib"}, r.dials); diff != "" {
		t.Errorf("dialled (-want +got):\n%s", diff)
	}
	if c.Close() != nil || r.closed != 1 {
		t.Errorf("closed %d times", r.closed)
	}
	r.err = errors.New("refused")
	if c, err := driver.ReadOnly(r).Dial(t.Context(), node, ""); err != r.err || c != nil {
		t.Errorf("dialling nobody: %v, %v", c, err)
	}
}

// TestCommandName promises that a command can be named without what may be a
// key or a secret.
func TestCommandName(t *testing.T) {
	tests := []struct {
		name string
		cmd  driver.Command
		want string
	}{
		{"a verb", driver.Cmd("PING"), "PING"},
		{"lower case", driver.Cmd("cluster", "nodes"), "CLUSTER NODES"},
		{"a subcommand's arguments", driver.Cmd("CLUSTER", "SETSLOT", "5", "NODE", "id"), "CLUSTER SETSLOT"},
		{"a container alone", driver.Cmd("CONFIG"), "CONFIG"},
		{"nothing", driver.Cmd(), ""},
		{"a password", driver.Cmd("AUTH", "canary"), "AUTH"},
		{"a password in a greeting", driver.Cmd("HELLO", "3", "AUTH", "u", "canary"), "HELLO"},
		{"a password in a move", driver.Cmd("MIGRATE", "h", "1", "canary", "0", "1", "AUTH", "canary"), "MIGRATE"},
		{"a password in a setting", driver.Cmd("CONFIG", "SET", "requirepass", "canary"), "CONFIG SET"},
		{"a key", driver.Cmd("SET", "canary", "canary"), "SET"},
		{"a user", driver.Cmd("ACL", "SETUSER", "canary", ">canary"), "ACL SETUSER"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cmd.Name(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			_, err := readOnly(t, &recorder{}).Do(t.Context(), tt.cmd)
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the guard says %v", err)
			}
		})
	}
}

// TestReply promises that a reply of the wrong type, or an error, is never
// taken for a value.
func TestReply(t *testing.T) {
	refused := &driver.ServerError{Text: "ERR no"}
	tests := []struct {
		name  string
		reply driver.Reply
		reads map[string]any // by accessor; absent where it must be an error
	}{
		{"OK", driver.Reply{Value: "OK"}, map[string]any{"Text": "OK", "OK": nil}},
		{"text", driver.Reply{Value: "QUEUED"}, map[string]any{"Text": "QUEUED"}},
		{"empty text", driver.Reply{Value: ""}, map[string]any{"Text": ""}},
		{"a number", driver.Reply{Value: int64(7)}, map[string]any{"Int": int64(7)}},
		{"a number as text", driver.Reply{Value: "7"}, map[string]any{"Text": "7"}},
		{"a list", driver.Reply{Value: []any{"a", "b"}}, map[string]any{"Strings": []string{"a", "b"}}},
		{"an empty list", driver.Reply{Value: []any{}}, map[string]any{"Strings": []string{}}},
		{"a list with a number", driver.Reply{Value: []any{"a", int64(1)}}, nil},
		{"a list with nil", driver.Reply{Value: []any{"a", nil}}, nil},
		{"a list with an error", driver.Reply{Value: []any{refused}}, nil},
		{"nil", driver.Reply{}, nil},
		{"an error", driver.Reply{Err: refused}, nil},
		{"something of the future", driver.Reply{Value: 1.5}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, terr := tt.reply.Text()
			n, nerr := tt.reply.Int()
			list, lerr := tt.reply.Strings()
			for name, got := range map[string]struct {
				value any
				err   error
			}{"Text": {text, terr}, "Int": {n, nerr}, "Strings": {list, lerr}, "OK": {nil, tt.reply.OK()}} {
				want, ok := tt.reads[name]
				if ok && (got.err != nil || !cmp.Equal(got.value, want)) || !ok && got.err == nil {
					t.Errorf("%s: %v, %v; want %v", name, got.value, got.err, want)
				}
				if tt.reply.Err != nil && got.err != tt.reply.Err {
					t.Errorf("%s: the error became %v", name, got.err)
				}
			}
		})
	}
}

func TestFirstErr(t *testing.T) {
	first, second := errors.New("1"), errors.New("2")
	if err := driver.FirstErr([]driver.Reply{{Value: "OK"}, {Err: first}, {Err: second}}); err != first {
		t.Errorf("%v", err)
	}
	if err := driver.FirstErr([]driver.Reply{{Value: "OK"}, {}}); err != nil {
		t.Errorf("%v", err)
	}
	if err := driver.FirstErr(nil); err != nil {
		t.Errorf("%v", err)
	}
}

// TestErrorClasses promises that the classes are told apart however deep they
// are wrapped: what to do next depends on them.
func TestErrorClasses(t *testing.T) {
	busy := &driver.ServerError{Text: "ERR Target instance replied with error: BUSYKEY Target key name already exists."}
	moved := &driver.ServerError{Text: "MOVED 42 10.0.0.2:7000"}
	broke := &driver.TransportError{Addr: node, Err: io.EOF}
	tests := []struct {
		name              string
		err               error
		transport, server bool
		code, part        string
	}{
		{"refused", moved, false, true, "MOVED", "10.0.0.2"},
		{"refused, wrapped", fmt.Errorf("a: %w", fmt.Errorf("b: %w", busy)), false, true, "ERR", "BUSYKEY"},
		{"one word", &driver.ServerError{Text: "LOADING"}, false, true, "LOADING", "LOAD"},
		{"broken", broke, true, false, "", ""},
		{"broken, wrapped", fmt.Errorf("move: %w", broke), true, false, "", ""},
		{"broken before", fmt.Errorf("a: %w", driver.ErrBroken), true, false, "", ""},
		{"refused credentials", &driver.AuthError{Addr: node, Err: &driver.ServerError{Text: "WRONGPASS x"}}, false, true, "WRONGPASS", "x"},
		{"cancelled before anything was sent", context.Canceled, false, false, "", ""},
		{"nothing", nil, false, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := driver.IsTransport(tt.err); got != tt.transport {
				t.Errorf("the outcome is unknown: %v", got)
			}
			if got := driver.HasCode(tt.err, tt.code); got != tt.server {
				t.Errorf("code %q: %v", tt.code, got)
			}
			if got := driver.Mentions(tt.err, tt.part); got != tt.server {
				t.Errorf("mentions %q: %v", tt.part, got)
			}
			if driver.HasCode(tt.err, "BUSYKEY") || driver.Mentions(tt.err, "no such part") {
				t.Error("a code that is not the first word, or a part that is not there")
			}
		})
	}
	for _, err := range []error{broke, &driver.AuthError{Addr: node, Err: io.EOF}} {
		if err.Error() != "10.0.0.1:7000: EOF" || !errors.Is(err, io.EOF) {
			t.Errorf("%v", err)
		}
	}
}

// TestCall promises that a refused command is an error, and that its reply is
// not lost.
func TestCall(t *testing.T) {
	r := &recorder{answer: func(cmd driver.Command) driver.Reply {
		if cmd[0] == "GET" {
			return driver.Reply{Err: &driver.ServerError{Text: "MOVED 1 a:1"}}
		}
		return driver.Reply{Value: "PONG"}
	}}
	if reply, err := driver.Call(t.Context(), r, "PING"); err != nil || reply.Value != "PONG" {
		t.Errorf("%v, %v", reply, err)
	}
	if reply, err := driver.Call(t.Context(), r, "GET", "k"); !driver.HasCode(err, "MOVED") || reply.Err != err {
		t.Errorf("%v, %v", reply, err)
	}
	r.err = &driver.TransportError{Addr: node, Err: io.EOF}
	if _, err := driver.Call(t.Context(), r, "PING"); !driver.IsTransport(err) {
		t.Errorf("%v", err)
	}
}

// counting is a node with keys by database and slot.
func counting(keys map[int]map[int]int64) *recorder {
	db := 0
	return &recorder{answer: func(cmd driver.Command) driver.Reply {
		n, _ := strconv.Atoi(cmd[len(cmd)-1])
		if cmd[0] == "SELECT" {
			db = n
			return driver.Reply{Value: "OK"}
		}
		return driver.Reply{Value: keys[db][n]}
	}}
}

// TestKeysInSlots promises the sum over all databases for every slot asked for,
// in one pipeline that leaves database 0 selected, and never a SELECT where
// there is but one.
func TestKeysInSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		databases := make([]int, rapid.IntRange(1, 4).Draw(t, "databases"))
		slots := rapid.SliceOfNDistinct(rapid.IntRange(0, cluster.SlotCount-1), 0, 10, rapid.ID[int]).Draw(t, "slots")
		keys, want := make(map[int]map[int]int64), make(map[int]int64)
		for i := range databases {
			databases[i], keys[i] = i, make(map[int]int64)
			for _, slot := range slots {
				keys[i][slot] = rapid.Int64Range(0, 5).Draw(t, "keys")
				want[slot] += keys[i][slot]
			}
		}
		r := counting(keys)
		got, err := driver.KeysInSlots(context.Background(), r, databases, slots)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		selects := 0
		for _, cmd := range r.sent {
			if cmd[0] == "SELECT" {
				selects++
			}
		}
		switch {
		case len(databases) == 1 && selects > 0:
			t.Fatal("the only database was selected")
		case len(databases) > 1 && (selects != len(databases)+1 || r.sent[len(r.sent)-1][1] != "0"):
			t.Fatalf("%d selects, and at last %q", selects, r.sent[len(r.sent)-1])
		}
	})
}

// TestKeysInSlotsRefused promises that whatever cannot be counted is an error
// and not nought: slots that are nought are given away.
func TestKeysInSlotsRefused(t *testing.T) {
	refuse := func(at int, reply driver.Reply) *recorder {
		n := 0
		inner := counting(nil)
		return &recorder{answer: func(cmd driver.Command) driver.Reply {
			if n++; n == at {
				return reply
			}
			return inner.answer(cmd)
		}}
	}
	// SELECT 0, COUNT 5, COUNT 6, SELECT 1, COUNT 5, COUNT 6, SELECT 0
	for at := 1; at <= 6; at++ {
		for _, reply := range []driver.Reply{{Err: &driver.ServerError{Text: "NOPERM"}}, {}, {Value: "3"}, {Value: []any{}}} {
			counts, err := driver.KeysInSlots(t.Context(), refuse(at, reply), []int{0, 1}, []int{5, 6})
			if err == nil || counts != nil {
				t.Errorf("command %d answered %+v: %v, %v", at, reply, counts, err)
			}
		}
	}
	for _, databases := range [][]int{nil, {}} {
		if counts, err := driver.KeysInSlots(t.Context(), counting(nil), databases, []int{5}); err == nil {
			t.Errorf("in no database: %v", counts)
		}
	}
	broken := counting(nil)
	broken.err = driver.ErrBroken
	if counts, err := driver.KeysInSlots(t.Context(), broken, []int{0}, []int{5}); !errors.Is(err, driver.ErrBroken) || counts != nil {
		t.Errorf("broken: %v, %v", counts, err)
	}
}

// TestWitness promises that every command which may change something is told
// before it is sent, in its order, and no other.
func TestWitness(t *testing.T) {
	r := &recorder{}
	var saw []string
	d := driver.Witness(r, func(cmd driver.Command) {
		if len(r.sent) > 0 {
			t.Errorf("%s was told after it was sent", cmd.Name())
		}
		saw = append(saw, cmd.Name())
	})
	c, err := d.Dial(t.Context(), node, "trib")
	if err != nil {
		t.Fatal(err)
	}
	replies, err := c.Do(t.Context(), driver.Cmd("PING"), driver.Cmd("SET", "k", "v"), driver.Cmd("CLUSTER", "NODES"), driver.Cmd("CLUSTER", "SETSLOT", "1", "STABLE"))
	if err != nil || len(replies) != 4 || len(r.sent) != 4 {
		t.Errorf("%d replies, %d sent, %v", len(replies), len(r.sent), err)
	}
	if diff := cmp.Diff([]string{"SET", "CLUSTER SETSLOT"}, saw); diff != "" {
		t.Errorf("(-want +saw):\n%s", diff)
	}
	r.err = errors.New("refused")
	if c, err := d.Dial(t.Context(), node, ""); err != r.err || c != nil {
		t.Errorf("dialling nobody: %v, %v", c, err)
	}
}
