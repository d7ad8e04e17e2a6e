package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// Dialect is how a server is told to move slots by itself, with all of their
// keys and in one go. The two families of servers know each other's not.
type Dialect string

// The dialects.
const (
	NoDialect    Dialect = ""             // it has no such thing
	MigrateSlots Dialect = "migrateslots" // CLUSTER MIGRATESLOTS, told to the source (Valkey 9.0)
	Migration    Dialect = "migration"    // CLUSTER MIGRATION IMPORT, told to the target (Redis 8.4)
)

// String is the command.
func (d Dialect) String() string {
	switch d {
	case MigrateSlots:
		return "CLUSTER MIGRATESLOTS"
	case Migration:
		return "CLUSTER MIGRATION"
	}
	return "no atomic slot migration"
}

// Job is one such move as a node tells of it: one that is under way, or one that
// it remembers until it is restarted.
type Job struct {
	ID      string
	Slots   SlotSet
	From    NodeID
	To      NodeID
	Export  bool   // told by the source; else by the target
	State   string // in the server's words
	Message string // in the server's words: why it failed
	Created int64  // seconds since 1970
}

// Stage is what the state of a job comes to.
type Stage int

// The stages. A failed job of the Redis dialect is tried again by the server
// until somebody cancels it or begins another one.
const (
	JobRunning Stage = iota
	JobDone
	JobFailed
	JobCancelled
)

// Stage is how far the job is.
func (j Job) Stage() Stage {
	switch j.State {
	case "success", "completed":
		return JobDone
	case "failed":
		return JobFailed
	case "cancelled", "canceled":
		return JobCancelled
	}
	return JobRunning
}

// ParseJobs reads the reply to CLUSTER GETSLOTMIGRATIONS or to CLUSTER MIGRATION
// STATUS: a list of lists of names and values. Times are in seconds in the one,
// and in milliseconds in the other.
func ParseJobs(reply any) ([]Job, error) {
	rows, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("slot migrations: unexpected reply of type %T", reply)
	}
	jobs := make([]Job, 0, len(rows))
	for _, row := range rows {
		job, err := parseJob(row)
		if err != nil {
			return nil, fmt.Errorf("slot migrations: %w", err)
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

func parseJob(row any) (Job, error) {
	fields, ok := row.([]any)
	if !ok || len(fields)%2 != 0 {
		return Job{}, fmt.Errorf("unexpected entry of type %T", row)
	}
	var j Job
	for i := 0; i < len(fields); i += 2 {
		name, _ := fields[i].(string)
		if err := j.set(name, text(fields[i+1])); err != nil {
			return Job{}, err
		}
	}
	if j.ID == "" || j.State == "" || j.Slots.Empty() {
		return Job{}, fmt.Errorf("an entry lacks its name, its state or its slots")
	}
	return j, nil
}

// set takes in one field; what it does not know is left for later servers.
func (j *Job) set(name, value string) (err error) {
	switch name {
	case "name", "id":
		j.ID = value
	case "slot_ranges", "slots":
		j.Slots, err = ParseSlotSet(strings.ReplaceAll(strings.TrimSpace(value), " ", ","))
	case "source_node", "source":
		j.From = NodeID(value)
	case "target_node", "dest":
		j.To = NodeID(value)
	case "operation":
		j.Export = strings.EqualFold(value, "export") || strings.EqualFold(value, "migrate")
	case "state":
		j.State = strings.ToLower(value)
	case "message", "last_error":
		j.Message = value
	case "create_time":
		j.Created, err = jobTime(value)
	}
	return err
}

// jobTime: what is too late to be seconds is milliseconds.
func jobTime(value string) (int64, error) {
	const year5000 = 95_617_584_000
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("time %q of a slot migration is no number", clip(value))
	}
	if n > year5000 {
		n /= 1000
	}
	return n, nil
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Running are the jobs that some member tells of and that are under way, each
// once, by its source where that tells of it. One that a server goes on trying
// counts.
func (s State) Running() []Job {
	seen := make(map[string]int)
	var jobs []Job
	for _, m := range s.Members {
		for _, j := range m.Jobs {
			if !m.runs(j) {
				continue
			}
			if at, known := seen[j.ID]; !known {
				seen[j.ID] = len(jobs)
				jobs = append(jobs, j)
			} else if j.Export {
				jobs[at] = j
			}
		}
	}
	return jobs
}

// runs reports whether a job that the member tells of is under way. A target of
// the Redis dialect tries a failed one again.
func (m Member) runs(j Job) bool {
	retried := m.Features.Atomic == Migration && j.Stage() == JobFailed && !j.Export
	return j.Stage() == JobRunning || retried
}
