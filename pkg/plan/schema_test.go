package plan_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

const (
	idPattern    = "^[0-9a-f]{40}$"
	slotsPattern = "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"
)

// TestSchema holds the published schema to the Go types; -rewrite writes it
// anew.
func TestSchema(t *testing.T) {
	text, err := json.MarshalIndent(schemaOfTypes(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := string(text) + "\n"
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile("schema.json", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, plan.Schema()); diff != "" {
		t.Errorf("schema.json does not fit the types (-types +file):\n%s", diff)
	}
}

func schemaOfTypes(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text := func(pattern string) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Pattern: pattern} }
	s, err := jsonschema.For[plan.Plan](&jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[cluster.NodeID]():  text(idPattern),
		reflect.TypeFor[cluster.Addr]():    text("^.+:[0-9]+$"),
		reflect.TypeFor[cluster.SlotSet](): text(slotsPattern),
		reflect.TypeFor[plan.Kind]():       {Type: "string", Enum: words(plan.Kinds)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "A plan of trib"
	s.Properties["version"] = &jsonschema.Schema{Const: new(any(plan.Version))}
	s.Properties["steps"].Items = stepSchema(s.Properties["steps"].Items)
	return s
}

func words[T ~string](values []T) []any {
	var out []any
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

// stepSchema is one of the forms that steps have.
func stepSchema(all *jsonschema.Schema) *jsonschema.Schema {
	one := &jsonschema.Schema{}
	for _, action := range slices.Sorted(maps.Keys(plan.Forms)) {
		form := &jsonschema.Schema{
			Type: "object", Required: []string{"action"},
			Properties:           map[string]*jsonschema.Schema{"action": {Const: new(any(string(action)))}},
			PropertyOrder:        []string{"action"},
			AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		}
		for _, field := range plan.Forms[action] {
			name, optional := strings.CutSuffix(field, "?")
			form.Properties[name] = all.Properties[name]
			form.PropertyOrder = append(form.PropertyOrder, name)
			if !optional {
				form.Required = append(form.Required, name)
			}
		}
		one.OneOf = append(one.OneOf, form)
	}
	return one
}

func TestPlansFitTheSchema(t *testing.T) {
	var schema jsonschema.Schema
	if err := json.Unmarshal([]byte(plan.Schema()), &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	fits := func(text string) error {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		return resolved.Validate(value)
	}
	for kind, p := range samples(t) {
		text := saved(t, p)
		if err := fits(text); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
		for _, change := range [][2]string{
			{`"version":1`, `"version":2`},
			{`"kind"`, `"mood":1,"kind"`},
			{`"action"`, `"force":true,"action"`},
			{string(p.Nodes[0].ID), "abc"},
		} {
			if fits(strings.Replace(text, change[0], change[1], 1)) == nil {
				t.Errorf("%s: fits with %s", kind, change[1])
			}
		}
	}
}
