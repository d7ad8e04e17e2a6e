package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
)

// Options say what is brought in and how. The zero value of a field means its
// default.
type Options struct {
	From    driver.Dialer // of the source
	Origins []Origin      // its servers
	To      driver.Dialer // of the cluster
	Cluster cluster.State // as it was when this was decided

	Databases []int  // of the source; nil for all
	Match     string // pattern of keys; empty for all
	Type      string // of values; empty for all

	Flat    bool // bring all databases into database 0
	Move    bool // delete at the source what has arrived
	Replace bool // overwrite what the cluster has under the same names
	Through bool // never let the source speak to the targets itself

	Batch    int           // most keys that travel together; default 1000
	Timeout  time.Duration // of one MIGRATE; default 5 s
	Patience time.Duration // how long a slot may be without an owner; default 60 s
	Throttle *move.Throttle
	Lock     lock.Options
	Held     *lock.Lock   // the lock, where the caller has taken it already
	Report   func(Totals) // called after every batch; may be nil

	// Credentials that the source presents to the targets.
	Username string
	Password string
}

const (
	defaultBatch    = 1000
	defaultTimeout  = 5 * time.Second
	defaultPatience = 60 * time.Second
	mostBytes       = 1 << 20 // in a batch; a bigger key travels alone
	lanesPerTarget  = 2
	samplesKept     = 20 // keys that are named of each kind
)

func (o Options) withDefaults() Options {
	o.Batch = cmp.Or(o.Batch, defaultBatch)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.Patience = cmp.Or(o.Patience, defaultPatience)
	if o.Report == nil {
		o.Report = func(Totals) {}
	}
	return o
}

// Merges reports whether keys of several databases of the source come into one of
// the cluster's, where they may have the same names.
func (o Options) Merges() bool { return len(o.databases()) > 1 && !o.keepsDatabases() }

// databases are those of the source that have keys and are wanted.
func (o Options) databases() []int {
	var found []int
	seen := make(map[int]bool)
	for _, origin := range o.Origins {
		for _, db := range origin.Keyspace {
			if db.Keys > 0 && !seen[db.DB] && o.wants(db.DB) {
				seen[db.DB] = true
				found = append(found, db.DB)
			}
		}
	}
	return found
}

func (o Options) wants(db int) bool {
	for _, wanted := range o.Databases {
		if wanted == db {
			return true
		}
	}
	return o.Databases == nil
}

// keepsDatabases reports whether every master has every database that is wanted:
// then each key keeps the number of its own. Otherwise all come into database 0.
func (o Options) keepsDatabases() bool {
	if o.Flat {
		return false
	}
	for _, m := range o.Cluster.Masters() {
		has := make(map[int]bool)
		for _, db := range m.Databases {
			has[db] = true
		}
		for _, db := range o.databases() {
			if !has[db] {
				return false
			}
		}
	}
	return true
}

// target is the database into which one of the source's comes.
func (o Options) target(db int) int {
	if o.keepsDatabases() {
		return db
	}
	return 0
}

// Keys is how many keys the source has in the databases that are wanted.
func (o Options) Keys() int64 {
	var n int64
	for _, origin := range o.Origins {
		for _, db := range origin.Keyspace {
			if o.wants(db.DB) {
				n += db.Keys
			}
		}
	}
	return n
}

// Totals are what a run has done so far.
type Totals struct {
	Scanned  int64 `json:"scanned"`  // keys that the source has listed
	Copied   int64 `json:"copied"`   // keys that were brought over
	Deleted  int64 `json:"deleted"`  // of these and those skipped, at the source
	Skipped  int64 `json:"skipped"`  // the cluster had them, with the same value
	Existing int64 `json:"existing"` // the cluster has another value
	Failed   int64 `json:"failed"`
	Gone     int64 `json:"gone"` // expired or deleted at the source meanwhile

	Through  bool      `json:"through"`            // some keys came through this process
	Problems []Problem `json:"problems,omitempty"` // the first few
}

// Plus are the totals of two runs together.
func (t Totals) Plus(u Totals) Totals {
	problems := slices.Concat(t.Problems, u.Problems)
	return Totals{
		Scanned: t.Scanned + u.Scanned, Copied: t.Copied + u.Copied, Deleted: t.Deleted + u.Deleted, Skipped: t.Skipped + u.Skipped,
		Existing: t.Existing + u.Existing, Failed: t.Failed + u.Failed, Gone: t.Gone + u.Gone,
		Through: t.Through || u.Through, Problems: problems[:min(len(problems), samplesKept)],
	}
}

// Problem is a key that did not come over, and why.
type Problem struct {
	DB       int    `json:"db"`
	Key      string `json:"key"`
	Existing bool   `json:"existing"` // the cluster has another value
	Why      string `json:"why"`
}

// StoppedError is a run that ended before it had seen every key.
type StoppedError struct{ Cause error }

func (e *StoppedError) Error() string { return "stopped part-way: " + e.Cause.Error() }

// Unwrap is the cause.
func (e *StoppedError) Unwrap() error { return e.Cause }

// LeftError is a run that saw every key and could not bring some of them over.
type LeftError struct{ Totals Totals }

func (e *LeftError) Error() string {
	switch t := e.Totals; {
	case t.Failed > 0 && t.Existing > 0:
		return fmt.Sprintf("%d keys failed, and %d exist in the cluster with another value", t.Failed, t.Existing)
	case t.Failed > 0:
		return fmt.Sprintf("%d keys failed", t.Failed)
	}
	return fmt.Sprintf("%d keys exist in the cluster with another value, and were left as they are on both sides", e.Totals.Existing)
}
