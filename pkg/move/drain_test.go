package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// holder is a source with keys of slot 7.
type holder struct {
	keys []string
	size int64      // of each
	sent [][]string // by each MIGRATE

	stays, differs string // what MIGRATE leaves, and what the target has another value of
}

func (h *holder) answer(cmds []driver.Command) []driver.Reply {
	var out []driver.Reply
	for _, cmd := range cmds {
		out = append(out, h.reply(cmd))
	}
	return out
}

func (h *holder) reply(cmd driver.Command) driver.Reply {
	switch cmd.Name() {
	case "CLUSTER GETKEYSINSLOT":
		most, _ := strconv.Atoi(cmd[3])
		return listOf(h.keys[:min(most, len(h.keys))]...)
	case "MEMORY USAGE":
		return driver.Reply{Value: h.size}
	case "MIGRATE":
		return h.migrate(cmd[slices.Index(cmd, "KEYS")+1:])
	case "DEL":
		h.keys = slices.DeleteFunc(h.keys, func(key string) bool { return key == cmd[1] })
	case "DUMP":
		if !slices.Contains(h.keys, cmd[1]) {
			return driver.Reply{}
		}
		return driver.Reply{Value: "\x00one"}
	case "PTTL":
		return driver.Reply{Value: int64(-1)}
	}
	return guardReplies()[cmd.Name()]
}

func (h *holder) migrate(keys []string) driver.Reply {
	h.sent = append(h.sent, keys)
	h.keys = slices.DeleteFunc(h.keys, func(key string) bool {
		return slices.Contains(keys, key) && key != h.stays && key != h.differs
	})
	if h.differs != "" && slices.Contains(keys, h.differs) {
		return refused("ERR Target instance replied with error: BUSYKEY")
	}
	return driver.Reply{Value: "OK"}
}

func (h *holder) hold(w *wired) {
	w.toSource.replies, w.toCarrier.replies = h.answer, h.answer
}

// TestDrain: all keys go, however many listings that takes, and no MIGRATE carries
// more than it may.
func TestDrain(t *testing.T) {
	for name, test := range map[string]struct {
		batch int
		size  int64
		want  string // keys of each MIGRATE
	}{
		"one listing":            {100, 10, "[[a b c d e]]"},
		"more than a listing":    {2, 10, "[[a b] [c d] [e]]"},
		"as many as two":         {5, 10, "[[a b c d e]]"},
		"big ones, and listings": {2, mostBytes*2/3 + 1, "[[a] [b] [c] [d] [e]]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, h := wire(t), &holder{keys: strings.Fields("a b c d e"), size: test.size}
				h.hold(w)
				w.o.Batch = test.batch
				w.pace = newPace(w.o)
				err := w.drain(t.Context(), []int{7})
				if got := fmt.Sprint(h.sent); got != test.want || len(h.keys) > 0 || err != nil {
					t.Errorf("%s went, %v are left, error is %v", got, h.keys, err)
				}
			})
		})
	}
}

// TestDrainStops: when it is to stop no further batch goes, and why is told.
func TestDrainStops(t *testing.T) {
	why := errors.New("why")
	stop, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	w, h := wire(t), &holder{keys: []string{"a"}}
	h.hold(w)
	w.stop = stop
	if err := w.drain(t.Context(), []int{7}); !errors.Is(err, why) || len(h.sent) > 0 {
		t.Errorf("%v went, error is %v", h.sent, err)
	}
	w.o.Throttle = NewThrottle(1, 0)
	if err := w.send(t.Context(), batch{slot: 7, keys: []string{"a"}}); !errors.Is(err, why) || len(h.sent) > 0 {
		t.Errorf("%v went, error is %v", h.sent, err)
	}
}

// TestList: what is listed is moved with the source's word that the slot is open.
func TestList(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		reply   driver.Reply
		fails   bool
	}{
		"open":                   {"CLUSTER GETKEYSINSLOT", listOf("k"), false},
		"no list":                {"CLUSTER GETKEYSINSLOT", refused("ERR"), true},
		"keys of another DB":     {"SELECT", refused("ERR DB index is out of range"), true},
		"closed by somebody":     {"CLUSTER NODES", driver.Reply{Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}, true},
		"no view of the cluster": {"CLUSTER NODES", driver.Reply{Value: "nonsense"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.databases = []int{0, 2}
			w.atSource["CLUSTER GETKEYSINSLOT"] = listOf("k")
			w.atSource[test.command] = test.reply
			listed, err := w.list(t.Context(), 2, []int{7})
			if (err != nil) != test.fails || err == nil && fmt.Sprint(listed) != "[{7 2 [k] 0}]" {
				t.Errorf("listed %v, error is %v", listed, err)
			}
		})
	}
}

// TestFence: what was read of a slot is believed for a moment.
func TestFence(t *testing.T) {
	closed := nodesText("a myself,master 3 0-9", "b master 4 10-20")
	for name, test := range map[string]struct {
		age   time.Duration
		view  string
		fails bool
	}{
		"just read":                 {0, closed, false},
		"open still":                {fenceEvery, nodesText("a myself,master 3 0-9 [7->-b]", "b master 4 10-20"), false},
		"closed by somebody":        {fenceEvery, closed, true},
		"nothing that can be read":  {fenceEvery, "nonsense", true},
		"the target is failed over": {fenceEvery, nodesText("a myself,master 3 0-9 [7->-b]", "b slave=c 4", "c master 5 10-20"), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.fenced = time.Now().Add(-test.age)
				w.atSource["CLUSTER NODES"] = driver.Reply{Value: test.view}
				err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}})
				if (err != nil) != test.fails || len(w.toCarrier.sent) > 0 == test.fails {
					t.Errorf("sent %q, error is %v", w.toCarrier.sent, err)
				}
			})
		})
	}
}

// TestFenceOfWindow: while one slot is looked at, batches of others may pass.
func TestFenceOfWindow(t *testing.T) {
	w := wire(t)
	w.fenced, w.inHand = time.Now().Add(-fenceEvery), []int{7, 8}
	w.dst.view = seen(t, "a master 3 0-9", "b myself,master 4 10-20 [7-<-a] [8-<-a]")
	w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,master 3 0-9 [7->-b]", "b master 4 10-20")}
	err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}})
	if err == nil || len(w.toCarrier.sent) > 0 {
		t.Errorf("sent %q, error is %v", w.toCarrier.sent, err)
	}
}

// TestFenceAfterThrottle: whoever closes a slot while its next batch waits for its
// turn has ended the source's authority.
func TestFenceAfterThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wire(t)
		w.o.Throttle = NewThrottle(1, 0)
		w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}
		err := w.send(t.Context(), batch{slot: 7, keys: []string{"k", "l"}})
		if err == nil || len(w.toCarrier.sent) > 0 {
			t.Errorf("sent %q, error is %v", w.toCarrier.sent, err)
		}
	})
}

// TestSend: a MIGRATE without an answer is sent again at once, and keys that the
// target has already are compared.
func TestSend(t *testing.T) {
	ok, timeout, busy := driver.Reply{Value: "OK"}, refused("IOERR error or timeout reading to target instance"), refused("ERR Target instance replied with error: BUSYKEY")
	for name, test := range map[string]struct {
		answers []driver.Reply
		want    string // the MIGRATEs
		fails   bool
	}{
		"moved":                           {[]driver.Reply{ok}, "plain", false},
		"no answer":                       {[]driver.Reply{timeout, ok}, "plain plain", false},
		"no answer twice":                 {[]driver.Reply{timeout, timeout}, "plain plain", true},
		"no answer, and it had arrived":   {[]driver.Reply{timeout, busy, ok}, "plain plain REPLACE", false},
		"there already":                   {[]driver.Reply{busy, ok}, "plain REPLACE", false},
		"there already, and then refused": {[]driver.Reply{busy, refused("ERR")}, "plain REPLACE", true},
		"refused":                         {[]driver.Reply{refused("ERR")}, "plain", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.toCarrier.replies = inTurn(w.atSource, "MIGRATE", test.answers...)
				for _, at := range []map[string]driver.Reply{w.atSource, w.atTarget} {
					at["DUMP"], at["PTTL"], at["TYPE"] = driver.Reply{Value: "\x00same"}, driver.Reply{Value: int64(-1)}, driver.Reply{Value: "string"}
				}
				err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}})
				if got := migrates(w.toCarrier.sent); got != test.want || (err != nil) != test.fails {
					t.Errorf("sent %s, error is %v", got, err)
				}
				if told := len(w.said) == 1 && w.said[0].Keys == 1; told == test.fails {
					t.Errorf("told %v", w.said)
				}
			})
		})
	}
}

func migrates(sent []string) string {
	var kinds []string
	for _, text := range sent {
		kind := "plain"
		if strings.Contains(text, " REPLACE ") {
			kind = "REPLACE"
		}
		kinds = append(kinds, kind)
	}
	return strings.Join(kinds, " ")
}

// TestSendDrops: who is to delete copies sends none.
func TestSendDrops(t *testing.T) {
	for _, errand := range []errand{drops, wipes} {
		w := wire(t)
		w.errand = errand
		stored(w.atSource, "\x00one")
		stored(w.atTarget, "\x00one")
		if err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}}); err != nil || changes(w.toSource.sent) != "DEL k" || len(w.toCarrier.sent) > 0 {
			t.Errorf("told %q and %q, error is %v", w.toSource.sent, w.toCarrier.sent, err)
		}
		w.atSource["DEL"] = refused("ERR")
		if err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}}); err == nil {
			t.Error("it was not deleted, and nobody says so")
		}
	}
}

// TestSendAllNamesAll: keys that need a decision do not keep others from moving, and
// are named all at once; what else fails ends it.
func TestSendAllNamesAll(t *testing.T) {
	listed := []batch{{slot: 7, keys: []string{"k", "l"}}, {slot: 8, keys: []string{"m"}}}
	w := wire(t)
	w.errand, w.pace.keys = drops, 1
	stored(w.atSource, "\x00one")
	stored(w.atTarget, "")
	err := w.sendAll(t.Context(), slices.Clone(listed))
	if conflict, ok := errors.AsType[*ConflictError](err); !ok || len(conflict.Conflicts) != 3 {
		t.Errorf("error is %v", err)
	}
	w.atTarget["DUMP"] = refused("NOPERM")
	if err := w.sendAll(t.Context(), slices.Clone(listed)); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("error is %v", err)
	}
}

// TestSendWaits: the next batch goes when a replica of the target has this one.
func TestSendWaits(t *testing.T) {
	for name, test := range map[string]struct {
		wanted int
		info   driver.Reply
		asked  int
		fails  bool
	}{
		"it has it":            {1, driver.Reply{Value: "role:master\r\nmaster_repl_offset:5\r\nslave0:ip=h,port=1,state=online,offset=5,lag=0\r\n"}, 1, false},
		"nobody waits":         {-1, driver.Reply{}, 0, false},
		"a replica by now":     {1, driver.Reply{Value: "role:slave\r\nmaster_repl_offset:5\r\n"}, 1, true},
		"nobody knows":         {1, refused("ERR"), 1, true},
		"it is no replica now": {1, driver.Reply{Value: "role:master\r\nmaster_repl_offset:5\r\n"}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.o.WaitReplicas = test.wanted
			w.standing.Replicas = []cluster.ReplicaOffset{{Online: true}}
			w.atTarget["INFO"] = test.info
			err := w.send(t.Context(), batch{slot: 7, keys: []string{"k"}})
			if len(w.toTarget.sent) != test.asked || len(w.toCarrier.sent) != 1 || (err != nil) != test.fails {
				t.Errorf("asked %q, sent %q, error is %v", w.toTarget.sent, w.toCarrier.sent, err)
			}
		})
	}
}

// TestMigrateChecksAll: a database that was not selected is no place to move keys
// from, whatever the MIGRATE in it came to.
func TestMigrateChecksAll(t *testing.T) {
	w := wire(t)
	w.databases = []int{0, 2}
	w.atSource["MIGRATE"] = driver.Reply{Value: "OK"}
	b := batch{slot: 7, db: 2, keys: []string{"k"}}
	if err := w.migrate(t.Context(), b, false); err != nil {
		t.Error(err)
	}
	w.atSource["SELECT"] = refused("ERR DB index is out of range")
	if err := w.migrate(t.Context(), b, false); err == nil {
		t.Error("keys of another database were moved, and nobody says so")
	}
}

// dials counts.
type dials int

func (d *dials) Dial(context.Context, cluster.Addr, string) (driver.Conn, error) {
	*d++
	return nil, errors.New("nobody there")
}

// TestAttend: the connection for MIGRATE is to the run of the source that was
// looked at, and is not dialled anew between two looks.
func TestAttend(t *testing.T) {
	w, d := wire(t), new(dials)
	w.carrier.conn, w.carrier.dialer = nil, d
	err := w.migrate(t.Context(), batch{slot: 7, keys: []string{"k"}}, false)
	if !errors.Is(err, errLookAgain) || *d > 0 {
		t.Errorf("dialled %d times, error is %v", *d, err)
	}
}
