package move

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// replicaAddr is where the target's replica is.
func replicaAddr() cluster.Addr { return cluster.Addr{Host: "10.0.0.9", Port: 7000} }

// standing is what a target says of itself, and of its replica if it has one.
func standing(role string, replica string) driver.Reply {
	text := "role:" + role + "\r\nmaster_replid:r\r\nmaster_repl_offset:5\r\n"
	if replica != "" {
		text += "slave0:ip=10.0.0.9,port=7000," + replica + "\r\n"
	}
	return driver.Reply{Value: text}
}

// own is what a replica says of itself.
func own(role, link, id string, offset int) driver.Reply {
	return driver.Reply{Value: fmt.Sprintf("role:%s\r\nmaster_link_status:%s\r\nmaster_replid:%s\r\nslave_repl_offset:%d\r\nmaster_repl_offset:%d\r\n", role, link, id, offset, offset)}
}

// TestHas: a replica has what moved when it says so itself, as a replica of the
// target that is linked to it.
func TestHas(t *testing.T) {
	for name, test := range map[string]struct {
		says driver.Reply
		has  bool
	}{
		"just so far":                {own("slave", "up", "r", 5), true},
		"further on":                 {own("slave", "up", "r", 6), true},
		"behind":                     {own("slave", "up", "r", 4), false},
		"without a link":             {own("slave", "down", "r", 5), false},
		"of another master":          {own("slave", "up", "other", 5), false},
		"a master by now":            {own("master", "up", "r", 5), false},
		"in words that nobody knows": {driver.Reply{Value: "nonsense"}, false},
		"refused":                    {refused("ERR"), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatchers(network{replicaAddr(): &scripted{replies: answering(map[string]driver.Reply{"INFO": test.says})}}, "name")
			if has := w.has(t.Context(), replicaAddr(), cluster.Replication{ID: "r", Offset: 5}); has != test.has {
				t.Errorf("it has it: %v", has)
			}
		})
	}
}

// TestCatchUp: whoever waits for replicas waits for those that the target has, and as
// long as it is a master.
func TestCatchUp(t *testing.T) {
	const behind = "state=online,offset=3,lag=0"
	for name, test := range map[string]struct {
		then    driver.Reply // what the target says later
		replica driver.Reply // what its replica says
		fails   bool
		waits   bool // as long as it may
	}{
		"by its own word":              {standing("master", behind), own("slave", "up", "r", 5), false, false},
		"it acknowledges it":           {standing("master", "state=online,offset=5,lag=0"), own("slave", "up", "r", 4), false, false},
		"it is behind":                 {standing("master", behind), own("slave", "up", "r", 4), true, true},
		"it goes away":                 {standing("master", ""), own("slave", "up", "r", 4), false, false},
		"it is synchronising":          {standing("master", "state=wait_bgsave,offset=0,lag=0"), own("slave", "up", "r", 4), false, false},
		"the target is deposed":        {standing("slave", ""), own("slave", "up", "r", 4), true, false},
		"the target does not say that": {refused("ERR"), own("slave", "up", "r", 4), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.atTarget["INFO"] = test.then
				w.toTarget.replies = inTurn(w.atTarget, "INFO", standing("master", behind))
				w.watchers.dialer = network{replicaAddr(): &scripted{replies: answering(map[string]driver.Reply{"INFO": test.replica})}}
				begun := time.Now()
				err := w.awaitReplicas(t.Context())
				if (err != nil) != test.fails || test.waits && !errors.Is(err, errLookAgain) {
					t.Errorf("error is %v", err)
				}
				if waited := time.Since(begun); (waited >= replicaPatience) != test.waits || waited > replicaPatience+time.Second {
					t.Errorf("it waits for %s", waited)
				}
				if told := len(w.said); told > 1 || (told == 1) != test.waits {
					t.Errorf("said %v", w.said)
				}
			})
		})
	}
}

// visits are connections that are handed out one after the other.
type visits struct {
	conns []*visit
	dials int
}

// visit answers with what there is, and fails then.
type visit struct {
	replies []driver.Reply
	closed  bool
}

func (v *visits) Dial(context.Context, cluster.Addr, string) (driver.Conn, error) {
	if v.dials++; v.dials > len(v.conns) {
		return nil, errors.New("nobody there")
	}
	return v.conns[v.dials-1], nil
}

func (v *visit) Do(context.Context, ...driver.Command) ([]driver.Reply, error) {
	if len(v.replies) == 0 {
		return nil, errors.New("reset")
	}
	reply := v.replies[0]
	v.replies = v.replies[1:]
	return []driver.Reply{reply}, nil
}

func (v *visit) Close() error { v.closed = true; return nil }

// TestDeaf: a replica that does not answer is left alone for a while, and dialled
// anew then.
func TestDeaf(t *testing.T) {
	master := cluster.Replication{ID: "r", Offset: 5}
	says := driver.Reply{Value: "role:slave\r\nmaster_link_status:up\r\nmaster_replid:r\r\nslave_repl_offset:5\r\nmaster_repl_offset:5\r\n"}
	nodes := driver.Reply{Value: nodesText("a myself,master 3 0-9")}
	for name, test := range map[string]struct {
		reply driver.Reply
		ask   func(ctx context.Context, w *watchers) bool
	}{
		"how far it is": {says, func(ctx context.Context, w *watchers) bool { return w.has(ctx, replicaAddr(), master) }},
		"its view": {nodes, func(ctx context.Context, w *watchers) bool {
			v, err := w.view(ctx, replicaAddr())
			if err == nil && len(v.Nodes) != 1 {
				t.Errorf("it is said to see %v", v)
			}
			return err == nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &visits{conns: []*visit{{replies: []driver.Reply{test.reply, test.reply}}, {replies: []driver.Reply{test.reply, refused("ERR")}}}}
				w := newWatchers(v, "name")
				var got []any
				for _, rest := range []time.Duration{0, 0, 0, replicaRest / 2, replicaRest / 2, 0, replicaRest, replicaRest} {
					time.Sleep(rest)
					got = append(got, test.ask(t.Context(), w), v.dials)
				}
				// Two answers, none, silence, an answer again, none that counts, and nobody.
				want := "[true 1 true 1 false 1 false 1 true 2 false 2 "
				want += map[string]string{"how far it is": "false 3 false 4]", "its view": "false 2 false 3]"}[name]
				if fmt.Sprint(got) != want {
					t.Errorf("it answers %v, want %s", got, want)
				}
				if !v.conns[0].closed || !v.conns[1].closed {
					t.Error("a connection that broke is open")
				}
			})
		})
	}
}

// TestWatchersClose: nothing stays open.
func TestWatchersClose(t *testing.T) {
	v := &visits{conns: []*visit{{}, {}}}
	w := newWatchers(v, "name")
	w.conns[replicaAddr()], w.conns[cluster.Addr{}] = v.conns[0], v.conns[1]
	w.close()
	if !v.conns[0].closed || !v.conns[1].closed || len(w.conns) > 0 {
		t.Errorf("%v", w.conns)
	}
}
