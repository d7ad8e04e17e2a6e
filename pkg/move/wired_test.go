package move

import (
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// wired is a mover in the middle of a move whose nodes answer as they are told.
type wired struct {
	*mover
	atSource, atTarget            map[string]driver.Reply // by command
	toSource, toTarget, toCarrier *scripted
	said                          []Progress
}

func wire(t *testing.T) *wired {
	w := &wired{mover: halfway(t), atSource: guardReplies(), atTarget: targetReplies()}
	w.o = Options{}.withDefaults(cluster.Member{})
	w.pace, w.scale = newPace(w.o), newScale(w.o.Big, 0)
	w.watchers, w.tally = newWatchers(nil, ""), new(tally)
	w.stop, w.fenced, w.inHand = t.Context(), time.Now(), []int{7}
	w.src.viewed = w.fenced
	w.src.transacts, w.dst.transacts = true, true
	w.report = func(p Progress) { w.said = append(w.said, p) }
	w.toSource, w.toTarget = &scripted{replies: answering(w.atSource)}, &scripted{replies: answering(w.atTarget)}
	w.toCarrier = &scripted{replies: answering(w.atSource)}
	w.src.conn, w.dst.conn = w.toSource, w.toTarget
	w.carrier = &end{id: w.src.id, addr: w.src.addr, seen: w.src.seen, conn: w.toCarrier}
	return w
}

// targetReplies are those of a target that imports slot 7 and has no replica.
func targetReplies() map[string]driver.Reply {
	return map[string]driver.Reply{
		"INFO":                    {Value: "run_id:t\r\nrole:master\r\nmaster_repl_offset:5\r\n"},
		"CLUSTER NODES":           {Value: nodesText("a master 3 0-9", "b myself,master 4 10-20 [7-<-a]")},
		"CLUSTER COUNTKEYSINSLOT": {Value: int64(0)},
		"CLUSTER SETSLOT":         {Value: "OK"},
		"SELECT":                  {Value: "OK"},
	}
}

// inTurn answers one command differently each time, and then like the others.
func inTurn(replies map[string]driver.Reply, name string, turns ...driver.Reply) func([]driver.Command) []driver.Reply {
	return func(cmds []driver.Command) []driver.Reply {
		out := answering(replies)(cmds)
		for i, cmd := range cmds {
			if cmd.Name() == name && len(turns) > 0 {
				out[i], turns = turns[0], turns[1:]
			}
		}
		return out
	}
}

func refused(text string) driver.Reply {
	return driver.Reply{Err: &driver.ServerError{Text: text}}
}

func listOf(keys ...string) driver.Reply {
	list := make([]any, len(keys))
	for i, key := range keys {
		list[i] = key
	}
	return driver.Reply{Value: list}
}
