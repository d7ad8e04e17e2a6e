package move

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// TestDivide: no job is much longer than allowed, and all are about alike; a slot
// is never divided.
func TestDivide(t *testing.T) {
	slots := cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: 99}, cluster.SlotRange{First: 200, Last: 299})
	even := make(map[int]int64)
	for slot := range slots.All() {
		even[slot] = 1000
	}
	if jobs := divide(cluster.SlotSet{}, nil, time.Second); jobs != nil {
		t.Errorf("no slots: %v", jobs)
	}
	for name, tt := range map[string]struct {
		counts map[int]int64
		limit  time.Duration
		want   []int // slots of each job
	}{
		"one job":      {even, time.Second, []int{200}},
		"four jobs":    {even, 15 * time.Millisecond, []int{50, 50, 50, 50}},
		"no counts":    {nil, time.Millisecond, []int{100, 100}},
		"one big slot": {map[int]int64{50: 4_000_000}, 100 * time.Millisecond, []int{51, 149}},
	} {
		var got []int
		var all cluster.SlotSet
		for _, job := range divide(slots, tt.counts, tt.limit) {
			got = append(got, job.Len())
			all = all.Union(job)
		}
		if len(got) != len(tt.want) || !all.Equal(slots) {
			t.Errorf("%s: jobs of %d slots, want %d", name, got, tt.want)
			continue
		}
		for i := range got {
			if diff := got[i] - tt.want[i]; diff < -1 || diff > 1 {
				t.Errorf("%s: jobs of %d slots, want %d", name, got, tt.want)
			}
		}
	}
}

// deaf refuses everything.
type deaf struct{ asked int }

func (d *deaf) Do(_ context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	d.asked++
	replies := make([]driver.Reply, len(cmds))
	for i := range replies {
		replies[i].Err = &driver.ServerError{Text: "ERR not now"}
	}
	return replies, nil
}

func (d *deaf) Close() error { return nil }

// TestCancelRefused: a node that does not cancel a job is told so again, and not
// waited for without end.
func TestCancelRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &deaf{}
		s := &serverMove{mover: &mover{src: &end{conn: conn}}, dialect: cluster.MigrateSlots}
		var c cancellation
		begun := time.Now()
		var err error
		for err == nil && time.Since(begun) < time.Minute {
			err = s.demandEnd(&c, cluster.Job{}, nil)
			time.Sleep(slowestGlance)
		}
		if err == nil || !strings.Contains(err.Error(), "not now") || conn.asked < 10 {
			t.Errorf("told %d times, then %v", conn.asked, err)
		}
	})
}

// TestNotCancelledAtHandOver: a job that hands its slots over is left to the
// servers, for a bounded time, and one that is about to, for a moment.
func TestNotCancelledAtHandOver(t *testing.T) {
	for _, tt := range []struct {
		state       string
		told, later bool // at once, after handOverPatience
		giveUp      string
	}{
		{"snapshotting", true, true, "not now"},
		{"replicating", false, true, "not now"},
		{"waiting-to-pause", false, true, "not now"},
		{"failover-paused", false, false, "does not come to an end"},
		{"failover-granted", false, false, "does not come to an end"},
	} {
		t.Run(tt.state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &deaf{}
				s := &serverMove{mover: &mover{src: &end{conn: conn}}, dialect: cluster.MigrateSlots}
				var c cancellation
				demand := func() error { return s.demandEnd(&c, cluster.Job{State: tt.state}, nil) }
				if err := demand(); err != nil || (conn.asked > 0) != tt.told {
					t.Errorf("at once it was told %d times: %v", conn.asked, err)
				}
				time.Sleep(handOverPatience)
				if err := demand(); err != nil || (conn.asked > 0) != tt.later {
					t.Errorf("later it was told %d times: %v", conn.asked, err)
				}
				time.Sleep(cancelPatience)
				if err := demand(); err == nil || !strings.Contains(err.Error(), tt.giveUp) {
					t.Errorf("in the end: %v", err)
				}
			})
		})
	}
}
