package cluster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

func TestParseJobs(t *testing.T) {
	valkey := []any{
		"name", "1838", "operation", "EXPORT", "slot_ranges", "0-99 200-299 300-310", "target_node", "bbb", "source_node", "aaa",
		"create_time", int64(1795389684), "last_update_time", int64(1795389684), "state", "failed", "message", "Data was flushed", "cow_size", int64(0),
	}
	redis := []any{
		"id", "24cf", "slots", "7-7", "source", "aaa", "dest", "bbb", "operation", "import", "state", "in_progress", "last_error", "",
		"retries", "0", "create_time", int64(1795389684123), "end_time", int64(-1), "of a later server", nil,
	}
	got, err := cluster.ParseJobs([]any{valkey, redis})
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.Job{
		{ID: "1838", Slots: slotSet(t, "0-99,200-310"), From: "aaa", To: "bbb", Export: true, State: "failed", Message: "Data was flushed", Created: 1795389684},
		{ID: "24cf", Slots: slotSet(t, "7"), From: "aaa", To: "bbb", State: "in_progress", Created: 1795389684},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func slotSet(t *testing.T, text string) cluster.SlotSet {
	t.Helper()
	set, err := cluster.ParseSlotSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestParseJobsRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		reply any
		want  string
	}{
		"no list":        {"OK", "unexpected reply of type string"},
		"no row":         {[]any{"x"}, "unexpected entry of type string"},
		"half a pair":    {[]any{[]any{"name"}}, "unexpected entry"},
		"no slots":       {[]any{[]any{"name", "a", "state", "success"}}, "lacks"},
		"a bad slot":     {[]any{[]any{"slots", "0-16384"}}, `slots "0-16384"`},
		"a bad time":     {[]any{[]any{"create_time", "soon"}}, `time "soon"`},
		"slots as lists": {[]any{[]any{"slots", []any{}}}, "slots"},
	} {
		if _, err := cluster.ParseJobs(tt.reply); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q in it", name, err, tt.want)
		}
	}
}

func TestJobStage(t *testing.T) {
	for state, want := range map[string]cluster.Stage{
		"success": cluster.JobDone, "completed": cluster.JobDone, "failed": cluster.JobFailed, "cancelled": cluster.JobCancelled,
		"canceled": cluster.JobCancelled, "snapshotting": cluster.JobRunning, "in_progress": cluster.JobRunning, "of a later server": cluster.JobRunning,
	} {
		if got := (cluster.Job{State: state}).Stage(); got != want {
			t.Errorf("%s: stage %d, want %d", state, got, want)
		}
	}
}

// TestRunning: both ends tell of a job, and it counts once. One that failed is
// tried again on the target of one dialect only.
func TestRunning(t *testing.T) {
	job := func(id, state string, export bool) cluster.Job {
		return cluster.Job{ID: id, State: state, Export: export}
	}
	s := cluster.State{Members: []cluster.Member{
		{Features: cluster.Features{Atomic: cluster.Migration}, Jobs: []cluster.Job{job("a", "takeover", false), job("b", "failed", false), job("c", "failed", true)}},
		{Features: cluster.Features{Atomic: cluster.MigrateSlots}, Jobs: []cluster.Job{job("a", "handoff", true), job("d", "failed", false), job("e", "success", true)}},
	}}
	var got []string
	for _, j := range s.Running() {
		got = append(got, j.ID+" "+j.State)
	}
	if diff := cmp.Diff([]string{"a handoff", "b failed"}, got); diff != "" {
		t.Error(diff)
	}
}
