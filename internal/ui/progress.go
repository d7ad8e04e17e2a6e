package ui

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/plan"
)

// ProgressMode says how a run in progress is shown.
type ProgressMode string

// With auto there is a status line where standard error is a terminal, and
// nothing elsewhere; plain writes lines, everywhere.
const (
	ProgressAuto  ProgressMode = "auto"
	ProgressPlain ProgressMode = "plain"
	ProgressNone  ProgressMode = "none"
)

// ProgressModes are all modes, the default one first.
func ProgressModes() []string {
	return []string{string(ProgressAuto), string(ProgressPlain), string(ProgressNone)}
}

const (
	redraw     = 200 * time.Millisecond
	plainEvery = 5 * time.Second
)

// Progress shows on standard error how a plan is being carried out, and adds
// up what was done.
type Progress struct {
	term *Terminal
	mode ProgressMode
	now  func() time.Time
	plan plan.Plan
	stop chan struct{}
	gone chan struct{}

	mu       sync.Mutex
	began    time.Time
	lastLine time.Time
	doing    []string // steps begun and not done
	held     string
	slots    map[int]int   // settled, by step; some may have been so before
	keys     map[int]int64 // moved, by step
	moved    int           // slots, by this run
	total    int
	notices  []string
}

// NewProgress begins to show a run of p. End must be called.
func NewProgress(t *Terminal, mode ProgressMode, p plan.Plan, now func() time.Time) *Progress {
	g := &Progress{
		term: t, mode: mode, now: now, plan: p, began: now(), lastLine: now(),
		slots: make(map[int]int), keys: make(map[int]int64), total: toMove(p),
		stop: make(chan struct{}), gone: make(chan struct{}),
	}
	go g.animate()
	return g
}

// toMove is how many slots are to be moved with their keys.
func toMove(p plan.Plan) int {
	total := 0
	for _, s := range p.Steps {
		if s.Action == plan.MoveSlots {
			total += s.Slots.Len()
		}
	}
	return total
}

// animate keeps rates and times moving while no event comes.
func (g *Progress) animate() {
	defer close(g.gone)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
			g.draw()
		}
	}
}

// End takes the status line away.
func (g *Progress) End() {
	close(g.stop)
	<-g.gone
	g.term.Status("")
}

// Observe takes the events of the run.
func (g *Progress) Observe(e apply.Event) {
	line := g.take(e)
	if line != "" && g.mode == ProgressPlain {
		g.term.Say(func(p *Page) { p.Line("%s", line) })
	}
	g.draw()
}

// take updates the sums; it returns what is worth a line.
func (g *Progress) take(e apply.Event) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Kind {
	case apply.StepBegun:
		g.doing, g.held = append(g.doing, e.Text), ""
		return e.Text
	case apply.SlotsMoved:
		g.slots[e.Step], g.keys[e.Step], g.held = e.Done, e.Keys, ""
		g.moved += e.Slots.Len()
		return g.throttled()
	case apply.StepDone:
		g.doing = slices.DeleteFunc(g.doing, func(text string) bool { return text == e.Text })
		g.held = ""
		return "done: " + e.Text
	case apply.Waiting:
		g.held = waiting(e)
		return g.held
	case apply.Notice:
		g.notices = append(g.notices, e.Text)
		return e.Text
	}
	return ""
}

func (g *Progress) throttled() string {
	if g.now().Sub(g.lastLine) < plainEvery {
		return ""
	}
	g.lastLine = g.now()
	return g.moving()
}

func waiting(e apply.Event) string {
	if len(e.Nodes) == 0 {
		return "waiting for " + e.Text
	}
	return fmt.Sprintf("waiting for %s: %s", e.Text, strings.Join(e.Nodes, ", "))
}

func (g *Progress) draw() {
	if g.mode != ProgressAuto {
		return
	}
	g.mu.Lock()
	line := g.line()
	g.mu.Unlock()
	g.term.Status(line)
}

func (g *Progress) line() string {
	switch {
	case g.held != "":
		return fmt.Sprintf("[%s] %s", span(g.now().Sub(g.began)), g.held)
	case g.total > 0:
		return g.moving()
	}
	return g.steps()
}

func (g *Progress) steps() string {
	switch len(g.doing) {
	case 0:
		return ""
	case 1:
		return g.doing[0]
	}
	return fmt.Sprintf("%s, and %d more", g.doing[0], len(g.doing)-1)
}

const meterCells = 24

// meter is "[######------]".
func meter(done, total int) string {
	full := meterCells * min(done, total) / max(total, 1)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", meterCells-full) + "]"
}

// moving is "[####----] 512/1000 slots, 12,345 keys, 3,400 keys/s, 12s left".
func (g *Progress) moving() string {
	slots, keys := g.sums()
	elapsed := g.now().Sub(g.began)
	parts := []string{
		fmt.Sprintf("%s %d/%d slots", meter(slots, g.total), slots, g.total),
		count(keys, "key"),
	}
	if seconds := elapsed.Seconds(); seconds >= 1 {
		parts = append(parts, grouped(int64(float64(keys)/seconds))+" keys/s")
		if slots > 0 {
			left := time.Duration(float64(elapsed) / float64(slots) * float64(g.total-slots))
			parts = append(parts, span(left.Round(time.Second))+" left")
		}
	}
	return strings.Join(parts, ", ")
}

func (g *Progress) sums() (slots int, keys int64) {
	for _, n := range g.slots {
		slots += n
	}
	for _, n := range g.keys {
		keys += n
	}
	return min(slots, g.total), keys
}

// Outcome is what the run has done so far.
func (g *Progress) Outcome(command string) Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, keys := g.sums()
	return Outcome{
		Schema: Schema, Command: command, Changed: true, Plan: g.plan, Slots: g.moved, Keys: keys,
		ElapsedMS: g.now().Sub(g.began).Milliseconds(), Notices: g.notices,
	}
}
