package ui

import (
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// Failure is a run that did not end well, as it is told on standard error.
type Failure struct {
	Schema    int              `json:"schema"`
	Message   string           `json:"error"`
	Reasons   []string         `json:"reasons,omitempty"` // where there are several, one by one
	Conflicts []Conflict       `json:"conflicts,omitempty"`
	Undecided []plan.Undecided `json:"undecided,omitempty"`
	Hint      string           `json:"hint,omitempty"`
	Exit      int              `json:"exit"`

	Head string `json:"-"` // heads the reasons
}

// Conflict is a key that needs a decision, with the argument for either.
type Conflict struct {
	move.Conflict
	Flags map[move.Winner]string `json:"flags"`
}

// Text writes what is wrong, and what to run next.
func (f Failure) Text(p *Page) {
	if len(f.Reasons) > 0 {
		p.Line("trib: %s:", f.Head)
		for _, r := range f.Reasons {
			p.Line("  %s", r)
		}
	} else {
		p.Line("trib: %s", f.Message)
	}
	if f.Hint != "" {
		p.Line("hint: %s", f.Hint)
	}
}

// Fail tells a failure on standard error, in the chosen format.
func (t *Terminal) Fail(f Failure) {
	f.Schema = Schema
	if t.Format != Table {
		if text, err := t.Format.encode(f); err == nil {
			t.write(t.err, text)
			return
		}
	}
	t.Say(f.Text)
}

// NoColor turns colour off, whatever the streams are.
func (t *Terminal) NoColor() { t.traits.Out.Color, t.traits.Err.Color = false, false }
