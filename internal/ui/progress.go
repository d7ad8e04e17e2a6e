package ui

import (
	"cmp"
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

// With auto there are status lines where standard error is a terminal, and
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

	drawing sync.Mutex // what is older must not be drawn over what is newer

	mu       sync.Mutex
	began    time.Time
	lastLine time.Time
	doing    []int          // steps begun and not done
	texts    map[int]string // what they do
	lanes    map[int]*lane  // moves, by step
	speed    speed          // of all together
	held     string         // what is waited for
	heldBy   int            // the step
	moved    int            // slots, by this run
	total    int
	notices  []string
}

// nobody is no step.
const nobody = -1

// lane is one move, from one node to another.
type lane struct {
	settled int   // slots; some may have been so before
	keys    int64 // moved
	bytes   int64
	total   int // slots
	speed   speed
}

// NewProgress begins to show a run of p. End must be called.
func NewProgress(t *Terminal, mode ProgressMode, p plan.Plan, now func() time.Time) *Progress {
	g := &Progress{
		term: t, mode: mode, now: now, plan: p, began: now(), lastLine: now(),
		texts: make(map[int]string), lanes: make(map[int]*lane), total: toMove(p),
		stop: make(chan struct{}), gone: make(chan struct{}),
	}
	g.speed.take(g.began, 0, 0, 0)
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
		g.doing, g.texts[e.Step] = append(g.doing, e.Step), e.Text
		g.open(e.Step)
		g.freed(e.Step)
		return e.Text
	case apply.SlotsMoved:
		g.count(e)
		g.freed(e.Step)
		return g.throttled()
	case apply.StepDone:
		g.doing = slices.DeleteFunc(g.doing, func(step int) bool { return step == e.Step })
		g.freed(e.Step)
		return "done: " + e.Text
	case apply.Waiting:
		g.held, g.heldBy = waiting(e), e.Step
		if e.Action == "" {
			g.heldBy = nobody // the whole plan waits
		}
		return g.held
	case apply.Notice:
		g.notices = append(g.notices, e.Text)
		return e.Text
	}
	return ""
}

// open is the lane of a step.
func (g *Progress) open(step int) *lane {
	l := g.lanes[step]
	if l == nil {
		l = &lane{}
		l.speed.take(g.now(), 0, 0, 0)
		if step < len(g.plan.Steps) {
			l.total = g.plan.Steps[step].Slots.Len()
		}
		g.lanes[step] = l
	}
	return l
}

// count takes the progress of one move.
func (g *Progress) count(e apply.Event) {
	l := g.open(e.Step)
	l.settled, l.total, l.keys, l.bytes = e.Done, e.Total, e.Keys, e.Bytes
	g.moved += e.Slots.Len()
	_, keys, bytes := g.sums()
	l.speed.take(g.now(), e.Slots.Len(), l.keys, l.bytes)
	g.speed.take(g.now(), e.Slots.Len(), keys, bytes)
}

// freed forgets what was waited for, unless another step waits for it still.
func (g *Progress) freed(step int) {
	if g.heldBy == step || !slices.Contains(g.doing, g.heldBy) {
		g.held = ""
	}
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
	g.drawing.Lock()
	defer g.drawing.Unlock()
	g.mu.Lock()
	lines := g.lines(g.term.StatusLines())
	g.mu.Unlock()
	g.term.Status(lines...)
}

// lines are the whole, a line for each move at work, and what is waited for.
func (g *Progress) lines(limit int) []string {
	held := g.held
	if held != "" {
		held = fmt.Sprintf("[%s] %s", span(g.now().Sub(g.began)), held)
	}
	if g.total == 0 {
		return []string{cmp.Or(held, g.steps())}
	}
	return slices.Concat([]string{g.moving()}, g.pairs(limit-2), []string{held})
}

func (g *Progress) steps() string {
	switch len(g.doing) {
	case 0:
		return ""
	case 1:
		return g.texts[g.doing[0]]
	}
	return fmt.Sprintf("%s, and %d more", g.texts[g.doing[0]], len(g.doing)-1)
}

// pairs are the moves at work, as many as there is room for.
func (g *Progress) pairs(room int) []string {
	var sources, targets, figures []string
	for _, step := range slices.Sorted(slices.Values(g.doing)) {
		l := g.lanes[step]
		if step >= len(g.plan.Steps) || g.plan.Steps[step].Action != plan.MoveSlots {
			continue
		}
		s := g.plan.Steps[step]
		sources, targets = append(sources, g.plan.Addr(s.From).String()), append(targets, g.plan.Addr(s.To).String())
		parts := []string{fmt.Sprintf("%d/%d slots", l.settled, l.total), count(l.keys, "key")}
		figures = append(figures, strings.Join(append(parts, l.speed.text(g.now(), l.total-l.settled)...), ", "))
	}
	from, to := widest(sources), widest(targets)
	var lines []string
	for i, figure := range figures {
		if left := len(figures) - i; len(lines) == room-1 && left > 1 {
			return append(lines, fmt.Sprintf("  and %d more", left))
		}
		lines = append(lines, fmt.Sprintf("  %-*s -> %-*s  %s", from, sources[i], to, targets[i], figure))
	}
	return lines
}

func widest(texts []string) int {
	width := 0
	for _, text := range texts {
		width = max(width, len(text))
	}
	return width
}

const meterCells = 24

// meter is "[######------]".
func meter(done, total int) string {
	full := meterCells * min(done, total) / max(total, 1)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", meterCells-full) + "]"
}

// moving is "[####----] 512/1000 slots, 12,345 keys, 3,400 keys/s, 12s left".
func (g *Progress) moving() string {
	slots, keys, _ := g.sums()
	parts := []string{fmt.Sprintf("%s %d/%d slots", meter(slots, g.total), slots, g.total), count(keys, "key")}
	return strings.Join(append(parts, g.speed.text(g.now(), g.total-slots)...), ", ")
}

func (g *Progress) sums() (slots int, keys, bytes int64) {
	for _, l := range g.lanes {
		slots += l.settled
		keys += l.keys
		bytes += l.bytes
	}
	return min(slots, g.total), keys, bytes
}

// Outcome is what the run has done so far.
func (g *Progress) Outcome(command string) Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, keys, _ := g.sums()
	return Outcome{
		Schema: Schema, Command: command, Changed: true, Plan: g.plan, Slots: g.moved, Keys: keys,
		ElapsedMS: g.now().Sub(g.began).Milliseconds(), Notices: g.notices,
	}
}
