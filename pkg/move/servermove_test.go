package move

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// What both ends show when slot 7 has moved.
func atSourceThen() driver.Reply {
	return driver.Reply{Value: nodesText("a myself,master 3 0-6 8-9", "b master 5 7 10-20")}
}

func atTargetThen() driver.Reply {
	return driver.Reply{Value: nodesText("a master 3 0-6 8-9", "b myself,master 5 7 10-20")}
}

// TestConfirm: what has moved is believed when the target owns it and the source
// has neither the slots nor their keys.
func TestConfirm(t *testing.T) {
	const nodes, count = "CLUSTER NODES", "CLUSTER COUNTKEYSINSLOT"
	three := driver.Reply{Value: int64(3)}
	good := driver.Reply{Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\n"}
	lagging := driver.Reply{Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\nslave0:ip=10.0.0.9,port=7000,state=online,offset=3,lag=0\r\n"}
	for name, test := range map[string]struct {
		change func(j *jobs)
		err    string
		takes  time.Duration
		keys   int64
		says   string // beside the slots
	}{
		"at once":  {nil, "", 0, 0, ""},
		"its keys": {func(j *jobs) { j.atTarget[count] = three }, "", 0, 3, ""},
		"the target owns it later": {func(j *jobs) {
			j.toTarget.replies = inTurn(j.atTarget, nodes, driver.Reply{Value: nodesText("a master 3 0-9", "b myself,master 4 10-20")})
		}, "", firstGlance, 0, ""},
		"the source lets go later": {func(j *jobs) {
			before := driver.Reply{Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}
			j.toSource.replies = inTurn(j.atSource, nodes, before, before)
		}, "", 3 * firstGlance, 0, ""},
		"its keys are deleted later": {func(j *jobs) { j.toSource.replies = inTurn(j.atSource, count, three) }, "", firstGlance, 0, ""},
		"they never are":             {func(j *jobs) { j.atSource[count] = three }, "10.0.0.1:7000 still has 3 keys of slots 7", takeover, 0, ""},
		"they are its master's": {func(j *jobs) {
			j.atSource[count] = three
			j.atSource[nodes] = driver.Reply{Value: nodesText("a myself,slave=b 5", "b master 5 7 10-20")}
		}, "", 0, 0, "now a replica of 10.0.0.2:7000"},
		"the source does not count": {func(j *jobs) { j.atSource[count] = refused("ERR") }, "10.0.0.1:7000: counting keys", 0, 0, ""},
		"the target does not count": {func(j *jobs) { j.atTarget[count] = refused("ERR") }, "10.0.0.2:7000: counting keys", 0, 0, ""},
		"the source does not tell":  {func(j *jobs) { j.atSource["INFO"] = refused("ERR") }, "ERR", 0, 0, ""},
		"the target does not tell":  {func(j *jobs) { j.atTarget["INFO"] = refused("ERR") }, "ERR", 0, 0, ""},
		"nor how far its replicas are": {func(j *jobs) {
			j.toTarget.replies = inTurn(j.atTarget, "INFO", good)
			j.atTarget["INFO"] = refused("ERR")
		}, "ERR", 0, 0, ""},
		"its replica lags behind forever": {func(j *jobs) { j.atTarget["INFO"] = lagging }, "", replicaPatience, 0, "until they have, a failure of 10.0.0.2:7000 can lose what was moved"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, valkey, nil)
				j.watchers.dialer = network{}
				j.atSource["CLUSTER NODES"], j.atTarget["CLUSTER NODES"] = atSourceThen(), atTargetThen()
				before := j.src.view.Self()
				if test.change != nil {
					test.change(j)
				}
				begun := time.Now()
				err := j.move.confirm(t.Context(), cluster.SlotsOf(7), before)
				if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error is %v", err)
				}
				if took := time.Since(begun); took < test.takes || took > test.takes+time.Second {
					t.Errorf("took %s", took)
				}
				j.hasSaid(t, err == nil, test.keys, test.says)
			})
		})
	}
}

// hasSaid wants the slot with its keys reported last, and one text at most before.
func (j *jobs) hasSaid(t *testing.T, moved bool, keys int64, says string) {
	t.Helper()
	texts := ""
	for _, p := range j.said {
		texts += p.Notice
	}
	if !strings.Contains(texts, says) || (says == "") != (texts == "") {
		t.Errorf("said %q", texts)
	}
	if !moved {
		return
	}
	if last := j.said[len(j.said)-1]; !last.Slots.Has(7) || last.Keys != keys {
		t.Errorf("reported %v", last)
	}
}

// TestAttempt: slots are brought to the target from whatever state they are in.
func TestAttempt(t *testing.T) {
	const nodes = "CLUSTER NODES"
	for name, test := range map[string]struct {
		source, target []string
		err            string
	}{
		"they are there": {[]string{"a myself,master 3 0-6 8-9", "b master 5 7 10-20"}, []string{"a master 3 0-6 8-9", "b myself,master 5 7 10-20"}, ""},
		"they are there, and the source does not know": {
			[]string{"a myself,master 3 0-9", "b master 4 10-20"}, []string{"a master 3 0-6 8-9", "b myself,master 5 7 10-20"}, "still claims slots 7",
		},
		"they are with another": {
			[]string{"a myself,master 3 0-6 8-9", "b master 4 10-20", "c master 6 7"},
			[]string{"a master 3 0-6 8-9", "b myself,master 4 10-20", "c master 6 7"},
			"slots 7 belong neither to 10.0.0.1:7000 nor to 10.0.0.2:7000",
		},
		"they are with the source's heir": {
			[]string{"a myself,slave=c 6", "b master 4 10-20", "c master 6 0-9"},
			[]string{"a slave=c 6", "b myself,master 4 10-20", "c master 6 0-9"},
			"the source 10.0.0.1:7000 is not a master any more: slots 7 are with 10.0.0.3:7000",
		},
		"its heir has them not": {
			[]string{"a myself,slave=c 6", "b master 4 10-20", "c master 6 0-6"},
			[]string{"a slave=c 6", "b myself,master 4 10-20", "c master 6 0-6"},
			"slots 7 belong neither",
		},
		"the target is a replica": {
			[]string{"a myself,master 3 0-9", "b slave=c 5", "c master 5 10-20"},
			[]string{"a master 3 0-9", "b myself,slave=c 5", "c master 5 10-20"},
			"the target 10.0.0.2:7000 is not a master any more",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, valkey, nil)
				j.atSource[nodes], j.atTarget[nodes] = driver.Reply{Value: nodesText(test.source...)}, driver.Reply{Value: nodesText(test.target...)}
				err := j.move.attempt(t.Context(), cluster.SlotsOf(7))
				if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("error is %v", err)
				}
				if j.sent("SLOTSRANGE") > 0 {
					t.Error("it began a job")
				}
			})
		})
	}
}

// TestAttemptGoesOn: a job that somebody began moves a part, and another one the
// rest.
func TestAttemptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := in("success", "")
		j := atWork(t, valkey, []cluster.Job{running("old")}, []cluster.Job{running("old", done)},
			[]cluster.Job{running("old", done)}, []cluster.Job{running("old", done), running("new", of(8))},
			[]cluster.Job{running("new", of(8), done)})
		j.move.all = cluster.SlotsOf(7, 8)
		plain, asked := j.toTarget.replies, 0
		j.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
			if cmds[len(cmds)-1].Name() == "CLUSTER NODES" {
				if asked++; asked == 2 {
					j.atSource["CLUSTER NODES"], j.atTarget["CLUSTER NODES"] = atSourceThen(), atTargetThen()
				}
			}
			if j.sent("SLOTSRANGE 8 8 NODE") > 0 {
				j.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,master 3 0-6 9", "b master 5 7-8 10-20")}
				j.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("a master 3 0-6 9", "b myself,master 5 7-8 10-20")}
			}
			return plain(cmds)
		}
		if err := j.move.attempt(t.Context(), cluster.SlotsOf(7, 8)); err != nil || j.sent("SLOTSRANGE") != 1 {
			t.Errorf("error is %v; sent %v", err, j.toSource.sent)
		}
	})
}

// TestHopeless: what passes is tried for as long as the move is patient, the
// servers' refusals a few times, and nothing else again.
func TestHopeless(t *testing.T) {
	cutOff := &driver.TransportError{Err: errCut}
	for name, test := range map[string]struct {
		err     error
		attempt int // or a job that failed so often
		ago     time.Duration
		want    bool
	}{
		"loading":                       {refused("LOADING").Err, jobAttempts, 0, false},
		"loading for long":              {refused("LOADING").Err, jobAttempts, time.Minute, true},
		"the servers gave up":           {&JobError{}, 1, 0, false},
		"the servers gave up often":     {&JobError{}, jobAttempts, 0, true},
		"the servers gave up for good":  {&JobError{Final: true}, 1, 0, true},
		"to be looked at again":         {errLookAgain, 1, 0, false},
		"looked at often":               {errLookAgain, jobAttempts, 0, false},
		"looked at for long":            {errLookAgain, 1, time.Minute, false},
		"looked at often and for long":  {errLookAgain, jobAttempts, time.Minute, true},
		"cut off":                       {cutOff, jobAttempts, 0, false},
		"cut off for long":              {cutOff, 1, time.Minute, false},
		"cut off often and for long":    {cutOff, jobAttempts, time.Minute, true},
		"down":                          {errDown, 1, 0, false},
		"down, looked at often":         {errDown, jobAttempts, 0, true},
		"something that does not pass":  {errors.New("no"), 1, 0, true},
		"something that does not, long": {errors.New("no"), 1, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			j := atWork(t, valkey, nil)
			j.patience = 20 * time.Second
			attempts, failures := test.attempt, 0
			if _, failed := errors.AsType[*JobError](test.err); failed {
				attempts, failures = jobAttempts, test.attempt
			}
			if got := j.move.hopeless(test.err, attempts, failures, time.Now().Add(-test.ago)); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestBusy: a target that takes one job at a time is asked again, and not for ever.
func TestBusy(t *testing.T) {
	for name, test := range map[string]struct {
		times int
		fails bool
	}{"for a while": {100, false}, "for ever": {1 << 30, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, redis, []cluster.Job{running("k", of(8), in("completed", ""))})
				plain, orders := j.toTarget.replies, 0
				j.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
					if len(cmds[0]) > 2 && cmds[0][2] == "IMPORT" {
						orders++
					}
					j.order = refused("ERR another task is already in progress")
					if orders > test.times {
						j.order = driver.Reply{Value: "OK"}
						j.tells = [][]cluster.Job{{running("new", in("completed", ""))}}
						j.atSource["CLUSTER NODES"], j.atTarget["CLUSTER NODES"] = atSourceThen(), atTargetThen()
					}
					return plain(cmds)
				}
				begun := time.Now()
				err := j.move.insist(t.Context(), cluster.SlotsOf(7))
				if (err != nil) != test.fails || test.fails && !errors.Is(err, errBusy) {
					t.Errorf("error is %v", err)
				}
				took := time.Since(begun)
				if (took >= jobLimit) != test.fails || took > jobLimit+time.Minute {
					t.Errorf("took %s", took)
				}
				if said, want := len(j.said), int(took/noticeAfter); said > want+1 || said < want*9/10 {
					t.Errorf("said %d things in %s", said, took)
				}
			})
		})
	}
}

// TestBusyCountsForNothing: how often a node was busy does not take from the
// attempts that a job has.
func TestBusyCountsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const busy = 2 * jobAttempts
		j := atWork(t, redis, nil)
		j.order = refused("ERR another task is already in progress")
		plain := j.toTarget.replies
		j.toTarget.replies = func(cmds []driver.Command) []driver.Reply {
			if j.sent("IMPORT") > busy {
				j.order = refused("ERR no")
			}
			return plain(cmds)
		}
		err := j.move.insist(t.Context(), cluster.SlotsOf(7))
		if _, gaveUp := errors.AsType[*JobError](err); !gaveUp || j.sent("IMPORT") != busy+jobAttempts {
			t.Errorf("error is %v after %d orders", err, j.sent("IMPORT"))
		}
	})
}

// TestInsistsLessOften: what does not pass at once is tried again after a pause
// that grows.
func TestInsistsLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := atWork(t, valkey, nil)
		j.patience = 20 * time.Second
		err := j.move.insist(t.Context(), cluster.SlotsOf(7))
		if n := j.sent("SLOTSRANGE"); !errors.Is(err, errLookAgain) || n < 10 || n > 20 {
			t.Errorf("error is %v after %d orders", err, n)
		}
	})
}

// TestStopped: whoever is to stop tries nothing again.
func TestStopped(t *testing.T) {
	j := atWork(t, valkey, []cluster.Job{running("j")}, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stop")
	plain := j.toSource.replies
	j.toSource.replies = func(cmds []driver.Command) []driver.Reply {
		if strings.HasSuffix(cmds[0].Name(), "GETSLOTMIGRATIONS") {
			cancel(why)
		}
		return plain(cmds)
	}
	if err := j.move.insist(ctx, cluster.SlotsOf(7)); !errors.Is(err, errLookAgain) || len(j.said) > 0 {
		t.Errorf("error is %v, said %v", err, j.said)
	}
	if err := j.move.run(ctx, []cluster.SlotSet{cluster.SlotsOf(7)}); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
}
