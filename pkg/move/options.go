package move

import (
	"cmp"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Options tune a mover. The zero value of a field means its default.
type Options struct {
	Batch        int           // most keys in one MIGRATE; default 100
	Window       int           // slots open at a time in a lane; default 16
	Lanes        int           // windows moved at the same time; default 2, or 6 where SETSLOT waits for replicas
	Timeout      time.Duration // of one MIGRATE; default: the smaller of 5 s and a third of the node timeout
	MaxBlock     time.Duration // what one MIGRATE should take at most, big keys aside; default 10 ms
	MaxPause     time.Duration // for an atomic move: what clients should wait at most when slots change hands; default 100 ms
	WaitReplicas int           // replicas of the target that must have each batch; default 1, where there is one; -1 for none
	Big          BigKeys       // what to do about big keys
	Decide       Decide        // which of two differing values stays; nil leaves that to people
	Finalise     Order         // which end gives a slot to the target first; default TargetFirst
	Throttle     *Throttle     // may be shared between moves; nil for no limit

	// Abort, once closed, leaves a cancelled move no time to close its slots.
	Abort <-chan struct{}

	// Ports are where sources reach targets, where that is not the port that they
	// announce to whoever moves the slots: servers have one for TLS and one without.
	Ports map[cluster.NodeID]int

	// Credentials that the source presents to the target.
	Username string
	Password string
}

// Decide says which of two differing values of a key stays.
type Decide func(Conflict) Winner

// Winner is the side whose value stays. The other one is deleted.
type Winner string

// The sides of a conflict. Without a winner nothing is deleted, and the move
// stops.
const (
	NoWinner   Winner = ""
	SourceWins Winner = "source"
	TargetWins Winner = "target"
)

// Order is the order in which the two ends are told that a slot has moved.
type Order string

// The orders. With TargetFirst somebody claims the slot at any moment, and a
// source that is failed over within the lease of the emptiness proof, 50 ms, may
// lose what it acknowledged since. SourceFirst shortens that to one round trip,
// in which nobody claims the slot: clients are sent to and fro. Servers that
// replicate SETSLOT are always told target first: it is safe there, and some of
// them do not survive SETSLOT in a transaction.
const (
	TargetFirst Order = "target"
	SourceFirst Order = "source"
)

const (
	defaultBatch    = 100
	defaultWindow   = 16
	defaultLanes    = 2
	waitingLanes    = 6
	defaultMaxBlock = 10 * time.Millisecond
	longestMigrate  = 5 * time.Second

	// What the hand-over of an atomic move takes, about: the source deletes what it
	// gave away before it serves anybody. Measured on Valkey 9.1, which also waits
	// for a tenth of a second or so in each job, however small.
	defaultMaxPause = 100 * time.Millisecond
	pausePerSlot    = 8 * time.Microsecond
	pausePerKey     = 250 * time.Nanosecond
)

// withDefaults fills in what was left zero. A MIGRATE that waits as long as the
// node timeout freezes the source until the cluster calls it failed: a third
// of it is the most that is safe.
func (o Options) withDefaults(from cluster.Member) Options {
	o.Batch = cmp.Or(o.Batch, defaultBatch)
	o.Window = cmp.Or(o.Window, defaultWindow)
	o.Lanes = cmp.Or(o.Lanes, usualLanes(from))
	o.MaxBlock = cmp.Or(o.MaxBlock, defaultMaxBlock)
	o.MaxPause = cmp.Or(o.MaxPause, defaultMaxPause)
	o.WaitReplicas = cmp.Or(o.WaitReplicas, 1)
	o.Big = o.Big.withDefaults()
	if o.Timeout == 0 {
		o.Timeout = longestMigrate
		if third := nodeTimeout(from) / 3; third > 0 {
			o.Timeout = min(o.Timeout, third)
		}
	}
	return o
}

// usualLanes are more where most of the time goes by waiting for replicas to
// answer SETSLOT.
func usualLanes(from cluster.Member) int {
	if from.Features.ReplicatedSetSlot && len(from.Replication.Replicas) > 0 {
		return waitingLanes
	}
	return defaultLanes
}

// nodeTimeout is 0 where it could not be read.
func nodeTimeout(m cluster.Member) time.Duration {
	return time.Duration(m.NodeTimeout) * time.Millisecond
}

// Conflict is a key that source and target both hold, with different values,
// so that nobody can say which one is right.
type Conflict struct {
	Slot   int          `json:"slot"`
	DB     int          `json:"db"`
	Key    string       `json:"key"`
	Source cluster.Addr `json:"source"`
	Target cluster.Addr `json:"target"`
	Values [2]Value     `json:"values"` // at source and target

	apart time.Duration // at most so much lies between the readings of the two
}

// Value describes a key's value without showing it.
type Value struct {
	Absent bool   `json:"absent,omitempty"` // there is none: the target lacks the key
	Type   string `json:"type,omitempty"`   // as TYPE says; empty where the server does not tell
	Bytes  int    `json:"bytes"`            // size of its DUMP
	Digest string `json:"digest"`           // of its DUMP
	TTL    int64  `json:"ttl_ms"`           // -1 for none

	form byte // how it is serialised
}

// ConflictError is a move that stopped at keys which need a decision. The slots
// stay open, so that clients find every key as before.
type ConflictError struct {
	Conflicts []Conflict
}

func (e *ConflictError) Error() string {
	texts := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		texts[i] = c.String()
	}
	return strings.Join(texts, "; ")
}
