package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// JobError is a move by the servers themselves that came to nothing: they have
// rolled it back, and the source has its slots and keys as before.
type JobError struct {
	Slots  cluster.SlotSet
	From   cluster.Addr
	To     cluster.Addr
	Reason string // in the servers' words
	Final  bool   // another way to move the slots would end the same, or was not wanted
}

func (e *JobError) Error() string {
	return fmt.Sprintf("the servers did not move slots %s from %s to %s: %s", e.Slots, e.From, e.To, e.Reason)
}

const (
	// jobAttempts is how often a job is begun: some servers fail one whose slots
	// are written to, however often it is tried.
	jobAttempts = 3
	// jobLimit is how long one may take.
	jobLimit = time.Hour
	// takeover is how long both ends may take to show what a job has come to.
	takeover = 10 * time.Second

	firstGlance   = 5 * time.Millisecond
	slowestGlance = 200 * time.Millisecond
)

// Atomic lets the servers move slots by themselves, which both must be able to
// in the same dialect. A slot and all of its keys change hands at one moment;
// until then clients find everything at the source. The slots go in several jobs
// one after the other, so that each hand-over is short.
//
// A job that somebody else began between the two ends, of nothing but these
// slots, is waited for instead of begun. When ctx is cancelled, the job in hand
// is cancelled too, and Atomic returns ctx's cause. The error is a *JobError
// where the servers gave up, and have rolled back what they had begun.
func Atomic(ctx context.Context, d driver.Dialer, name string, from, to cluster.Member,
	slots cluster.SlotSet, o Options, report func(Progress),
) error {
	c := &classic{
		dialer: d, name: name, from: from, to: to, o: o.withDefaults(from),
		report: oneAtATime(report),
	}
	s := &serverMove{mover: c.newMover(), dialect: from.Features.Atomic, all: slots}
	defer s.close()
	return s.run(ctx, c.jobs(ctx, slots))
}

// serverMove is a move by the servers themselves.
type serverMove struct {
	*mover
	dialect cluster.Dialect
	all     cluster.SlotSet // of the whole move
}

// jobs divides slots into those of one job each, about equally. The counts only
// decide that; a source that cannot be asked now is asked again by the jobs.
func (c *classic) jobs(ctx context.Context, slots cluster.SlotSet) []cluster.SlotSet {
	counts, _ := c.count(ctx, slots)
	return divide(slots, counts, c.o.MaxPause)
}

func divide(slots cluster.SlotSet, counts map[int]int64, limit time.Duration) []cluster.SlotSet {
	if slots.Empty() {
		return nil
	}
	pause := func(slot int) time.Duration { return pausePerSlot + time.Duration(counts[slot])*pausePerKey }
	total := time.Duration(0)
	for slot := range slots.All() {
		total += pause(slot)
	}
	share := total / ((total + limit - 1) / limit)
	var jobs []cluster.SlotSet
	var job []int
	sum := time.Duration(0)
	for slot := range slots.All() {
		job = append(job, slot)
		if sum += pause(slot); sum >= share {
			jobs = append(jobs, cluster.SlotsOf(job...))
			job, sum = nil, 0
		}
	}
	if job != nil {
		jobs = append(jobs, cluster.SlotsOf(job...))
	}
	return jobs
}

func (s *serverMove) run(ctx context.Context, jobs []cluster.SlotSet) error {
	for _, slots := range jobs {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.insist(ctx, slots); err != nil {
			return err
		}
	}
	return nil
}

// insist moves the slots of one job, in a bounded number of attempts.
func (s *serverMove) insist(ctx context.Context, slots cluster.SlotSet) error {
	begun, pause := time.Now(), firstPause
	told, failures := begun, 0
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, slots)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if _, failed := errors.AsType[*JobError](err); failed {
			failures++
		}
		if errors.Is(err, errBusy) && time.Since(begun) < jobLimit {
			attempt, failures, pause = 0, 0, slowestGlance
			if time.Since(told) > noticeAfter {
				told = time.Now()
				s.report(Progress{Waiting: err.Error()})
			}
		} else if s.hopeless(err, attempt, failures, begun) {
			return err
		} else {
			s.report(Progress{Waiting: fmt.Sprintf("%v; trying again", err)})
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// hopeless reports whether enough was tried, or another attempt would end the
// same. Jobs that failed count by themselves: what passes takes none of theirs.
func (s *serverMove) hopeless(err error, attempt, failures int, begun time.Time) bool {
	if failed, ok := errors.AsType[*JobError](err); ok {
		return failed.Final || failures >= jobAttempts
	}
	tired := attempt >= jobAttempts
	if driver.IsTransport(err) || errors.Is(err, errLookAgain) || isLoading(err) {
		return tired && time.Since(begun) > s.patience
	}
	return tired || !mayPass(err)
}

// attempt brings the slots from whatever state they are in to the target: what
// became of a job that nobody remembers, the owner of its slots tells.
func (s *serverMove) attempt(ctx context.Context, slots cluster.SlotSet) error {
	if err := s.lookAtEnds(ctx); err != nil {
		return err
	}
	before := s.src.view.Self()
	switch left := slots.Minus(s.dst.view.Self().Slots); {
	case left.Empty():
	case !left.Minus(before.Slots).Empty():
		return s.elsewhere(left.Minus(before.Slots))
	case !s.dst.seen.master:
		return fmt.Errorf("the target %s is not a master any more", s.dst.addr)
	default:
		if whole, err := s.work(ctx, left); err != nil {
			return err
		} else if !whole {
			return s.attempt(ctx, slots)
		}
	}
	// What has changed hands is looked at to the end, whatever ctx says.
	return s.confirm(context.WithoutCancel(ctx), slots, before)
}

// elsewhere says who has slots that neither end has, by the source's view.
func (s *serverMove) elsewhere(slots cluster.SlotSet) error {
	if self := s.src.view.Self(); !self.IsMaster() {
		if heir, ok := s.src.view.Get(self.MasterID); ok && slots.Minus(heir.Slots).Empty() {
			return fmt.Errorf("the source %s is not a master any more: slots %s are with %s", s.src.addr, slots, heir.Addr)
		}
	}
	return fmt.Errorf("slots %s belong neither to %s nor to %s", slots, s.src.addr, s.dst.addr)
}

func (s *serverMove) lookAtEnds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	if err := s.src.look(ctx); err != nil {
		return err
	}
	return s.dst.look(ctx)
}

// confirm waits until both ends have drawn the consequences of a job that was
// carried out, and proves that the source has nothing left.
func (s *serverMove) confirm(ctx context.Context, slots cluster.SlotSet, before cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, takeover)
	defer cancel()
	pause := firstGlance
	for {
		waiting, err := s.unconfirmed(ctx, slots)
		if err != nil {
			return err
		}
		if waiting == "" {
			break
		}
		if sleep(ctx, pause) != nil {
			return fmt.Errorf("%w: %s", errLookAgain, waiting)
		}
		pause = min(2*pause, slowestGlance)
	}
	s.noteChanges(before, s.src.view.Self())
	return s.settle(ctx, slots)
}

// unconfirmed is what both ends do not show yet of slots that have moved.
func (s *serverMove) unconfirmed(ctx context.Context, slots cluster.SlotSet) (string, error) {
	if err := s.lookAtEnds(ctx); err != nil {
		return "", err
	}
	src, dst := s.src.view.Self(), s.dst.view.Self()
	if missing := slots.Minus(dst.Slots); !missing.Empty() {
		return fmt.Sprintf("%s does not own slots %s", s.dst.addr, missing), nil
	}
	if kept := slots.Intersect(src.Slots); !kept.Empty() {
		return fmt.Sprintf("%s still claims slots %s", s.src.addr, kept), nil
	}
	if !src.IsMaster() {
		return "", nil // it has lost its last slot, and what it holds is its master's
	}
	if keys, err := s.keysAt(ctx, s.src, slots); err != nil || keys > 0 {
		return fmt.Sprintf("%s still has %d keys of slots %s", s.src.addr, keys, slots), err
	}
	return "", nil
}

func (s *serverMove) keysAt(ctx context.Context, e *end, slots cluster.SlotSet) (int64, error) {
	list := slots.Slots()
	replies, err := e.do(ctx, driver.CountCommands(s.databases, list)...)
	if err != nil {
		return 0, err
	}
	counts, err := driver.ReadCounts(replies, s.databases, list)
	if err != nil {
		return 0, fmt.Errorf("%s: counting keys: %w", e.addr, err)
	}
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	return sum, nil
}

// settle waits for the target's replicas, since only the target has the keys
// now, and reports what has moved.
func (s *serverMove) settle(ctx context.Context, slots cluster.SlotSet) error {
	keys, err := s.keysAt(ctx, s.dst, slots)
	if err != nil {
		return err
	}
	if err := s.askStanding(ctx); err != nil {
		return err
	}
	s.noteReplicas()
	if s.needed() > 0 {
		if err := s.awaitReplicas(ctx); err != nil {
			s.report(Progress{Notice: fmt.Sprintf("%v: until they have, a failure of %s can lose what was moved", err, s.dst.addr)})
		}
	}
	s.report(Progress{Slots: slots, Keys: keys})
	return nil
}

// sleep pauses; its error is ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// ranges are the arguments that name slots.
func ranges(slots cluster.SlotSet) []string {
	var args []string
	for _, r := range slots.Ranges() {
		args = append(args, fmt.Sprint(r.First), fmt.Sprint(r.Last))
	}
	return args
}
