package move

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// slow answers after a while.
type slow struct {
	scripted
	takes time.Duration
}

func (s *slow) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	time.Sleep(s.takes)
	return s.scripted.Do(ctx, cmds...)
}

// TestTrips: a lease is measured against the shortest round trip that brought a
// view, which says how far away the source is.
func TestTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{scripted: scripted{replies: answering(guardReplies())}}
		e := &end{conn: s}
		for _, test := range []struct {
			takes time.Duration
			cmd   driver.Command
			want  time.Duration
		}{
			{time.Millisecond, driver.Cmd("PING"), 0},
			{30 * time.Millisecond, driver.Cmd("CLUSTER", "NODES"), 30 * time.Millisecond},
			{20 * time.Millisecond, driver.Cmd("CLUSTER", "NODES"), 20 * time.Millisecond},
			{40 * time.Millisecond, driver.Cmd("CLUSTER", "NODES"), 20 * time.Millisecond},
			{time.Millisecond, driver.Cmd("PING"), 20 * time.Millisecond},
		} {
			s.takes = test.takes
			if _, err := e.do(t.Context(), test.cmd); err != nil || e.trips != test.want {
				t.Errorf("after %s in %s: %s, %v", test.cmd, test.takes, e.trips, err)
			}
		}
	})
}

// TestDo: a connection lasts until it breaks.
func TestDo(t *testing.T) {
	answer := driver.Reply{Value: "PONG"}
	v := &visits{conns: []*visit{{replies: []driver.Reply{answer, answer}}, {replies: []driver.Reply{answer}}}}
	e := &end{dialer: v}
	for i, works := range []bool{true, true, false, true, false, false} {
		if _, err := e.do(t.Context(), driver.Cmd("PING")); (err == nil) != works {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if v.dials != 3 || !v.conns[0].closed || !v.conns[1].closed || e.conn != nil {
		t.Errorf("dialled %d times; %+v", v.dials, v.conns)
	}
}

// TestMayTransact: nothing follows a MULTI in a pipeline before one was seen to be
// taken; a WATCH comes after that, which it would end.
func TestMayTransact(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(w *wired) error
		multi driver.Reply
		want  string // what is said first; then there is more
	}{
		"giving":         {func(w *wired) error { return w.give(t.Context(), []int{7}) }, driver.Reply{Value: "OK"}, "MULTI, EXEC, MULTI"},
		"not giving":     {func(w *wired) error { return w.give(t.Context(), []int{7}) }, refused("NOPERM"), "MULTI, EXEC"},
		"watching":       {func(w *wired) error { return w.watch(t.Context(), w.src, 0, []string{"k"}) }, driver.Reply{Value: "OK"}, "MULTI, EXEC, WATCH k"},
		"not watching":   {func(w *wired) error { return w.watch(t.Context(), w.src, 0, []string{"k"}) }, refused("NOPERM"), "MULTI, EXEC"},
		"knowing it":     {func(w *wired) error { w.src.transacts = true; return w.watch(t.Context(), w.src, 0, []string{"k"}) }, refused("NOPERM"), "WATCH k"},
		"giving, always": {func(w *wired) error { w.src.transacts = true; return w.give(t.Context(), []int{7}) }, driver.Reply{Value: "OK"}, "MULTI, CLUSTER"},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.src.transacts = false
			w.atSource["MULTI"], w.atSource["EXEC"] = test.multi, listOf("OK", "OK")
			err := test.do(w)
			if refused := test.want == "MULTI, EXEC"; (err != nil) != refused || refused && len(w.toSource.sent) != 2 {
				t.Errorf("error is %v after %q", err, w.toSource.sent)
			}
			if sent := strings.Join(w.toSource.sent, ", "); !strings.HasPrefix(sent, test.want) {
				t.Errorf("sent %s", sent)
			}
		})
	}
}
