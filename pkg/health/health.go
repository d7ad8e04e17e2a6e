package health

import (
	"cmp"
	"slices"

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

// Options are what a state does not say. The zero value will do.
type Options struct {
	Zones  map[string]string // host to availability zone; wins over what nodes announce
	MaxLag int64             // bytes that a replica may be behind; 0 means 10 MiB
}

const defaultMaxLag = 10 << 20

// Check is every finding about a state, errors first and the gravest kinds
// before others. Foreign keys are found where the state holds counted slots.
func Check(s cluster.State) []Finding { return Options{}.Check(s) }

// Check is the same with options.
func (o Options) Check(s cluster.State) []Finding {
	o.MaxLag = cmp.Or(o.MaxLag, defaultMaxLag)
	v := newSight(s, o)
	var found []Finding
	for _, check := range []func(*sight) []Finding{
		unreachable, split, multipleOwners, uncovered, disagreement, openSlots, foreignKeys, epochCollision,
		halfForgotten, suspected, quorum, replicaOfReplica, functionsDiffer, clusterDown, handshakes,
		orphaned, linkDown, lag, noReplica, sameHost, sameZone, addressesDiffer, versionsDiffer, configDiffers,
	} {
		found = append(found, check(v)...)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	return found
}

// HasErrors reports whether any finding is an error.
func HasErrors(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Error })
}

// Blocking are the findings that forbid to move slots: all errors but those that
// say nothing of who owns a slot, or of whether the nodes can come to agree about
// it. The planner knows which open slots are its own; a replica of a replica
// takes no part in a move; functions have a pre-flight of their own. Warnings
// never block: a replica that does not answer takes no part either.
func Blocking(found []Finding) []Finding {
	var out []Finding
	for _, f := range found {
		if f.Severity == Error && !slices.Contains([]Code{OpenSlots, ReplicaOfReplica, FunctionsDiffer}, f.Code) {
			out = append(out, f)
		}
	}
	return out
}

// MayPass reports whether a finding is an error that nodes mend by themselves
// within seconds, right after somebody has changed something.
func MayPass(f Finding) bool {
	return f.Severity == Error && slices.Contains([]Code{
		Disagreement, MultipleOwners, ClusterDown, Split, EpochCollision, HalfForgotten, Suspected, ReplicaOfReplica,
	}, f.Code)
}

// IsAdvice reports whether a finding is about how a cluster is built rather than
// about the state that it is in: no move of slots brings it about or mends it.
func IsAdvice(f Finding) bool {
	return f.Severity == Warning && slices.Contains([]Code{
		NoReplica, SameHost, SameZone, QuorumAtRisk, VersionsDiffer, ConfigDiffers, AddressesDiffer,
	}, f.Code)
}
