package ui

import (
	"time"

	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

// Outcome is the result of a command that changes a cluster, or would have.
type Outcome struct {
	Schema    int              `json:"schema"`
	Command   string           `json:"command"`
	DryRun    bool             `json:"dry_run"`
	Changed   bool             `json:"changed"` // false also where everything was so already
	Plan      plan.Plan        `json:"plan"`
	Movers    []plan.Mover     `json:"movers,omitempty"` // how its slots move, or would have, pair by pair
	Slots     int              `json:"slots_moved"`
	Keys      int64            `json:"keys_moved"`
	ElapsedMS int64            `json:"elapsed_ms"`
	Notices   []string         `json:"notices,omitempty"`
	Healthy   *bool            `json:"healthy,omitempty"` // as verified afterwards; absent where nothing was verified
	Findings  []health.Finding `json:"findings,omitempty"`
}

// Verified adds what was found afterwards.
func (o *Outcome) Verified(c Check) {
	o.Healthy = &c.Healthy
	o.Findings = c.Findings
}

// Summary says what a run has done.
func (o Outcome) Summary(p *Page) {
	elapsed := span(time.Duration(o.ElapsedMS) * time.Millisecond)
	switch {
	case o.Slots == 0 && o.Keys == 0:
		p.Line("[OK] Done in %s.", elapsed)
		return
	case o.Slots == 0:
		p.Line("[OK] Brought %s to the owners of their slots in %s.", count(o.Keys, "key"), elapsed)
		return
	}
	p.Line("[OK] Moved %s with %s in %s.", count(int64(o.Slots), "slot"), count(o.Keys, "key"), elapsed)
}

// span is a duration as people say it: "0.4s", "12s", "3m10s".
func span(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
