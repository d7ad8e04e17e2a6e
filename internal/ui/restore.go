package ui

import (
	"cmp"
	"fmt"
	"time"

	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/ingest"
)

// Restore is what a restore is going to bring in, and what it has brought in.
type Restore struct {
	Schema    int            `json:"schema"`
	Command   string         `json:"command"`
	Seed      string         `json:"seed"`
	Dir       string         `json:"dir"`
	Files     []RestoreOf    `json:"files"`
	Masters   []cluster.Addr `json:"masters"` // that get the keys
	Keys      int64          `json:"keys"`    // about; 0 where nobody knows
	Bytes     int64          `json:"bytes"`   // of the files
	Through   string         `json:"through"` // what reads the files
	Merges    bool           `json:"merges"`  // databases into one
	DryRun    bool           `json:"dry_run"`
	Totals    ingest.Totals  `json:"totals"`
	Verified  *ingest.Totals `json:"verified,omitempty"`
	Functions ingest.Loaded  `json:"functions"`
	Present   int64          `json:"keys_present"` // in the cluster, afterwards
	Complete  bool           `json:"complete"`     // every key was seen
	ElapsedMS int64          `json:"elapsed_ms"`

	began   time.Time
	slots   cluster.SlotSet // of all files; empty where nobody knows
	replace bool
}

// RestoreOf is one file.
type RestoreOf struct {
	Name   string          `json:"name"`
	Bytes  int64           `json:"bytes"`
	RDB    int             `json:"rdb_version"`
	Server string          `json:"server,omitempty"` // that wrote it
	Slots  cluster.SlotSet `json:"slots"`
}

// NewRestore is a restore before it begins.
func NewRestore(seed cluster.Addr, b backup.Backup, s cluster.State, through string, replace bool) Restore {
	v := Restore{
		Schema: Schema, Command: "restore", Seed: seed.String(), Dir: b.Dir, Keys: b.Manifest.Keys(), Bytes: b.Manifest.Bytes(),
		Through: through, began: b.Manifest.Began, slots: b.Manifest.Slots, replace: replace,
	}
	for _, f := range b.Manifest.Files {
		v.Files = append(v.Files, RestoreOf{f.Name, f.Bytes, f.RDB, f.Server.String(), f.Slots})
	}
	for _, m := range s.Masters() {
		if !m.Slots().Empty() {
			v.Masters = append(v.Masters, m.Addr)
		}
	}
	return v
}

// Plan says what is going to happen.
func (v Restore) Plan(p *Page) {
	when := ""
	if !v.began.IsZero() {
		when = " of " + v.began.Format(time.RFC3339)
	}
	p.Line(">>> Restoring the backup%s in %s to cluster %s", when, v.Dir, v.Seed)
	for _, f := range v.Files {
		p.Line("  %s  %s  %s", f.Name, byteSize(f.Bytes), cmp.Or(f.Server, fmt.Sprintf("RDB version %d", f.RDB)))
	}
	keys := "All keys"
	if v.Keys > 0 {
		keys = "About " + count(v.Keys, "key")
	}
	p.Line("All checksums are right. %s go to %s, by the slots that these have now.", keys, count(int64(len(v.Masters)), "master"))
	p.Line("The files are read by %s, one at a time.", v.Through)
	if left := cluster.AllSlots().Minus(v.slots); !v.slots.Empty() && !left.Empty() {
		p.Line("[WARNING] The backup was made without slots %s.", left)
	}
	if v.Merges {
		p.Line("All databases come into database 0; of keys of the same name the first one stays.")
	}
	if v.replace {
		p.Line("Keys of the same name in the cluster are overwritten.")
	}
}

// Ran adds what was done.
func (v *Restore) Ran(t ingest.Totals, elapsed time.Duration, complete bool) {
	v.Totals, v.ElapsedMS, v.Complete = t, elapsed.Milliseconds(), complete
}

// Summary says what was done.
func (v Restore) Summary(p *Page) {
	t := v.Totals
	mark := "[OK]"
	if t.Failed+t.Existing > 0 || !v.Complete || len(v.Functions.Problems) > 0 {
		mark = "[WARNING]"
	}
	p.Line("%s Restored %s in %s: %s skipped, %s existing, %s failed.", mark, count(t.Copied, "key"),
		span(time.Duration(v.ElapsedMS)*time.Millisecond), grouped(t.Skipped), grouped(t.Existing), grouped(t.Failed))
	if t.Gone > 0 {
		p.Line("%s had expired meanwhile.", count(t.Gone, "key"))
	}
	problems(p, t)
	compared(p, v.Verified)
	v.libraries(p)
	if v.Complete {
		p.Line("The cluster has %s now.", count(v.Present, "key"))
	}
}

func (v Restore) libraries(p *Page) {
	if f := v.Functions; f.Loaded+f.Skipped+len(f.Problems) > 0 {
		p.Line("Function libraries: %d loaded, %d skipped, %d failed, over all masters.", f.Loaded, f.Skipped, len(f.Problems))
	}
	for _, problem := range v.Functions.Problems {
		p.Line("  %.80q on %s: %s", problem.Library, problem.Addr, problem.Why)
	}
}

// Checking is the status line while files are read.
func Checking(bytes, all int64) string {
	if all == 0 {
		return "checking the files: " + byteSize(bytes)
	}
	return fmt.Sprintf("checking the files: %s of %s", byteSize(bytes), byteSize(all))
}
