package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// errBusy is a node that takes one job at a time, and has one.
var errBusy = errors.New("one job at a time")

// told is the end that is given the orders, and that is asked about them.
func (s *serverMove) told() *end {
	if s.dialect == cluster.Migration {
		return s.dst
	}
	return s.src
}

func (s *serverMove) other() *end {
	if s.dialect == cluster.Migration {
		return s.src
	}
	return s.dst
}

func (s *serverMove) order(slots cluster.SlotSet) driver.Command {
	if s.dialect == cluster.Migration {
		return append(driver.Cmd("CLUSTER", "MIGRATION", "IMPORT"), ranges(slots)...)
	}
	cmd := append(driver.Cmd("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"), ranges(slots)...)
	return append(cmd, "NODE", string(s.dst.id))
}

// work lets the servers move slots, or waits for those who do already, which may
// be a part of it only.
func (s *serverMove) work(ctx context.Context, slots cluster.SlotSet) (whole bool, err error) {
	job, err := s.obtain(ctx, slots)
	if err != nil {
		return false, err
	}
	return slots.Minus(job.Slots).Empty(), s.follow(ctx, job)
}

// obtain is the job that moves slots: one that runs already, or a new one.
func (s *serverMove) obtain(ctx context.Context, slots cluster.SlotSet) (cluster.Job, error) {
	known, err := s.ask(ctx, s.told())
	if err != nil {
		return cluster.Job{}, err
	}
	if job, found, err := s.adopt(known, slots); found || err != nil {
		return job, err
	}
	if err := s.busy(known); err != nil {
		return cluster.Job{}, err
	}
	if ctx.Err() != nil {
		return cluster.Job{}, context.Cause(ctx)
	}
	if err := s.mayBegin(ctx, slots); err != nil {
		return cluster.Job{}, err
	}
	job, err := s.begin(context.WithoutCancel(ctx), slots, known)
	if driver.IsTransport(err) && ctx.Err() != nil {
		err = s.unknownEnd(slots, err)
	}
	return job, err
}

// mayBegin refuses what the servers would do and what costs keys or brings back
// deleted ones: the target must have none of the slots' keys yet, and a source
// that loses its last slot, and is wiped as a replica then, none of other slots.
func (s *serverMove) mayBegin(ctx context.Context, slots cluster.SlotSet) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repliesWithin)
	defer cancel()
	refusal := &JobError{Slots: slots, From: s.src.addr, To: s.dst.addr}
	stale, err := s.keysAt(ctx, s.dst, slots)
	if err != nil {
		return err
	}
	if stale > 0 {
		refusal.Reason = fmt.Sprintf("%s holds %d keys of these slots without owning them", s.dst.addr, stale)
		return refusal
	}
	if !s.src.view.Self().Slots.Minus(s.dst.view.Self().Slots).Minus(slots).Empty() {
		return nil
	}
	strays, err := s.strays(ctx, slots)
	if err == nil && strays > 0 {
		refusal.Reason = fmt.Sprintf("%s would lose its last slot and be wiped, but it still holds %d keys of slots that it does not own", s.src.addr, strays)
		return refusal
	}
	return err
}

// strays are the keys that the source has beside those of the slots, of which it
// owns no others. They are counted where they are: clients write to the slots all
// the time, and to no others.
func (s *serverMove) strays(ctx context.Context, slots cluster.SlotSet) (int64, error) {
	replies, err := s.src.do(ctx, driver.Cmd("INFO", "keyspace"))
	if err != nil {
		return 0, err
	}
	dbs, err := keyspaceOf(replies[0])
	if err != nil {
		return 0, fmt.Errorf("%s: INFO keyspace: %w", s.src.addr, err)
	}
	for _, db := range dbs {
		if !slices.Contains(s.databases, db.DB) {
			s.databases = append(slices.Clone(s.databases), db.DB)
		}
	}
	return s.keysAt(ctx, s.src, cluster.AllSlots().Minus(slots))
}

// adopt finds a job under way between the two ends that moves some of the slots.
// One that moves others too, or to somebody else, is not this one's to wait for.
func (s *serverMove) adopt(known []cluster.Job, slots cluster.SlotSet) (cluster.Job, bool, error) {
	for _, j := range known {
		if j.Stage() != cluster.JobRunning || j.Slots.Intersect(slots).Empty() {
			continue
		}
		if j.From != s.src.id || j.To != s.dst.id || !j.Slots.Minus(s.all).Empty() {
			return j, false, fmt.Errorf("%s is moving slots %s by itself for somebody else (%s)", s.told().addr, j.Slots, j.State)
		}
		return j, true, nil
	}
	return cluster.Job{}, false, nil
}

// busy says that a target of the Redis dialect takes no further job now.
func (s *serverMove) busy(known []cluster.Job) error {
	for _, j := range known {
		if s.dialect == cluster.Migration && j.Stage() == cluster.JobRunning {
			return fmt.Errorf("%w: %s moves slots %s", errBusy, s.told().addr, j.Slots)
		}
	}
	return nil
}

// begin gives the order and finds the job that came of it: one that was not
// known before. Where no reply came, the order may have arrived all the same;
// then the next attempt finds it.
func (s *serverMove) begin(ctx context.Context, slots cluster.SlotSet, known []cluster.Job) (cluster.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	replies, err := s.told().do(ctx, s.order(slots), driver.JobsCommand(s.dialect))
	if err != nil {
		return cluster.Job{}, err
	}
	if err := replies[0].Err; err != nil {
		return cluster.Job{}, s.refused(slots, err)
	}
	jobs, err := driver.ReadJobs(replies[1])
	if err != nil {
		return cluster.Job{}, fmt.Errorf("%s: %w", s.told().addr, err)
	}
	for _, j := range jobs {
		old := slices.ContainsFunc(known, func(k cluster.Job) bool { return k.ID == j.ID })
		if !old && j.From == s.src.id && j.To == s.dst.id && j.Slots.Equal(slots) {
			return j, nil
		}
	}
	return cluster.Job{}, fmt.Errorf("%w: %s does not tell of the job that it has taken", errLookAgain, s.told().addr)
}

// refused is an order that was not taken. A busy node is asked again.
func (s *serverMove) refused(slots cluster.SlotSet, err error) error {
	if driver.Mentions(err, "task is already in progress") {
		return fmt.Errorf("%w: %s: %w", errBusy, s.told().addr, err)
	}
	return &JobError{Slots: slots, From: s.src.addr, To: s.dst.addr, Reason: err.Error()}
}

func (s *serverMove) ask(ctx context.Context, e *end) ([]cluster.Job, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), driver.ProbeTimeout)
	defer cancel()
	replies, err := e.do(ctx, driver.JobsCommand(s.dialect))
	if err != nil {
		return nil, err
	}
	jobs, err := driver.ReadJobs(replies[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.addr, err)
	}
	return jobs, nil
}

// follow watches a job to its end. When ctx is cancelled, so is the job.
func (s *serverMove) follow(ctx context.Context, job cluster.Job) error {
	begun, pause, told := time.Now(), firstGlance, time.Now()
	var end cancellation
	for {
		jobs, err := s.ask(ctx, s.told())
		if err != nil {
			if err := s.outOfSight(ctx, &end, job.Slots, err); err != nil {
				return err
			}
			continue
		}
		i := slices.IndexFunc(jobs, func(j cluster.Job) bool { return j.ID == job.ID })
		if i < 0 {
			return fmt.Errorf("%w: %s does not remember the job for slots %s", errLookAgain, s.told().addr, job.Slots)
		}
		switch now := jobs[i]; now.Stage() {
		case cluster.JobDone:
			return nil
		case cluster.JobFailed:
			return s.failed(ctx, now)
		case cluster.JobCancelled:
			return s.ended(ctx, now, end)
		default:
			if time.Since(told) > noticeAfter {
				told = time.Now()
				s.report(Progress{Waiting: fmt.Sprintf("%s and %s to move slots %s (%s)", s.src.addr, s.dst.addr, now.Slots, now.State)})
			}
		}
		if ctx.Err() != nil || time.Since(begun) > jobLimit {
			if err := s.demandEnd(&end, jobs[i], jobs); err != nil {
				return err
			}
		}
		pause = s.glance(ctx, pause)
	}
}

// outOfSight is a job of which nothing is heard. Where it is to be cancelled nobody
// looks at it later: it is asked for again, for as long as it may take to cancel it.
func (s *serverMove) outOfSight(ctx context.Context, c *cancellation, slots cluster.SlotSet, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if c.first.IsZero() {
		c.first = time.Now()
	}
	if time.Since(c.first) > cancelPatience {
		return s.unknownEnd(slots, err)
	}
	s.glance(ctx, slowestGlance)
	return nil
}

func (s *serverMove) unknownEnd(slots cluster.SlotSet, err error) error {
	return fmt.Errorf("whether %s goes on to move slots %s is not known: %w", s.told().addr, slots, err)
}

// cancellation is what came of telling a node to end a job.
type cancellation struct {
	first, last time.Time
	refusal     error
}

const (
	// cancelAgain is when a node is told once more to end a job that goes on, and
	// cancelPatience when it is left to it.
	cancelAgain    = time.Second
	cancelPatience = 20 * time.Second
	// handOverPatience is how long a job may take from the end of the snapshot to
	// its own end before it is cancelled there.
	handOverPatience = 3 * time.Second
)

// handsOver reports whether the source keeps clients waiting so that the target
// may claim the slots. To cancel that lets them write to the source again, which
// does not know yet that the target has claimed, and deletes what they wrote when
// it hears of it. The source itself bounds how long it waits.
func handsOver(state string) bool {
	return state == "failover-paused" || state == "failover-granted"
}

// aboutToHandOver reports whether that may begin before an order to cancel comes.
func aboutToHandOver(state string) bool {
	return state == "replicating" || state == "waiting-to-pause"
}

// demandEnd cancels a job, and says so where it goes on all the same.
func (s *serverMove) demandEnd(c *cancellation, job cluster.Job, jobs []cluster.Job) (err error) {
	now := time.Now()
	if c.first.IsZero() {
		c.first = now
	}
	waited := now.Sub(c.first)
	switch {
	case waited > cancelPatience && c.last.IsZero():
		return fmt.Errorf("%s hands slots %s over (%s) and does not come to an end", s.told().addr, job.Slots, job.State)
	case waited > cancelPatience:
		return fmt.Errorf("%s goes on to move slots %s (%s), though it was told to cancel that (%w)",
			s.told().addr, job.Slots, job.State, cmp.Or(c.refusal, errors.New("it said OK")))
	case handsOver(job.State), aboutToHandOver(job.State) && waited < handOverPatience, now.Sub(c.last) < cancelAgain:
		return nil
	}
	c.last = now
	if c.refusal, err = s.cancel(job, jobs); driver.IsTransport(err) {
		c.refusal, err = err, nil // the next look tells
	}
	return err
}

// glance waits before the next look at a job, a little longer each time: what is
// lost after its end is a small part of what it took.
func (s *serverMove) glance(ctx context.Context, pause time.Duration) time.Duration {
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	sleep(ctx, pause)
	return min(pause+pause/32, slowestGlance)
}

// cancel ends a job. A source of the Valkey dialect ends all that it gives away
// at once; where that would be somebody else's, nothing is ended. A refusal may say
// that it has ended meanwhile, which the next look tells.
func (s *serverMove) cancel(job cluster.Job, jobs []cluster.Job) (refusal, err error) {
	cmd := driver.Cmd("CLUSTER", "MIGRATION", "CANCEL", "ID", job.ID)
	if s.dialect == cluster.MigrateSlots {
		cmd = driver.Cmd("CLUSTER", "CANCELSLOTMIGRATIONS")
		for _, j := range jobs {
			if j.Export && j.ID != job.ID && j.Stage() == cluster.JobRunning {
				return nil, fmt.Errorf("%s goes on to move slots %s: to cancel that would also cancel those of slots %s", s.src.addr, job.Slots, j.Slots)
			}
		}
	}
	ctx, done := context.WithTimeout(context.Background(), driver.ProbeTimeout)
	defer done()
	replies, err := s.told().do(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return replies[0].Err, nil
}

// ended is a job that was cancelled: by this process, or by somebody who did not
// want it.
func (s *serverMove) ended(ctx context.Context, job cluster.Job, c cancellation) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason := "the job was cancelled"
	if !c.last.IsZero() {
		reason = fmt.Sprintf("the job took more than %s and was cancelled", jobLimit)
	}
	return &JobError{Slots: job.Slots, From: s.src.addr, To: s.dst.addr, Reason: reason, Final: true}
}

// failed is a job that the servers gave up, with both ends' reasons. What the
// target has got is deleted by it, and waited for. One that the server would try
// again is ended.
func (s *serverMove) failed(ctx context.Context, job cluster.Job) error {
	e := &JobError{Slots: job.Slots, From: s.src.addr, To: s.dst.addr, Reason: job.Message}
	if jobs, err := s.ask(ctx, s.other()); err == nil {
		for _, j := range jobs {
			if j.ID == job.ID && j.Message != "" && j.Message != job.Message {
				e.Reason = fmt.Sprintf("%s; %s says: %s", job.Message, s.other().addr, j.Message)
			}
		}
	}
	e.Reason = strings.TrimSpace(e.Reason)
	if strings.Contains(e.Reason, "lost writes") {
		s.report(Progress{Notice: fmt.Sprintf("slots %s from %s to %s: %s", job.Slots, s.src.addr, s.dst.addr, e.Reason)})
	}
	e.Final = strings.Contains(e.Reason, "OOM")
	if s.dialect == cluster.Migration {
		if _, err := s.cancel(job, nil); err != nil {
			return err
		}
	}
	return s.awaitRollback(context.WithoutCancel(ctx), e)
}

// awaitRollback waits until the target has deleted what it had got, and is e
// then: whoever moves the slots next must not find old keys there.
func (s *serverMove) awaitRollback(ctx context.Context, e *JobError) error {
	ctx, cancel := context.WithTimeout(ctx, takeover)
	defer cancel()
	for pause := firstGlance; ; pause = min(2*pause, slowestGlance) {
		if err := s.lookAtEnds(ctx); err != nil {
			return err
		}
		stray := e.Slots.Minus(s.dst.view.Self().Slots)
		if stray.Empty() {
			return fmt.Errorf("%w: %s owns slots %s of a job that failed", errLookAgain, s.dst.addr, e.Slots)
		}
		keys, err := s.keysAt(ctx, s.dst, stray)
		if err != nil {
			return err
		}
		if keys == 0 {
			return e
		}
		if sleep(ctx, pause) != nil {
			e.Final = true
			e.Reason += fmt.Sprintf("; %s still has %d keys of it", s.dst.addr, keys)
			return e
		}
	}
}
