package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const source = `package p

func (m *mover) work(slots []int) error {
	if err := m.ask(slots); err != nil {
		return err
	}
	m.ready = true
	if m.a && !m.b {
		m.report(1)
		return m.tell(slots)
	}
	return m.end()
}
`

func TestMutate(t *testing.T) {
	out, mutants, err := mutate("work.go", []byte(source), 5)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, m := range mutants {
		if m.Number != 5+i || m.Func != "work" || m.File != "work.go" {
			t.Errorf("%+v", m)
		}
		got = append(got, m.Kind+" "+m.Text)
		if !strings.Contains(string(out), "mutantIs(") {
			t.Errorf("%s is not in the source:\n%s", m, out)
		}
	}
	want := []string{
		"delete if err := m.ask(slots); err != nil { return err }",
		"delete m.ready = true",
		"delete if m.a && !m.b { m.report(1) return m.tell(slots) }",
		"forgive m.end()",
		"negate err != nil",
		"negate m.a && !m.b",
		"drop m.a",
		"drop !m.b",
		"forgive m.tell(slots)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, again, err := mutate("work.go", out, 50); err != nil || len(again) == 0 {
		t.Errorf("what comes out is no source: %v\n%s", err, out)
	}
}

// A mutant's name does not depend on where it stands.
func TestNamesLast(t *testing.T) {
	name := func(text string) []string {
		_, mutants, err := mutate("work.go", []byte(text), 1)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range mutants {
			names = append(names, m.String())
		}
		return names
	}
	moved := strings.Replace(source, "package p", "package p\n\n// More.\nvar more = 1", 1)
	if diff := cmp.Diff(name(source), name(moved)); diff != "" {
		t.Error(diff)
	}
}

// What is known of a mutant ends with a change of its function, and with no other.
func TestHashes(t *testing.T) {
	hashes := func(text string) map[string]string {
		_, mutants, err := mutate("work.go", []byte(text), 1)
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[string]string)
		for _, m := range mutants {
			out[m.Func] = m.Hash
		}
		return out
	}
	other := "\nfunc rest(a int) int {\n\tif a > 1 {\n\t\treturn 2\n\t}\n\treturn a\n}\n"
	before, after := hashes(source+other), hashes(strings.Replace(source, "m.ready = true", "m.ready = false", 1)+other)
	if before["rest"] != after["rest"] || before["work"] == after["work"] {
		t.Errorf("%v and then %v", before, after)
	}
}
