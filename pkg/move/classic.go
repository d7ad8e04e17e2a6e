package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Progress is what a mover reports: slots that were just closed, keys that were
// just moved, or something that it waits for or wants known.
type Progress struct {
	Slots   cluster.SlotSet
	Keys    int64
	Waiting string
	Notice  string
}

const (
	defaultBatch   = 100
	defaultWindow  = 8
	longestMigrate = 5 * time.Second

	// attempts bounds how often one window is tried while nothing gets better.
	attempts   = 6
	firstPause = 100 * time.Millisecond

	// rounds bounds how often a window is drained: expired keys are listed and
	// counted until the server gets to them.
	rounds = 50
)

// withDefaults fills in what was left zero. A MIGRATE that waits as long as the
// node timeout freezes the source until the cluster calls it failed: a third
// of it is the most that is safe.
func (o Options) withDefaults(from cluster.Member) Options {
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	if o.WaitReplicas == 0 {
		o.WaitReplicas = 1
	}
	if o.Timeout == 0 {
		o.Timeout = longestMigrate
		if third := time.Duration(from.NodeTimeout) * time.Millisecond / 3; third > 0 {
			o.Timeout = min(o.Timeout, third)
		}
	}
	return o
}

// Classic moves slots with SETSLOT and MIGRATE. from and to must have been read
// just now; name becomes the client name of its connections. Slots may be in
// any state between "not begun" and "done" that an interrupted move leaves.
//
// When ctx is cancelled it finishes the window in hand and returns ctx's cause.
// When it returns an error, slots may be open: they lose nothing, and a later
// call with the same slots continues. The error is a *ConflictError where keys
// need a decision.
func Classic(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	m := newMover(d, name, from, to, o, report)
	defer m.close()
	for window := range slices.Chunk(slots.Slots(), m.o.Window) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := m.insist(ctx, window); err != nil {
			return err
		}
		m.report(Progress{Slots: cluster.SlotsOf(window...)})
	}
	return nil
}

type mover struct {
	o         Options
	report    func(Progress)
	src, dst  *end
	carrier   *end // second connection to the source, for MIGRATE alone
	databases []int
	watchers  *watchers

	replicated bool // the target had an online replica when the window was opened
	looked     bool
	ours       map[int]bool // slots that this process opened, see REPLACE
	openers    identity     // the source on which it did
	claimed    bool         // the target was told to claim the window in hand; the source has not confirmed it
}

func newMover(d driver.Dialer, name string, from, to cluster.Member, o Options, report func(Progress)) *mover {
	newEnd := func(m cluster.Member) *end {
		return &end{dialer: d, name: name, id: m.ID, addr: m.Addr, server: m.Features}
	}
	databases := from.Databases
	if len(to.Databases) > len(databases) {
		databases = to.Databases
	}
	return &mover{
		o: o.withDefaults(from), report: report, databases: databases,
		src: newEnd(from), dst: newEnd(to), carrier: newEnd(from),
		watchers: newWatchers(d, name),
		ours:     make(map[int]bool),
	}
}

func (m *mover) close() {
	m.src.close()
	m.dst.close()
	m.carrier.close()
	m.watchers.close()
}

// insist moves a window, looking again after each failure that may pass.
func (m *mover) insist(ctx context.Context, window []int) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		// Once begun, a window is finished whatever ctx says; every command has a
		// deadline of its own.
		err := m.move(context.WithoutCancel(ctx), window)
		if err == nil {
			return nil
		}
		m.looked = false
		if !mayPass(err) || attempt == attempts || ctx.Err() != nil {
			return fmt.Errorf("slots %s from %s to %s: %w", cluster.SlotsOf(window...), m.src.addr, m.dst.addr, err)
		}
		m.report(Progress{Waiting: fmt.Sprintf("%v; trying again", err)})
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause *= 2
	}
}

// mayPass reports whether an error may be gone on the next try: the node was
// away, busy, or saw the cluster in a state that passes.
func mayPass(err error) bool {
	if driver.IsTransport(err) || errors.Is(err, errLookAgain) {
		return true
	}
	for _, code := range []string{"IOERR", "TRYAGAIN", "LOADING", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED"} {
		if driver.HasCode(err, code) {
			return true
		}
	}
	return driver.Mentions(err, "LOADING") || driver.Mentions(err, "CLUSTERDOWN")
}

// errLookAgain is a surprise that another look at both ends explains.
var errLookAgain = errors.New("the nodes changed while the slots were moved")

// move brings a window from whatever state it is in to its end.
func (m *mover) move(ctx context.Context, window []int) error {
	if err := m.look(ctx); err != nil {
		return err
	}
	held, moved, err := m.split(window)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		if err := m.carry(ctx, held); err != nil {
			return err
		}
	}
	return m.release(ctx, append(moved, held...))
}

func (m *mover) carry(ctx context.Context, held []int) error {
	replicas, err := m.consult(ctx)
	if err != nil {
		return err
	}
	m.replicated = m.needed(replicas) > 0
	if err := m.open(ctx, held); err != nil {
		return err
	}
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

// split tells the slots that the source still owns from those that the target
// has already taken.
func (m *mover) split(window []int) (held, moved []int, err error) {
	for _, slot := range window {
		switch {
		case m.dst.owns(slot):
			moved = append(moved, slot)
		case m.src.owns(slot) && m.src.seen.master:
			held = append(held, slot)
		default:
			return nil, nil, fmt.Errorf("slot %d belongs neither to %s nor to %s", slot, m.src.addr, m.dst.addr)
		}
	}
	return held, moved, nil
}
