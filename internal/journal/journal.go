package journal

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// Schema is the version of the lines of a journal.
const Schema = 1

// Kept is how many runs a directory keeps.
const Kept = 100

// pace is how often moving keys are worth a line.
const pace = time.Second

const suffix = ".jsonl"

// Header is the first line of a journal: who does what to which cluster.
type Header struct {
	Schema  int       `json:"schema"`
	Run     string    `json:"run"` // name of the run, and of its file
	Begun   time.Time `json:"begun"`
	Command []string  `json:"command"` // without secrets
	Holder  string    `json:"holder"`  // host:pid, as the lock shows it
	Seed    string    `json:"seed"`
	Plan    plan.Plan `json:"plan"`

	Runs map[cluster.NodeID]string `json:"runs,omitempty"` // run ids of the nodes when it began
}

// Entry is an event with its time, the form that --events writes too.
type Entry struct {
	Time time.Time `json:"time"`
	apply.Event
}

// End is the last line of a run that ended by itself.
type End struct {
	Time  time.Time `json:"time"`
	Exit  int       `json:"exit"`
	Error string    `json:"error,omitempty"`
}

// line is one line of a journal: one of the three.
type line struct {
	Header *Header `json:"header,omitempty"`
	Event  *Entry  `json:"event,omitempty"`
	End    *End    `json:"end,omitempty"`
}

// Dir is a directory of journals, one file for each run.
type Dir string

// Begin opens a journal and writes its header. It names the run.
func (d Dir) Begin(h Header) (*Journal, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	h.Schema = Schema
	h.Run = h.Begun.UTC().Format("20060102T150405.000Z") + "-" + lot()
	f, err := os.OpenFile(d.path(h.Run), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, pending: make(map[int]Entry), written: make(map[int]time.Time)}
	if err := j.write(line{Header: &h}, true); err != nil {
		f.Close()
		return nil, err
	}
	d.prune()
	return j, nil
}

func (d Dir) path(run string) string { return filepath.Join(string(d), run+suffix) }

func lot() string {
	random := make([]byte, 4)
	rand.Read(random)
	return hex.EncodeToString(random)
}

// prune removes the oldest runs. The names of the files are in their order.
func (d Dir) prune() {
	names, _ := d.names()
	for _, name := range names[:max(0, len(names)-Kept)] {
		os.Remove(filepath.Join(string(d), name))
	}
}

// names are the files of the directory, oldest first.
func (d Dir) names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == suffix {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// Journal records one run. Its methods may be called from several goroutines.
type Journal struct {
	mu      sync.Mutex
	file    *os.File
	failed  error
	pending map[int]Entry     // progress by step, not written yet
	written map[int]time.Time // when progress of a step was written last
}

// Observe records an event. The end of a step is on the disk when it returns;
// progress within a step is written once a second. Its error is told once.
func (j *Journal) Observe(now time.Time, e apply.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return nil
	}
	j.failed = j.observe(Entry{now, e})
	return j.failed
}

func (j *Journal) observe(e Entry) error {
	if e.Kind == apply.SlotsMoved {
		e.Slots = e.Slots.Union(j.pending[e.Step].Slots)
		j.pending[e.Step] = e
		if e.Time.Sub(j.written[e.Step]) < pace {
			return nil
		}
		return j.flush(e.Step)
	}
	if err := j.flushAll(); err != nil {
		return err
	}
	return j.write(line{Event: &e}, e.Kind == apply.StepDone || e.Kind == apply.Finished)
}

func (j *Journal) flushAll() error {
	for step := range j.pending {
		if err := j.flush(step); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) flush(step int) error {
	e := j.pending[step]
	delete(j.pending, step)
	j.written[step] = e.Time
	return j.write(line{Event: &e}, false)
}

// End records how the run ended and closes the journal.
func (j *Journal) End(e End) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.file.Close()
	if j.failed != nil {
		return nil
	}
	return errors.Join(j.flushAll(), j.write(line{End: &e}, true))
}

func (j *Journal) write(l line, sync bool) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(text, '\n')); err != nil {
		return err
	}
	if !sync {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("%s: %w", j.file.Name(), err)
	}
	return nil
}
