package move

import (
	"fmt"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Options tune a mover. The zero value of a field means its default.
type Options struct {
	Batch        int           // keys in one MIGRATE; default 100
	Window       int           // slots open at a time; default 8
	Timeout      time.Duration // of one MIGRATE; default: the smaller of 5 s and a third of the node timeout
	WaitReplicas int           // replicas of the target that must have each batch; default 1, where there is one

	// Credentials that the source presents to the target.
	Username string
	Password string
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
}

// Value describes a key's value without showing it.
type Value struct {
	Bytes  int    `json:"bytes"`  // size of its DUMP
	Digest string `json:"digest"` // of its DUMP
	TTL    int64  `json:"ttl_ms"` // -1 for none
}

// ConflictError is a move that stopped at keys which need a decision. The slots
// stay open, so that clients find every key as before.
type ConflictError struct {
	Conflicts []Conflict
}

func (e *ConflictError) Error() string {
	texts := make([]string, len(e.Conflicts))
	for i, c := range e.Conflicts {
		texts[i] = fmt.Sprintf("key %.80q of slot %d differs between %s (%d bytes, digest %s, ttl %d ms) and %s (%d bytes, digest %s, ttl %d ms)",
			c.Key, c.Slot, c.Source, c.Values[0].Bytes, c.Values[0].Digest, c.Values[0].TTL,
			c.Target, c.Values[1].Bytes, c.Values[1].Digest, c.Values[1].TTL)
	}
	return strings.Join(texts, "; ")
}
