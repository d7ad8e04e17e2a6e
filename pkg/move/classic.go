package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Progress is what a mover reports: slots that were just closed, keys that were
// just moved, or something that it waits for or wants known.
type Progress struct {
	Slots   cluster.SlotSet
	Keys    int64
	Bytes   int64 // memory of these keys at the source
	Waiting string
	Notice  string
}

const (
	// attempts bounds how often one window is tried while nothing gets better.
	attempts     = 6
	firstPause   = 100 * time.Millisecond
	longestPause = 1600 * time.Millisecond

	// rounds bounds how often a window is drained: expired keys are listed and
	// counted until the server gets to them.
	rounds = 50

	// grace is how long a window in hand may take to its end when the move is to
	// stop; after that it stops after the batch in hand.
	grace = 2 * time.Second
)

// Classic moves slots with SETSLOT and MIGRATE. from and to must have been read
// just now; name becomes the client name of its connections. Slots may be in
// any state between "not begun" and "done" that an interrupted move leaves.
//
// When ctx is cancelled it finishes the windows in hand, or the batches where
// that takes long, and returns ctx's cause. When it returns an error, slots may
// be open: they lose nothing, and a later call with the same slots continues.
// The error is a *ConflictError where keys need a decision and a *BigKeysError
// where slots were left as they are because of big keys.
//
// report is called by one goroutine at a time.
func Classic(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	c := &classic{
		dialer: d, name: name, from: from, to: to, o: o.withDefaults(from),
		report: oneAtATime(report),
	}
	return c.run(ctx, slots)
}

type mover struct {
	o         Options
	report    func(Progress)
	src, dst  *end
	carrier   *end // second connection to the source, for MIGRATE alone
	databases []int
	watchers  *watchers
	pace      pace
	scale     scale
	conflicts []Conflict
	patience  time.Duration   // with a cluster that is down
	stop      context.Context // ended: no further batch
	notes     *sync.Once      // for what all lanes would say

	inHand   []int               // the slots that are open
	fenced   time.Time           // when the source's view of them was last read
	standing cluster.Replication // of the target, when it was last asked
	looked   bool
	ours     map[int]bool // slots that this process opened, see REPLACE
	openers  identity     // the source on which it did
	errand   errand       // what it does with slots
	tally    *tally       // of what it deleted, for all lanes
	claimed  bool         // the target was told to claim the window in hand; the source has not confirmed it
}

func (c *classic) newMover() *mover {
	newEnd := func(m cluster.Member) *end {
		return &end{dialer: c.dialer, name: c.name, id: m.ID, addr: m.Addr, server: m.Features}
	}
	return &mover{
		o: c.o, report: c.report, databases: c.databases(),
		src: newEnd(c.from), dst: newEnd(c.to), carrier: newEnd(c.from),
		watchers: newWatchers(c.dialer, c.name),
		pace:     newPace(c.o),
		scale:    newScale(c.o.Big, nodeTimeout(c.from)/2),
		patience: downFor(nodeTimeout(c.from)),
		notes:    &c.notes,
		ours:     make(map[int]bool),
		errand:   c.errand,
		tally:    &c.tally,
	}
}

func (m *mover) close() {
	m.src.close()
	m.dst.close()
	m.carrier.close()
	m.watchers.close()
}

// insist moves a window, however often that takes.
func (m *mover) insist(ctx context.Context, window []int) error {
	defer m.graceful(ctx)()
	return m.persist(ctx, window, m.move)
}

// persist does something with slots, looking again after each failure that may
// pass.
func (m *mover) persist(ctx context.Context, slots []int, do func(context.Context, []int) error) error {
	begun, pause := time.Now(), firstPause
	for attempt := 1; ; attempt++ {
		// Once begun, a window is finished whatever ctx says; every command has a
		// deadline of its own.
		err := do(context.WithoutCancel(ctx), slots)
		if err == nil {
			return nil
		}
		m.looked = false
		tired := attempt >= attempts && !(isDown(err) && time.Since(begun) < m.patience)
		if !mayPass(err) || tired || ctx.Err() != nil {
			return fmt.Errorf("slots %s from %s to %s: %w", cluster.SlotsOf(slots...), m.src.addr, m.dst.addr, err)
		}
		m.report(Progress{Waiting: fmt.Sprintf("%v; trying again", err)})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, longestPause)
	}
}

// graceful lets m.stop end some time after ctx did.
func (m *mover) graceful(ctx context.Context) (release func()) {
	stop, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	m.stop = stop
	forget := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
		case <-m.o.Abort:
		case <-stop.Done():
		}
		cancel(context.Cause(ctx))
	})
	return func() {
		forget()
		cancel(nil)
	}
}

// mayPass reports whether an error may be gone on the next try: the node was
// away, busy, or saw the cluster in a state that passes.
func mayPass(err error) bool {
	if driver.IsTransport(err) || errors.Is(err, errLookAgain) || isDown(err) {
		return true
	}
	for _, code := range []string{"IOERR", "TRYAGAIN", "BUSY", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"} {
		// What a target says comes inside the source's words.
		if driver.HasCode(err, code) || driver.Mentions(err, "replied with error: "+code+" ") {
			return true
		}
	}
	return false
}

// isDown reports whether an error is of a cluster, or a node, that does not work now.
func isDown(err error) bool {
	return errors.Is(err, errDown) || driver.Mentions(err, "CLUSTERDOWN") || isLoading(err)
}

// isLoading reports whether an error is of a node that was started again just now.
func isLoading(err error) bool { return driver.Mentions(err, "LOADING") }

// downFor is how long a window waits for a cluster that is down. A master that
// paused is called failed for twice the node timeout after it is back, and who
// gives up before that loses the right to replace what the target got twice.
func downFor(nodeTimeout time.Duration) time.Duration {
	return min(3*cmp.Or(nodeTimeout, 15*time.Second)+5*time.Second, time.Minute)
}

// errLookAgain is a surprise that another look at both ends explains.
var errLookAgain = errors.New("the nodes changed while the slots were moved")

// errDown is a cluster that does not work now, and may work again.
var errDown = errors.New("the cluster is down")

// move brings a window from whatever state it is in to its end.
func (m *mover) move(ctx context.Context, window []int) error {
	if m.gathers() {
		return m.gather(ctx, window)
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	held, given, moved, err := m.split(window)
	if err != nil {
		return err
	}
	if err := m.claimGiven(ctx, given); err != nil {
		return err
	}
	if held, err = m.withoutBigKeys(ctx, held); err != nil {
		return err
	}
	carried, conflicts, err := m.carryMost(ctx, held)
	if err != nil {
		return err
	}
	closed := slices.Concat(moved, given, carried)
	if len(closed) == 0 {
		return conflictError(conflicts)
	}
	if err := m.release(ctx, closed); err != nil {
		return err
	}
	m.report(Progress{Slots: cluster.SlotsOf(closed...)})
	return conflictError(conflicts)
}

// carryMost moves slots, and leaves those open in which keys need a decision.
func (m *mover) carryMost(ctx context.Context, held []int) (carried []int, conflicts []Conflict, err error) {
	for len(held) > 0 {
		err := m.carry(ctx, held)
		e, ok := errors.AsType[*ConflictError](err)
		if !ok {
			return held, conflicts, err
		}
		conflicts = append(conflicts, e.Conflicts...)
		held = without(held, e.Conflicts)
	}
	return nil, conflicts, nil
}

func (m *mover) carry(ctx context.Context, held []int) error {
	if err := m.open(ctx, held); err != nil {
		return err
	}
	m.inHand = held
	for range rounds {
		if err := m.drain(ctx, held); err != nil {
			return err
		}
		taken, err := m.take(ctx, held)
		if err != nil || taken {
			return err
		}
	}
	return fmt.Errorf("%w: %s still has keys after it was drained %d times", errLookAgain, m.src.addr, rounds)
}

// look reads both ends at the start and after every failure. The right to
// replace ends where the source is not the one that the slots were opened on.
func (m *mover) look(ctx context.Context) error {
	if m.looked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	if err := m.src.look(ctx); err != nil {
		return err
	}
	if err := m.dst.look(ctx); err != nil {
		return err
	}
	// The carrier must speak to the very run of the source that was looked at.
	if err := m.carrier.look(ctx); err != nil {
		return err
	}
	if m.carrier.seen != m.src.seen {
		return fmt.Errorf("%w: %s was restarted or failed over", errLookAgain, m.src.addr)
	}
	if !m.dst.seen.master {
		return fmt.Errorf("the target %s is not a master any more", m.dst.addr)
	}
	m.reconsider()
	m.looked = true
	return nil
}

// reconsider gives up the right to replace for slots that are not as this
// process opened them: then others may have written on both sides.
func (m *mover) reconsider() {
	if len(m.ours) == 0 {
		return
	}
	if m.src.seen != m.openers {
		m.report(Progress{Notice: m.changeNotice()})
		m.ours = make(map[int]bool)
	}
	for slot := range m.ours {
		if m.src.view.Self().Migrating[slot] != m.dst.id || m.dst.view.Self().Importing[slot] != m.src.id {
			delete(m.ours, slot)
		}
	}
}

func (m *mover) changeNotice() string {
	if m.claimed {
		return fmt.Sprintf("%s was restarted or failed over while slots were handed over: what its replica acknowledged within about %s may be lost", m.src.addr, lease)
	}
	return fmt.Sprintf("the source %s was restarted or failed over; keys on both sides are compared from here on", m.src.addr)
}

// split tells the slots that the source still owns from those that it has given
// up and those that the target has taken.
func (m *mover) split(window []int) (held, given, moved []int, err error) {
	for _, slot := range window {
		switch {
		case m.dst.owns(slot):
			moved = append(moved, slot)
		case m.src.owns(slot) && m.src.seen.master:
			held = append(held, slot)
		case m.given(slot):
			given = append(given, slot)
		case m.claimed:
			return nil, nil, nil, fmt.Errorf("slot %d was taken back from %s by a replica of %s that was promoted while it was handed over: keys that had moved may be lost",
				slot, m.dst.addr, m.src.addr)
		default:
			return nil, nil, nil, fmt.Errorf("slot %d belongs neither to %s nor to %s", slot, m.src.addr, m.dst.addr)
		}
	}
	return held, given, moved, nil
}
