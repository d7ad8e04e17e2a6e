package ui

import (
	"fmt"
	"strings"
	"time"
)

// Status is who works on a cluster, and what is under way or was left.
type Status struct {
	Schema    int        `json:"schema"`
	Command   string     `json:"command"`
	Seed      string     `json:"seed"`
	Operators []Operator `json:"operators"`           // who hold the lock now, or try to
	Operation *Operation `json:"operation,omitempty"` // the last one that was begun on this host
	Jobs      []Job      `json:"jobs,omitempty"`      // moves that the servers carry out by themselves, and such as came to nothing
	Open      []string   `json:"open,omitempty"`      // moves in the middle of which slots are, as the nodes say
	Problems  []string   `json:"problems,omitempty"`  // what keeps open slots from being finished
	Next      string     `json:"next,omitempty"`      // the command that continues
}

// Job is a move that servers carry out by themselves, or gave up.
type Job struct {
	Text    string `json:"text"`
	Running bool   `json:"running"`
}

// Operator is one who works on the cluster now.
type Operator struct {
	Operation string   `json:"operation"`
	Holder    string   `json:"holder"`
	Holds     bool     `json:"holds"` // the lock; false while they try to get it
	Nodes     []string `json:"nodes"` // where they were seen
}

// Operation is a run by its journal, held against the cluster.
type Operation struct {
	State    string          `json:"state"` // running, interrupted, stale or done
	Kind     string          `json:"kind"`
	Command  []string        `json:"command"` // without secrets
	Holder   string          `json:"holder"`
	Begun    time.Time       `json:"begun"`
	Last     time.Time       `json:"last"` // when it wrote its last line
	Journal  string          `json:"journal"`
	Slots    int             `json:"slots"`      // to move
	Moved    int             `json:"slots_done"` // of them, by what the cluster says now
	Keys     int64           `json:"keys_moved"` // by the journal
	Rate     float64         `json:"keys_per_second"`
	LeftMS   int64           `json:"left_ms,omitempty"` // while it runs, at this pace
	Steps    []OperationStep `json:"steps"`
	Obstacle string          `json:"obstacle,omitempty"` // why it cannot go on
}

// OperationStep is where one step stands.
type OperationStep struct {
	Text   string `json:"text"`
	Status string `json:"status"` // done, ready or blocked
	Slots  int    `json:"slots,omitempty"`
	Moved  int    `json:"slots_done,omitempty"`
	Keys   int64  `json:"keys_moved,omitempty"`
}

// The states of an operation.
const (
	Running     = "running"
	Interrupted = "interrupted"
	Stale       = "stale"
	Finished    = "done"
)

// Text writes who is there, what was begun, and what to run next.
func (v Status) Text(p *Page) {
	v.operators(p)
	if v.Operation != nil {
		v.Operation.text(p)
	}
	v.jobs(p)
	p.Line(">>> Open slots")
	for _, o := range v.Open {
		p.Line("    %s", o)
	}
	for _, problem := range v.Problems {
		p.Line("[ERR] %s", problem)
	}
	if len(v.Open)+len(v.Problems) == 0 {
		p.Line("[OK] No slot is open.")
	}
	if v.Next != "" {
		p.Line("-> %s", v.Next)
	}
}

func (v Status) operators(p *Page) {
	p.Line(">>> Operators")
	for _, o := range v.Operators {
		does := "holds the lock"
		if !o.Holds {
			does = "tries to get the lock"
		}
		p.Line("    %s by %s %s, seen on %s", o.Operation, o.Holder, does, strings.Join(o.Nodes, ", "))
	}
	if len(v.Operators) == 0 {
		p.Line("[OK] Nobody works on this cluster.")
	}
}

// jobs says nothing where there are none: most servers know none.
func (v Status) jobs(p *Page) {
	if len(v.Jobs) == 0 {
		return
	}
	p.Line(">>> Moves by the servers themselves")
	for _, j := range v.Jobs {
		if j.Running {
			p.Line("    %s", j.Text)
		} else {
			p.Line("[WARNING] %s", j.Text)
		}
	}
}

func (o Operation) text(p *Page) {
	p.Line(">>> Last operation begun on this host")
	p.Line("    %s", strings.Join(o.Command, " "))
	p.Line("    %s by %s, begun %s, last heard of %s", o.State, o.Holder, Time(o.Begun), Time(o.Last))
	if o.Slots > 0 {
		line := fmt.Sprintf("%s %d/%d slots, %s, %s keys/s", meter(o.Moved, o.Slots), o.Moved, o.Slots, count(o.Keys, "key"), grouped(int64(o.Rate)))
		if o.LeftMS > 0 {
			line += ", " + span(time.Duration(o.LeftMS)*time.Millisecond) + " left"
		}
		p.Line("    %s", line)
	}
	if o.State != Finished {
		o.steps(p)
	}
	if o.Obstacle != "" {
		p.Line("[WARNING] It cannot go on: %s", o.Obstacle)
	}
}

// shownSteps is how many steps are worth a line each.
const shownSteps = 20

func (o Operation) steps(p *Page) {
	for i, s := range o.Steps {
		if i == shownSteps {
			p.Line("    and %d more steps", len(o.Steps)-i)
			return
		}
		state := s.Status
		if s.Slots > 0 && s.Status != Finished {
			state = fmt.Sprintf("%d/%d slots", s.Moved, s.Slots)
		}
		p.Line("    %s: %s", s.Text, state)
	}
}

// Time is a time as people read it.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
