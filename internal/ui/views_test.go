package ui

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

// healthy has six nodes, with replicas for all masters.
func healthy(t *testing.T) cluster.State {
	return stateOf(t,
		node{slots: "0-5460", keys: 1200}, node{slots: "5461-10922", keys: 7}, node{slots: "10923-16383"},
		node{master: 1, keys: 1200}, node{master: 2}, node{master: 3},
	)
}

// sick has open slots, uncovered ones and a master that does not answer.
func sick(t *testing.T) cluster.State {
	return stateOf(t,
		node{slots: fmt.Sprintf("0-99 200-5460 [99->-%s] [98->-%s]", id(2), id(2))},
		node{slots: fmt.Sprintf("5461-10922 [99-<-%s]", id(1))},
		node{slots: "10923-16383", down: "connection refused"},
		node{master: 1},
	)
}

// large has so many nodes with the same trouble that not all are listed.
func large(t *testing.T) cluster.State {
	var nodes []node
	for i := range 9 {
		nodes = append(nodes, node{slots: fmt.Sprintf("%d-%d", i*1000, i*1000+999), down: "i/o timeout"})
	}
	nodes[0].down, nodes[0].slots = "", "0-499,502,504,506,508,510,512,514,516,518,520"
	nodes[0].slots = strings.ReplaceAll(nodes[0].slots, ",", " ")
	return stateOf(t, nodes...)
}

// apart gives each node a host of its own.
func apart(s cluster.State) cluster.State {
	host := func(port int) string { return fmt.Sprintf("10.0.0.%d", port-7000) }
	for i := range s.Members {
		s.Members[i].Addr.Host = host(s.Members[i].Addr.Port)
		for k := range s.Members[i].View.Nodes {
			a := &s.Members[i].View.Nodes[k].Addr
			a.Host = host(a.Port)
		}
	}
	return s
}

// counted has an empty master, and its keys are counted.
func counted(t *testing.T) cluster.State {
	s := stateOf(t,
		node{slots: "0-5460", keys: 1200}, node{slots: "5461-10922", keys: 7}, node{slots: "10923-16383"}, node{},
	)
	for i, m := range s.Members {
		s.Members[i].SlotKeys = make(map[int]int64)
		for slot := range m.Slots().All() {
			s.Members[i].SlotKeys[slot] = 0
		}
	}
	s.Members[0].SlotKeys[5460], s.Members[1].SlotKeys[5461] = 1200, 7
	return s
}

// many has one master with everything and 24 without anything.
func many(t *testing.T) cluster.State {
	var s cluster.State
	for i := range 25 {
		slots := ""
		if i == 0 {
			slots = "0-16383"
		}
		id := fmt.Sprintf("%040x", i+1)
		view, err := cluster.ParseNodes(fmt.Sprintf("%s 10.0.0.%d:7000@17000 myself,master - 0 0 1 connected %s\n", id, i+1, slots))
		if err != nil {
			t.Fatal(err)
		}
		s.Members = append(s.Members, cluster.Member{ID: cluster.NodeID(id), Addr: view.Self().Addr, View: view})
	}
	return s
}

func TestViews(t *testing.T) {
	check := func(s cluster.State) func(*Page) { return NewCheck("10.0.0.1:7001", s, health.Check(s)).Text }
	reshard := func(s cluster.State, o plan.ReshardOptions) func(*Page) {
		p, err := plan.Reshard(s, o)
		if err != nil {
			t.Fatal(err)
		}
		return MovePlan{Plan: p, State: s}.Text
	}
	rebalance := func(s cluster.State, o plan.RebalanceOptions) func(*Page) {
		p, err := plan.Rebalance(s, o)
		if err != nil {
			t.Fatal(err)
		}
		p.Estimate(s, map[cluster.NodeID]int64{id(1): 300, id(2): 64}, plan.MoverOptions{})
		return RebalancePlan{MovePlan{Plan: p, State: s}, o}.Text
	}
	drain := func(s cluster.State, o plan.DrainOptions) func(*Page) {
		p, err := plan.Drain(s, o)
		if err != nil {
			t.Fatal(err)
		}
		node, _ := s.Get(o.Node)
		return DrainPlan{MovePlan{Plan: p, State: s}, node}.Text
	}
	tests := []struct {
		name  string
		write func(*Page)
	}{
		{"check-healthy", check(apart(healthy(t)))},
		{"check-lab", check(healthy(t))},
		{"check-large", check(large(t))},
		{"explain", NewExplanation(health.Stories()...).Text},
		{"explain-split", NewExplanation(story(t, health.Split)).Text},
		{"rebalance", rebalance(counted(t), plan.RebalanceOptions{UseEmptyMasters: true, Threshold: plan.DefaultThreshold, MaxSlots: 3000})},
		{"rebalance-many", rebalance(many(t), plan.RebalanceOptions{UseEmptyMasters: true})},
		{"drain", drain(healthy(t), plan.DrainOptions{Node: id(2)})},
		{"drain-empty", drain(healthy(t), plan.DrainOptions{Node: id(4)})},
		{"reshard-nothing", reshard(healthy(t), plan.ReshardOptions{To: id(2), Keys: []string{"{user:1}.name"}})},
		{"balanced", RebalancePlan{Options: plan.RebalanceOptions{Threshold: plan.DefaultThreshold}}.Balanced},
		{"check-sick", check(sick(t))},
		{"info-healthy", NewInfo("10.0.0.1:7001", healthy(t)).Text},
		{"info-sick", NewInfo("10.0.0.1:7001", sick(t)).Text},
		{"create-spread", CreatePlan{createPlan(t, "a:1 b:1 c:1 a:2 b:2 c:2", 1)}.Text},
		{"create-siblings", CreatePlan{createPlan(t, "a:1 b:1 c:1 d:1 d:2 d:3 d:4 d:5 d:6", 2)}.Text},
		{"create-bare", CreatePlan{createPlan(t, "a:1 b:1 c:1", 0)}.Text},
		{"create-zones", CreatePlan{createWishes(t, "a:1 b:1 c:1 d:1 e:1 e:2 f:1", plan.CreateOptions{
			Replicas: 1, Zones: map[string]string{"a": "x", "b": "x", "c": "y", "d": "y", "e": "z", "f": "z"},
			Slots: map[cluster.Addr]cluster.SlotSet{{Host: "b", Port: 1}: cluster.SlotsOf(1, 3, 5, 7, 9, 11)},
		})}.Text},
		{"reshard-all", reshard(healthy(t), plan.ReshardOptions{To: id(2), Slots: 1001})},
		{"reshard-one", reshard(healthy(t), plan.ReshardOptions{From: []cluster.NodeID{id(3)}, To: id(1), Slots: 1})},
		{"reshard-everything", reshard(healthy(t), plan.ReshardOptions{From: []cluster.NodeID{id(3)}, To: id(1), Slots: 5461})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := render(tt.write)
			golden(t, tt.name+".txt", got)
			for _, line := range strings.Split(got, "\n") {
				if strings.TrimRight(line, " \t") != line {
					t.Errorf("trailing space: %q", line)
				}
			}
			golden(t, tt.name+".color.txt", strings.ReplaceAll(renderIn(Style{Color: true, Unicode: true}, tt.write), "\x1b", "<ESC>"))
		})
	}
}

func TestNarrowTerminal(t *testing.T) {
	s := healthy(t)
	p, err := plan.Reshard(s, plan.ReshardOptions{To: id(2), Slots: 1001})
	if err != nil {
		t.Fatal(err)
	}
	got := renderIn(Style{Narrow: true}, func(page *Page) {
		NewInfo("10.0.0.1:7001", s).Text(page)
		MovePlan{Plan: p, State: s}.Text(page)
	})
	for _, line := range strings.Split(got, "\n") {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	golden(t, "narrow.txt", got)
}

// TestLargeCreate: the picture of a large cluster fits on a screen or two.
func TestLargeCreate(t *testing.T) {
	var addrs []string
	zones := make(map[string]string)
	for i := range 100 {
		host := fmt.Sprintf("10.0.0.%d", i%50+1)
		zones[host] = string("abc"[i%50%3])
		addrs = append(addrs, fmt.Sprintf("%s:%d", host, 7000+i/50))
	}
	picture := func(o plan.CreateOptions) string {
		text := render(CreatePlan{createWishes(t, strings.Join(addrs, " "), o)}.Text)
		return text[strings.Index(text, "\n\n"):]
	}
	golden(t, "create-large.txt", picture(plan.CreateOptions{Replicas: 1})+picture(plan.CreateOptions{Replicas: 1, Zones: zones}))
}

func createPlan(t *testing.T, addrs string, replicas int) plan.Plan {
	t.Helper()
	return createWishes(t, addrs, plan.CreateOptions{Replicas: replicas})
}

func createWishes(t *testing.T, addrs string, o plan.CreateOptions) plan.Plan {
	t.Helper()
	var s cluster.State
	for i, text := range strings.Fields(addrs) {
		addr, err := cluster.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		id := id(i + 1)
		if i >= 9 {
			id = cluster.NodeID(fmt.Sprintf("%040x", i+1))
		}
		view, err := cluster.ParseNodes(fmt.Sprintf("%s :%d@%d myself,master - 0 0 0 connected\n", id, addr.Port, addr.Port+10000))
		if err != nil {
			t.Fatal(err)
		}
		s.Members = append(s.Members, cluster.Member{ID: id, Addr: addr, View: view})
		o.Addrs = append(o.Addrs, addr)
	}
	p, err := plan.Create(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func story(t *testing.T, code health.Code) health.Story {
	t.Helper()
	s, ok := health.Explain(code)
	if !ok {
		t.Fatalf("no story of %s", code)
	}
	return s
}

// Programs rely on the names of the fields.
func TestJSONForms(t *testing.T) {
	s := sick(t)
	golden(t, "check-sick.json", encoded(t, JSON, NewCheck("10.0.0.1:7001", s, health.Check(s))))
	golden(t, "info-healthy.yaml", encoded(t, YAML, NewInfo("10.0.0.1:7001", healthy(t))))
	golden(t, "explain-split.json", encoded(t, JSON, NewExplanation(story(t, health.Split))))
	golden(t, "check-healthy.json", encoded(t, JSON, NewCheck("10.0.0.1:7001", healthy(t), nil)))
}

func encoded(t *testing.T, f Format, v any) string {
	t.Helper()
	text, err := f.encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryViewHasItsVersion(t *testing.T) {
	for _, v := range []any{
		NewCheck("s", cluster.State{}, nil), NewInfo("s", cluster.State{}),
		Version{Schema: Schema, Command: "version"},
		NewKeySlot("k"),
		Outcome{Schema: Schema, Command: "create"},
		Lab{Schema: Schema, Command: "lab up"},
		Call{Schema: Schema, Command: "call"},
	} {
		var got struct {
			Schema  int
			Command string
		}
		if err := json.Unmarshal([]byte(encoded(t, JSON, v)), &got); err != nil || got.Schema != Schema || got.Command == "" {
			t.Errorf("%T: %+v, %v", v, got, err)
		}
	}
}

func TestServersCannotDriveTheTerminal(t *testing.T) {
	s := stateOf(t, node{slots: "0-16383"}, node{down: "no\x1b[2Jthing\r\n>>> [OK] all is well\u202e"})
	for _, write := range []func(*Page){
		NewCheck("x\x07", s, health.Check(s)).Text, NewInfo("x", s).Text,
		Failure{Message: "what\x1b]0;title\x07"}.Text, Failure{Head: "h", Reasons: []string{"a\x9b1m", "b\u2028"}, Hint: "\x00"}.Text,
	} {
		text := render(write)
		if i := strings.IndexFunc(strings.ReplaceAll(text, "\n", ""), unsafeRune); i >= 0 || strings.Contains(text, "\n>>> [OK] all is well") {
			t.Errorf("not safe:\n%q", text)
		}
	}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain":          "plain",
		"naïve 日本":       "naïve 日本",
		"a\x1b[31mb":     `a\u001b[31mb`,
		"tab\tand\nline": `tab\u0009and\u000aline`,
		"\u202eevil":     `\u202eevil`,
		"bad\xffutf8":    `bad\ufffdutf8`,
		"c1\u009b":       `c1\u009b`,
	} {
		if got := Safe(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestYAMLSurvivesAnything(t *testing.T) {
	type odd struct {
		A []string `json:"a"`
		B *int     `json:"b"`
		C string   `json:"c"`
	}
	v := odd{A: []string{"yes", "null", "1e3", "0x10", "- x", "# no", "a: b", "multi\nline", "\u007f\u0085\u2028", "", " pad ", "日本", `"q"`, "0-5460"}, C: "~"}
	text := encoded(t, YAML, v)
	var back odd
	if err := fromYAML(text, &back); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(v, back); diff != "" {
		t.Errorf("%s\n%s", diff, text)
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct{ slots, want string }{
		{"", strings.Repeat(".", 64)},
		{"0-16383", strings.Repeat("#", 64)},
		{"0", "-" + strings.Repeat(".", 63)},
		{"16383", strings.Repeat(".", 63) + "-"},
		{"0-255", "#" + strings.Repeat(".", 63)},
		{"0-254", "+" + strings.Repeat(".", 63)},
		{"128-511", "+#" + strings.Repeat(".", 62)},
	} {
		slots, err := cluster.ParseSlotSet(tt.slots)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Style{}).bar(slots, cluster.SlotSet{}, nil); got != tt.want {
			t.Errorf("%q:\n%s\n%s", tt.slots, got, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 5 << 50: "5120.0 TiB"} {
		if got := byteSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestCallLines(t *testing.T) {
	addr := cluster.Addr{Host: "h", Port: 1}
	n := Called{Addr: addr}
	for _, tt := range []struct {
		called Called
		want   string
	}{
		{n.Replied("PONG"), "h:1: PONG\n"},
		{n.Replied(int64(-7)), "h:1: -7\n"},
		{n.Replied(nil), "h:1: (nil)\n"},
		{n.Replied(""), "h:1: \"\"\n"},
		{n.Replied([]any{}), "h:1: (empty array)\n"},
		{n.Replied("# Server\r\nversion:7\r\n\r\nh:2: OK\r\n"), "h:1:\n  # Server\n  version:7\n\n  h:2: OK\n"},
		{
			n.Replied([]any{"a", int64(1), nil, []any{"b\n", []any{ReplyError("ERR x")}}, "\x1b[2J\u202e"}),
			"h:1:\n  1) \"a\"\n  2) (integer) 1\n  3) (nil)\n  4) 1) \"b\\n\"\n     2) 1) (error) ERR x\n  5) \"\\x1b[2J\\u202e\"\n",
		},
		{n.Replied("\x1b[2J"), "h:1: \\u001b[2J\n"},
		{n.Refused("ERR no\r\nh:2: OK"), "h:1: (error) ERR no\\u000d\\u000ah:2: OK\n"},
		{n.Silent("connection refused"), "h:1: Failed! connection refused\n"},
	} {
		v := Call{Schema: Schema, Command: "call", Call: []string{"set", "a b", ""}, Nodes: []Called{tt.called}}
		if got := render(v.Text); got != ">>> Calling set \"a b\" \"\"\n"+tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if got := len(listLines(make([]any, 12))[0]); got != len(" 1) (nil)") {
		t.Errorf("numbers are not aligned: %d", got)
	}
}

// TestPlanInShort: of many slots a plan shows the first ones, and how many more.
func TestPlanInShort(t *testing.T) {
	slots := cluster.SlotsOf(1, 3, 5, 7, 8, 9, 11, 13, 15, 17, 20, 21)
	for n, want := range map[int]string{
		11: "clear the open state of slots 1,3,5,7-9,11,13,15,17 and 1 more on",
		12: "clear the open state of slots 1,3,5,7-9,11,13,15,17 and 2 more on",
		10: "clear the open state of slots 1,3,5,7-9,11,13,15,17 on",
	} {
		if got := inShort(plan.Plan{}, plan.Step{Action: plan.CloseSlots, Slots: slots.Take(n)}); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
