package move

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// setSlotsIn are the SETSLOT among what a node was told.
func setSlotsIn(s *scripted) string {
	var told []string
	for _, text := range s.sent {
		if rest, ok := strings.CutPrefix(text, "CLUSTER SETSLOT "); ok {
			words := strings.Fields(rest)
			if len(words) > 2 {
				words[2] = words[2][:1] // of the id
			}
			told = append(told, strings.Join(words, " "))
		}
	}
	return strings.Join(told, ", ")
}

// closed is a mover before its slot is opened; what the nodes show afterwards is
// as in guardReplies and targetReplies.
func closed(t *testing.T) *wired {
	w := wire(t)
	w.src.view = seen(t, "a myself,master 3 0-9", "b master 4 10-20")
	w.dst.view = seen(t, "a master 3 0-9", "b myself,master 4 10-20")
	w.atSource["CLUSTER SETSLOT"] = driver.Reply{Value: "OK"}
	return w
}

// TestOpen: first the target imports, then the source migrates, and both are
// believed when they show it.
func TestOpen(t *testing.T) {
	shut := driver.Reply{Value: nodesText("a master 3 0-9", "b myself,master 4 10-20")}
	no := map[string]driver.Reply{"CLUSTER SETSLOT": refused("ERR")}
	for name, test := range map[string]struct {
		change             func(w *wired)
		source, target     map[string]driver.Reply // what differs
		toTarget, toSource string
		ours, fails        bool
	}{
		"closed before": {toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b", ours: true},
		"the target imports it, and holds keys": {
			change:   func(w *wired) { w.toTarget.replies = answering(w.atTarget) },
			target:   map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": {Value: int64(3)}},
			toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b",
		},
		"the source migrates it, and the target holds keys": {
			change:   func(w *wired) { w.src.view = seen(t, "a myself,master 3 0-9 [7->-b]", "b master 4 10-20") },
			target:   map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": {Value: int64(3)}},
			toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b",
		},
		"the target holds keys of a closed slot": {target: map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": {Value: int64(3)}}, fails: true},
		"the target does not count":              {target: map[string]driver.Reply{"CLUSTER COUNTKEYSINSLOT": refused("ERR")}, fails: true},
		"it goes to another": {
			change: func(w *wired) {
				w.src.view = seen(t, "a myself,master 3 0-9 [7->-c]", "b master 4 10-20", "c master 5 30")
				w.dst.view = seen(t, "a master 3 0-9", "b myself,master 4 10-20", "c master 5 30")
			}, fails: true,
		},
		"it went to another meanwhile": {
			change: func(w *wired) { w.src.viewed = time.Now().Add(-fenceEvery) },
			source: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a myself,master 3 0-9 [7->-c]", "b master 4 10-20", "c master 5 30")}}, fails: true,
		},
		"the source calls the target failed": {
			change: func(w *wired) { w.src.view = seen(t, "a myself,master 3 0-9", "b master,fail 4 10-20") }, fails: true,
		},
		"the target refuses":                   {target: no, toTarget: "7 IMPORTING a", fails: true},
		"the source refuses":                   {source: no, toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b", fails: true},
		"the source said OK, and migrates not": {source: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}}, toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b", fails: true},
		"the source shows nonsense":            {source: map[string]driver.Reply{"CLUSTER NODES": {Value: "nonsense"}}, toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b", fails: true},
		"the target said OK, and imports not":  {target: map[string]driver.Reply{"CLUSTER NODES": shut}, toTarget: "7 IMPORTING a", toSource: "7 MIGRATING b", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := closed(t)
			w.toTarget.replies = inTurn(w.atTarget, "CLUSTER NODES", shut)
			override(w.atSource, test.source)
			override(w.atTarget, test.target)
			if test.change != nil {
				test.change(w)
			}
			err := w.open(t.Context(), []int{7})
			if (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
			if a, b := setSlotsIn(w.toTarget), setSlotsIn(w.toSource); a != test.toTarget || b != test.toSource {
				t.Errorf("the target was told %q, the source %q", a, b)
			}
			if w.ours[7] != test.ours || (w.openers == w.src.seen) == test.fails {
				t.Errorf("ours %v, by %v", w.ours[7], w.openers)
			}
		})
	}
}

// TestInherited: the target is told anew of slots that it imports from a source
// that was failed over, and of nobody else's.
func TestInherited(t *testing.T) {
	for name, test := range map[string]struct {
		source, target []string
		moved          bool
		fails, passes  bool
	}{
		"not imported":                 {target: []string{"a master 3 0-9", "b myself,master 4 10-20"}},
		"from the source":              {target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-a]"}},
		"from it, and it has no owner": {target: []string{"a master 3 0-6 8-9", "b myself,master 4 10-20 [7-<-a]"}, moved: true},
		"from one that failed":         {target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master,fail 2"}, moved: true},
		"from its replica by now":      {target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c slave=a 3"}, moved: true},
		"from its replica, and the target has not heard of it": {
			source: []string{"a myself,master 3 0-9", "b master 4 10-20", "c slave=a 3"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master 2 30"}, fails: true, passes: true,
		},
		"from one that has no slots any more": {
			source: []string{"a myself,master 3 0-9", "b master 4 10-20", "c master 2"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master 2 30"}, fails: true, passes: true,
		},
		"from another": {
			source: []string{"a myself,master 3 0-9", "b master 4 10-20", "c master 2 30"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master 2 30"}, fails: true,
		},
		"from one that the source does not know": {
			source: []string{"a myself,master 3 0-9", "b master 4 10-20"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master 2 30"}, fails: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			if test.source != nil {
				m.src.view = seen(t, test.source...)
			}
			m.dst.view = seen(t, test.target...)
			moved, err := m.inherited([]int{7})
			if slices.Contains(moved, 7) != test.moved || (err != nil) != test.fails || err != nil && mayPass(err) != test.passes {
				t.Errorf("moved %v, error %v", moved, err)
			}
		})
	}
}

// TestRebindAll: a source that took over migrates first, and then the target is
// told who it is; those that are bound are left alone.
func TestRebindAll(t *testing.T) {
	unbound := nodesText("a master 3 0-6 8-9", "b myself,master 4 10-20 [7-<-a]")
	run := driver.Reply{Value: "run_id:s\r\nrole:master\r\nmaster_repl_offset:5\r\n"}
	for name, test := range map[string]struct {
		source, target     map[string]driver.Reply // what differs
		toTarget, toSource string
		fails              bool
	}{
		"bound":        {},
		"not imported": {target: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a master 3 0-9", "b myself,master 4 10-20")}}},
		"not the source's": {
			source: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a myself,master 3 0-6 8-9", "b master 4 10-20")}},
			target: map[string]driver.Reply{"CLUSTER NODES": {Value: unbound}},
		},
		"without an owner": {
			target:   map[string]driver.Reply{"CLUSTER NODES": {Value: unbound}},
			toSource: "7 MIGRATING b", toTarget: "7 NODE a, 7 IMPORTING a",
		},
		"from one that failed": {
			target:   map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master,fail 2")}},
			toSource: "7 MIGRATING b", toTarget: "7 NODE a, 7 IMPORTING a",
		},
		"the source goes elsewhere": {
			source: map[string]driver.Reply{"CLUSTER NODES": {Value: nodesText("a myself,master 3 0-9 [7->-c]", "b master 4 10-20", "c master 5 30")}},
			target: map[string]driver.Reply{"CLUSTER NODES": {Value: unbound}}, fails: true,
		},
		"the source refuses": {
			source: map[string]driver.Reply{"CLUSTER SETSLOT": refused("ERR")}, target: map[string]driver.Reply{"CLUSTER NODES": {Value: unbound}},
			toSource: "7 MIGRATING b", fails: true,
		},
		"the target refuses": {
			target:   map[string]driver.Reply{"CLUSTER NODES": {Value: unbound}, "CLUSTER SETSLOT": refused("ERR")},
			toSource: "7 MIGRATING b", toTarget: "7 NODE a, 7 IMPORTING a", fails: true,
		},
		"the target does not tell": {target: map[string]driver.Reply{"INFO": refused("ERR")}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := closed(t)
			w.atSource["INFO"] = run
			override(w.atSource, test.source)
			override(w.atTarget, test.target)
			err := w.rebindAll(t.Context(), []int{7})
			if (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
			if a, b := setSlotsIn(w.toTarget), setSlotsIn(w.toSource); a != test.toTarget || b != test.toSource {
				t.Errorf("the target was told %q, the source %q", a, b)
			}
		})
	}
}

// TestSetSlotsWithin: a server that replicates SETSLOT has time for each.
func TestSetSlotsWithin(t *testing.T) {
	plain, replicated := cluster.Features{}, cluster.Features{ReplicatedSetSlot: true}
	if got := SetSlotsWithin(plain, 3); got != repliesWithin {
		t.Errorf("three take %s", got)
	}
	if got := SetSlotsWithin(replicated, 3); got != repliesWithin+3*setSlotTimeout {
		t.Errorf("three that are replicated take %s", got)
	}
}
