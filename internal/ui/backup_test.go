package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/ingest"
)

// saved is a backup of two masters, one of them by its replica.
func saved(t *testing.T) (cluster.State, []backup.Source, backup.Manifest) {
	s := stateOf(t,
		node{slots: "0-5460", keys: 1200}, node{slots: "5461-10922", keys: 7}, node{slots: "10923-16383", down: "i/o timeout"},
		node{master: 1, keys: 1200},
	)
	sources := []backup.Source{{Master: s.Members[0], Node: s.Members[3]}, {Master: s.Members[1], Node: s.Members[1]}}
	m := backup.Manifest{Began: time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)}
	for i, name := range []string{"a.rdb", "b.rdb"} {
		m.Files = append(m.Files, backup.File{
			Sum: backup.Sum{Name: name, Bytes: 1 << (10 * (i + 1)), SHA256: strings.Repeat("a", 64)}, RDB: 10,
			Slots: sources[i].Master.Slots(), Keys: []cluster.DBKeys{{DB: 0, Keys: 1000}},
		})
	}
	m.Slots = m.Files[0].Slots.Union(m.Files[1].Slots)
	m.Files[1].Server = cluster.Server{Flavor: "redis", Version: "7.0.15"}
	return s, sources, m
}

func TestBackupViews(t *testing.T) {
	s, sources, m := saved(t)
	seed := s.Members[0].Addr
	kept := NewBackup(seed, "dir/", sources)
	kept.Took(m, 1500*time.Millisecond)
	b := backup.Backup{Dir: "dir", Manifest: m}
	before := NewRestore(seed, b, s, "a temporary server, redis 7.0.15", true)
	before.Merges = true
	whole, part := before, before
	whole.Ran(ingest.Totals{Copied: 1997, Gone: 3}, 2*time.Second, true)
	whole.Verified, whole.Present = &ingest.Totals{Scanned: 1997, Skipped: 1997}, 1997
	part.Ran(ingest.Totals{Copied: 5, Existing: 1, Failed: 1, Problems: []ingest.Problem{
		{Key: "a\x1b[31m", Why: "OOM"}, {DB: 3, Key: "b", Existing: true, Why: "the cluster has another value"},
	}}, time.Minute, false)
	part.Functions = ingest.Loaded{Loaded: 2, Problems: []ingest.LibraryProblem{{Library: "lib", Addr: seed, Existing: true, Why: "the cluster has it with other code"}}}
	for name, write := range map[string]func(*Page){
		"backup-plan": NewBackup(seed, "dir", sources).Plan, "backup-done": kept.Summary,
		"restore-plan": before.Plan, "restore-done": whole.Summary, "restore-part": part.Summary,
	} {
		t.Run(name, func(t *testing.T) { golden(t, name+".txt", render(write)) })
	}
}

func TestSaving(t *testing.T) {
	_, sources, _ := saved(t)
	now := time.Unix(0, 0)
	g := NewSaving(NewTerminal(new(strings.Builder), new(strings.Builder), Traits{}), ProgressNone, 2, func() time.Time { return now })
	defer g.End()
	if got, want := g.text(now), "saving: 0 of 2 masters, 0 B, waiting for 2 to begin"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	now = now.Add(2 * time.Second)
	g.Take(backup.Progress{Source: sources[0], Bytes: 4 << 20, Done: true})
	if got, want := g.text(now), "saving: 1 of 2 masters, 4.0 MiB, 2.0 MiB/s, waiting for 1 to begin"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
