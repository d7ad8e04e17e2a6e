package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// pair is a source and a target that do as they are told with slots 7 and 8, which
// are the source's at first, and have a key each.
type pair struct {
	migrating, taken, gone map[int]bool
	importing              map[int]string // from whom
	moved                  map[int]bool   // keys
	size                   int64          // of a key
	refuses, ignores       string         // a command, as it is told
	told                   []string       // what changes something, in order
	said                   []Progress
}

func newPair() *pair {
	return &pair{migrating: make(map[int]bool), taken: make(map[int]bool), gone: make(map[int]bool), importing: make(map[int]string), moved: make(map[int]bool)}
}

// classic moves from one to the other.
func (p *pair) classic(o Options) *classic {
	d := network{}
	member := func(name string, port int, answer func(words []string) driver.Reply) cluster.Member {
		addr := cluster.Addr{Host: "10.0.0.1", Port: port}
		d[addr] = &scripted{replies: func(cmds []driver.Command) []driver.Reply {
			var out []driver.Reply
			for _, cmd := range cmds {
				out = append(out, answer(cmd))
			}
			return out
		}}
		return cluster.Member{ID: nodeID(name), Addr: addr, Databases: []int{0}}
	}
	c := &classic{dialer: d, name: "name", from: member("a", 7001, p.source), to: member("b", 7002, p.target)}
	c.o, c.report = o.withDefaults(c.from), func(said Progress) { p.said = append(p.said, said) }
	return c
}

// tell notes what an end was told, and reports whether it is to do it.
func (p *pair) tell(text string) (reply driver.Reply, does bool) {
	p.told = append(p.told, text)
	if text == p.refuses {
		return refused("ERR why"), false
	}
	return driver.Reply{Value: "OK"}, text != p.ignores
}

func (p *pair) source(words []string) driver.Reply {
	var slot int
	fmt.Sscan(words[min(2, len(words)-1)], &slot)
	switch text := strings.Join(words, " "); {
	case text == "INFO server":
		return driver.Reply{Value: "run_id:s\r\n"}
	case text == "CLUSTER NODES":
		return driver.Reply{Value: nodesText(p.view("a myself,master 3 0-6 9", "b master 4 10-20", p.gone, true)...)}
	case strings.HasPrefix(text, "CLUSTER COUNTKEYSINSLOT") && !p.moved[slot]:
		return driver.Reply{Value: int64(1)}
	case strings.HasPrefix(text, "CLUSTER GETKEYSINSLOT"):
		if reply, does := p.tell(fmt.Sprint("list ", slot)); !does {
			return reply
		}
		p.told = p.told[:len(p.told)-1]
		if p.moved[slot] {
			return listOf()
		}
		return listOf(fmt.Sprint("key", slot))
	case words[0] == "MEMORY":
		return driver.Reply{Value: p.size}
	case words[0] == "MIGRATE":
		for slot := 7; slot <= 8; slot++ {
			p.moved[slot] = p.moved[slot] || slices.Contains(words, fmt.Sprint("key", slot))
		}
		return driver.Reply{Value: "OK"}
	case strings.HasPrefix(text, "CLUSTER SETSLOT"):
		reply, does := p.tell(fmt.Sprint("source ", words[3], " ", slot))
		if does {
			p.migrating[slot], p.gone[slot] = words[3] == "MIGRATING", words[3] == "NODE"
		}
		return reply
	}
	return guardReplies()[driver.Command(words).Name()]
}

func (p *pair) target(words []string) driver.Reply {
	var slot int
	fmt.Sscan(words[min(2, len(words)-1)], &slot)
	switch text := strings.Join(words, " "); {
	case text == "CLUSTER NODES":
		return driver.Reply{Value: nodesText(p.view("a master 3 0-6 9", "b myself,master 4 10-20", p.taken, false)...)}
	case strings.HasPrefix(text, "CLUSTER SETSLOT"):
		kind := words[3]
		if own := kind == "NODE" && words[4] == string(nodeID("b")); !own && kind == "NODE" {
			kind = "BIND"
		}
		reply, does := p.tell(fmt.Sprint("target ", kind, " ", slot))
		switch {
		case does && kind == "NODE":
			p.taken[slot] = true
			delete(p.importing, slot)
		case does && kind == "IMPORTING":
			p.importing[slot] = "a"
		}
		return reply
	}
	return targetReplies()[driver.Command(words).Name()]
}

// view is how an end sees both; c is the master that the source took over from.
func (p *pair) view(a, b string, given map[int]bool, source bool) []string {
	for slot := 7; slot <= 8; slot++ {
		switch {
		case given[slot]:
			b += fmt.Sprint(" ", slot)
		case p.importing[slot] != "c" || source:
			a += fmt.Sprint(" ", slot)
		}
	}
	for slot := 7; slot <= 8; slot++ {
		if from := p.importing[slot]; from != "" && !source {
			b += fmt.Sprintf(" [%d-<-%s]", slot, from)
		}
		if p.migrating[slot] && !given[slot] && source {
			a += fmt.Sprintf(" [%d->-b]", slot)
		}
	}
	return []string{a, b, "c slave=a 3"}
}

// slots are those that were called moved.
func (p *pair) slots() string {
	var all cluster.SlotSet
	for _, said := range p.said {
		all = all.Union(said.Slots)
	}
	return all.String()
}

// TestMove: a window comes to its end from whatever state it is in, and is called
// moved when both ends are done with it.
func TestMove(t *testing.T) {
	rest := "source MIGRATING 7, target NODE 7, source NODE 7"
	for name, test := range map[string]struct {
		change  func(p *pair)
		big     Policy
		want    string // what the ends are told
		slots   string
		nothing bool // is said
		fails   bool
	}{
		"closed":              {func(*pair) {}, BigWarn, "target IMPORTING 7, " + rest, "7", false, false},
		"importing":           {func(p *pair) { p.importing[7] = "a" }, BigWarn, "target IMPORTING 7, " + rest, "7", false, false},
		"inherited":           {func(p *pair) { p.importing[7] = "c" }, BigWarn, "source MIGRATING 7, target BIND 7, target IMPORTING 7, " + rest, "7", false, false},
		"given up":            {func(p *pair) { p.importing[7], p.gone[7], p.moved[7] = "a", true, true }, BigWarn, "target NODE 7, source NODE 7", "7", false, false},
		"taken":               {func(p *pair) { p.taken[7], p.moved[7] = true, true }, BigWarn, "source NODE 7", "7", false, false},
		"big, to be left":     {func(p *pair) { p.size = defaultBigBytes }, BigSkip, "", "", true, false},
		"big, to be moved":    {func(p *pair) { p.size = defaultBigBytes }, BigMove, "target IMPORTING 7, " + rest, "7", false, false},
		"kept by the source":  {func(p *pair) { p.ignores = "source NODE 7" }, BigWarn, "target IMPORTING 7, " + rest, "", false, true},
		"not opened":          {func(p *pair) { p.refuses = "source MIGRATING 7" }, BigWarn, "target IMPORTING 7, source MIGRATING 7", "", true, true},
		"not taken":           {func(p *pair) { p.refuses = "target NODE 7" }, BigWarn, "target IMPORTING 7, source MIGRATING 7, target NODE 7", "", false, true},
		"given up, not taken": {func(p *pair) { p.importing[7], p.gone[7], p.moved[7], p.refuses = "a", true, true, "target NODE 7" }, BigWarn, "target NODE 7", "", false, true},
		"not weighed":         {func(p *pair) { p.refuses = "list 7" }, BigWarn, "list 7", "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			test.change(p)
			m := p.classic(Options{Big: BigKeys{Policy: test.big}}).newMover()
			m.stop = t.Context()
			err := m.move(t.Context(), []int{7})
			if got := strings.Join(p.told, ", "); got != test.want || (err != nil) != test.fails {
				t.Errorf("told %s; error is %v", got, err)
			}
			if p.slots() != test.slots || (len(p.said) == 0) != test.nothing {
				t.Errorf("said %v", p.said)
			}
		})
	}
}

// TestGivenUpFirst: what nobody owns does not wait for what is yet to be opened.
func TestGivenUpFirst(t *testing.T) {
	p := newPair()
	p.importing[7], p.gone[7], p.moved[7], p.refuses = "a", true, true, "list 8"
	m := p.classic(Options{}).newMover()
	m.stop = t.Context()
	err := m.move(t.Context(), []int{7, 8})
	if got := strings.Join(p.told, ", "); got != "target NODE 7, list 8" || err == nil {
		t.Errorf("told %s; error is %v", got, err)
	}
}

// TestWork: nothing is opened after a window that failed, and what is left where it
// is is named.
func TestWork(t *testing.T) {
	both := cluster.SlotsOf(7, 8)
	for name, test := range map[string]struct {
		slots  cluster.SlotSet
		change func(p *pair)
		big    Policy
		moved  string
		want   string // the error
		begins string // what is told first
	}{
		"both":          {both, func(*pair) {}, BigWarn, "7-8", "", "target IMPORTING 7"},
		"none":          {cluster.SlotSet{}, func(*pair) {}, BigWarn, "", "", ""},
		"the first one": {both, func(p *pair) { p.refuses = "list 7" }, BigWarn, "", "why", "list 7"},
		"the last one":  {both, func(p *pair) { p.refuses = "list 8" }, BigWarn, "7", "why", "target IMPORTING 7"},
		"big ones":      {both, func(p *pair) { p.size = defaultBigBytes }, BigSkip, "", "slots 7-8 were left", ""},
		"inherited, before any lane works": {
			both, func(p *pair) { p.importing[7], p.importing[8] = "c", "c" }, BigWarn, "7-8", "",
			"source MIGRATING 7, source MIGRATING 8, target BIND 7, target BIND 8, target IMPORTING 7, target IMPORTING 8",
		},
		"not rebound": {
			both, func(p *pair) { p.importing[7], p.importing[8], p.refuses = "c", "c", "target BIND 8" }, BigWarn, "", "why",
			"source MIGRATING 7, source MIGRATING 8, target BIND 7, target BIND 8, target IMPORTING 7, target IMPORTING 8",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair()
			test.change(p)
			err := p.classic(Options{Window: 1, Lanes: 1, Big: BigKeys{Policy: test.big}}).work(t.Context(), test.slots)
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
			told := strings.Join(p.told, ", ")
			if p.slots() != test.moved || !strings.HasPrefix(told, test.begins) || test.begins == "" && told != "" {
				t.Errorf("moved %s; told %s", p.slots(), told)
			}
			if test.moved == "" && strings.Contains(told, "target NODE") {
				t.Errorf("told %s", told)
			}
		})
	}
}

// TestLaneStops: a lane that is to stop begins no window, and says why.
func TestLaneStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	p := newPair()
	queue := make(chan []int, 1)
	queue <- []int{7}
	close(queue)
	if err := p.classic(Options{}).newMover().lane(ctx, queue); !errors.Is(err, why) || len(p.told) > 0 {
		t.Errorf("told %q, error is %v", p.told, err)
	}
}

// TestTakenBack: of slots that had moved those are named that the source's master
// has, and of no others it is said that they were taken back.
func TestTakenBack(t *testing.T) {
	for name, test := range map[string]struct {
		moved string
		view  []string
		want  string // in the error
	}{
		"taken back":            {"7", []string{"a myself,slave=c 5", "b master 4 10-20", "c master 5 0-9"}, "slots 7 "},
		"failed over, and not":  {"7", []string{"a myself,slave=c 5", "b master 4 7 10-20", "c master 5 0-6 8-9"}, ""},
		"its last slot":         {"7", []string{"a myself,slave=b 5", "b master 5 7 10-20"}, ""},
		"moved on by somebody":  {"7", []string{"a myself,master 3 0-6", "b master 4 10-20", "c master 5 7"}, ""},
		"moved":                 {"7", []string{"a myself,master 3 0-6", "b master 4 7 10-20"}, ""},
		"nothing moved":         {"", []string{"a myself,slave=c 5", "b master 4 10-20", "c master 5 0-9"}, ""},
		"the source is silent":  {"7", nil, ""},
		"nobody knows its view": {"7", []string{"b myself,slave=c 5", "c master 5 0-9"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["INFO"] = driver.Reply{Value: "run_id:s\r\n"}
			w.atSource["CLUSTER NODES"] = driver.Reply{Value: nodesText(test.view...)}
			d, from, to := w.ends()
			if test.view == nil {
				delete(d, from.Addr)
			}
			var moved cluster.SlotSet
			if test.moved != "" {
				moved = cluster.SlotsOf(7)
			}
			err := (&classic{dialer: d, from: from, to: to}).takenBack(t.Context(), moved)
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
			if asked := len(w.toSource.sent) > 0; asked != (test.moved != "" && test.view != nil) {
				t.Errorf("asked %q", w.toSource.sent)
			}
		})
	}
}

// TestWindows: many empty slots go at a time, few where each SETSLOT waits for
// replicas, and few that have keys.
func TestWindows(t *testing.T) {
	slots := cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: 99})
	for name, test := range map[string]struct {
		from, to bool // replicate SETSLOT
		counts   driver.Reply
		want     string // slots of each window
	}{
		"empty":              {false, false, driver.Reply{Value: int64(0)}, "[100]"},
		"with keys":          {false, false, driver.Reply{Value: int64(1)}, "[16 16 16 16 16 16 4]"},
		"the source waits":   {true, false, driver.Reply{Value: int64(0)}, "[16 16 16 16 16 16 4]"},
		"the target waits":   {false, true, driver.Reply{Value: int64(0)}, "[16 16 16 16 16 16 4]"},
		"nobody counts":      {false, false, refused("ERR"), "[16 16 16 16 16 16 4]"},
		"keys, both waiting": {true, true, driver.Reply{Value: int64(1)}, "[16 16 16 16 16 16 4]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["CLUSTER COUNTKEYSINSLOT"] = test.counts
			d, from, to := w.ends()
			from.Features.ReplicatedSetSlot, to.Features.ReplicatedSetSlot = test.from, test.to
			c := &classic{dialer: d, from: from, to: to, o: Options{}.withDefaults(from)}
			var got []int
			var all cluster.SlotSet
			for _, window := range c.windows(t.Context(), slots) {
				got, all = append(got, len(window)), all.Union(cluster.SlotsOf(window...))
			}
			if fmt.Sprint(got) != test.want || !all.Equal(slots) {
				t.Errorf("windows of %v slots, in all %s", got, all)
			}
		})
	}
}

// TestDatabasesOfBoth: whatever database the end with more of them has is looked at.
func TestDatabasesOfBoth(t *testing.T) {
	one, three := []int{0}, []int{0, 1, 2}
	for _, test := range []struct{ from, to, want []int }{{one, three, three}, {three, one, three}, {one, one, one}} {
		c := &classic{from: cluster.Member{Databases: test.from}, to: cluster.Member{Databases: test.to}}
		if got := c.databases(); !slices.Equal(got, test.want) {
			t.Errorf("%v and %v: %v", test.from, test.to, got)
		}
	}
}
