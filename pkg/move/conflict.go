package move

import (
	"fmt"
	"time"
)

func (c Conflict) String() string {
	key := fmt.Sprintf("key %.80q of slot %d", c.Key, c.Slot)
	if c.DB != 0 {
		key += fmt.Sprintf(" in database %d", c.DB)
	}
	if c.Lone() {
		return fmt.Sprintf("%s is on %s (%s), and %s, which owns the slot, does not have it", key, c.Source, c.Values[0], c.Target)
	}
	return fmt.Sprintf("%s differs between %s (%s) and %s (%s)", key, c.Source, c.Values[0], c.Target, c.Values[1])
}

// Lone reports whether only the source has the key. It may have been deleted at
// the target, or never have got there.
func (c Conflict) Lone() bool { return c.Values[1].Absent }

func (v Value) String() string {
	text := fmt.Sprintf("%d bytes, digest %s, ttl %d ms", v.Bytes, v.Digest, v.TTL)
	if v.Type == "" {
		return text
	}
	return v.Type + ", " + text
}

// NewerTTL lets the value stay that expires later: of two that were written with
// the same time to live, that is the one written later. It decides nothing where
// one of them does not expire, or where they expire so close together that the
// time between reading the two may be all the difference.
func NewerTTL(c Conflict) Winner {
	source, target := c.Values[0], c.Values[1]
	if c.Lone() || source.TTL < 0 || target.TTL < 0 {
		return NoWinner
	}
	later := time.Duration(source.TTL-target.TTL) * time.Millisecond
	switch {
	case later > c.apart:
		return SourceWins
	case -later > c.apart:
		return TargetWins
	}
	return NoWinner
}
