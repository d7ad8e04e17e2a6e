package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// batch is some keys of one slot in one database.
type batch struct {
	slot, db int
	keys     []string
	bytes    int64
}

// drain moves the keys that the source lists, database by database.
func (m *mover) drain(ctx context.Context, slots []int) error {
	for _, db := range m.databases {
		if err := m.drainDB(ctx, db, slots); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) drainDB(ctx context.Context, db int, slots []int) error {
	for more := true; more; {
		listed, err := m.next(ctx, db, slots)
		if err != nil {
			return err
		}
		if err := m.sendAll(ctx, listed); err != nil {
			return err
		}
		// A source that migrates takes no new keys: a listing that was not full
		// was the last one. That nothing is left is for the guard to prove.
		more = slices.ContainsFunc(listed, func(b batch) bool { return len(b.keys) >= m.o.Batch })
	}
	return nil
}

// next are keys to move: at first what was listed before the slots were opened.
// What came in between, the guard will count.
func (m *mover) next(ctx context.Context, db int, slots []int) ([]batch, error) {
	if listed := m.scale.peeked[db]; listed != nil {
		delete(m.scale.peeked, db)
		return m.scale.moving(listed), nil
	}
	listed, err := m.list(ctx, db, slots)
	if err != nil {
		return nil, err
	}
	return listed, m.weigh(ctx, db, keysOf(listed))
}

// sendAll moves what was listed, in batches that the nodes can bear. It goes on
// past keys that need a decision, so that all of them are named at once.
func (m *mover) sendAll(ctx context.Context, listed []batch) error {
	var conflicts []Conflict
	for _, whole := range listed {
		for len(whole.keys) > 0 {
			if m.stop.Err() != nil {
				return context.Cause(m.stop)
			}
			b := m.scale.cut(&whole, m.pace)
			err := m.send(ctx, b)
			var conflict *ConflictError
			if errors.As(err, &conflict) {
				conflicts = append(conflicts, conflict.Conflicts...)
			} else if err != nil {
				return err
			}
		}
	}
	if conflicts != nil {
		return &ConflictError{conflicts}
	}
	return nil
}

func keysOf(listed []batch) []string {
	var keys []string
	for _, b := range listed {
		keys = append(keys, b.keys...)
	}
	return keys
}

// list asks for up to a batch of keys of each slot. The listing is the
// authority on what is left: what was moved, expired or deleted is not in it.
func (m *mover) list(ctx context.Context, db int, slots []int) ([]batch, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	cmds := m.selectDB(db)
	skip := len(cmds)
	for _, slot := range slots {
		cmds = append(cmds, driver.Cmd("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(m.o.Batch)))
	}
	replies, err := m.src.do(ctx, append(cmds, driver.Cmd("CLUSTER", "NODES"))...)
	if err != nil {
		return nil, err
	}
	if err := m.src.allOK(cmds[:skip], replies); err != nil {
		return nil, err
	}
	// The fence: another operator who closed or turned the slot in the meantime
	// has ended the source's authority.
	if err := m.src.readView(replies[len(cmds)]); err != nil {
		return nil, err
	}
	if err := m.checkOpen(slots); err != nil {
		return nil, err
	}
	var batches []batch
	for i, slot := range slots {
		keys, err := replies[skip+i].Strings()
		if err != nil {
			return nil, fmt.Errorf("%s: listing slot %d: %w", m.src.addr, slot, err)
		}
		if len(keys) > 0 {
			batches = append(batches, batch{slot: slot, db: db, keys: keys})
		}
	}
	return batches, nil
}

// selectDB is empty where there is but one database.
func (m *mover) selectDB(db int) []driver.Command {
	if len(m.databases) == 1 {
		return nil
	}
	return []driver.Command{{"SELECT", strconv.Itoa(db)}}
}

// send moves a batch and waits until replicas of the target have it.
func (m *mover) send(ctx context.Context, b batch) error {
	if err := m.o.Throttle.wait(m.stop, int64(len(b.keys)), b.bytes); err != nil {
		return context.Cause(m.stop)
	}
	if err := m.fence(ctx); err != nil {
		return err
	}
	if m.drops() {
		return m.merge(ctx, b)
	}
	err := m.migrate(ctx, b, m.ours[b.slot])
	if driver.HasCode(err, "IOERR") {
		// The keys' fate is unknown and a stale copy may be on the target: the
		// sooner the same keys are sent again, the less can happen to them.
		err = m.migrate(ctx, b, m.ours[b.slot])
	}
	if driver.Mentions(err, "BUSYKEY") {
		err = m.merge(ctx, b)
	}
	if err != nil {
		return err
	}
	m.report(Progress{Keys: int64(len(b.keys)), Bytes: b.bytes})
	if m.needed() == 0 {
		return nil
	}
	return m.awaitReplicas(ctx)
}

// fenceEvery is how long what was read of a slot is believed: another operator
// may close it, and a source may be failed over and back.
const fenceEvery = 100 * time.Millisecond

// fence reads the source's view again where that was some time ago. All slots in
// hand are looked at: batches of others of them follow.
func (m *mover) fence(ctx context.Context) error {
	if time.Since(m.fenced) < fenceEvery {
		return nil
	}
	if err := m.src.viewAgain(ctx); err != nil {
		return err
	}
	if m.gathers() {
		return m.checkPinned(m.inHand)
	}
	return m.checkOpen(m.inHand)
}

// migrate sends one MIGRATE. That none of the keys existed any more is fine:
// the next listing knows what is left.
func (m *mover) migrate(ctx context.Context, b batch, replace bool) error {
	host, port, err := m.targetAsSeen()
	if err != nil {
		return err
	}
	cmds := m.selectDB(b.db)
	cmds = append(cmds, m.migrateCommand(host, port, b, replace))
	// The timeout is the server's, for each read and write on its socket; the
	// reply takes longer than that where much is sent.
	ctx, cancel := context.WithTimeout(ctx, m.o.Timeout+30*time.Second)
	defer cancel()
	start := time.Now()
	replies, err := m.attend(ctx, cmds)
	if err != nil {
		return err
	}
	m.pace.took(time.Since(start), len(b.keys), b.bytes)
	last := replies[len(replies)-1]
	if last.Err != nil {
		return fmt.Errorf("%s: MIGRATE of %d keys of slot %d to %s: %w", m.src.addr, len(b.keys), b.slot, m.dst.addr, last.Err)
	}
	return driver.FirstErr(replies)
}

// targetAsSeen is the target's address in the source's own view: the source is
// who connects to it, and may know it under another address than trib.
func (m *mover) targetAsSeen() (host, port string, err error) {
	n, _ := m.src.view.Get(m.dst.id)
	if !n.Addr.Known() {
		return "", "", fmt.Errorf("%s does not know the address of %s", m.src.addr, m.dst.addr)
	}
	return n.Addr.Host, strconv.Itoa(cmp.Or(m.o.Ports[m.dst.id], n.Addr.Port)), nil
}

func (m *mover) migrateCommand(host, port string, b batch, replace bool) driver.Command {
	cmd := driver.Cmd("MIGRATE", host, port, "", strconv.Itoa(b.db), strconv.FormatInt(m.o.Timeout.Milliseconds(), 10))
	if replace {
		cmd = append(cmd, "REPLACE")
	}
	switch {
	case m.o.Username != "":
		cmd = append(cmd, "AUTH2", m.o.Username, m.o.Password)
	case m.o.Password != "":
		cmd = append(cmd, "AUTH", m.o.Password)
	}
	return append(append(cmd, "KEYS"), b.keys...)
}

// noticeAfter is when an operator is told which node keeps everybody waiting.
const noticeAfter = 3 * time.Second

// attend sends commands to the source over the connection for MIGRATE, and
// says so when the reply is late.
func (m *mover) attend(ctx context.Context, cmds []driver.Command) ([]driver.Reply, error) {
	type answer struct {
		replies []driver.Reply
		err     error
	}
	if m.carrier.conn == nil {
		return nil, fmt.Errorf("%w: the connection to %s broke", errLookAgain, m.src.addr)
	}
	done := make(chan answer, 1)
	go func() {
		replies, err := m.carrier.do(ctx, cmds...)
		done <- answer{replies, err}
	}()
	late := time.NewTimer(noticeAfter)
	defer late.Stop()
	for {
		select {
		case a := <-done:
			return a.replies, a.err
		case <-late.C:
			m.report(Progress{Waiting: fmt.Sprintf("%s has not answered a MIGRATE to %s for %s", m.src.addr, m.dst.addr, noticeAfter)})
		}
	}
}
