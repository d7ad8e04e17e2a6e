package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// The guards, one condition at a time: slot 7 goes from a to b.

func nodeID(c string) cluster.NodeID { return cluster.NodeID(strings.Repeat(c, 40)) }

// nodesText is a view as a node tells it; each node is "a myself,master 3 0-9", or
// "a slave=b 3", and "[7->-b]" stands for what it has open.
func nodesText(nodes ...string) string {
	var text strings.Builder
	for _, n := range nodes {
		words := strings.Fields(n)
		master := "-"
		if flags, of, ok := strings.Cut(words[1], "="); ok {
			words[1], master = flags, string(nodeID(of))
		}
		for i, w := range words[3:] {
			if at := strings.LastIndexAny(w, "-"); strings.HasPrefix(w, "[") {
				words[3+i] = w[:at+1] + string(nodeID(w[at+1:at+2])) + "]"
			}
		}
		fmt.Fprintf(&text, "%s 10.0.0.%c:7000@17000 %s %s 0 0 %s connected %s\n",
			nodeID(words[0]), words[0][0]-'a'+'1', words[1], master, words[2], strings.Join(words[3:], " "))
	}
	return text.String()
}

func seen(t *testing.T, nodes ...string) cluster.View {
	t.Helper()
	v, err := cluster.ParseNodes(nodesText(nodes...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// halfway is a mover in the middle of a move.
func halfway(t *testing.T) *mover {
	source := seen(t, "a myself,master 3 0-9 [7->-b]", "b master 4 10-20")
	target := seen(t, "a master 3 0-9", "b myself,master 4 10-20 [7-<-a]")
	return &mover{
		src:       &end{id: nodeID("a"), addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}, view: source, seen: identity{master: true, epoch: 3}},
		dst:       &end{id: nodeID("b"), addr: cluster.Addr{Host: "10.0.0.2", Port: 7000}, view: target, seen: identity{master: true, epoch: 4}},
		databases: []int{0},
		ours:      make(map[int]bool),
		notes:     new(sync.Once),
		report:    func(Progress) {},
	}
}

func TestCheckOpen(t *testing.T) {
	for name, test := range map[string]struct {
		source, target []string // what differs
		refused        bool
	}{
		"open":                           {},
		"the source does not migrate":    {source: []string{"a myself,master 3 0-9", "b master 4 10-20"}, refused: true},
		"it migrates to another":         {source: []string{"a myself,master 3 0-9 [7->-c]", "b master 4 10-20", "c master 5"}, refused: true},
		"it does not own the slot":       {source: []string{"a myself,master 3 0-6 8-9 [7->-b]", "b master 4 10-20"}, refused: true},
		"it is a replica":                {source: []string{"a myself,slave=c 3 0-9 [7->-b]", "b master 4 10-20", "c master 3"}, refused: true},
		"it has another epoch":           {source: []string{"a myself,master 5 0-9 [7->-b]", "b master 4 10-20"}, refused: true},
		"the target does not import":     {target: []string{"a master 3 0-9", "b myself,master 4 10-20"}, refused: true},
		"it imports from another":        {target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-c]", "c master 5"}, refused: true},
		"the source does not see it":     {source: []string{"a myself,master 3 0-9 [7->-b]"}, refused: true},
		"the source sees a replica":      {source: []string{"a myself,master 3 0-9 [7->-b]", "b slave=c 4", "c master 4 10-20"}, refused: true},
		"the source calls it failed":     {source: []string{"a myself,master 3 0-9 [7->-b]", "b master,fail 4 10-20"}, refused: true},
		"the source suspects it":         {source: []string{"a myself,master 3 0-9 [7->-b]", "b master,fail? 4 10-20"}, refused: true},
		"another took the target's slot": {source: []string{"a myself,master 3 0-9 [7->-b]", "b master 4 11-20", "c master 9 10"}, refused: true},
		"its replica is a master": {
			source: []string{"a myself,master 3 0-9 [7->-b]", "b master 4 10-20", "c master 5"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-a]", "c slave=b 4"}, refused: true,
		},
		"its replica is one": {
			source: []string{"a myself,master 3 0-9 [7->-b]", "b master 4 10-20", "c slave=b 4"},
			target: []string{"a master 3 0-9", "b myself,master 4 10-20 [7-<-a]", "c slave=b 4"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			if test.source != nil {
				m.src.view = seen(t, test.source...)
			}
			if test.target != nil {
				m.dst.view = seen(t, test.target...)
			}
			err := m.checkOpen([]int{7})
			if (err != nil) != test.refused || err != nil && !mayPass(err) {
				t.Errorf("error is %v", err)
			}
			if m.fenced.IsZero() != test.refused {
				t.Error("the fence does not say when it was open")
			}
		})
	}
}

func TestUndeposed(t *testing.T) {
	for name, test := range map[string]struct {
		target []string
		want   error
	}{
		"a healthy master": {[]string{"a master 3 0-9", "b myself,master 4"}, nil},
		"failed":           {[]string{"a master,fail 3 0-9", "b myself,master 4"}, errDown},
		"suspected":        {[]string{"a master,fail? 3 0-9", "b myself,master 4"}, errDown},
		"failed, and new":  {[]string{"a master,fail 5 0-9", "b myself,master 4"}, errDown},
		"unknown":          {[]string{"b myself,master 4"}, errLookAgain},
		"a replica":        {[]string{"a slave=c 3", "b myself,master 4", "c master 3 0-9"}, errLookAgain},
		"another epoch":    {[]string{"a master 5 0-9", "b myself,master 4"}, errLookAgain},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.dst.view = seen(t, test.target...)
			if err := m.undeposed(); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestReconsider: the right to replace is for slots that are as this process
// opened them, on the source on which it did.
func TestReconsider(t *testing.T) {
	for name, test := range map[string]struct {
		change func(m *mover)
		keeps  bool
		says   int
	}{
		"nothing changed":            {func(*mover) {}, true, 0},
		"nothing was opened":         {func(m *mover) { m.ours = map[int]bool{}; m.openers = identity{} }, false, 0},
		"another run of the source":  {func(m *mover) { m.src.seen.runID = "other" }, false, 1},
		"another epoch":              {func(m *mover) { m.src.seen.epoch++ }, false, 1},
		"the source closed it":       {func(m *mover) { m.src.view = seen(t, "a myself,master 3 0-9", "b master 4") }, false, 0},
		"it goes to another":         {func(m *mover) { m.src.view = seen(t, "a myself,master 3 0-9 [7->-c]", "c master 4") }, false, 0},
		"the target closed it":       {func(m *mover) { m.dst.view = seen(t, "a master 3 0-9", "b myself,master 4") }, false, 0},
		"it imports it from another": {func(m *mover) { m.dst.view = seen(t, "a master 3 0-9", "b myself,master 4 [7-<-c]") }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			said := 0
			m.report = func(Progress) { said++ }
			m.ours[7], m.openers = true, m.src.seen
			test.change(m)
			m.reconsider()
			if m.ours[7] != test.keeps || said != test.says {
				t.Errorf("it keeps the right: %v, and says %d things", m.ours[7], said)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for name, test := range map[string]struct {
		change func(m *mover)
		want   string // held, given, moved
		fails  bool
	}{
		"the source has it": {func(*mover) {}, "[7] [] []", false},
		"the target has it": {func(m *mover) { m.dst.view = seen(t, "a master 3", "b myself,master 4 7") }, "[] [] [7]", false},
		"the source gave it up": {func(m *mover) {
			m.src.view = seen(t, "a myself,master 3 0-6", "b master 4 7")
		}, "[] [7] []", false},
		"the source gave it up, and the target does not import": {func(m *mover) {
			m.src.view = seen(t, "a myself,master 3 0-6", "b master 4 7")
			m.dst.view = seen(t, "a master 3", "b myself,master 4")
		}, "", true},
		"the source gave it to nobody": {func(m *mover) { m.src.view = seen(t, "a myself,master 3 0-6", "b master 4") }, "", true},
		"the source does not know the target": {func(m *mover) {
			m.src.view = seen(t, "a myself,master 3 0-6")
		}, "", true},
		"the source was no master": {func(m *mover) { m.src.seen.master = false }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			test.change(m)
			held, given, moved, err := m.split([]int{7})
			if got := fmt.Sprint(held, given, moved); (err != nil) != test.fails || err == nil && got != test.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// scripted answers each pipeline with replies of the test.
type scripted struct {
	replies func(cmds []driver.Command) []driver.Reply
	sent    []string
}

func (s *scripted) Do(_ context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	for _, cmd := range cmds {
		s.sent = append(s.sent, strings.Join(cmd, " "))
	}
	return s.replies(cmds), nil
}

func (s *scripted) Close() error { return nil }

// guardReplies are those of a source that has drained slot 7.
func guardReplies() map[string]driver.Reply {
	return map[string]driver.Reply{
		"CLUSTER COUNTKEYSINSLOT": {Value: int64(0)},
		"INFO":                    {Value: "# Keyspace\r\n"},
		"CLUSTER INFO":            {Value: "cluster_state:ok\r\n"},
		"ROLE":                    {Value: []any{"master", int64(0), []any{}}},
		"CLUSTER NODES":           {Value: nodesText("a myself,master 3 0-9 [7->-b]", "b master 4 10-20")},
		"SELECT":                  {Value: "OK"},
	}
}

// TestGuard: a claim takes all that the source says in one round trip.
func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		command string
		reply   driver.Reply
		empty   bool
		fails   bool
		adds    int // a database
	}{
		"empty":                     {empty: true},
		"a key is left":             {command: "CLUSTER COUNTKEYSINSLOT", reply: driver.Reply{Value: int64(1)}},
		"no count":                  {command: "CLUSTER COUNTKEYSINSLOT", reply: driver.Reply{Err: errors.New("ERR")}, fails: true},
		"no keyspace":               {command: "INFO", reply: driver.Reply{Err: errors.New("ERR")}, fails: true},
		"keys of other slots":       {command: "INFO", reply: driver.Reply{Value: "# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\n"}, empty: true},
		"keys of another database":  {command: "INFO", reply: driver.Reply{Value: "# Keyspace\r\ndb4:keys=3,expires=0,avg_ttl=0\r\n"}, adds: 4},
		"a replica by now":          {command: "ROLE", reply: driver.Reply{Value: []any{"slave", "10.0.0.3", int64(7000)}}, fails: true},
		"no role":                   {command: "ROLE", reply: driver.Reply{Value: []any{}}, fails: true},
		"a role that is no list":    {command: "ROLE", reply: driver.Reply{Value: "master"}, fails: true},
		"cut off from the majority": {command: "CLUSTER INFO", reply: driver.Reply{Value: "cluster_state:fail\r\n"}, fails: true},
		"no state":                  {command: "CLUSTER INFO", reply: driver.Reply{Err: errors.New("ERR")}, fails: true},
		"closed by somebody":        {command: "CLUSTER NODES", reply: driver.Reply{Value: nodesText("a myself,master 3 0-9", "b master 4 10-20")}, fails: true},
		"no view":                   {command: "CLUSTER NODES", reply: driver.Reply{Err: errors.New("ERR")}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			replies := guardReplies()
			if test.command != "" {
				replies[test.command] = test.reply
			}
			m.src.conn = &scripted{replies: answering(replies)}
			empty, err := m.guard(t.Context(), []int{7})
			if empty != test.empty || (err != nil) != test.fails {
				t.Errorf("empty %v, error %v", empty, err)
			}
			if added := len(m.databases) > 1; added != (test.adds > 0) || added && m.databases[1] != test.adds {
				t.Errorf("databases %v", m.databases)
			}
		})
	}
}

func answering(replies map[string]driver.Reply) func([]driver.Command) []driver.Reply {
	return func(cmds []driver.Command) []driver.Reply {
		var out []driver.Reply
		for _, cmd := range cmds {
			out = append(out, replies[cmd.Name()])
		}
		return out
	}
}

// TestLastSlotNeedsAnEmptySource: with its last slot a source loses all it holds.
func TestLastSlotNeedsAnEmptySource(t *testing.T) {
	for name, test := range map[string]struct {
		slots string
		keys  int
		fails bool
	}{
		"the last slot, no key":         {"7", 0, false},
		"the last slot, a foreign key":  {"7", 1, true},
		"one slot is left":              {"7-8", 1, false},
		"the other is the target's now": {"7,15", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.src.view = seen(t, "a myself,master 3 "+strings.ReplaceAll(test.slots, ",", " ")+" [7->-b]", "b master 4 20")
			text := fmt.Sprintf("# Keyspace\r\ndb0:keys=%d,expires=0,avg_ttl=0\r\n", test.keys)
			empty, err := m.noOtherKeys([]int{7}, driver.Reply{Value: text})
			if empty == test.fails || (err != nil) != test.fails {
				t.Errorf("empty %v, error %v", empty, err)
			}
		})
	}
}

// TestClaim: OK is not enough.
func TestClaim(t *testing.T) {
	owns, lacks := nodesText("a master 3 0-6", "b myself,master 4 7 10-20"), nodesText("a master 3 0-9", "b myself,master 4 10-20")
	for name, test := range map[string]struct {
		setslot driver.Reply
		nodes   string
		fails   bool
	}{
		"claimed":                 {driver.Reply{Value: "OK"}, owns, false},
		"refused":                 {driver.Reply{Err: errors.New("ERR")}, owns, true},
		"said OK, and has it not": {driver.Reply{Value: "OK"}, lacks, true},
		"no view":                 {driver.Reply{Value: "OK"}, "nonsense", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.dst.conn = &scripted{replies: answering(map[string]driver.Reply{
				"CLUSTER SETSLOT": test.setslot, "CLUSTER NODES": {Value: test.nodes},
			})}
			if err := m.claim(t.Context(), []int{7}); (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// TestRelease: what the source says is read again and not believed.
func TestRelease(t *testing.T) {
	gone, kept := nodesText("a myself,master 3 0-6", "b master 4 7 10-20"), nodesText("a myself,master 3 0-9", "b master 4 10-20")
	for name, test := range map[string]struct {
		setslot driver.Reply
		nodes   string
		fails   bool
	}{
		"released":                  {driver.Reply{Value: "OK"}, gone, false},
		"refused, and it is gone":   {driver.Reply{Err: errors.New("ERR")}, gone, false},
		"refused, and it has it":    {driver.Reply{Err: errors.New("ERR why")}, kept, true},
		"said OK, and has it still": {driver.Reply{Value: "OK"}, kept, true},
		"no view":                   {driver.Reply{Value: "OK"}, "nonsense", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.src.conn = &scripted{replies: answering(map[string]driver.Reply{
				"CLUSTER SETSLOT": test.setslot, "CLUSTER NODES": {Value: test.nodes},
			})}
			err := m.release(t.Context(), []int{7})
			if (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
			if err != nil && test.setslot.Err != nil && !strings.Contains(err.Error(), test.setslot.Err.Error()) {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

// TestGive: all of the transaction must have happened.
func TestGive(t *testing.T) {
	for name, test := range map[string]struct {
		exec  driver.Reply
		each  driver.Reply
		fails bool
	}{
		"given":              {driver.Reply{Value: []any{"OK", "OK"}}, driver.Reply{Value: "QUEUED"}, false},
		"a key is left":      {driver.Reply{Value: []any{"OK", errors.New("ERR")}}, driver.Reply{Value: "QUEUED"}, true},
		"not the owner":      {driver.Reply{Value: []any{errors.New("ERR"), "OK"}}, driver.Reply{Value: "QUEUED"}, true},
		"refused beforehand": {driver.Reply{Value: []any{"OK", "OK"}}, driver.Reply{Err: errors.New("ERR")}, true},
		"no answer to all":   {driver.Reply{Value: "OK"}, driver.Reply{Value: "QUEUED"}, true},
		"discarded":          {driver.Reply{Err: errors.New("EXECABORT")}, driver.Reply{Value: "QUEUED"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := halfway(t)
			m.src.conn = &scripted{replies: answering(map[string]driver.Reply{
				"MULTI": {Value: "OK"}, "CLUSTER SETSLOT": test.each, "EXEC": test.exec,
			})}
			if err := m.give(t.Context(), []int{7}); (err != nil) != test.fails {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestSourceFirst(t *testing.T) {
	for _, test := range []struct {
		finalise               Order
		atSource, atTarget, ok bool
	}{{SourceFirst, false, false, true}, {SourceFirst, true, false, false}, {SourceFirst, false, true, false}, {TargetFirst, false, false, false}} {
		m := halfway(t)
		m.o.Finalise = test.finalise
		m.src.server.ReplicatedSetSlot, m.dst.server.ReplicatedSetSlot = test.atSource, test.atTarget
		if m.o.GivesFirst(m.src.server, m.dst.server) != test.ok {
			t.Errorf("%+v: %v", test, !test.ok)
		}
	}
}

func TestMigrateCommand(t *testing.T) {
	b := batch{slot: 7, db: 2, keys: []string{"k", "l"}}
	for want, test := range map[string]struct {
		o       Options
		replace bool
	}{
		"MIGRATE h 1  2 5000 KEYS k l":                   {},
		"MIGRATE h 1  2 5000 REPLACE KEYS k l":           {replace: true},
		"MIGRATE h 1  2 5000 AUTH p KEYS k l":            {o: Options{Password: "p"}},
		"MIGRATE h 1  2 5000 REPLACE AUTH2 u p KEYS k l": {o: Options{Username: "u", Password: "p"}, replace: true},
	} {
		m := &mover{o: test.o}
		m.o.Timeout = 5e9
		if got := strings.Join(m.migrateCommand("h", "1", b, test.replace), " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	m := &mover{databases: []int{0}}
	if got := m.selectDB(0); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	m.databases = []int{0, 2}
	if diff := cmp.Diff([]driver.Command{{"SELECT", "2"}}, m.selectDB(2)); diff != "" {
		t.Error(diff)
	}
}

// TestTargetAsSeen: the source must know where to send keys.
func TestTargetAsSeen(t *testing.T) {
	m := halfway(t)
	if host, port, err := m.targetAsSeen(); host != "10.0.0.2" || port != "7000" || err != nil {
		t.Error(host, port, err)
	}
	for name, view := range map[string]string{
		"a target that the source does not know": nodesText("a myself,master 3 0-9"),
		"a target without an address":            strings.Replace(nodesText("a myself,master 3 0-9", "b master,noaddr 4"), "10.0.0.2:7000@17000", ":0@0", 1),
	} {
		m.src.view, _ = cluster.ParseNodes(view)
		if host, port, err := m.targetAsSeen(); m.src.view.Self().ID != m.src.id || err == nil {
			t.Errorf("%s is at %q %q", name, host, port)
		}
	}
}

// TestSetSlots: a server that waits for its replicas is told for how long.
func TestSetSlots(t *testing.T) {
	e := &end{}
	plain := e.setSlots([]int{7}, "STABLE")
	e.server.ReplicatedSetSlot = true
	bounded := e.setSlots([]int{7}, "STABLE")
	if diff := cmp.Diff([]driver.Command{{"CLUSTER", "SETSLOT", "7", "STABLE"}, {"CLUSTER", "SETSLOT", "7", "STABLE", "TIMEOUT", "500"}}, slices.Concat(plain, bounded)); diff != "" {
		t.Error(diff)
	}
}

func TestMayPass(t *testing.T) {
	for text, want := range map[string]bool{
		"ERR Target instance replied with error: BUSY Redis is busy running a script": true,
		"ERR Target instance replied with error: MASTERDOWN Link with MASTER is down": true,
		"ERR Target instance replied with error: NOREPLICAS Not enough good replicas": true,
		"ERR Target instance replied with error: BUSYKEY Target key name exists":      false,
		"ERR Target instance replied with error: OOM command not allowed":             false,
		"IOERR error": true, "TRYAGAIN later": true, "LOADING data": true, "BUSY script": true, "MASTERDOWN link": true,
		"NOREPLICAS few": true, "UNBLOCKED force": true, "CLUSTERDOWN The cluster is down": true,
		"ERR Target instance replied with error: LOADING data": true, "ERR Target instance replied with error: CLUSTERDOWN": true,
		"ERR syntax": false, "NOPERM no": false, "OOM much": false,
	} {
		if got := mayPass(&driver.ServerError{Text: text}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, err := range []error{errDown, errLookAgain, &driver.TransportError{Err: errors.New("reset")}} {
		if !mayPass(fmt.Errorf("in vain: %w", err)) {
			t.Errorf("%v does not pass", err)
		}
	}
	if isDown(errLookAgain) || !isDown(errDown) || !isDown(&driver.ServerError{Text: "CLUSTERDOWN"}) {
		t.Error("what is down is not told from the rest")
	}
}
