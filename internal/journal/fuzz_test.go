package journal

import (
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
)

// FuzzParse promises of whatever lies in a journal directory that it is refused
// or gives a run that can be shown and continued; and that what is lost with
// the end of a file never becomes a run of its own.
func FuzzParse(f *testing.F) {
	d := Dir(f.TempDir())
	j, err := d.Begin(header(start))
	if err != nil {
		f.Fatal(err)
	}
	for i, e := range []apply.Event{{Kind: apply.StepBegun}, {Kind: apply.SlotsMoved, Keys: 3, Done: 1, Total: 2}, {Kind: apply.StepDone}} {
		j.Observe(start.Add(time.Duration(i)*time.Minute), e)
	}
	j.End(End{Exit: 5, Error: "stopped"})
	text, err := os.ReadFile(j.file.Name())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte(`{"header":{"schema":1}}`))
	f.Add([]byte(`{"event":{"step":-1,"kind":"step done"}}` + "\n" + string(text)))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := parse("x", in)
		if err != nil {
			return
		}
		if r.Schema != Schema {
			t.Errorf("schema %d", r.Schema)
		}
		for _, step := range r.Plan.Steps {
			r.Plan.Describe(step)
		}
		if err := sound(r.Plan); err != nil {
			t.Errorf("its plan is refused: %v", err)
		}
		again, err := parse("x", in)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("read twice: %v", err)
		}
	})
}
