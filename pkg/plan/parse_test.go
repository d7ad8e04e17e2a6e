package plan_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// samples are plans of every kind that planners here make.
func samples(t testing.TB) map[plan.Kind]plan.Plan {
	t.Helper()
	s := parseState(`
		a 10.0.0.1:7000 0-5460 keys=0:3
		b [::1]:7001 5461-10922
		c n3.example.com:7002 10923-16383`)
	interrupted := parseState(`
		a 10.0.0.1:7000 1-5460 migrating=1:b keys=0:0
		b 10.0.0.2:7000 0,5461-10922 importing=0:a,1:a keys=0:0,1:0
		c 10.0.0.3:7000 10923-16383`)
	made := make(map[plan.Kind]plan.Plan)
	for _, make := range []func() (plan.Plan, error){
		func() (plan.Plan, error) {
			return plan.Create(fresh(6), plan.CreateOptions{Addrs: addrs(fresh(6)), Replicas: 1})
		},
		func() (plan.Plan, error) {
			return plan.Reshard(s, plan.ReshardOptions{From: []cluster.NodeID{nodeID("a"), nodeID("c")}, To: nodeID("b"), Slots: 1000})
		},
		func() (plan.Plan, error) { return plan.Resume(interrupted) },
		func() (plan.Plan, error) {
			step := plan.Step{Action: plan.MoveSlots, From: nodeID("b"), To: nodeID("a"), Slots: cluster.SlotsOf(1, 2)}
			return plan.Undo(plan.Plan{Steps: []plan.Step{step}}, s)
		},
	} {
		p, err := make()
		if err != nil {
			t.Fatal(err)
		}
		made[p.Kind] = p
	}
	return made
}

func TestParseReadsWhatWasSaved(t *testing.T) {
	for kind, p := range samples(t) {
		for _, text := range []string{saved(t, p), indented(t, p)} {
			again, err := plan.Parse([]byte(text))
			if err != nil {
				t.Errorf("%s: %v\n%s", kind, err, text)
			}
			if saved(t, again) != saved(t, p) {
				t.Errorf("%s: written:\n%s\nread and written again:\n%s", kind, saved(t, p), saved(t, again))
			}
		}
	}
}

func indented(t testing.TB, p plan.Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestParseRefuses(t *testing.T) {
	a, b := string(nodeID("a")), string(nodeID("b"))
	good := saved(t, plan.Plan{
		Version: 1, Kind: plan.KindReshard, Fingerprint: "f",
		Nodes: []plan.Node{{ID: nodeID("a"), Addr: cluster.Addr{Host: "h", Port: 1}}, {ID: nodeID("b"), Addr: cluster.Addr{Host: "h", Port: 2}}},
		Steps: []plan.Step{{Action: plan.MoveSlots, From: nodeID("a"), To: nodeID("b"), Slots: cluster.SlotsOf(1, 2, 3)}},
		Cost:  plan.Cost{Slots: 3},
	})
	if _, err := plan.Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	step := good[strings.Index(good, `"steps":[`)+len(`"steps":[`) : strings.Index(good, `],"cost"`)]
	tests := []struct{ name, old, new, want string }{
		{"nothing", good, "", "it ends too early"},
		{"another thing", good, "[]", "it must not be a array"},
		{"cut off", `}}`, `}`, "it ends too early"},
		{"more behind", good, good + "{}", "something behind"},
		{"no version", `"version":1,`, ``, `version: ""`},
		{"next version", `"version":1`, `"version":2`, `version: "2"; this trib reads version 1`},
		{"version is text", `"version":1`, `"version":"1"`, "version: it must not be a string"},
		{"unknown kind", `"reshard"`, `"dance"`, `kind: unknown kind "dance"`},
		{"unknown field", `"kind"`, `"mood":1,"kind"`, "mood: unknown"},
		{"unknown field of a step", `"action"`, `"force":true,"action"`, "steps[0].force: unknown"},
		{"unknown field of a node", `"addr":"h:2"`, `"addr":"h:2","x":0`, "nodes[1].x: unknown"},
		{"field in capitals", `"kind"`, `"KIND"`, "KIND: unknown"},
		{"missing field", `"fingerprint":"f",`, ``, "fingerprint: missing"},
		{"missing cost", `,"keys":0`, ``, "cost.keys: missing"},
		{"no nodes", good, `{"version":1,"kind":"create","fingerprint":"","nodes":[],"steps":[{"action":"join"}],"cost":{"slots":0,"keys":0}}`, "nodes: there are steps"},
		{"short id", `"id":"` + a, `"id":"abc`, `nodes[0].id: "abc" is not a node id`},
		{"id in capitals", `"id":"` + a, `"id":"` + strings.ToUpper(a), "nodes[0].id: "},
		{"node twice", `"id":"` + b, `"id":"` + a, "nodes[1].id: " + a + " stands twice"},
		{"bad address", `"h:2"`, `"h"`, `nodes[1]: address "h": want host:port`},
		{"address with a bus port", `"h:2"`, `"h:2@9"`, `nodes[1].addr: "h:2@9" is written "h:2"`},
		{"unknown action", `"move-slots"`, `"dance"`, `steps[0].action: unknown action "dance"`},
		{"foreign field", `"action"`, `"epoch":3,"action"`, "steps[0].epoch: move-slots has no such field"},
		{"field without a value", `"action"`, `"node":"","action"`, "steps[0].node: unknown, or without a value"},
		{"no slots", `,"slots":"1-3"`, ``, "steps[0].slots: move-slots needs it"},
		{"bad slots", `"1-3"`, `"1-99999"`, `steps[0]: slots "1-99999": want`},
		{"backwards", `"1-3"`, `"3-1"`, `steps[0]: slots "3-1": want`},
		{"slots in disorder", `"1-3"`, `"2-3,1"`, `steps[0].slots: "2-3,1" is written "1-3"`},
		{"slots as numbers", `"1-3"`, `[1,2,3]`, "steps[0]"},
		{"unknown node", `"to":"` + b, `"to":"` + strings.Repeat("c", 40), `steps[0].to: "cccc`},
		{"to itself", `"to":"` + b, `"to":"` + a, "steps[0].to: the same node as from"},
		{"the same slot twice", step, step + "," + step, "steps[1].slots: an earlier step moves slots 1-3 already"},
		{"too many slots", `"cost":{"slots":3`, `"cost":{"slots":16385`, "cost.slots: want 0 to 16384"},
		{"negative keys", `"keys":0`, `"keys":-2`, "cost.keys"},
		{"half a slot", `"cost":{"slots":3`, `"cost":{"slots":3.5`, "cost.slots: it must not be a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			if text == good {
				t.Fatalf("%q is not in the plan", tt.old)
			}
			_, err := plan.Parse([]byte(text))
			var wrong *plan.SyntaxError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// FuzzParse promises that whatever is accepted is written again as it was read.
func FuzzParse(f *testing.F) {
	for _, p := range samples(f) {
		f.Add(saved(f, p))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := plan.Parse([]byte(text))
		if err != nil {
			var wrong *plan.SyntaxError
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v of type %T", err, err)
			}
			return
		}
		again, err := plan.Parse([]byte(saved(t, p)))
		if err != nil {
			t.Fatalf("accepted once, then refused: %v", err)
		}
		if saved(t, again) != saved(t, p) {
			t.Fatal("written differently the second time")
		}
		for _, step := range p.Steps {
			p.Describe(step)
			p.Status(step, cluster.State{})
		}
	})
}

// TestTablesAreComplete promises that every kind and action that the package
// declares can be read back.
func TestTablesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "plan.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, k := range plan.Kinds {
		known[`"`+string(k)+`"`] = true
	}
	for a := range plan.Forms {
		known[`"`+string(a)+`"`] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && (typ.Name == "Kind" || typ.Name == "Action") {
			if value := spec.Values[0].(*ast.BasicLit).Value; !known[value] {
				t.Errorf("%s %s is not in a table of parse.go", typ.Name, value)
			}
		}
		return true
	})
}
