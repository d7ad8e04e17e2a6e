package ingest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// sent is what became of keys that were sent to a target.
type sent struct {
	copied []string
	busy   []string // the target has them already
	gone   int
	again  again
}

// way is how keys get to one target: directly, once that was proven, or through
// this process.
type way struct {
	mu      sync.Mutex
	proven  bool
	through bool
}

func (l *lane) way(to *peer) *way {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if l.r.ways[to.addr] == nil {
		l.r.ways[to.addr] = &way{through: l.r.o.Through || l.from.Cluster || l.from.Replica || l.elsewhere(to)}
	}
	return l.r.ways[to.addr]
}

// elsewhere reports whether the target's address means another host to the source
// than to this process.
func (l *lane) elsewhere(to *peer) bool { return loopback(to.addr.Host) && !loopback(l.from.Addr.Host) }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// carry sends keys to a target that has their slots. Its error is the source's.
func (l *lane) carry(ctx context.Context, to *peer, b batch) (sent, error) {
	if len(b.keys) == 0 {
		return sent{}, nil
	}
	first, direct, err := l.prove(ctx, l.way(to), to, b)
	if err != nil {
		return sent{}, err
	}
	b.keys = b.keys[len(first.copied)+len(first.busy)+first.gone:]
	rest, err := l.carryOn(ctx, to, b, direct)
	return sent{
		copied: append(first.copied, rest.copied...), busy: append(first.busy, rest.busy...),
		gone: first.gone + rest.gone, again: rest.again,
	}, err
}

func (l *lane) carryOn(ctx context.Context, to *peer, b batch, direct bool) (sent, error) {
	if len(b.keys) == 0 {
		return sent{}, nil
	}
	if direct {
		if s, ok, err := l.migrate(ctx, to, b, l.r.o.Timeout); ok || err != nil {
			return s, err
		}
	}
	l.r.count(func(t *Totals) { t.Through = true })
	return l.relay(ctx, to, b)
}

// proofWithin is how long a source may stand still that tries to reach a target.
const proofWithin = time.Second

// prove lets the first key go alone: the source may not reach the target, may not
// be let in, or may find another server at the same address, where the key
// would land and not be missed.
func (l *lane) prove(ctx context.Context, w *way, to *peer, b batch) (first sent, direct bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proven || w.through {
		return sent{}, w.proven, nil
	}
	s, ok, err := l.migrate(ctx, to, batch{b.db, b.keys[:1], 0}, min(l.r.o.Timeout, proofWithin))
	if err != nil {
		return sent{}, false, err
	}
	if !ok || len(s.copied)+len(s.busy) == 0 && s.gone == 0 {
		w.through = !ok || driver.Mentions(s.again.why, "IOERR")
		return sent{}, false, nil
	}
	if s.gone > 0 {
		return s, true, nil // and the next one proves it
	}
	missing, _, trouble := l.exist(ctx, to, batch{b.db, b.keys[:1], 0})
	w.proven = trouble == nil && len(missing) == 0
	w.through = trouble == nil && len(missing) > 0
	if !w.proven {
		return sent{}, false, nil
	}
	return s, true, nil
}

func (l *lane) sendDirectly(ctx context.Context, to *peer, b batch, timeout time.Duration) (driver.Reply, error) {
	replies, err := l.source.do(ctx, timeout+30*time.Second, b.db, l.migrateCommand(to, b, timeout))
	if err != nil {
		return driver.Reply{}, err
	}
	return replies[0], nil
}

func (l *lane) migrateCommand(to *peer, b batch, timeout time.Duration) driver.Command {
	o := l.r.o
	cmd := driver.Cmd("MIGRATE", to.addr.Host, strconv.Itoa(to.addr.Port), "", strconv.Itoa(o.target(b.db)), strconv.FormatInt(timeout.Milliseconds(), 10), "COPY")
	if o.Replace {
		cmd = append(cmd, "REPLACE")
	}
	switch {
	case o.Username != "":
		cmd = append(cmd, "AUTH2", o.Username, o.Password)
	case o.Password != "":
		cmd = append(cmd, "AUTH", o.Password)
	}
	return append(append(cmd, "KEYS"), b.keys...)
}

// migrate lets the source send keys itself. Not ok is what it cannot do: through
// this process each key goes by itself, and shows what is wrong with it.
func (l *lane) migrate(ctx context.Context, to *peer, b batch, timeout time.Duration) (s sent, ok bool, err error) {
	reply, lost := l.sendDirectly(ctx, to, b, timeout)
	if lost != nil { // its outcome is unknown
		return sent{again: again{b.keys, lost}}, true, l.ask(ctx, b.db, driver.Cmd("PING"))
	}
	text, refused := reply.Text()
	switch {
	case refused == nil && text == "NOKEY":
		return sent{gone: len(b.keys)}, true, nil
	case refused == nil:
		return sent{copied: b.keys}, true, nil
	case driver.Mentions(refused, "BUSYKEY"):
		return sent{busy: b.keys}, true, nil
	case passing(refused):
		return sent{again: again{b.keys, refused}}, true, nil
	}
	return sent{}, false, nil
}

// passing reports whether a refusal means that the key belongs elsewhere, or that
// the target is not ready now.
func passing(err error) bool {
	for _, code := range []string{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "IOERR"} {
		if driver.HasCode(err, code) || driver.Mentions(err, "replied with error: "+code) {
			return true
		}
	}
	return false
}

// relay reads keys here and writes them there.
func (l *lane) relay(ctx context.Context, to *peer, b batch) (s sent, err error) {
	values, refused, err := read(ctx, &l.source, b.db, b.keys)
	if err != nil {
		return s, sourceError(err)
	}
	var keys []string
	var ttls []int64
	var cmds []driver.Command
	for i, key := range b.keys {
		switch {
		case refused[i] != nil:
			l.r.fail(b.db, []string{key}, fmt.Sprintf("%s: %v", l.from.Addr, refused[i]))
		case !values[i].there:
			s.gone++
		default:
			keys, ttls, cmds = append(keys, key), append(ttls, values[i].ttl), append(cmds, l.restore(key, values[i]))
		}
	}
	if len(keys) == 0 {
		return s, nil
	}
	replies, lost := to.do(ctx, repliesWithin, l.r.o.target(b.db), cmds...)
	for i, key := range keys {
		failure := lost
		if i < len(replies) {
			failure = replies[i].Err
		}
		if foreign(failure) {
			failure = l.rewrite(ctx, to, b.db, key, ttls[i])
		}
		l.restored(&s, to, b.db, key, failure)
	}
	return s, nil
}

func (l *lane) restore(key string, v value) driver.Command {
	ttl := max(v.ttl, 0)
	if v.ttl == 0 {
		ttl = 1 // it expires in less than that; 0 would mean never
	}
	cmd := driver.Cmd("RESTORE", key, strconv.FormatInt(ttl, 10), v.dump)
	if l.r.o.Replace {
		cmd = append(cmd, "REPLACE")
	}
	return cmd
}

func (l *lane) restored(s *sent, to *peer, db int, key string, err error) {
	switch {
	case err == nil:
		s.copied = append(s.copied, key)
	case driver.HasCode(err, "BUSYKEY"), errors.Is(err, errTaken):
		s.busy = append(s.busy, key)
	case passing(err), driver.IsTransport(err):
		s.again = again{append(s.again.keys, key), err}
	case driver.HasCode(err, "OOM"), driver.HasCode(err, "NOPERM"):
		s.again = again{append(s.again.keys, key), fmt.Errorf("%s: %w", to.addr, err)} // and so would every other key be
	default:
		l.r.fail(db, []string{key}, fmt.Sprintf("%s: %v", to.addr, err))
	}
}

// exist sorts keys by whether the target has them. Its error is the target's.
func (l *lane) exist(ctx context.Context, to *peer, b batch) (missing, present []string, err error) {
	cmds := make([]driver.Command, len(b.keys))
	for i, key := range b.keys {
		cmds[i] = driver.Cmd("EXISTS", key)
	}
	replies, err := to.do(ctx, repliesWithin, l.r.o.target(b.db), cmds...)
	if err != nil {
		return nil, nil, err
	}
	for i, key := range b.keys {
		n, err := replies[i].Int()
		switch {
		case err != nil:
			return nil, nil, err
		case n > 0:
			present = append(present, key)
		default:
			missing = append(missing, key)
		}
	}
	return missing, present, nil
}
