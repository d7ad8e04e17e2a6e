package move

import (
	"context"
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
