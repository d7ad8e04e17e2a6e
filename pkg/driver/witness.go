package driver

import (
	"context"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Witness tells saw of every command that may change something, right before it
// is sent on a connection of the returned dialer. Calls may come from several
// goroutines at once.
func Witness(d Dialer, saw func(Command)) Dialer { return witness{d, saw} }

type witness struct {
	next Dialer
	saw  func(Command)
}

func (w witness) Dial(ctx context.Context, addr cluster.Addr, name string) (Conn, error) {
	c, err := w.next.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return witnessed{c, w.saw}, nil
}

type witnessed struct {
	Conn
	saw func(Command)
}

func (c witnessed) Do(ctx context.Context, cmds ...Command) ([]Reply, error) {
	for _, cmd := range cmds {
		if Mutates(cmd) {
			c.saw(cmd)
		}
	}
	return c.Conn.Do(ctx, cmds...)
}
