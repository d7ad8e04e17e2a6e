package move

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/driver"
)

// Wait returns when so many keys and bytes may go.
func (t *Throttle) Wait(ctx context.Context, keys, bytes int64) error {
	return t.wait(ctx, keys, bytes)
}

// ReadWhole is the command that reads a value of a type as a whole; nil for types
// that no one command reads.
func ReadWhole(kind, key string) driver.Command {
	get, _ := contents(kind, key)
	return get
}

// SameWhole compares what ReadWhole has read at two nodes. The order of members
// counts only where it means something.
func SameWhole(kind string, a, b driver.Reply) bool {
	_, size := contents(kind, "")
	return a.Err == nil && b.Err == nil && slices.Equal(members(a, size), members(b, size))
}
