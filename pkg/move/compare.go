package move

import (
	"context"

	"github.com/trib-dev/trib/pkg/driver"
)

// Wait returns when so many keys and bytes may go.
func (t *Throttle) Wait(ctx context.Context, keys, bytes int64) error {
	return t.wait(ctx, keys, bytes)
}

// ReadWhole is the command that reads a value of a type as a whole; nil for types
// that no one command reads.
func ReadWhole(kind, key string) driver.Command {
	if l, ok := layoutOfKind(kind); ok {
		return l.command(key)
	}
	return nil
}

// SameWhole compares what ReadWhole has read at two nodes. The order of members
// counts only where it means something.
func SameWhole(kind string, a, b driver.Reply) bool {
	l, ok := layoutOfKind(kind)
	v, errV := parts(a)
	w, errW := parts(b)
	return ok && errV == nil && errW == nil && l.arranged(v) == l.arranged(w)
}

func layoutOfKind(kind string) (layout, bool) {
	for _, l := range layouts {
		if l.kind == kind {
			return l.layout, true
		}
	}
	return layout{}, false
}

// parts are the strings of a reply; none where there is no such key.
func parts(r driver.Reply) ([]string, error) {
	if r.Err == nil && r.Value == nil {
		return nil, nil
	}
	if text, err := r.Text(); err == nil {
		return []string{text}, nil
	}
	return r.Strings()
}
