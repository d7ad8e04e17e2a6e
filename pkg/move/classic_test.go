package move

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// TestPersist: only what may pass is tried again, and that not for ever.
func TestPersist(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		cancel   bool // when it is tried first
		patience time.Duration
		tries    int
	}{
		"done":                {nil, false, 0, 1},
		"may pass":            {errLookAgain, false, 0, attempts},
		"does not pass":       {errors.New("no"), false, 0, 1},
		"down":                {errDown, false, 20 * time.Second, 17},
		"is to stop":          {errLookAgain, true, 0, 1},
		"is to stop, is down": {errDown, true, 20 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire(t)
				w.patience = test.patience
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tries := 0
				err := w.persist(ctx, []int{7}, func(ctx context.Context, _ []int) error {
					if tries++; test.cancel {
						cancel()
					}
					if ctx.Err() != nil || w.looked {
						t.Errorf("it cannot be done: %v; looked %v", ctx.Err(), w.looked)
					}
					w.looked = true
					return test.err
				})
				if !errors.Is(err, test.err) || tries != test.tries {
					t.Errorf("tried %d times, error is %v", tries, err)
				}
				if len(w.said) != tries-1 {
					t.Errorf("said %v", w.said)
				}
			})
		})
	}
}

// TestLook: the run of the source that is listed is the one that is told to
// MIGRATE, and the target is a master.
func TestLook(t *testing.T) {
	source := map[string]driver.Reply{"INFO": {Value: "run_id:s\r\n"}}
	for name, test := range map[string]struct {
		carrier map[string]driver.Reply // what differs there
		target  map[string]driver.Reply
		fails   bool
		passes  bool
	}{
		"as ever":                        {nil, nil, false, false},
		"another run":                    {map[string]driver.Reply{"INFO": {Value: "run_id:other\r\n"}}, nil, true, true},
		"failed over in between":         {map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a myself,slave=c 5", "c master 5 0-9")}}, nil, true, true},
		"the target is no master":        {nil, map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("b myself,slave=c 5", "c master 5 10-20")}}, true, false},
		"the target does not tell":       {nil, map[string]driver.Reply{"INFO": refused("ERR")}, true, false},
		"the carrier does not tell":      {map[string]driver.Reply{"INFO": refused("ERR")}, nil, true, false},
		"the carrier is another node":    {map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("c myself,master 5 30")}}, nil, true, false},
		"the target is another node now": {nil, map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("c myself,master 5 30")}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			atCarrier := guardReplies()
			w.toCarrier.replies = answering(atCarrier)
			w.ours[7], w.openers = true, w.src.seen
			override(w.atSource, source)
			override(atCarrier, source)
			override(atCarrier, test.carrier)
			override(w.atTarget, test.target)
			err := w.look(t.Context())
			if (err != nil) != test.fails || err != nil && mayPass(err) != test.passes || w.looked == test.fails {
				t.Errorf("error is %v; looked %v", err, w.looked)
			}
			if err == nil && w.ours[7] {
				t.Error("on another run of the source it may still replace")
			}
		})
	}
}

func override(replies, others map[string]driver.Reply) {
	for name, reply := range others {
		replies[name] = reply
	}
}

// TestCarry: slots are handed over when they are proven empty, and not before.
func TestCarry(t *testing.T) {
	owned := driver.Reply{Value: nodesText("a master 3 0-6", "b myself,master 5 7 10-20")}
	for name, test := range map[string]struct {
		source map[string]driver.Reply
		drains int
		want   string // the error
	}{
		"empty":                 {nil, 1, ""},
		"a key that never goes": {map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": {Value: int64(1)}}, rounds, "still has keys"},
		"no master any more":    {map[string]driver.Reply{"ROLE": {Value: []any{"slave"}}}, 1, "is no master"},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["CLUSTER SETSLOT"], w.atSource["CLUSTER GETKEYSINSLOT"] = driver.Reply{Value: "OK"}, listOf()
			override(w.atSource, test.source)
			w.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
				replies := answering(w.atTarget)(cmds)
				if claims := strings.HasPrefix(strings.Join(cmds[0], " "), "CLUSTER SETSLOT 7 NODE"); claims {
					replies[len(replies)-1] = owned
				}
				return replies
			}
			err := w.carry(t.Context(), []int{7})
			if got := fmt.Sprint(err); (err != nil) != (test.want != "") || !strings.Contains(got, test.want) {
				t.Errorf("error is %v", err)
			}
			if err != nil && !mayPass(err) {
				t.Errorf("%v does not pass", err)
			}
			listed := strings.Count(strings.Join(w.toSource.sent, "\n"), "GETKEYSINSLOT")
			claimed := strings.Contains(strings.Join(w.toTarget.sent, "\n"), "SETSLOT 7 NODE")
			if listed != test.drains || claimed != (err == nil) {
				t.Errorf("drained %d times, claimed %v", listed, claimed)
			}
		})
	}
}

// TestSplitNamesLoss: slots that were claimed and are somebody else's now may have
// lost keys, which is said; those that were not have not.
func TestSplitNamesLoss(t *testing.T) {
	for _, claimed := range []bool{true, false} {
		m := halfway(t)
		m.claimed = claimed
		m.src.view = seen(t, "a myself,slave=c 5", "b master 4 10-20", "c master 5 0-9")
		m.dst.view = seen(t, "a slave=c 5", "b myself,master 4 10-20", "c master 5 0-9")
		if _, _, _, err := m.split([]int{7}); err == nil || strings.Contains(err.Error(), "may be lost") != claimed {
			t.Errorf("claimed %v: %v", claimed, err)
		}
	}
}
