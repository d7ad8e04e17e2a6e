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

// jobs are two servers that move slot 7 by themselves. The one that is given the
// orders tells of its jobs in turn, of the last ones again and again.
type jobs struct {
	*wired
	move   *serverMove
	tells  [][]cluster.Job
	order  driver.Reply // to an order to move
	cancel driver.Reply // to one to end it
	other  driver.Reply // what the other end tells of jobs
}

func atWork(t *testing.T, d cluster.Dialect, tells ...[]cluster.Job) *jobs {
	w := closed(t)
	ok := driver.Reply{Value: "OK"}
	j := &jobs{wired: w, tells: tells, order: ok, cancel: ok, other: told()}
	j.move = &serverMove{mover: w.mover, dialect: d, all: cluster.SlotsOf(7)}
	w.atSource["INFO"] = driver.Reply{Value: "run_id:s\r\nrole:master\r\nmaster_repl_offset:5\r\n"}
	w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}
	w.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("a master 3 0-9", "b myself,master 4 10-20")}
	ordered, asked := w.toSource, w.toTarget
	if d == cluster.Migration {
		ordered, asked = asked, ordered
	}
	j.answer(ordered, j.told)
	j.answer(asked, func() driver.Reply { return j.other })
	return j
}

func (j *jobs) told() driver.Reply {
	now := j.tells[0]
	if len(j.tells) > 1 {
		j.tells = j.tells[1:]
	}
	return told(now...)
}

func (j *jobs) answer(s *scripted, status func() driver.Reply) {
	plain := s.replies
	s.replies = func(cmds []driver.Command) []driver.Reply {
		out := plain(cmds)
		for i, cmd := range cmds {
			switch text := strings.Join(cmd, " "); {
			case strings.Contains(text, "GETSLOTMIGRATIONS"), strings.Contains(text, "STATUS"):
				out[i] = status()
			case strings.Contains(text, "CANCEL"):
				out[i] = j.cancel
			case strings.Contains(text, "IMPORT"), strings.Contains(text, "MIGRATESLOTS"):
				out[i] = j.order
			}
		}
		return out
	}
}

// sent counts the commands that contain a word, at either end.
func (j *jobs) sent(word string) (n int) {
	for _, text := range append(j.toSource.sent, j.toTarget.sent...) {
		if strings.Contains(text, word) {
			n++
		}
	}
	return n
}

func told(jobs ...cluster.Job) driver.Reply {
	rows := make([]any, len(jobs))
	for i, j := range jobs {
		operation := "IMPORT"
		if j.Export {
			operation = "EXPORT"
		}
		rows[i] = []any{
			"name", j.ID, "slot_ranges", j.Slots.String(), "source_node", string(j.From), "target_node", string(j.To),
			"operation", operation, "state", j.State, "message", j.Message,
		}
	}
	return driver.Reply{Value: rows}
}

// running is a job from a to b, changed as a test wants it.
func running(id string, change ...func(*cluster.Job)) cluster.Job {
	j := cluster.Job{ID: id, Slots: cluster.SlotsOf(7), From: nodeID("a"), To: nodeID("b"), Export: true, State: "snapshotting"}
	for _, f := range change {
		f(&j)
	}
	return j
}

func in(state, message string) func(*cluster.Job) {
	return func(j *cluster.Job) { j.State, j.Message = state, message }
}

func of(slots ...int) func(*cluster.Job) {
	return func(j *cluster.Job) { j.Slots = cluster.SlotsOf(slots...) }
}
func from(c string) func(*cluster.Job) { return func(j *cluster.Job) { j.From = nodeID(c) } }
func to(c string) func(*cluster.Job)   { return func(j *cluster.Job) { j.To = nodeID(c) } }
func imports(j *cluster.Job)           { j.Export = false }

const (
	valkey = cluster.MigrateSlots
	redis  = cluster.Migration
)

// TestObtain: a job of these slots between these ends is waited for, another's is
// refused, and a new one is known by what it moves.
func TestObtain(t *testing.T) {
	fresh := []cluster.Job{running("new")}
	for name, test := range map[string]struct {
		dialect cluster.Dialect
		tells   [][]cluster.Job
		change  func(j *jobs)
		orders  int
		job     string
		err     string // a part of it
	}{
		"none is there":               {valkey, [][]cluster.Job{nil, fresh}, nil, 1, "new", ""},
		"none is there, Redis":        {redis, [][]cluster.Job{nil, fresh}, nil, 1, "new", ""},
		"one is at work":              {valkey, [][]cluster.Job{{running("old")}}, nil, 0, "old", ""},
		"one is at work, Redis":       {redis, [][]cluster.Job{{running("old")}}, nil, 0, "old", ""},
		"it has moved other slots":    {valkey, [][]cluster.Job{{running("old", of(8))}, {running("old", of(8)), running("new")}}, nil, 1, "new", ""},
		"it moves others, Redis":      {redis, [][]cluster.Job{{running("old", of(8))}}, nil, 0, "", "one job at a time"},
		"it moves others, too":        {valkey, [][]cluster.Job{{running("old", of(7, 8))}}, nil, 0, "", "for somebody else"},
		"it moves them from another":  {valkey, [][]cluster.Job{{running("old", from("c"))}}, nil, 0, "", "for somebody else"},
		"it moves them to another":    {valkey, [][]cluster.Job{{running("old", to("c"))}}, nil, 0, "", "for somebody else"},
		"one has moved them":          {valkey, [][]cluster.Job{{running("old", in("success", ""))}, {running("old", in("success", "")), running("new")}}, nil, 1, "new", ""},
		"one has moved them, Redis":   {redis, [][]cluster.Job{{running("old", in("completed", ""))}, {running("old", in("completed", "")), running("new")}}, nil, 1, "new", ""},
		"it tells of an old one only": {valkey, [][]cluster.Job{{running("old", in("failed", "no"))}}, nil, 1, "", "does not tell of the job"},
		"it tells of another source":  {valkey, [][]cluster.Job{nil, {running("new", from("c"))}}, nil, 1, "", "does not tell of the job"},
		"it tells of another target":  {valkey, [][]cluster.Job{nil, {running("new", to("c"))}}, nil, 1, "", "does not tell of the job"},
		"it tells of other slots":     {valkey, [][]cluster.Job{nil, {running("new", of(7, 8))}}, nil, 1, "", "does not tell of the job"},
		"it tells nonsense":           {valkey, [][]cluster.Job{nil, {running("", of(7))}}, nil, 1, "", "10.0.0.1:7000: slot migrations"},
		"it tells nonsense at once":   {valkey, [][]cluster.Job{{running("", of(7))}}, nil, 0, "", "10.0.0.1:7000: slot migrations"},
		"it is busy":                  {redis, [][]cluster.Job{nil}, func(j *jobs) { j.order = refused("ERR another task is already in progress") }, 1, "", "one job at a time"},
		"it refuses":                  {valkey, [][]cluster.Job{nil}, func(j *jobs) { j.order = refused("ERR no such node") }, 1, "", "did not move slots 7 from 10.0.0.1:7000 to 10.0.0.2:7000: ERR no such node"},
		"the target holds keys": {
			valkey,
			[][]cluster.Job{nil},
			func(j *jobs) { j.atTarget["CLUSTER COUNTKEYSINSLOT"] = driver.Reply{Value: int64(3)} },
			0, "", "10.0.0.2:7000 holds 3 keys of these slots without owning them",
		},
		"the target does not count": {
			valkey, [][]cluster.Job{nil}, func(j *jobs) { j.atTarget["CLUSTER COUNTKEYSINSLOT"] = refused("ERR") }, 0, "", "counting keys",
		},
		"the last slot": {valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) { j.lastSlot(t, "") }, 1, "new", ""},
		"the last slot, with its keys": {
			valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) {
				j.lastSlot(t, "db0:keys=2,expires=0,avg_ttl=0\r\n")
				j.counts("7", 2)
			}, 1, "new", "",
		},
		"the last slot, with others' keys": {
			valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) {
				j.lastSlot(t, "db0:keys=1,expires=0,avg_ttl=0\r\n") // the others came since
				j.counts("7", 5)
				j.counts("12345", 1)
			}, 0, "", "would lose its last slot and be wiped, but it still holds 1 keys of slots that it does not own",
		},
		"the last slot, with others' keys in a database that was not known": {
			valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) {
				j.lastSlot(t, "db3:keys=1,expires=0,avg_ttl=0\r\n")
				j.counts("12345", 1)
			}, 0, "", "but it still holds 2 keys of slots that it does not own", // in both
		},
		"the last slot, and nobody tells of keys": {
			valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) {
				j.lastSlot(t, "")
				j.atSource["INFO"] = refused("ERR")
			}, 0, "", "10.0.0.1:7000: INFO keyspace: ERR",
		},
		"the last slot, and nobody counts": {
			valkey, [][]cluster.Job{nil, fresh}, func(j *jobs) {
				j.lastSlot(t, "db0:keys=2,expires=0,avg_ttl=0\r\n")
				j.atSource["CLUSTER COUNTKEYSINSLOT"] = refused("ERR")
			}, 0, "", "10.0.0.1:7000: counting keys",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := atWork(t, test.dialect, test.tells...)
			if test.change != nil {
				test.change(j)
			}
			job, err := j.move.obtain(t.Context(), cluster.SlotsOf(7))
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error is %v", err)
			}
			if err == nil && job.ID != test.job {
				t.Errorf("got %v", job)
			}
			if orders := j.sent("SLOTSRANGE") + j.sent("MIGRATION IMPORT"); orders != test.orders {
				t.Errorf("%d orders", orders)
			}
		})
	}
}

// lastSlot lets the source have nothing but slot 7, and these keys.
func (j *jobs) lastSlot(t *testing.T, keyspace string) {
	j.src.view = seen(t, "a myself,master 3 7", "b master 4 10-20")
	j.atSource["INFO"] = driver.Reply{Value: "run_id:s\r\n" + keyspace}
}

// counts lets the source have so many keys of a slot, in every database.
func (j *jobs) counts(slot string, keys int64) {
	plain := j.toSource.replies
	j.toSource.replies = func(cmds []driver.Command) []driver.Reply {
		out := plain(cmds)
		for i, cmd := range cmds {
			if cmd.Name() == "CLUSTER COUNTKEYSINSLOT" && cmd[2] == slot {
				out[i] = driver.Reply{Value: keys}
			}
		}
		return out
	}
}

// TestObtainNothing: whoever is to stop begins nothing.
func TestObtainNothing(t *testing.T) {
	j := atWork(t, valkey, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stop")
	cancel(why)
	if _, err := j.move.obtain(ctx, cluster.SlotsOf(7)); !errors.Is(err, why) || j.sent("SLOTSRANGE") > 0 {
		t.Errorf("error is %v", err)
	}
}

// TestFollow: what becomes of a job.
func TestFollow(t *testing.T) {
	busy := []cluster.Job{running("j")}
	for name, test := range map[string]struct {
		tells   [][]cluster.Job
		err     string
		cancels int
	}{
		"done":                {[][]cluster.Job{busy, busy, {running("j", in("success", ""))}}, "", 0},
		"failed":              {[][]cluster.Job{busy, {running("j", in("failed", "no memory"))}}, "no memory", 0},
		"cancelled by others": {[][]cluster.Job{busy, {running("j", in("cancelled", ""))}}, "the job was cancelled", 0},
		"forgotten":           {[][]cluster.Job{busy, {running("k")}}, "does not remember the job for slots 7", 0},
		"takes for ever":      {[][]cluster.Job{busy}, "the job took more than 1h0m0s and was cancelled", 1},
		"goes on for ever":    {[][]cluster.Job{busy}, "though it was told to cancel that", 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, valkey, test.tells...)
				if plain := j.toSource.replies; test.cancels == 1 {
					j.toSource.replies = j.cancels(plain)
				}
				begun := time.Now()
				err := j.move.follow(t.Context(), running("j"))
				if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
					t.Errorf("error is %v", err)
				}
				if n := j.sent("CANCEL"); n < test.cancels || (n > 0) != (test.cancels > 0) {
					t.Errorf("cancelled %d times", n)
				}
				if took := time.Since(begun); (took > jobLimit) != (test.cancels > 0) {
					t.Errorf("took %s", took)
				}
				// Each time that passes between two notices brings one.
				if want := int(time.Since(begun) / noticeAfter); len(j.said) > want || len(j.said) < want*9/10 {
					t.Errorf("said %d things, not %d", len(j.said), want)
				}
			})
		})
	}
}

// TestFollowToTheEnd: whoever is to stop ends the job, waits for its end at the
// usual pace, and says why.
func TestFollowToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		granted := []cluster.Job{running("j", in("failover-granted", ""))}
		tells := [][]cluster.Job{{running("j")}}
		for range 20 {
			tells = append(tells, granted)
		}
		j := atWork(t, valkey, append(tells, []cluster.Job{running("j", in("cancelled", ""))})...)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("stop")
		cancel(why)
		begun := time.Now()
		if err := j.move.follow(ctx, running("j")); !errors.Is(err, why) {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(begun); j.sent("CANCEL") != 1 || took < 20*firstGlance {
			t.Errorf("cancelled %d times in %s", j.sent("CANCEL"), took)
		}
	})
}

// cancels lets an order to cancel job j end it.
func (j *jobs) cancels(plain func([]driver.Command) []driver.Reply) func([]driver.Command) []driver.Reply {
	return func(cmds []driver.Command) []driver.Reply {
		if j.sent("CANCEL") > 0 {
			j.tells = [][]cluster.Job{{running("j", in("cancelled", ""))}}
		}
		return plain(cmds)
	}
}

// nearly is a connection that answers only so many times.
type nearly struct {
	driver.Conn
	times int
}

func (n *nearly) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if n.times--; n.times < 0 {
		return nil, &driver.TransportError{Err: errCut}
	}
	return n.Conn.Do(ctx, cmds...)
}

// TestFollowOutOfSight: whoever is to stop does not leave a job to itself because
// one question, or the order to cancel, had no answer.
func TestFollowOutOfSight(t *testing.T) {
	why := errors.New("stop")
	for name, test := range map[string]struct {
		stopped bool
		answers int // before the connection breaks
		back    bool
		err     string
		takes   time.Duration
	}{
		"one question":         {true, 0, true, "stop", slowestGlance},
		"the order to cancel":  {true, 1, true, "stop", cancelAgain},
		"nothing comes":        {true, 0, false, "whether 10.0.0.1:7000 goes on to move slots 7 is not known: ", cancelPatience},
		"it is not to stop":    {false, 0, true, "cut", 0},
		"nothing comes after":  {true, 1, false, "whether 10.0.0.1:7000 goes on to move slots 7 is not known: ", cancelPatience},
		"it answers all along": {true, 1 << 30, true, "stop", cancelAgain},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, valkey, []cluster.Job{running("j")})
				plain := j.toSource.replies
				j.toSource.replies = j.cancels(plain)
				j.src.conn, j.src.dialer = &nearly{j.toSource, test.answers}, network{}
				if test.back {
					j.src.dialer = network{j.src.addr: j.toSource}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.stopped {
					cancel(why)
				}
				begun := time.Now()
				err := j.move.follow(ctx, running("j"))
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error is %v", err)
				}
				if took := time.Since(begun); took > test.takes+time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestCancelOthers: a source of the Valkey dialect ends all that it gives away.
func TestCancelOthers(t *testing.T) {
	for name, test := range map[string]struct {
		dialect cluster.Dialect
		others  []cluster.Job
		told    string
	}{
		"alone":                         {valkey, nil, "CLUSTER CANCELSLOTMIGRATIONS"},
		"another is given away":         {valkey, []cluster.Job{running("k", of(8))}, ""},
		"another was":                   {valkey, []cluster.Job{running("k", of(8), in("success", ""))}, "CLUSTER CANCELSLOTMIGRATIONS"},
		"another is taken in":           {valkey, []cluster.Job{running("k", of(8), imports)}, "CLUSTER CANCELSLOTMIGRATIONS"},
		"Redis, which knows them apart": {redis, []cluster.Job{running("k", of(8))}, "CLUSTER MIGRATION CANCEL ID j"},
	} {
		t.Run(name, func(t *testing.T) {
			j := atWork(t, test.dialect, nil)
			_, err := j.move.cancel(running("j"), append(test.others, running("j")))
			if (err != nil) != (test.told == "") {
				t.Errorf("error is %v", err)
			}
			if test.told != "" && j.sent(test.told) != 1 || test.told == "" && j.sent("CANCEL") > 0 {
				t.Errorf("sent %v, %v", j.toSource.sent, j.toTarget.sent)
			}
		})
	}
}

// TestFailed: both ends say why, and the target deletes what it has got.
func TestFailed(t *testing.T) {
	for name, test := range map[string]struct {
		dialect cluster.Dialect
		message string
		other   driver.Reply
		change  func(j *jobs)
		reason  string
		final   bool
		notices int
		cancels int
	}{
		"one says why":            {valkey, "no memory ", told(), nil, "no memory", false, 0, 0},
		"both do":                 {valkey, "cut", told(running("j", in("failed", "full"))), nil, "cut; 10.0.0.2:7000 says: full", false, 0, 0},
		"both say the same":       {valkey, "cut", told(running("j", in("failed", "cut"))), nil, "cut", false, 0, 0},
		"the other says nothing":  {valkey, "cut", told(running("j", in("failed", ""))), nil, "cut", false, 0, 0},
		"of another job":          {valkey, "cut", told(running("k", in("failed", "full"))), nil, "cut", false, 0, 0},
		"the other cannot tell":   {valkey, "cut", refused("ERR"), nil, "cut", false, 0, 0},
		"Redis goes on otherwise": {redis, "cut", told(running("j", in("failed", "full"))), nil, "cut; 10.0.0.1:7000 says: full", false, 0, 1},
		"full":                    {valkey, "OOM at the target", told(), nil, "OOM at the target", true, 0, 0},
		"writes were lost":        {valkey, "lost writes", told(), nil, "lost writes", false, 1, 0},
		"keys stay": {valkey, "cut", told(), func(j *jobs) {
			j.atTarget["CLUSTER COUNTKEYSINSLOT"] = driver.Reply{Value: int64(3)}
		}, "cut; 10.0.0.2:7000 still has 3 keys of it", true, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, test.dialect, nil)
				j.other = test.other
				if test.change != nil {
					test.change(j)
				}
				failed, ok := errors.AsType[*JobError](j.move.failed(t.Context(), running("j", in("failed", test.message))))
				if !ok {
					t.Fatal("no error of the job")
				}
				if failed.Reason != test.reason || failed.Final != test.final {
					t.Errorf("got %q, final %v", failed.Reason, failed.Final)
				}
				if len(j.said) != test.notices || j.sent("CANCEL") != test.cancels {
					t.Errorf("said %v, cancelled %d times", j.said, j.sent("CANCEL"))
				}
			})
		})
	}
}

// TestRollback: nobody goes on before the target has deleted what it had got, or
// turns out to own it.
func TestRollback(t *testing.T) {
	count := "CLUSTER COUNTKEYSINSLOT"
	for name, test := range map[string]struct {
		change func(j *jobs)
		fails  string // an error that is none of the job's
		takes  time.Duration
	}{
		"a little later": {func(j *jobs) {
			three := driver.Reply{Value: int64(3)}
			j.toTarget.replies = inTurn(j.atTarget, count, three, three)
		}, "", 3 * firstGlance},
		"the target owns them": {func(j *jobs) {
			j.atTarget["CLUSTER NODES"] = driver.Reply{Value: nodesText("a master 3 0-6 8-9", "b myself,master 5 7 10-20")}
		}, "owns slots 7 of a job that failed", 0},
		"the source cannot be looked at": {func(j *jobs) { j.atSource["INFO"] = refused("ERR") }, "ERR", 0},
		"the target does not count":      {func(j *jobs) { j.atTarget[count] = refused("ERR") }, "counting keys", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := atWork(t, valkey, nil)
				test.change(j)
				begun := time.Now()
				err := j.move.awaitRollback(t.Context(), &JobError{Slots: cluster.SlotsOf(7), Reason: "cut"})
				_, rolledBack := errors.AsType[*JobError](err)
				if rolledBack != (test.fails == "") || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error is %v", err)
				}
				if took := time.Since(begun); took != test.takes {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// TestFailedCancel: a server of the Redis dialect tries again what it was not told
// to end.
func TestFailedCancel(t *testing.T) {
	j := atWork(t, redis, nil)
	j.dst.conn = &cut{}
	if err := j.move.failed(t.Context(), running("j", in("failed", "no"))); !errors.Is(err, errCut) {
		t.Errorf("error is %v", err)
	}
}

// cut is a connection that breaks.
type cut struct{}

func (*cut) Do(context.Context, ...driver.Command) ([]driver.Reply, error) { return nil, errCut }
func (*cut) Close() error                                                  { return nil }
