package move

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// claims are how often slots were claimed.
func (w *wired) claims() (n int) {
	for _, text := range w.toTarget.sent {
		if strings.HasPrefix(text, "CLUSTER SETSLOT 7 NODE") {
			n++
		}
	}
	return n
}

// TestTake: nothing is claimed without a target that may have it, a source that
// is proven empty, and replicas that hold what moved.
func TestTake(t *testing.T) {
	lagging := driver.Reply{Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\nslave0:ip=10.0.0.9,port=7000,state=online,offset=3,lag=0\r\n"}
	following := driver.Reply{Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\nslave0:ip=10.0.0.9,port=7000,state=online,offset=5,lag=0\r\n"}
	for name, test := range map[string]struct {
		source, target map[string]driver.Reply // what differs
		taken, fails   bool
	}{
		"empty":                         {taken: true},
		"a key is left":                 {source: map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": {Value: int64(1)}}},
		"the source cannot be asked":    {source: map[string]driver.Reply{"ROLE": refused("ERR")}, fails: true},
		"the target cannot be asked":    {target: map[string]driver.Reply{"INFO": refused("ERR")}, fails: true},
		"the target tells nonsense":     {target: map[string]driver.Reply{"CLUSTER NODES": {Value: "nonsense"}}, fails: true},
		"the target knows better":       {target: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a master,fail 3 0-9", "b myself,master 4 10-20 [7-<-a]")}}, fails: true},
		"its replica has what moved":    {target: map[string]driver.Reply{"INFO": following}, taken: true},
		"its replica lags for too long": {target: map[string]driver.Reply{"INFO": lagging}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.watchers.dialer = network{}
				override(w.atSource, test.source)
				override(w.atTarget, test.target)
				plain := w.toTarget.replies
				w.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
					if slices.Contains(cmds[0], "NODE") {
						w.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("a master 3 0-6 8-9", "b myself,master 5 7 10-20")}
					}
					return plain(cmds)
				}
				taken, err := w.take(t.Context(), []int{7})
				if taken != test.taken || (err != nil) != test.fails {
					t.Errorf("taken %v, error %v", taken, err)
				}
				if (w.claims() == 1) != test.taken {
					t.Errorf("claimed %d times", w.claims())
				}
			})
		})
	}
}

// unreachable refuses every dial.
type unreachable struct{}

func (unreachable) Dial(context.Context, cluster.Addr, string) (driver.Conn, error) {
	return nil, &driver.TransportError{Err: errCut}
}

// TestClaimed: slots may have been claimed from the moment on in which that is sent,
// and not before.
func TestClaimed(t *testing.T) {
	for name, test := range map[string]struct {
		conn    driver.Conn
		claimed bool
	}{"no connection": {nil, false}, "no reply": {&cut{}, true}} {
		w := wire(t)
		w.dst.conn, w.dst.dialer = test.conn, unreachable{}
		if err := w.claim(t.Context(), []int{7}); !errors.Is(err, errCut) || w.claimed != test.claimed {
			t.Errorf("%s: claimed %v, error is %v", name, w.claimed, err)
		}
	}
}

// TestTakeInTime: a proof that was long on its way is none, and is asked for again;
// a source that always takes that long gives nothing.
func TestTakeInTime(t *testing.T) {
	for name, test := range map[string]struct {
		slow  int // so many proofs are late
		again driver.Reply
		taken bool
	}{
		"in time":                   {0, driver.Reply{}, true},
		"late twice":                {2, driver.Reply{}, true},
		"always late":               {1000, driver.Reply{}, false},
		"late, and deposed by then": {1, driver.Reply{Value: nodesText("a master,fail 3 0-9", "b myself,master 4 10-20 [7-<-a]")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.src.trips = time.Millisecond
				proofs, plain := 0, w.toSource.replies
				w.toSource.replies = func(cmds []driver.Command) []driver.Reply {
					if proofs++; proofs <= test.slow {
						time.Sleep(2 * lease)
						if test.again.Value != nil {
							w.atTarget["CLUSTER NODES"] = test.again
						}
					}
					return plain(cmds)
				}
				owned := driver.Reply{Value: nodesText("a master 3 0-6 8-9", "b myself,master 5 7 10-20")}
				told := w.toTarget.replies
				w.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
					out := told(cmds)
					if slices.Contains(cmds[0], "NODE") {
						out[len(out)-1] = owned
					}
					return out
				}
				taken, err := w.take(t.Context(), []int{7})
				if taken != test.taken || (err == nil) != test.taken || err != nil && !mayPass(err) {
					t.Errorf("taken %v, error %v", taken, err)
				}
				if (w.claims() == 1) != test.taken {
					t.Errorf("claimed %d times", w.claims())
				}
				if test.taken && proofs != test.slow+1 {
					t.Errorf("%d proofs", proofs)
				}
			})
		})
	}
}

// TestUnknownDatabase: keys of a database that nobody knew of are drained, also
// those of a source that gives its last slot.
func TestUnknownDatabase(t *testing.T) {
	m := halfway(t)
	m.src.view = seen(t, "a myself,master 3 7 [7->-b]", "b master 4 20")
	empty, err := m.noOtherKeys([]int{7}, driver.Reply{Value: "# Keyspace\r\ndb4:keys=1,expires=0,avg_ttl=0\r\n"})
	if empty || err != nil || !slices.Equal(m.databases, []int{0, 4}) {
		t.Errorf("empty %v, error %v, databases %v", empty, err, m.databases)
	}
}

// TestAcknowledged: the source's replicas are waited for shortly, and one that was
// promoted in between is named.
func TestAcknowledged(t *testing.T) {
	before := driver.Reply{Value: nodesText("a master 3 0-9", "b master 4 10-20", "e myself,slave=a 3")}
	after := driver.Reply{Value: nodesText("a master 3 0-6 8-9", "b master 5 7 10-20", "e myself,slave=a 3")}
	promoted := driver.Reply{Value: nodesText("b master 4 10-20", "e myself,master 6 0-9")}
	for name, test := range map[string]struct {
		views []driver.Reply
		old   bool // a server that does not tell all at once
		asked int
		fails bool
	}{
		"has heard":                  {[]driver.Reply{after, after}, false, 1, false},
		"hears a little later":       {[]driver.Reply{before, before, after}, false, 3, false},
		"was promoted":               {[]driver.Reply{promoted}, false, 1, true},
		"is promoted a little later": {[]driver.Reply{before, promoted}, false, 2, true},
		"hears later, by old rules":  {[]driver.Reply{before, after}, true, 1, false},
		"does not answer":            {nil, false, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.dst.server.AddSlotsRange = !test.old
				replica := &visit{replies: slices.Clone(test.views)}
				w.watchers.dialer = &visits{conns: []*visit{replica}}
				heirs := []cluster.Node{{ID: nodeID("e"), Addr: replicaAddr()}}
				err := w.acknowledged(t.Context(), heirs, cluster.SlotsOf(7))
				if (err != nil) != test.fails {
					t.Errorf("error is %v", err)
				}
				if asked := len(test.views) - len(replica.replies); asked != test.asked {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// TestAcknowledgedIsBounded: one that never hears is not waited for.
func TestAcknowledgedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begun := wire(t), time.Now()
		w.dst.server.AddSlotsRange = true
		never := &scripted{replies: answering(map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a master 3 0-9", "b master 4 10-20", "e myself,slave=a 3")}})}
		w.watchers.dialer = network{replicaAddr(): never}
		err := w.acknowledged(t.Context(), []cluster.Node{{ID: nodeID("e"), Addr: replicaAddr()}}, cluster.SlotsOf(7))
		if waited := time.Since(begun); err != nil || waited < hearing || waited > 2*hearing {
			t.Errorf("waited %s, error %v", waited, err)
		}
	})
}

func TestReplicasOf(t *testing.T) {
	known := cluster.Addr{Host: "10.0.0.3", Port: 7000}
	of := func(name, master string, addr cluster.Addr, flags cluster.Flags) cluster.Node {
		n := cluster.Node{ID: nodeID(name), Addr: addr, Flags: cluster.FlagReplica | flags}
		if master != "" {
			n.MasterID = nodeID(master)
		}
		return n
	}
	v := cluster.View{Nodes: []cluster.Node{
		{ID: nodeID("a"), Addr: known, Flags: cluster.FlagMaster},
		of("b", "a", known, 0), of("c", "d", known, 0), of("e", "a", cluster.Addr{}, 0),
		of("f", "a", known, cluster.FlagFailed), of("g", "a", known, cluster.FlagSuspect),
	}}
	if got := replicasOf(v, nodeID("a")); len(got) != 1 || got[0].ID != nodeID("b") {
		t.Errorf("got %v", got)
	}
}

// TestReleaseSaysWhy: a source that said OK and kept its slot is said to have.
func TestReleaseSaysWhy(t *testing.T) {
	w := wire(t)
	w.atSource["CLUSTER SETSLOT"] = driver.Reply{Value: "OK"}
	w.claimed = true
	if err := w.release(t.Context(), []int{7}); !errors.Is(err, errLookAgain) || !strings.Contains(err.Error(), "though it said OK") || !w.claimed {
		t.Errorf("error is %v, claimed %v", err, w.claimed)
	}
	w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,master 3 0-6 8-9", "b master 5 7 10-20")}
	if err := w.release(t.Context(), []int{7}); err != nil || w.claimed {
		t.Errorf("error is %v, claimed %v", err, w.claimed)
	}
}
