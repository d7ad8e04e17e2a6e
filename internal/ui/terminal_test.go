package ui

import (
	"bytes"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

const erased = "\r\x1b[K"

func TestStatusLineAndOutputDoNotMix(t *testing.T) {
	var both bytes.Buffer // one screen
	term := NewTerminal(&both, &both, Traits{ErrTTY: true, Width: func() int { return 20 }})
	term.Status("working")
	term.Status("working")
	term.Text(func(p *Page) { p.Line("result") })
	term.Status("more than twenty columns")
	term.Say(func(p *Page) { p.Line("note") })
	term.Status("")
	term.Text(func(p *Page) { p.Line("end") })
	want := "working" + erased + "result\nworking" + erased + "more than twenty co" + erased + "note\nmore than twenty co" + erased + "end\n"
	if got := both.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestNoStatusOffTerminal(t *testing.T) {
	var out, err bytes.Buffer
	term := NewTerminal(&out, &err, Traits{})
	term.Status("working")
	term.Text(func(p *Page) { p.Line("result") })
	if out.String() != "result\n" || err.Len() > 0 {
		t.Errorf("%q, %q", &out, &err)
	}
}

type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }

func TestLostResults(t *testing.T) {
	for _, tt := range []struct{ err, want error }{
		{syscall.ENOSPC, syscall.ENOSPC},
		{&fs.PathError{Err: syscall.EPIPE}, nil},
	} {
		term := NewTerminal(full{tt.err}, io.Discard, Traits{})
		term.Say(func(p *Page) { p.Line("note") })
		if err := term.Lost(); err != nil {
			t.Error(err)
		}
		term.Text(func(p *Page) { p.Line("result") })
		if err := term.Lost(); err != tt.want {
			t.Errorf("%v, want %v", err, tt.want)
		}
	}
}

func TestFormats(t *testing.T) {
	for format, want := range map[Format]string{
		Table: "605\n",
		JSON:  "{\n  \"schema\": 1,\n  \"command\": \"keyslot\",\n  \"key\": \"<foo>\",\n  \"slot\": 605,\n  \"keys\": [\n    {\n      \"key\": \"<foo>\",\n      \"slot\": 605\n    }\n  ]\n}\n",
		YAML:  "schema: 1\ncommand: keyslot\nkey: <foo>\nslot: 605\nkeys:\n  - key: <foo>\n    slot: 605\n",
	} {
		var out, err bytes.Buffer
		term := NewTerminal(&out, &err, Traits{})
		term.Format = format
		if e := term.Show(NewKeySlot("<foo>")); e != nil {
			t.Fatal(e)
		}
		if out.String() != want || err.Len() > 0 {
			t.Errorf("%s: %q, %q", format, &out, &err)
		}
	}
}

func TestFail(t *testing.T) {
	f := Failure{Message: "it broke", Hint: "mend it", Exit: 5}
	for format, want := range map[Format]string{
		Table: "trib: it broke\nhint: mend it\n",
		JSON:  "{\n  \"schema\": 1,\n  \"error\": \"it broke\",\n  \"hint\": \"mend it\",\n  \"exit\": 5\n}\n",
		YAML:  "schema: 1\nerror: it broke\nhint: mend it\nexit: 5\n",
	} {
		var out, err bytes.Buffer
		term := NewTerminal(&out, &err, Traits{})
		term.Format = format
		term.Fail(f)
		if err.String() != want || out.Len() > 0 {
			t.Errorf("%s: %q, %q", format, &err, &out)
		}
	}
	got := render(Failure{Head: "two things", Reasons: []string{"a", "b"}, Message: "a; b"}.Text)
	if want := "trib: two things:\n  a\n  b\n"; got != want {
		t.Errorf("%q", got)
	}
}

func TestNoColor(t *testing.T) {
	var out bytes.Buffer
	term := NewTerminal(&out, &out, Traits{Out: Style{Color: true}, Err: Style{Color: true}})
	term.NoColor()
	term.Text(func(p *Page) { p.Line("[OK] fine") })
	term.Say(func(p *Page) { p.Line("[ERR] bad") })
	if out.String() != "[OK] fine\n[ERR] bad\n" {
		t.Errorf("%q", &out)
	}
}

func movePlan() plan.Plan {
	slots := func(first, last int) cluster.SlotSet {
		return cluster.NewSlotSet(cluster.SlotRange{First: first, Last: last})
	}
	return plan.Plan{
		Kind: plan.KindReshard,
		Nodes: []plan.Node{
			{ID: id(1), Addr: cluster.Addr{Host: "10.0.0.1", Port: 7001}},
			{ID: id(2), Addr: cluster.Addr{Host: "10.0.0.10", Port: 7002}},
			{ID: id(3), Addr: cluster.Addr{Host: "10.0.0.1", Port: 7003}},
		},
		Steps: []plan.Step{
			{Action: plan.MoveSlots, From: id(1), To: id(3), Slots: slots(0, 99)},
			{Action: plan.MoveSlots, From: id(2), To: id(3), Slots: slots(5461, 5560)},
		},
		Cost: plan.Cost{Slots: 200},
	}
}

// follow feeds events, a second apart, and returns what is on stderr.
func follow(t *testing.T, tty bool, mode ProgressMode, p plan.Plan, events ...apply.Event) (text string, o Outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out, err bytes.Buffer
		term := NewTerminal(&out, &err, Traits{ErrTTY: tty, Width: func() int { return 120 }})
		g := NewProgress(term, mode, p, time.Now)
		narrate := Narrate(term)
		for _, e := range events {
			time.Sleep(time.Second)
			narrate(e)
			g.Observe(e)
		}
		o = g.Outcome("reshard")
		g.End()
		text = err.String()
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("stdout: %q", &out)
		}
	})
	return text, o
}

func moveEvents() []apply.Event {
	moved := func(step, n, done int, keys int64) apply.Event {
		return apply.Event{
			Kind: apply.SlotsMoved, Step: step, Done: done, Total: 100, Keys: keys,
			Slots: cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: n - 1}),
		}
	}
	return []apply.Event{
		{Kind: apply.Started, Total: 2},
		{Kind: apply.StepBegun, Text: "move 100 slots", Action: plan.MoveSlots},
		moved(0, 30, 50, 1000), // twenty were moved before
		{Kind: apply.Waiting, Text: "replicas", Nodes: []string{"10.0.0.1:7004", "10.0.0.1:7005"}},
		moved(0, 50, 100, 5000),
		{Kind: apply.Notice, Text: "slower than hoped"},
		{Kind: apply.StepDone, Text: "move 100 slots"},
		moved(1, 100, 100, 7000),
		{Kind: apply.Finished},
	}
}

func TestProgressOnTerminal(t *testing.T) {
	text, o := follow(t, true, ProgressAuto, movePlan(), moveEvents()...)
	wantParts(t, text,
		"[------------------------] 0/200 slots, 0 keys",
		"[######------------------] 50/200 slots, 1,000 keys, 333 keys/s, 15s left\n"+
			"  10.0.0.1:7001 -> 10.0.0.1:7003  50/100 slots, 1,000 keys, 1,000 keys/s, 2s left",
		"[4s] waiting for replicas: 10.0.0.1:7004, 10.0.0.1:7005",
		"[############------------] 100/200 slots, 5,000 keys, 1,000 keys/s, 6s left",
		"[########################] 200/200 slots, 12,000 keys",
	)
	if !strings.HasSuffix(text, erased) {
		t.Errorf("the status line stays: %q", text[max(0, len(text)-80):])
	}
	if o.Slots != 180 || o.Keys != 12000 || o.ElapsedMS != 9000 || len(o.Notices) != 1 {
		t.Errorf("%+v", o)
	}
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%q", part, text)
		}
	}
}

func TestProgressOffTerminal(t *testing.T) {
	for _, mode := range []ProgressMode{ProgressAuto, ProgressNone} {
		if text, _ := follow(t, false, mode, movePlan(), moveEvents()...); text != "" {
			t.Errorf("%s: %q", mode, text)
		}
	}
	if text, _ := follow(t, true, ProgressNone, movePlan(), moveEvents()...); text != "" {
		t.Errorf("none on a terminal: %q", text)
	}
	text, _ := follow(t, false, ProgressPlain, movePlan(), moveEvents()...)
	want := `move 100 slots
waiting for replicas: 10.0.0.1:7004, 10.0.0.1:7005
[############------------] 100/200 slots, 5,000 keys, 1,000 keys/s, 6s left
slower than hoped
done: move 100 slots
`
	if text != want {
		t.Errorf("got:\n%s", text)
	}
}

// TestProgressOfManyMoves holds that moves which run at the same time have a
// line each, as far as there is room, and do not take over what others wait for.
func TestProgressOfManyMoves(t *testing.T) {
	p := movePlan()
	p.Steps = nil
	var events []apply.Event
	for i := range 30 {
		p.Steps = append(p.Steps, plan.Step{Action: plan.MoveSlots, From: id(1 + i%2), To: id(3), Slots: cluster.SlotsOf(i)})
		events = append(events, apply.Event{Kind: apply.StepBegun, Step: i})
	}
	events = append(events,
		apply.Event{Kind: apply.Waiting, Step: 7, Action: plan.MoveSlots, Text: "replicas"},
		apply.Event{Kind: apply.SlotsMoved, Step: 1, Slots: cluster.SlotsOf(1), Done: 1, Total: 1, Keys: 62, Bytes: 62 << 10},
		apply.Event{Kind: apply.StepDone, Step: 1},
		apply.Event{Kind: apply.StepDone, Step: 7},
	)
	text, _ := follow(t, true, ProgressAuto, p, events...)
	screens := strings.Split(text, erased)
	most := 0
	for _, screen := range screens {
		most = max(most, strings.Count(screen, "\n")+1)
	}
	if most > 12 {
		t.Errorf("%d lines", most)
	}
	wantParts(t, text,
		"\n  10.0.0.1:7001  -> 10.0.0.1:7003  0/1 slots, 0 keys, 0 keys/s\n  10.0.0.10:7002 -> ",
		"  10.0.0.10:7002 -> 10.0.0.1:7003  1/1 slots, 62 keys, 2 keys/s, 2.1 KiB/s\n",
		"\n  and 21 more\n[31s] waiting for replicas",
		"\n  and 20 more\n[33s] waiting for replicas",
	)
	if last := screens[len(screens)-2]; strings.Contains(last, "waiting") {
		t.Errorf("still waiting: %q", last)
	}
}

// A new cluster has slots that are assigned, not moved: there is no meter.
func TestProgressOfSteps(t *testing.T) {
	begun := func(step int, text string) apply.Event {
		return apply.Event{Kind: apply.StepBegun, Step: step, Text: text}
	}
	text, _ := follow(t, true, ProgressAuto, plan.Plan{Cost: plan.Cost{Slots: 16384}}, begun(0, "join 6 nodes"), begun(1, "make a a replica of b"),
		apply.Event{Kind: apply.StepDone, Text: "join 6 nodes"})
	wantParts(t, text, "join 6 nodes"+erased+"join 6 nodes, and 1 more"+erased+"make a a replica of b"+erased)
}

func TestNarration(t *testing.T) {
	var out, err bytes.Buffer
	term := NewTerminal(&out, &err, Traits{})
	narrate := Narrate(term)
	for _, e := range []apply.Event{
		{Kind: apply.StepBegun, Action: plan.SetEpoch},
		{Kind: apply.StepBegun, Action: plan.SetEpoch},
		{Kind: apply.StepDone, Action: plan.SetEpoch},
		{Kind: apply.StepBegun, Action: plan.AssignSlots},
		{Kind: apply.StepDone, Action: plan.AssignSlots},
		{Kind: apply.StepDone, Action: plan.AssignSlots},
		{Kind: apply.StepBegun, Action: plan.Join},
		{Kind: apply.Notice, Text: "look"},
	} {
		narrate(e)
	}
	want := `>>> Assign a different config epoch to each node
>>> Nodes configuration updated
>>> Sending CLUSTER MEET messages to join the cluster
Waiting for the cluster to join
*** look
`
	if out.String() != want || err.Len() > 0 {
		t.Errorf("%s%s", &out, &err)
	}
}
