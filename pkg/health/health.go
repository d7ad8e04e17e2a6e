package health

import (
	"github.com/trib-dev/trib/pkg/cluster"
)

// Severity says how bad a finding is.
type Severity string

// An Error means that the cluster is wrong or may become so; a Warning, that
// it should be better.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Code names a kind of finding. Codes are stable: scripts match them.
type Code string

// The findings.
const (
	Unreachable    Code = "node-unreachable" // a node does not answer
	ClusterDown    Code = "cluster-down"     // a node says cluster_state:fail
	Disagreement   Code = "disagreement"     // nodes see different owners of slots
	OpenSlots      Code = "open-slots"       // slots are migrating or importing
	Uncovered      Code = "uncovered-slots"  // slots that no node owns
	MultipleOwners Code = "multiple-owners"  // slots that several nodes say they own
	ForeignKeys    Code = "foreign-keys"     // keys on a node that does not own their slot
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Code     Code             `json:"code"`
	Severity Severity         `json:"severity"`
	Summary  string           `json:"summary"`            // one sentence
	Nodes    []cluster.NodeID `json:"nodes,omitempty"`    // that it is about
	Slots    cluster.SlotSet  `json:"slots,omitzero"`     // that it is about
	Evidence []string         `json:"evidence,omitempty"` // what shows it, a line each
	Remedy   string           `json:"remedy,omitempty"`   // what to do
}

// Check is every finding about a state, the gravest kinds first. Foreign keys
// are found where the state holds counted slots.
func Check(s cluster.State) []Finding {
	var found []Finding
	for _, check := range []func(cluster.State) []Finding{
		unreachable, multipleOwners, uncovered, disagreement, openSlots, foreignKeys, clusterDown,
	} {
		found = append(found, check(s)...)
	}
	return found
}

// HasErrors reports whether any finding is an error.
func HasErrors(found []Finding) bool {
	for _, f := range found {
		if f.Severity == Error {
			return true
		}
	}
	return false
}

// Blocking are the findings that forbid to move slots. Open slots are not
// among them: the planner knows which ones are its own. A replica that does not
// answer only warns: it takes no part.
func Blocking(found []Finding) []Finding {
	var out []Finding
	for _, f := range found {
		if f.Severity == Error && f.Code != OpenSlots {
			out = append(out, f)
		}
	}
	return out
}
