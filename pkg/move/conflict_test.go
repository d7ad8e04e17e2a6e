package move

import (
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// TestNewerTTL: a difference that the time between two readings may have made
// decides nothing.
func TestNewerTTL(t *testing.T) {
	for _, tt := range []struct {
		name           string
		source, target int64
		apart          time.Duration
		want           Winner
	}{
		{"the source's dies later", 2000, 1000, 0, SourceWins},
		{"the target's dies later", 1000, 2000, 0, TargetWins},
		{"as far as can be told", 1200, 1000, 200 * time.Millisecond, NoWinner},
		{"just more than that", 1201, 1000, 200 * time.Millisecond, SourceWins},
		{"just more, the other way", 1000, 1201, 200 * time.Millisecond, TargetWins},
		{"the source's does not die", -1, 1000, 0, NoWinner},
		{"the target's does not die", 1000, -1, 0, NoWinner},
		{"neither dies", -1, -1, 0, NoWinner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Conflict{Values: [2]Value{{TTL: tt.source}, {TTL: tt.target}}, apart: tt.apart}
			if got := NewerTTL(c); got != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := NewerTTL(Conflict{Values: [2]Value{{TTL: 5}, {Absent: true}}}); got != NoWinner {
		t.Errorf("of a key that only one has: %q", got)
	}
}

func TestConflictText(t *testing.T) {
	c := Conflict{
		Slot: 7, DB: 2, Key: "k\n", Source: cluster.Addr{Host: "a", Port: 1}, Target: cluster.Addr{Host: "b", Port: 2},
		Values: [2]Value{{Bytes: 9, Digest: "d", TTL: 5}, {Absent: true}},
	}
	want := `key "k\n" of slot 7 in database 2 is on a:1 (9 bytes, digest d, ttl 5 ms), and b:2, which owns the slot, does not have it`
	if got := c.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	e := ConflictError{[]Conflict{c, c}}
	if strings.Count(e.Error(), "does not have it") != 2 {
		t.Error(e.Error())
	}
}
