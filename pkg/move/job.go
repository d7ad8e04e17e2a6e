package move

import (
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
func (a *atomic) told() *end {
	if a.dialect == cluster.Migration {
		return a.dst
	}
	return a.src
}

func (a *atomic) other() *end {
	if a.dialect == cluster.Migration {
		return a.src
	}
	return a.dst
}

func (a *atomic) order(slots cluster.SlotSet) driver.Command {
	if a.dialect == cluster.Migration {
		return append(driver.Cmd("CLUSTER", "MIGRATION", "IMPORT"), ranges(slots)...)
	}
	cmd := append(driver.Cmd("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"), ranges(slots)...)
	return append(cmd, "NODE", string(a.dst.id))
}

// work lets the servers move slots, or waits for those who do already, which may
// be a part of it only.
func (a *atomic) work(ctx context.Context, slots cluster.SlotSet) (whole bool, err error) {
	job, err := a.obtain(ctx, slots)
	if err != nil {
		return false, err
	}
	return slots.Minus(job.Slots).Empty(), a.follow(ctx, job)
}

// obtain is the job that moves slots: one that runs already, or a new one.
func (a *atomic) obtain(ctx context.Context, slots cluster.SlotSet) (cluster.Job, error) {
	known, err := a.ask(ctx, a.told())
	if err != nil {
		return cluster.Job{}, err
	}
	if job, found, err := a.adopt(known, slots); found || err != nil {
		return job, err
	}
	if err := a.busy(known); err != nil {
		return cluster.Job{}, err
	}
	if ctx.Err() != nil {
		return cluster.Job{}, context.Cause(ctx)
	}
	if err := a.mayBegin(ctx, slots); err != nil {
		return cluster.Job{}, err
	}
	return a.begin(context.WithoutCancel(ctx), slots, known)
}

// mayBegin refuses what the servers would do and what costs keys or brings back
// deleted ones: the target must have none of the slots' keys yet, and a source
// that loses its last slot, and is wiped as a replica then, none of other slots.
func (a *atomic) mayBegin(ctx context.Context, slots cluster.SlotSet) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), repliesWithin)
	defer cancel()
	refusal := &JobError{Slots: slots, From: a.src.addr, To: a.dst.addr}
	stale, err := a.keysAt(ctx, a.dst, slots)
	if err != nil {
		return err
	}
	if stale > 0 {
		refusal.Reason = fmt.Sprintf("%s holds %d keys of these slots without owning them", a.dst.addr, stale)
		return refusal
	}
	if !a.src.view.Self().Slots.Minus(a.dst.view.Self().Slots).Minus(slots).Empty() {
		return nil
	}
	strays, err := a.strays(ctx, slots)
	if err == nil && strays > 0 {
		refusal.Reason = fmt.Sprintf("%s would lose its last slot and be wiped, but it still holds %d keys of slots that it does not own", a.src.addr, strays)
		return refusal
	}
	return err
}

// strays are the keys that the source has beside those of the slots.
func (a *atomic) strays(ctx context.Context, slots cluster.SlotSet) (int64, error) {
	replies, err := a.src.do(ctx, driver.Cmd("INFO", "keyspace"))
	if err != nil {
		return 0, err
	}
	dbs, err := keyspaceOf(replies[0])
	if err != nil {
		return 0, fmt.Errorf("%s: INFO keyspace: %w", a.src.addr, err)
	}
	keys, err := a.keysAt(ctx, a.src, slots)
	for _, db := range dbs {
		keys -= db.Keys
	}
	return -keys, err
}

// adopt finds a job under way between the two ends that moves some of the slots.
// One that moves others too, or to somebody else, is not this one's to wait for.
func (a *atomic) adopt(known []cluster.Job, slots cluster.SlotSet) (cluster.Job, bool, error) {
	for _, j := range known {
		if j.Stage() != cluster.JobRunning || j.Slots.Intersect(slots).Empty() {
			continue
		}
		if j.From != a.src.id || j.To != a.dst.id || !j.Slots.Minus(a.all).Empty() {
			return j, false, fmt.Errorf("%s is moving slots %s by itself for somebody else (%s)", a.told().addr, j.Slots, j.State)
		}
		return j, true, nil
	}
	return cluster.Job{}, false, nil
}

// busy says that a target of the Redis dialect takes no further job now.
func (a *atomic) busy(known []cluster.Job) error {
	for _, j := range known {
		if a.dialect == cluster.Migration && j.Stage() == cluster.JobRunning {
			return fmt.Errorf("%w: %s moves slots %s", errBusy, a.told().addr, j.Slots)
		}
	}
	return nil
}

// begin gives the order and finds the job that came of it: one that was not
// known before. Where no reply came, the order may have arrived all the same;
// then the next attempt finds it.
func (a *atomic) begin(ctx context.Context, slots cluster.SlotSet, known []cluster.Job) (cluster.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, repliesWithin)
	defer cancel()
	replies, err := a.told().do(ctx, a.order(slots), driver.JobsCommand(a.dialect))
	if err != nil {
		return cluster.Job{}, err
	}
	if err := replies[0].Err; err != nil {
		return cluster.Job{}, a.refused(slots, err)
	}
	jobs, err := driver.ReadJobs(replies[1])
	if err != nil {
		return cluster.Job{}, fmt.Errorf("%s: %w", a.told().addr, err)
	}
	for _, j := range jobs {
		old := slices.ContainsFunc(known, func(k cluster.Job) bool { return k.ID == j.ID })
		if !old && j.From == a.src.id && j.To == a.dst.id && j.Slots.Equal(slots) {
			return j, nil
		}
	}
	return cluster.Job{}, fmt.Errorf("%w: %s does not tell of the job that it has taken", errLookAgain, a.told().addr)
}

// refused is an order that was not taken. A busy node is asked again.
func (a *atomic) refused(slots cluster.SlotSet, err error) error {
	if driver.Mentions(err, "task is already in progress") {
		return fmt.Errorf("%w: %s: %w", errBusy, a.told().addr, err)
	}
	return &JobError{Slots: slots, From: a.src.addr, To: a.dst.addr, Reason: err.Error()}
}

func (a *atomic) ask(ctx context.Context, e *end) ([]cluster.Job, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), driver.ProbeTimeout)
	defer cancel()
	replies, err := e.do(ctx, driver.JobsCommand(a.dialect))
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
func (a *atomic) follow(ctx context.Context, job cluster.Job) error {
	begun, pause, told := time.Now(), firstGlance, time.Now()
	cancelled := false
	for {
		jobs, err := a.ask(ctx, a.told())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(jobs, func(j cluster.Job) bool { return j.ID == job.ID })
		if i < 0 {
			return fmt.Errorf("%w: %s does not remember the job for slots %s", errLookAgain, a.told().addr, job.Slots)
		}
		switch now := jobs[i]; now.Stage() {
		case cluster.JobDone:
			return nil
		case cluster.JobFailed:
			return a.failed(ctx, now)
		case cluster.JobCancelled:
			return a.ended(ctx, now)
		default:
			if time.Since(told) > noticeAfter {
				told = time.Now()
				a.report(Progress{Waiting: fmt.Sprintf("%s and %s to move slots %s (%s)", a.src.addr, a.dst.addr, now.Slots, now.State)})
			}
		}
		if !cancelled && (ctx.Err() != nil || time.Since(begun) > jobLimit) {
			cancelled = true
			if err := a.cancel(jobs[i], jobs); err != nil {
				return err
			}
		}
		pause = a.glance(ctx, pause)
	}
}

// glance waits before the next look at a job, longer each time.
func (a *atomic) glance(ctx context.Context, pause time.Duration) time.Duration {
	if ctx.Err() != nil {
		ctx = context.Background()
	}
	sleep(ctx, pause)
	return min(pause*5/4+time.Millisecond, slowestGlance)
}

// cancel ends a job. A source of the Valkey dialect ends all that it gives away
// at once; where that would be somebody else's, nothing is ended.
func (a *atomic) cancel(job cluster.Job, jobs []cluster.Job) error {
	cmd := driver.Cmd("CLUSTER", "MIGRATION", "CANCEL", "ID", job.ID)
	if a.dialect == cluster.MigrateSlots {
		cmd = driver.Cmd("CLUSTER", "CANCELSLOTMIGRATIONS")
		for _, j := range jobs {
			if j.Export && j.ID != job.ID && j.Stage() == cluster.JobRunning {
				return fmt.Errorf("%s goes on to move slots %s: to cancel that would also cancel those of slots %s", a.src.addr, job.Slots, j.Slots)
			}
		}
	}
	ctx, done := context.WithTimeout(context.Background(), driver.ProbeTimeout)
	defer done()
	// A refusal says that it has ended meanwhile, which the next look tells.
	_, err := a.told().do(ctx, cmd)
	return err
}

// ended is a job that was cancelled: by this process, or by somebody who did not
// want it.
func (a *atomic) ended(ctx context.Context, job cluster.Job) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &JobError{Slots: job.Slots, From: a.src.addr, To: a.dst.addr, Reason: "the job was cancelled", Final: true}
}

// failed is a job that the servers gave up, with both ends' reasons. What the
// target has got is deleted by it, and waited for. One that the server would try
// again is ended.
func (a *atomic) failed(ctx context.Context, job cluster.Job) error {
	e := &JobError{Slots: job.Slots, From: a.src.addr, To: a.dst.addr, Reason: job.Message}
	if jobs, err := a.ask(ctx, a.other()); err == nil {
		for _, j := range jobs {
			if j.ID == job.ID && j.Message != "" && j.Message != job.Message {
				e.Reason = fmt.Sprintf("%s; %s says: %s", job.Message, a.other().addr, j.Message)
			}
		}
	}
	e.Reason = strings.TrimSpace(e.Reason)
	if strings.Contains(e.Reason, "lost writes") {
		a.report(Progress{Notice: fmt.Sprintf("slots %s from %s to %s: %s", job.Slots, a.src.addr, a.dst.addr, e.Reason)})
	}
	e.Final = strings.Contains(e.Reason, "OOM")
	if a.dialect == cluster.Migration {
		if err := a.cancel(job, nil); err != nil {
			return err
		}
	}
	return a.awaitRollback(context.WithoutCancel(ctx), e)
}

// awaitRollback waits until the target has deleted what it had got, and is e
// then: whoever moves the slots next must not find old keys there.
func (a *atomic) awaitRollback(ctx context.Context, e *JobError) error {
	ctx, cancel := context.WithTimeout(ctx, takeover)
	defer cancel()
	for pause := firstGlance; ; pause = min(2*pause, slowestGlance) {
		if err := a.lookAtEnds(ctx); err != nil {
			return err
		}
		stray := e.Slots.Minus(a.dst.view.Self().Slots)
		if stray.Empty() {
			return fmt.Errorf("%w: %s owns slots %s of a job that failed", errLookAgain, a.dst.addr, e.Slots)
		}
		keys, err := a.keysAt(ctx, a.dst, stray)
		if err != nil {
			return err
		}
		if keys == 0 {
			return e
		}
		if sleep(ctx, pause) != nil {
			e.Final = true
			e.Reason += fmt.Sprintf("; %s still has %d keys of it", a.dst.addr, keys)
			return e
		}
	}
}
