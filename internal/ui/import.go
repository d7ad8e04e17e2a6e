package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/ingest"
)

// Import is what an import is going to do, and what it has done.
type Import struct {
	Schema    int            `json:"schema"`
	Command   string         `json:"command"`
	Seed      string         `json:"seed"`
	From      []cluster.Addr `json:"from"`
	Keys      int64          `json:"keys"` // that the source has there, before any filter
	DryRun    bool           `json:"dry_run"`
	Totals    ingest.Totals  `json:"totals"`
	Verified  *ingest.Totals `json:"verified,omitempty"`
	Complete  bool           `json:"complete"` // every key was seen
	ElapsedMS int64          `json:"elapsed_ms"`

	options ingest.Options
}

// NewImport is an import before it begins.
func NewImport(seed cluster.Addr, o ingest.Options) Import {
	v := Import{Schema: Schema, Command: "import", Seed: seed.String(), Keys: o.Keys(), options: o}
	for _, origin := range o.Origins {
		v.From = append(v.From, origin.Addr)
	}
	return v
}

// Plan says what is going to happen. Its first lines are those of redis-cli.
func (v Import) Plan(p *Page) {
	names := make([]string, len(v.From))
	for i, addr := range v.From {
		names[i] = addr.String()
	}
	p.Line(">>> Importing data from %s to cluster %s", strings.Join(names, ", "), v.Seed)
	for _, origin := range v.options.Origins {
		for _, db := range origin.Keyspace {
			if v.options.Databases == nil || db.DB == v.options.Databases[0] {
				p.Line("*** Importing %s from DB %d of %s (%s)", count(db.Keys, "key"), db.DB, origin.Addr, origin.Server)
			}
		}
	}
	if v.options.Merges() {
		p.Line("All databases come into database 0; of keys of the same name the first one stays.")
	}
	switch o := v.options; {
	case o.Move:
		p.Line("What has arrived is deleted at the source.")
	case o.Replace:
		p.Line("Keys of the same name in the cluster are overwritten.")
	}
}

// Ran adds what was done.
func (v *Import) Ran(t ingest.Totals, elapsed time.Duration, complete bool) {
	v.Totals, v.ElapsedMS, v.Complete = t, elapsed.Milliseconds(), complete
}

// Compared adds what was found afterwards.
func (v *Import) Compared(t ingest.Totals) { v.Verified = &t }

// Summary says what was done.
func (v Import) Summary(p *Page) {
	t := v.Totals
	verb := "Copied"
	if v.options.Move {
		verb = "Moved"
	}
	mark := "[OK]"
	if t.Failed+t.Existing > 0 || !v.Complete {
		mark = "[WARNING]"
	}
	p.Line("%s %s %s in %s: %s skipped, %s existing, %s failed.", mark, verb, count(t.Copied, "key"),
		span(time.Duration(v.ElapsedMS)*time.Millisecond), grouped(t.Skipped), grouped(t.Existing), grouped(t.Failed))
	if v.options.Move {
		p.Line("%s deleted at the source.", count(t.Deleted, "key"))
	}
	problems(p, t)
	compared(p, v.Verified)
}

// compared says what was found afterwards, where somebody looked.
func compared(p *Page, c *ingest.Totals) {
	if c == nil {
		return
	}
	p.Line("*** Compared %s: %s equal, %s with another value, %s missing.",
		count(c.Scanned, "key"), grouped(c.Skipped), grouped(c.Existing), grouped(c.Failed))
	problems(p, *c)
}

func problems(p *Page, t ingest.Totals) {
	for _, problem := range t.Problems {
		p.Line("  %.80q of database %d: %s", problem.Key, problem.DB, problem.Why)
	}
	if more := t.Failed + t.Existing - int64(len(t.Problems)); more > 0 {
		p.Line("  and %s more", grouped(more))
	}
}

// Intake shows how an import goes on.
type Intake struct {
	term *Terminal
	mode ProgressMode
	verb string
	all  int64
	now  func() time.Time

	mu    sync.Mutex
	began time.Time
	drawn time.Time
	line  time.Time
}

// NewIntake begins to show how about so many keys come in, 0 where nobody knows.
// The verb says how: "importing". End must be called.
func NewIntake(t *Terminal, mode ProgressMode, verb string, keys int64, now func() time.Time) *Intake {
	return &Intake{term: t, mode: mode, verb: verb, all: keys, now: now, began: now(), line: now()}
}

// Take takes what was done so far.
func (g *Intake) Take(t ingest.Totals) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.mode == ProgressPlain && now.Sub(g.line) >= plainEvery {
		g.line = now
		g.term.Say(func(p *Page) { p.Line("%s", g.text(t, now)) })
	}
	if g.mode == ProgressAuto && now.Sub(g.drawn) >= redraw {
		g.drawn = now
		g.term.Status(g.text(t, now))
	}
}

// text is "importing 40% (400,000 of 1,000,000 keys), 200,000 keys/s, 3s left".
func (g *Intake) text(t ingest.Totals, now time.Time) string {
	text := g.verb + " " + count(t.Scanned, "key")
	if g.all > 0 {
		text = fmt.Sprintf("%s %d%% (%s of %s keys)", g.verb, min(100, 100*t.Scanned/g.all), grouped(t.Scanned), grouped(g.all))
	}
	elapsed := now.Sub(g.began)
	if elapsed < time.Second || t.Scanned == 0 {
		return text
	}
	text += fmt.Sprintf(", %s keys/s", grouped(int64(float64(t.Scanned)/elapsed.Seconds())))
	if left := g.all - t.Scanned; left > 0 {
		text += ", " + span(time.Duration(float64(elapsed)*float64(left)/float64(t.Scanned)).Round(time.Second)) + " left"
	}
	return text
}

// End takes the status line away.
func (g *Intake) End() { g.term.Status("") }
