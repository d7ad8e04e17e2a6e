package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Node a holds keys of slot 15, which is b's, and they are brought there.

const (
	holds = "a myself,master 3 0-9 [15-<-b]"
	owns  = "b master 4 10-20"
)

// gathering is a mover that is to bring them.
func gathering(t *testing.T, e errand) *wired {
	w := wire(t)
	w.errand = e
	w.src.view, w.dst.view = seen(t, holds, owns), seen(t, "a master 3 0-9", "b myself,master 4 10-20")
	w.atSource["INFO"], w.atSource["CLUSTER NODES"] = driver.Reply{Value: "run_id:s\r\n"}, driver.Reply{Value: nodesText(holds, owns)}
	w.atSource["CLUSTER SETSLOT"], w.atSource["CLUSTER DELSLOTS"] = driver.Reply{Value: "OK"}, driver.Reply{Value: "OK"}
	w.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("a master 3 0-9", "b myself,master 4 10-20")}
	w.atSource["CLUSTER GETKEYSINSLOT"] = listOf()
	return w
}

// TestPinSlot: a claim ends before the slot is imported, and the owner is told where
// there is one.
func TestPinSlot(t *testing.T) {
	b := string(nodeID("b"))
	for name, test := range map[string]struct {
		source []string
		owned  bool // by b, as it says
		want   string
	}{
		"its own, and b's":           {[]string{"a myself,master 3 0-15", "b master 4 16-20"}, true, "STABLE, DELSLOTS, IMPORTING b, NODE b"},
		"its own, and nobody's":      {[]string{"a myself,master 3 0-15", "b master 4 16-20"}, false, "STABLE, DELSLOTS, IMPORTING b"},
		"not its own":                {[]string{"a myself,master 3 0-9", "b master 4 10-20"}, true, "IMPORTING b, NODE b"},
		"not its own, nor b's":       {[]string{"a myself,master 3 0-9", "b master 4 16-20"}, false, "IMPORTING b"},
		"taken for b's, which errs":  {[]string{"a myself,master 3 0-9", "b master 4 10-20"}, false, "DELSLOTS, IMPORTING b"},
		"imported, and b's":          {[]string{holds, owns}, true, ""},
		"imported, and nobody's":     {[]string{holds, "b master 4 16-20"}, false, ""},
		"imported, and b's by now":   {[]string{holds, "b master 4 16-20"}, true, "IMPORTING b, NODE b"},
		"imported, and b's no more":  {[]string{holds, owns}, false, "DELSLOTS, IMPORTING b"},
		"imported from another":      {[]string{"a myself,master 3 0-9 [15-<-c]", owns, "c master 5"}, true, "IMPORTING b, NODE b"},
		"imported, b is not known":   {[]string{"a myself,master 3 0-9 [15-<-b]"}, false, ""},
		"its own, and imported, too": {[]string{"a myself,master 3 0-15 [15-<-b]", "b master 4 16-20"}, true, "STABLE, DELSLOTS, IMPORTING b, NODE b"},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.src.view, m.dst.view = seen(t, test.source...), seen(t, "b myself,master 4 16-20")
			if test.owned {
				m.dst.view = seen(t, "b myself,master 4 10-20")
			}
			var words []string
			for _, cmd := range m.pinSlot(15) {
				if cmd[1] == "DELSLOTS" {
					cmd = driver.Cmd("CLUSTER", "SETSLOT", cmd[2], "DELSLOTS")
				}
				if cmd[2] != "15" {
					t.Errorf("it says %q", cmd)
				}
				words = append(words, strings.ReplaceAll(strings.Join(cmd[3:], " "), b, "b"))
			}
			if got := strings.Join(words, ", "); got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestPin: what the holder said OK to is read again.
func TestPin(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		reply   driver.Reply
		fails   bool
		again   bool
	}{
		"pinned":              {fails: false},
		"refused":             {command: "CLUSTER SETSLOT", reply: refused("ERR"), fails: true, again: true},
		"no view":             {command: "CLUSTER NODES", reply: driver.Reply{Value: "nonsense"}, fails: true},
		"it does not import":  {command: "CLUSTER NODES", reply: driver.Reply{Value: nodesText("a myself,master 3 0-9", owns)}, fails: true, again: true},
		"from another":        {command: "CLUSTER NODES", reply: driver.Reply{Value: nodesText("a myself,master 3 0-9 [15-<-c]", owns, "c master 5")}, fails: true, again: true},
		"it still claims it":  {command: "CLUSTER NODES", reply: driver.Reply{Value: nodesText("a myself,master 3 0-9 15 [15-<-b]", "b master 4 10-14 16-20")}, fails: true, again: true},
		"a replica":           {command: "replica", fails: true},
		"nobody answers":      {command: "silent", fails: true},
		"the claim stays, OK": {command: "CLUSTER DELSLOTS", reply: refused("ERR"), fails: true, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := gathering(t, pins)
			w.src.view = seen(t, "a myself,master 3 0-15", "b master 4 16-20")
			w.atSource[test.command] = test.reply
			w.src.seen.master = test.command != "replica"
			if test.command == "silent" {
				w.src.conn, w.src.dialer = nil, new(dials)
			}
			err := w.pin(t.Context(), []int{15})
			if (err != nil) != test.fails || errors.Is(err, errLookAgain) != test.again {
				t.Errorf("error is %v", err)
			}
			if told := strings.Contains(strings.Join(w.toSource.sent, "\n"), "SETSLOT 15 IMPORTING"); told == (test.command == "replica" || test.command == "silent") {
				t.Errorf("told %q", w.toSource.sent)
			}
		})
	}
}

// TestGather: nobody is told anything before the target says that it owns the slots,
// and they are closed when the holder is proven to have no key of them.
func TestGather(t *testing.T) {
	for name, test := range map[string]struct {
		errand   errand
		at       string // which node
		command  string
		reply    driver.Reply
		closed   bool
		want     string // the error
		conflict bool
	}{
		"done":                       {errand: brings, closed: true},
		"the target does not own it": {brings, "target", "CLUSTER NODES", driver.Reply{Value: nodesText("a master 3 0-9", "b myself,master 4 16-20")}, false, "does not own slot 15", false},
		"another took its slots":     {brings, "source", "CLUSTER NODES", driver.Reply{Value: nodesText(holds, "b master 4 15", "c master 5 10-14 16-20")}, false, "as the owner of slots", false},
		"keys are left":              {brings, "source", "CLUSTER COUNTKEYSINSLOT", driver.Reply{Value: int64(1)}, false, "still has 1 keys of slot 15", false},
		"nobody counts":              {brings, "source", "CLUSTER COUNTKEYSINSLOT", refused("ERR why"), false, "why", false},
		"nobody lists":               {brings, "source", "CLUSTER GETKEYSINSLOT", refused("ERR why"), false, "why", false},
		"not pinned":                 {brings, "source", "CLUSTER NODES", driver.Reply{Value: nodesText("a myself,master 3 0-9", owns)}, false, "does not import slot 15", false},
		"no replication":             {brings, "target", "INFO", driver.Reply{Value: "run_id:t\r\n"}, false, "INFO role", false},
		"a key needs a decision":     {drops, "source", "CLUSTER GETKEYSINSLOT", listOf("k"), false, "does not have it", true},
		"pinned only":                {errand: pins},
		"not even pinned":            {pins, "source", "CLUSTER NODES", driver.Reply{Value: nodesText("a myself,master 3 0-9", owns)}, false, "does not import slot 15", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := gathering(t, test.errand)
			stored(w.atSource, "\x00one")
			stored(w.atTarget, "")
			at := map[string]map[string]driver.Reply{"source": w.atSource, "target": w.atTarget, "": {}}[test.at]
			at[test.command] = test.reply
			err := w.gather(t.Context(), []int{15})
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
			if _, conflict := errors.AsType[*ConflictError](err); conflict != test.conflict {
				t.Errorf("error is %v", err)
			}
			sent := strings.Join(w.toSource.sent, "\n")
			if closed := strings.Contains(sent, "STABLE"); closed != test.closed {
				t.Errorf("closed %v: %s", closed, sent)
			}
			if early := strings.Contains(sent, "SETSLOT"); early && test.at == "target" && test.command == "CLUSTER NODES" {
				t.Errorf("told too early: %s", sent)
			}
		})
	}
}

// TestGatherFence: an owner that was failed over, and has not heard of it, would
// take keys and be wiped.
func TestGatherFence(t *testing.T) {
	for name, test := range map[string]struct {
		age   time.Duration
		view  []string
		fails bool
	}{
		"just read":              {0, []string{holds, "b master,fail 4 10-20"}, false},
		"the owner's still":      {fenceEvery, []string{holds, owns}, false},
		"it has failed":          {fenceEvery, []string{holds, "b master,fail 4 10-20"}, true},
		"another took its slots": {fenceEvery, []string{holds, "b master 4 15", "c master 5 10-14 16-20"}, true},
		"not imported any more":  {fenceEvery, []string{"a myself,master 3 0-9", owns}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := gathering(t, brings)
				w.stop, w.inHand = t.Context(), []int{15}
				w.fenced = time.Now().Add(-test.age)
				w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText(test.view...)}
				err := w.send(t.Context(), batch{slot: 15, keys: []string{"k"}})
				if (err != nil) != test.fails || len(w.toCarrier.sent) > 0 == test.fails {
					t.Errorf("sent %q, error is %v", w.toCarrier.sent, err)
				}
			})
		})
	}
}

// TestGatherUntold: such an owner is not made the owner in the holder's view either.
func TestGatherUntold(t *testing.T) {
	w := gathering(t, brings)
	w.src.view = seen(t, "a myself,master 3 0-9 15", "b master 4 10-14 16-18", "c master 5 19-20")
	w.looked = true
	if err := w.gather(t.Context(), []int{15}); !errors.Is(err, errLookAgain) || len(w.toSource.sent) > 0 {
		t.Errorf("sent %q, error is %v", w.toSource.sent, err)
	}
}

// TestGatherWaits: a replica of the owner has each batch before the next one goes.
func TestGatherWaits(t *testing.T) {
	w := gathering(t, brings)
	w.atTarget["INFO"] = driver.Reply{Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\nslave0:ip=h,port=1,state=online,offset=5,lag=0\r\n"}
	w.toSource.replies = inTurn(w.atSource, "CLUSTER GETKEYSINSLOT", listOf("k"))
	if err := w.gather(t.Context(), []int{15}); err != nil {
		t.Fatal(err)
	}
	if asked := strings.Count(strings.Join(w.toTarget.sent, "\n"), "INFO replication"); asked != 2 {
		t.Errorf("the owner was asked %d times how far its replica is", asked)
	}
}

// TestGatherForgets: what is known of keys is forgotten with their window, however
// many windows there are.
func TestGatherForgets(t *testing.T) {
	w := gathering(t, brings)
	old := keyName{0, "of another window"}
	w.scale.sizes[old] = 1
	err := w.gather(t.Context(), []int{15})
	if _, known := w.scale.sizes[old]; known || err != nil {
		t.Errorf("it is known still; error is %v", err)
	}
}

// TestGatherDB: all keys go, however many listings that takes, one that needs a
// decision is named once, and one that never goes is not tried for ever.
func TestGatherDB(t *testing.T) {
	many := make([]string, rounds+10)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, test := range map[string]struct {
		keys      []string
		size      int64
		stays     string // a key that MIGRATE does not take
		differs   string // a key that needs a decision
		batch     int
		sent      int // MIGRATEs
		conflicts int
		want      error
	}{
		"more listings than rounds":        {keys: many, batch: 1, sent: len(many)},
		"big ones":                         {keys: []string{"a", "b", "c"}, size: mostBytes, batch: 100, sent: 3},
		"one that never goes":              {keys: []string{"a", "b"}, stays: "b", batch: 100, sent: 1 + rounds, want: errLookAgain},
		"one that differs":                 {keys: []string{"a", "b", "c"}, differs: "b", batch: 1, sent: 3, conflicts: 1, want: errConflict},
		"one that differs, in one listing": {keys: []string{"a", "b", "c"}, differs: "b", batch: 100, sent: 1, conflicts: 1, want: errConflict},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, h := gathering(t, brings), &holder{keys: slices.Clone(test.keys), size: test.size, stays: test.stays, differs: test.differs}
				h.hold(w)
				stored(w.atTarget, "\x00other")
				w.o.Batch, w.pace = test.batch, newPace(Options{Batch: test.batch, MaxBlock: defaultMaxBlock})
				err := w.gatherDB(t.Context(), 0, []int{15})
				conflict, conflicts := errors.AsType[*ConflictError](err)
				if conflicts != (test.want == errConflict) || !conflicts && !errors.Is(err, test.want) || conflicts && len(conflict.Conflicts) != test.conflicts {
					t.Errorf("error is %v", err)
				}
				if left := strings.Join(h.keys, ""); len(h.sent) != test.sent || left != test.stays+test.differs {
					t.Errorf("%v went, %s is left", h.sent, left)
				}
			})
		})
	}
}

// TestDropWeighs: big keys that are to be dropped are compared one at a time.
func TestDropWeighs(t *testing.T) {
	w, h := gathering(t, drops), &holder{keys: []string{"a", "b"}, size: mostBytes}
	h.hold(w)
	stored(w.atTarget, "\x00one")
	err := w.gatherDB(t.Context(), 0, []int{15})
	sent := slices.DeleteFunc(w.toSource.sent, func(text string) bool {
		return !strings.HasPrefix(text, "DUMP") && !strings.HasPrefix(text, "DEL")
	})
	if got := strings.Join(sent, ", "); got != "DUMP a, DEL a, DUMP b, DEL b" || err != nil {
		t.Errorf("told %s; error is %v", got, err)
	}
}

// TestUnpin: a slot is closed when no key of it is left.
func TestUnpin(t *testing.T) {
	for name, test := range map[string]struct {
		slots   []int
		command string
		reply   driver.Reply
		told    int
		fails   bool
	}{
		"empty":          {[]int{15}, "", driver.Reply{}, 1, false},
		"none is closed": {nil, "", driver.Reply{}, 0, false},
		"a key is left":  {[]int{15}, "CLUSTER COUNTKEYSINSLOT", driver.Reply{Value: int64(1)}, 0, true},
		"nobody counts":  {[]int{15}, "CLUSTER COUNTKEYSINSLOT", refused("ERR"), 0, true},
		"not closed":     {[]int{15}, "CLUSTER SETSLOT", refused("ERR"), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := gathering(t, brings)
			w.atSource[test.command] = test.reply
			err := w.unpin(t.Context(), test.slots)
			if told := strings.Count(strings.Join(w.toSource.sent, "\n"), "STABLE"); told != test.told || (err != nil) != test.fails {
				t.Errorf("told %q, error is %v", w.toSource.sent, err)
			}
		})
	}
}

// network is where nodes are reached that answer as they are told.
type network map[cluster.Addr]driver.Conn

func (n network) Dial(_ context.Context, addr cluster.Addr, _ string) (driver.Conn, error) {
	if n[addr] == nil {
		return nil, &driver.TransportError{Addr: addr, Err: errors.New("nobody there")}
	}
	return n[addr], nil
}

func (w *wired) ends() (d network, from, to cluster.Member) {
	from, to = cluster.Member{ID: w.src.id, Addr: w.src.addr, Databases: []int{0}}, cluster.Member{ID: w.dst.id, Addr: w.dst.addr, Databases: []int{0}}
	return network{w.src.addr: w.toSource, w.dst.addr: w.toTarget}, from, to
}

// TestGatherTells: what was deleted is counted, and what needs a decision is named.
func TestGatherTells(t *testing.T) {
	for name, test := range map[string]struct {
		do       func(context.Context, driver.Dialer, string, cluster.Member, cluster.Member, cluster.SlotSet, Options, func(Progress)) error
		target   string
		conflict bool
		told     string
	}{
		"brought, equal":    {Gather, "\x00one", false, "1 keys were deleted on 10.0.0.1:7000 of which 10.0.0.2:7000 has an equal copy"},
		"dropped, equal":    {Drop, "\x00one", false, "1 keys were deleted on 10.0.0.1:7000 of which 10.0.0.2:7000 has an equal copy"},
		"dropped, lone":     {Drop, "", true, ""},
		"discarded, lone":   {Discard, "", false, "1 keys were deleted on 10.0.0.1:7000 that 10.0.0.2:7000 does not have"},
		"discarded, others": {Discard, "\x00two", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := gathering(t, brings)
			stored(w.atSource, "\x00one")
			stored(w.atTarget, test.target)
			w.atSource["MIGRATE"] = refused("BUSYKEY")
			listing := inTurn(w.atSource, "CLUSTER GETKEYSINSLOT", listOf("k"))
			w.toSource.replies = listing
			d, from, to := w.ends()
			var told []string
			err := test.do(t.Context(), d, "name", from, to, cluster.SlotsOf(15), Options{}, func(p Progress) {
				if p.Notice != "" {
					told = append(told, p.Notice)
				}
			})
			if _, conflict := errors.AsType[*ConflictError](err); conflict != test.conflict || err != nil && !conflict {
				t.Errorf("error is %v", err)
			}
			if got := strings.Join(told, "; "); got != test.told {
				t.Errorf("told %s", got)
			}
		})
	}
}

// TestPinFails: whoever goes on after it relies on it.
func TestPinFails(t *testing.T) {
	w := gathering(t, pins)
	d, from, to := w.ends()
	if err := Pin(t.Context(), d, "name", from, to, cluster.SlotsOf(15), Options{}); err != nil {
		t.Error(err)
	}
	w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,slave=c 3", owns, "c master 5 0-9")}
	if err := Pin(t.Context(), d, "name", from, to, cluster.SlotsOf(15), Options{}); err == nil || !strings.Contains(err.Error(), "not a master") {
		t.Errorf("error is %v", err)
	}
}

// TestChunks: where each SETSLOT waits for replicas, few are sent at a time.
func TestChunks(t *testing.T) {
	slots := cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: 99})
	for _, test := range []struct {
		replicated bool
		most, want int
	}{{false, 30, 4}, {false, 200, 1}, {true, 30, 7}, {true, 10, 10}} {
		c := &classic{}
		c.from.Features.ReplicatedSetSlot = test.replicated
		if got := c.chunks(slots, test.most); len(got) != test.want {
			t.Errorf("%+v: %d chunks", test, len(got))
		}
	}
}
