package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
)

// Backup is what a backup is going to keep, and what it has kept.
type Backup struct {
	Schema    int             `json:"schema"`
	Command   string          `json:"command"`
	Seed      string          `json:"seed"`
	Dir       string          `json:"dir"`
	DryRun    bool            `json:"dry_run"`
	Slots     cluster.SlotSet `json:"slots"`
	Masters   []BackupOf      `json:"masters"`
	Bytes     int64           `json:"bytes"`
	ElapsedMS int64           `json:"elapsed_ms"`
}

// BackupOf is one master. Its file is empty before the backup.
type BackupOf struct {
	Master cluster.NodeID  `json:"master"`
	Node   cluster.NodeID  `json:"node"` // that gives its data
	Addr   cluster.Addr    `json:"addr"` // of that node
	Slots  cluster.SlotSet `json:"slots"`
	Keys   int64           `json:"keys"` // about
	File   string          `json:"file,omitempty"`
	Bytes  int64           `json:"bytes,omitempty"`
	SHA256 string          `json:"sha256,omitempty"`

	master cluster.Addr
}

// NewBackup is a backup before it begins.
func NewBackup(seed cluster.Addr, dir string, sources []backup.Source) Backup {
	v := Backup{Schema: Schema, Command: "backup", Seed: seed.String(), Dir: dir}
	for _, s := range sources {
		v.Slots = v.Slots.Union(s.Master.Slots())
		v.Masters = append(v.Masters, BackupOf{
			Master: s.Master.ID, Node: s.Node.ID, Addr: s.Node.Addr, Slots: s.Master.Slots(), Keys: s.Node.Keys(), master: s.Master.Addr,
		})
	}
	return v
}

// Plan says which node gives what. Its lines are those of redis-cli.
func (v Backup) Plan(p *Page) {
	for _, m := range v.Masters {
		whose := ""
		if m.Node != m.Master {
			whose = fmt.Sprintf(" (a replica of %s)", m.master)
		}
		p.Line(">>> Node %s -> Saving RDB... %s%s", m.Addr, count(m.Keys, "key"), whose)
	}
	if left := cluster.AllSlots().Minus(v.Slots); !left.Empty() {
		p.Line("[WARNING] No master that answers has slots %s: their keys will be missing.", left)
	}
}

// Took adds what was kept.
func (v *Backup) Took(m backup.Manifest, elapsed time.Duration) {
	for i, f := range m.Files {
		v.Masters[i].File, v.Masters[i].Bytes, v.Masters[i].SHA256 = f.Name, f.Bytes, f.SHA256
	}
	v.Bytes, v.ElapsedMS = m.Bytes(), elapsed.Milliseconds()
}

// Summary says what was kept, and where.
func (v Backup) Summary(p *Page) {
	for _, m := range v.Masters {
		p.Line("  %s  %s", m.File, byteSize(m.Bytes))
	}
	p.Line("Saving cluster configuration to: %s/nodes.json", strings.TrimSuffix(v.Dir, "/"))
	p.Line("[OK] Backup created into: %s", v.Dir)
	p.Line("%s of %s in %s.", byteSize(v.Bytes), count(int64(len(v.Masters)), "master"), span(time.Duration(v.ElapsedMS)*time.Millisecond))
}

// Saving shows how a backup goes on.
type Saving struct {
	term *Terminal
	mode ProgressMode
	now  func() time.Time
	all  int

	mu    sync.Mutex
	bytes map[cluster.NodeID]int64
	done  int
	began time.Time
	drawn time.Time
	line  time.Time
}

// NewSaving begins to show a backup of so many masters. End must be called.
func NewSaving(t *Terminal, mode ProgressMode, masters int, now func() time.Time) *Saving {
	g := &Saving{term: t, mode: mode, now: now, all: masters, bytes: make(map[cluster.NodeID]int64), began: now(), line: now()}
	g.draw(now(), true)
	return g
}

// Take takes how far one master is.
func (g *Saving) Take(p backup.Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes[p.Source.Master.ID] = p.Bytes
	if p.Done {
		g.done++
	}
	now := g.now()
	if g.mode == ProgressPlain && (p.Done || now.Sub(g.line) >= plainEvery) {
		g.line = now
		g.term.Say(func(p *Page) { p.Line("%s", g.text(now)) })
	}
	g.draw(now, p.Done)
}

func (g *Saving) sum() (n int64) {
	for _, b := range g.bytes {
		n += b
	}
	return n
}

func (g *Saving) draw(now time.Time, whatever bool) {
	if g.mode == ProgressAuto && (whatever || now.Sub(g.drawn) >= redraw) {
		g.drawn = now
		g.term.Status(g.text(now))
	}
}

// text is "saving: 1 of 3 masters, 12.0 MiB, 3.4 MiB/s, waiting for 2 to begin".
func (g *Saving) text(now time.Time) string {
	sum := g.sum()
	parts := []string{fmt.Sprintf("saving: %d of %s", g.done, count(int64(g.all), "master")), byteSize(sum)}
	if elapsed := now.Sub(g.began); elapsed >= time.Second && sum > 0 {
		parts = append(parts, byteSize(int64(float64(sum)/elapsed.Seconds()))+"/s")
	}
	if silent := g.all - len(g.bytes); silent > 0 {
		parts = append(parts, fmt.Sprintf("waiting for %d to begin", silent))
	}
	return strings.Join(parts, ", ")
}

// End takes the status line away.
func (g *Saving) End() { g.term.Status("") }
