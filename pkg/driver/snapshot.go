package driver

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ErrNoSnapshot is a dialer that cannot speak the replication protocol.
var ErrNoSnapshot = errors.New("these connections cannot receive a snapshot")

// Snapshotter is a Dialer that can also receive all data of a node, as a new
// replica does.
type Snapshotter interface {
	Dialer

	// Snapshot writes the node's data, an RDB file, to w as it comes in, and
	// returns when all of it was written. The node forks for it. A node that
	// hangs up before the end, or stands still for longer than the options allow,
	// is a *TransportError, one that refuses is a *ServerError, and w's own
	// error is returned as it is. A cancelled ctx ends it.
	Snapshot(ctx context.Context, addr cluster.Addr, name string, o SnapshotOptions, w io.Writer) error
}

// SnapshotOptions say how to receive a snapshot.
type SnapshotOptions struct {
	Begin time.Duration // limit until the first byte of it; the node may be busy with another one
	Idle  time.Duration // limit for the next byte, or a sign of life

	// Version is that of the replica to play. Valkey 9 leaves out what an older
	// one does not know, and takes one that does not say for such.
	Version string
}

// Snapshot receives a snapshot through d, where d can do that.
func Snapshot(ctx context.Context, d Dialer, addr cluster.Addr, name string, o SnapshotOptions, w io.Writer) error {
	if s, ok := d.(Snapshotter); ok {
		return s.Snapshot(ctx, addr, name, o, w)
	}
	return ErrNoSnapshot
}
