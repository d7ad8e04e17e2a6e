package ingest

import (
	"context"
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// scanner lists the keys of one server, and deals them to the queues of the
// masters.
type scanner struct {
	r       *run
	from    Origin
	peer    peer
	queues  map[cluster.Addr]chan batch
	pending map[cluster.Addr]*batch
	blind   bool // sizes are not asked for
}

func (r *run) newScanner(from Origin) *scanner {
	return &scanner{
		r: r, from: from, peer: peer{dialer: r.o.From, addr: from.Addr},
		blind:  from.Bytes > 0 && from.Bytes <= harmless && r.o.Throttle == nil,
		queues: make(map[cluster.Addr]chan batch), pending: make(map[cluster.Addr]*batch),
	}
}

func (s *scanner) scan(ctx context.Context) error {
	defer s.close()
	for _, db := range s.from.Keyspace {
		if !s.r.o.wants(db.DB) {
			continue
		}
		if err := s.insist(ctx, db.DB); err != nil {
			return err
		}
		if err := s.flush(ctx, db.DB); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) close() {
	s.peer.close()
	for _, queue := range s.queues {
		close(queue)
	}
}

// scanTries is how often a database is scanned whose connection breaks.
const scanTries = 3

// insist scans a database from its beginning once more after the connection broke:
// the server may have been restarted, and a cursor means nothing then. Keys
// that are listed twice are found to have come over already.
func (s *scanner) insist(ctx context.Context, db int) error {
	for try := 1; ; try++ {
		err := s.database(ctx, db)
		if err == nil || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if try == scanTries || !driver.IsTransport(err) {
			return sourceError(err)
		}
	}
}

func (s *scanner) database(ctx context.Context, db int) error {
	for cursor := ""; cursor != "0"; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		replies, err := s.peer.do(ctx, repliesWithin, db, s.command(cursor))
		if err != nil {
			return err
		}
		var keys []string
		if cursor, keys, err = page(replies[0]); err != nil {
			return fmt.Errorf("%s: SCAN: %w", s.from.Addr, err)
		}
		if err := s.deal(ctx, db, keys); err != nil {
			return err
		}
	}
	return nil
}

const scanCount = "1000"

func (s *scanner) command(cursor string) driver.Command {
	if cursor == "" {
		cursor = "0"
	}
	cmd := driver.Cmd("SCAN", cursor, "COUNT", scanCount)
	if s.r.o.Match != "" && s.r.o.Match != "*" {
		cmd = append(cmd, "MATCH", s.r.o.Match)
	}
	if s.r.o.Type != "" {
		cmd = append(cmd, "TYPE", s.r.o.Type)
	}
	return cmd
}

func page(r driver.Reply) (cursor string, keys []string, err error) {
	if r.Err != nil {
		return "", nil, r.Err
	}
	parts, ok := r.Value.([]any)
	if !ok || len(parts) != 2 {
		return "", nil, fmt.Errorf("unexpected reply of type %T", r.Value)
	}
	if cursor, err = (driver.Reply{Value: parts[0]}).Text(); err != nil {
		return "", nil, err
	}
	keys, err = driver.Reply{Value: parts[1]}.Strings()
	return cursor, keys, err
}

// deal puts keys with their masters' others. A batch that is full goes.
func (s *scanner) deal(ctx context.Context, db int, keys []string) error {
	sizes, err := s.weigh(ctx, db, keys)
	if err != nil {
		return err
	}
	s.r.count(func(t *Totals) { t.Scanned += int64(len(keys)) })
	for i, key := range keys {
		if err := s.add(ctx, db, key, sizes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) add(ctx context.Context, db int, key string, size int64) error {
	to := s.r.routes.of(key)
	if s.queues[to] == nil {
		to = s.r.o.Cluster.Masters()[0].Addr // the lane finds out where it belongs
	}
	b := s.pending[to]
	if b != nil && (len(b.keys) >= s.r.o.Batch || b.bytes+size > mostBytes) {
		if err := s.send(ctx, to); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		b = &batch{db: db}
		s.pending[to] = b
	}
	b.keys, b.bytes = append(b.keys, key), b.bytes+size
	return nil
}

func (s *scanner) send(ctx context.Context, to cluster.Addr) error {
	b := s.pending[to]
	delete(s.pending, to)
	if err := s.r.o.Throttle.Wait(ctx, int64(len(b.keys)), b.bytes); err != nil {
		return err
	}
	select {
	case s.queues[to] <- *b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// flush sends what is left of a database.
func (s *scanner) flush(ctx context.Context, db int) error {
	for to := range s.pending {
		if err := s.send(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// harmless is how much all values of a server may take together for none to be
// weighed, which takes longer than a third of the import: a MIGRATE even of all of
// them would end within a second or so.
const harmless = 256 << 20

// weigh asks for the sizes of keys, so that big ones do not travel together; they
// are 0 where the server does not tell.
func (s *scanner) weigh(ctx context.Context, db int, keys []string) ([]int64, error) {
	sizes := make([]int64, len(keys))
	if s.blind || len(keys) == 0 {
		return sizes, nil
	}
	cmds := make([]driver.Command, len(keys))
	for i, key := range keys {
		cmds[i] = driver.Cmd("MEMORY", "USAGE", key)
	}
	replies, err := s.peer.do(ctx, repliesWithin, db, cmds...)
	if err != nil {
		return nil, err
	}
	for i, r := range replies {
		sizes[i], _ = r.Int()
		s.blind = s.blind || r.Err != nil
	}
	return sizes, nil
}
