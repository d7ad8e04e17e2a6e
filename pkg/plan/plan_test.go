package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// session is what a file of testdata has come to so far.
type session struct {
	s cluster.State
	p plan.Plan
}

// TestPlans runs the conversations in testdata: states, what is asked for, and
// the plan or the refusal.
//
//	state                          the cluster, see state_test.go
//	create replicas=1              of the state's nodes in their order; see createOptions
//	reshard from=(a,b) to=c slots=9
//	reshard to=c named=(5,7,100-200) key=(foo)
//	rebalance weight=(a:2,b:0) threshold=0 empty exclude=(c) max=9
//	drain node=a to=(b,c)
//	resume
//	heal only=(open-slots) slots=(5,6) adopt
//	repair takeover dead reuse spread only=(handshake)
//	add-node new=(d,e) replica master=a zones=(10.0.0.1:east)
//	del-node node=d drain to=(a,b)
//	replicate node=d master=a
//	failover node=d mode=force
//	forget node=d force
//	undo                           the last plan
//	status                         of the last plan's steps in the last state
//	json                           the last plan as it is saved
func TestPlans(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "rapid") {
			return
		}
		var ses session
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return ses.run(t, d) })
	})
}

func (ses *session) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "state":
		ses.s = parseState(d.Input)
		return ""
	case "create":
		return ses.plan(t, func() (plan.Plan, error) { return plan.Create(ses.s, createOptions(t, d, ses.s)) })
	case "reshard":
		return ses.plan(t, func() (plan.Plan, error) { return plan.Reshard(ses.s, reshardOptions(t, d)) })
	case "rebalance":
		return ses.plan(t, func() (plan.Plan, error) { return plan.Rebalance(ses.s, rebalanceOptions(t, d)) })
	case "drain":
		return ses.plan(t, func() (plan.Plan, error) { return plan.Drain(ses.s, drainOptions(t, d)) })
	case "resume":
		return ses.plan(t, func() (plan.Plan, error) { return plan.Resume(ses.s) })
	case "heal":
		return ses.heal(t, d, plan.Heal)
	case "repair":
		return ses.heal(t, d, plan.Repair)
	case "add-node", "del-node", "replicate", "failover", "forget":
		return ses.plan(t, func() (plan.Plan, error) { return planMembers(t, d, ses.s) })
	case "undo":
		done := ses.p
		return ses.plan(t, func() (plan.Plan, error) { return plan.Undo(done, ses.s) })
	case "status":
		return ses.status()
	case "json":
		text, err := json.MarshalIndent(ses.p, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Parse(text); err != nil {
			t.Error(err)
		}
		return string(text) + "\n"
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return ""
}

// createOptions reads replicas=1, addrs=(a,b), zones=(host=zone,...),
// replica-of=(replica=master,...), slots=(addr=0-9,...) and weights=(addr=2,...).
func createOptions(t *testing.T, d *datadriven.TestData, s cluster.State) plan.CreateOptions {
	var o plan.CreateOptions
	d.MaybeScanArgs(t, "replicas", &o.Replicas)
	for _, m := range s.Members {
		o.Addrs = append(o.Addrs, m.Addr)
	}
	if arg, ok := d.Arg("addrs"); ok {
		o.Addrs = nil
		for _, a := range arg.Vals {
			o.Addrs = append(o.Addrs, must(cluster.ParseAddr(a)))
		}
	}
	o.Zones = wishes(d, "zones", func(host string) (string, error) { return host, nil }, func(zone string) (string, error) { return zone, nil })
	o.ReplicaOf = wishes(d, "replica-of", cluster.ParseAddr, cluster.ParseAddr)
	o.Slots = wishes(d, "slots", cluster.ParseAddr, cluster.ParseSlotSet)
	o.Weights = wishes(d, "weights", cluster.ParseAddr, strconv.Atoi)
	return o
}

func wishes[K comparable, V any](d *datadriven.TestData, name string, key func(string) (K, error), value func(string) (V, error)) map[K]V {
	out := make(map[K]V)
	if arg, ok := d.Arg(name); ok {
		for _, wish := range arg.Vals {
			k, v, _ := strings.Cut(wish, "=")
			out[must(key(k))] = must(value(v))
		}
	}
	return out
}

func reshardOptions(t *testing.T, d *datadriven.TestData) plan.ReshardOptions {
	var o plan.ReshardOptions
	o.From = ids(d, "from")
	var to string
	d.ScanArgs(t, "to", &to)
	o.To = nodeID(to)
	d.MaybeScanArgs(t, "slots", &o.Slots)
	if arg, ok := d.Arg("named"); ok {
		o.Named = must(cluster.ParseSlotSet(strings.Join(arg.Vals, ",")))
	}
	if arg, ok := d.Arg("key"); ok {
		o.Keys = arg.Vals
	}
	return o
}

func rebalanceOptions(t *testing.T, d *datadriven.TestData) plan.RebalanceOptions {
	o := plan.RebalanceOptions{Threshold: plan.DefaultThreshold, UseEmptyMasters: d.HasArg("empty"), Exclude: ids(d, "exclude")}
	d.MaybeScanArgs(t, "max", &o.MaxSlots)
	if arg, ok := d.Arg("threshold"); ok {
		o.Threshold = must(plan.ParseDecimal(arg.Vals[0]))
	}
	if arg, ok := d.Arg("weight"); ok {
		o.Weights = make(map[cluster.NodeID]plan.Decimal)
		for _, pair := range arg.Vals {
			name, weight, _ := strings.Cut(pair, ":")
			o.Weights[nodeID(name)] = must(plan.ParseDecimal(weight))
		}
	}
	return o
}

func drainOptions(t *testing.T, d *datadriven.TestData) plan.DrainOptions {
	var node string
	d.ScanArgs(t, "node", &node)
	return plan.DrainOptions{Node: nodeID(node), To: ids(d, "to")}
}

// ids are the nodes whose names an argument lists.
func ids(d *datadriven.TestData, arg string) []cluster.NodeID {
	var out []cluster.NodeID
	if a, ok := d.Arg(arg); ok {
		for _, name := range a.Vals {
			out = append(out, nodeID(name))
		}
	}
	return out
}

// plan makes a plan twice: the same state and options give the same bytes.
func (ses *session) plan(t *testing.T, make func() (plan.Plan, error)) string {
	t.Helper()
	p, err := make()
	again, err2 := make()
	if a, b := saved(t, p), saved(t, again); a != b || fmt.Sprint(err) != fmt.Sprint(err2) {
		t.Errorf("the same again is different:\n%s\n%s", a, b)
	}
	if err == nil {
		ses.p = p
		return describe(p)
	}
	var r *plan.Refusal
	if !errors.As(err, &r) {
		return fmt.Sprintf("error: %v\n", err)
	}
	text := ""
	for _, reason := range r.Reasons {
		text += "refused: " + reason + "\n"
	}
	if r.Hint != "" {
		text += "hint: " + r.Hint + "\n"
	}
	return text
}

func saved(t testing.TB, p plan.Plan) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func describe(p plan.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d slots, %d keys\n", p.Kind, p.Cost.Slots, p.Cost.Keys)
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%d. %s\n", i+1, p.Describe(s))
	}
	for _, r := range p.Reasons {
		fmt.Fprintf(&b, "because: %s\n", r)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func (ses *session) status() string {
	var b strings.Builder
	for i, step := range ses.p.Steps {
		status, why := ses.p.Status(step, ses.s)
		fmt.Fprintf(&b, "%d. %s", i+1, status)
		if why != "" {
			b.WriteString(": " + why)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestPlanSurvivesSaving promises that a plan read from its JSON is the plan
// that was written: it is carried out another day.
func TestPlanSurvivesSaving(t *testing.T) {
	s := parseState(`
		a 10.0.0.1:7000 0-5460 keys=0:3
		b [::1]:7001 5461-10922 importing=0:a keys=0:0
		c n3.example.com:7002 10923-16383`)
	reshard, err := plan.Reshard(s, plan.ReshardOptions{From: []cluster.NodeID{nodeID("a"), nodeID("c")}, To: nodeID("b"), Slots: 1000})
	if err != nil {
		t.Fatal(err)
	}
	create, err := plan.Create(fresh(6), plan.CreateOptions{Addrs: addrs(fresh(6)), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []plan.Plan{reshard, create, {}} {
		var again plan.Plan
		if err := json.Unmarshal([]byte(saved(t, p)), &again); err != nil {
			t.Fatal(err)
		}
		if got := saved(t, again); got != saved(t, p) {
			t.Errorf("written:\n%s\nread and written again:\n%s", saved(t, p), got)
		}
		if describe(again) != describe(p) {
			t.Errorf("read as:\n%s\nwas:\n%s", describe(again), describe(p))
		}
	}
}

// fresh are n nodes that know nobody, on three hosts.
func fresh(n int) cluster.State {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%04x 10.0.%d.%d:%d knows=-\n", i+1, i%3, i/200, 7000+i)
	}
	return parseState(b.String())
}

func addrs(s cluster.State) []cluster.Addr {
	var out []cluster.Addr
	for _, m := range s.Members {
		out = append(out, m.Addr)
	}
	return out
}

func TestDescribeUnknownAction(t *testing.T) {
	p := plan.Plan{}
	step := plan.Step{Action: "dance"}
	if got := p.Describe(step); got != "dance" {
		t.Errorf("described as %q", got)
	}
	if status, why := p.Status(step, cluster.State{}); status != plan.Blocked || why == "" {
		t.Errorf("status %s: %s", status, why)
	}
}
