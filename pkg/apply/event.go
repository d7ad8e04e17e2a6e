package apply

import (
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// EventKind says what happened.
type EventKind string

// The events, with the fields that they carry.
const (
	Started    EventKind = "started"     // Total: steps that are not done yet
	StepBegun  EventKind = "step-begun"  // Step, Text; Nodes: whom it is about
	SlotsMoved EventKind = "slots-moved" // Step, Slots (just closed; none while keys move), Done and Total (slots of the step), Keys and Bytes (so far)
	StepDone   EventKind = "step-done"   // Step, Text
	Waiting    EventKind = "waiting"     // Text: what for; Nodes: who holds it up; Step and Action of a move
	Notice     EventKind = "notice"      // Text: something that the operator should know; Step and Action of a move
	Finished   EventKind = "finished"    // Elapsed
)

// Event is one thing that happened while a plan was carried out.
type Event struct {
	Kind    EventKind       `json:"kind"`
	Step    int             `json:"step"` // index in the plan
	Action  plan.Action     `json:"action,omitempty"`
	Text    string          `json:"text,omitempty"`
	Slots   cluster.SlotSet `json:"slots,omitzero"`
	Keys    int64           `json:"keys,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"`
	Done    int             `json:"done,omitempty"`
	Total   int             `json:"total,omitempty"`
	Nodes   []string        `json:"nodes,omitempty"` // addresses
	Elapsed time.Duration   `json:"elapsed_ns,omitempty"`
}

// Observer is told of events, one at a time and in their order; steps that move
// slots run side by side, and their events are mixed. It must not block for
// long: the work waits for it.
type Observer func(Event)
