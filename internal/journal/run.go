package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// Run is a journal as it was read.
type Run struct {
	Header
	Path  string
	Last  time.Time     // of the last line
	Steps map[int]Entry // the last event of each step that was begun
	Keys  int64         // moved, as far as it was written down
	End   *End          // nil where the run still goes on or was cut off
}

// longest bounds what is read of one journal.
const longest = 256 << 20

// Read reads one journal. What is torn is passed over: the machine may have
// failed in the middle of a line.
func Read(path string) (Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Run{}, err
	}
	if info.Size() > longest {
		return Run{}, fmt.Errorf("%s is longer than any journal", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Run{}, err
	}
	return parse(path, text)
}

func parse(path string, text []byte) (Run, error) {
	r := Run{Path: path, Steps: make(map[int]Entry)}
	for l := range bytes.Lines(text) {
		var parsed line
		if json.Unmarshal(l, &parsed) == nil {
			r.take(parsed)
		}
	}
	if r.Schema != Schema {
		return r, fmt.Errorf("%s is not a journal of version %d", path, Schema)
	}
	if err := sound(r.Plan); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range r.Steps {
		r.Keys += e.Keys
	}
	return r, nil
}

// sound holds a plan to what is asked of any plan from a file.
func sound(p plan.Plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = plan.Parse(text)
	return err
}

func (r *Run) take(l line) {
	switch {
	case l.Header != nil && r.Schema == 0:
		r.Header, r.Last = *l.Header, l.Header.Begun
	case l.Event != nil:
		r.Last = l.Event.Time
		r.takeEvent(*l.Event)
	case l.End != nil:
		r.Last, r.End = l.End.Time, l.End
	}
}

// takeEvent keeps of a step what was counted when it is done, too.
func (r *Run) takeEvent(e Entry) {
	switch e.Kind {
	case apply.StepBegun, apply.SlotsMoved:
		r.Steps[e.Step] = e
	case apply.StepDone:
		counted := r.Steps[e.Step]
		e.Keys, e.Done, e.Total = counted.Keys, counted.Total, counted.Total
		r.Steps[e.Step] = e
	}
}

// Concerns reports whether the run was about one of these nodes' cluster.
func (r Run) Concerns(s cluster.State) bool {
	for _, n := range r.Plan.Nodes {
		if _, ok := s.Get(n.ID); ok {
			return true
		}
	}
	return false
}

// Find returns the newest run of a directory that wanted accepts, if there is
// one. Files that are no journals are passed over.
func (d Dir) Find(wanted func(Run) bool) (Run, bool, error) {
	names, err := d.names()
	if err != nil {
		return Run{}, false, err
	}
	var problems []error
	for i := range names {
		r, err := Read(filepath.Join(string(d), names[len(names)-1-i]))
		if errors.Is(err, os.ErrPermission) {
			problems = append(problems, err)
		}
		if err == nil && wanted(r) {
			return r, true, nil
		}
	}
	return Run{}, false, errors.Join(problems...)
}
