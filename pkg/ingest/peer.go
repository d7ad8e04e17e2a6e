package ingest

import (
	"context"
	"strconv"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// peer is a server, and a connection to it that is dialled anew after it broke.
type peer struct {
	dialer driver.Dialer
	name   string
	addr   cluster.Addr
	conn   driver.Conn
	db     int // that the connection has selected
	dials  int // connections so far
}

// repliesWithin is how long a batch of commands may take that is not MIGRATE.
const repliesWithin = 15 * time.Second

// do sends commands to a database in one round trip.
func (p *peer) do(ctx context.Context, within time.Duration, db int, cmds ...driver.Command) ([]driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := p.dial(ctx); err != nil {
		return nil, err
	}
	if err := p.use(ctx, db); err != nil {
		return nil, err
	}
	replies, err := p.conn.Do(ctx, cmds...)
	if err != nil {
		p.close()
	}
	return replies, err
}

// use selects a database by itself: what comes after a SELECT that was refused
// would be carried out in another one.
func (p *peer) use(ctx context.Context, db int) error {
	if db == p.db {
		return nil
	}
	if _, err := driver.Call(ctx, p.conn, "SELECT", strconv.Itoa(db)); err != nil {
		p.close()
		return err
	}
	p.db = db
	return nil
}

func (p *peer) dial(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	conn, err := p.dialer.Dial(ctx, p.addr, p.name)
	if err != nil {
		return err
	}
	p.conn, p.db, p.dials = conn, 0, p.dials+1
	return nil
}

func (p *peer) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}
