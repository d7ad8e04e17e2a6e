package ui

import (
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// Check is the result of judging a cluster.
type Check struct {
	Schema   int              `json:"schema"`
	Command  string           `json:"command"`
	Seed     string           `json:"seed"`
	Healthy  bool             `json:"healthy"` // no finding is an error
	Covered  int              `json:"slots_covered"`
	Nodes    []Node           `json:"nodes"`
	Findings []health.Finding `json:"findings"`
}

// NewCheck makes the view of a state and of what health has found in it.
func NewCheck(seed string, s cluster.State, found []health.Finding) Check {
	covered := cluster.SlotSet{}
	for _, m := range s.Masters() {
		covered = covered.Union(m.Slots())
	}
	return Check{
		Schema: Schema, Command: "check", Seed: seed,
		Healthy: !health.HasErrors(found), Covered: covered.Len(),
		Nodes: Nodes(s), Findings: append([]health.Finding{}, found...),
	}
}

// Text writes how many keys there are, and the report.
func (c Check) Text(p *Page) {
	p.keyLines(c.Nodes)
	c.Report(p)
}

// Report writes what redis-trib reported, and then each finding.
func (c Check) Report(p *Page) {
	p.Line(">>> Performing Cluster Check (using node %s)", c.Seed)
	for _, n := range c.Nodes {
		p.block("", n)
	}
	c.Verdict(p)
}

// Verdict writes the report without the nodes.
func (c Check) Verdict(p *Page) {
	if c.has(health.Disagreement) || c.has(health.MultipleOwners) {
		p.Line("[ERR] Nodes don't agree about configuration!")
	} else {
		p.Line("[OK] All nodes agree about slots configuration.")
	}
	c.openSlots(p)
	p.Line(">>> Check slots coverage...")
	if c.Covered == cluster.SlotCount {
		p.Line("[OK] All %d slots covered.", cluster.SlotCount)
	} else {
		p.Line("[ERR] Not all %d slots are covered by nodes.", cluster.SlotCount)
	}
	c.findings(p)
}

func (c Check) has(code health.Code) bool {
	return slices.ContainsFunc(c.Findings, func(f health.Finding) bool { return f.Code == code })
}

func (c Check) openSlots(p *Page) {
	p.Line(">>> Check for open slots...")
	var open []int
	for _, n := range c.Nodes {
		if !n.isMaster() {
			continue
		}
		if n.migrating != nil {
			p.Line("[WARNING] Node %s has slots in migrating state %s.", n.Addr, listed(n.migrating))
		}
		if n.importing != nil {
			p.Line("[WARNING] Node %s has slots in importing state %s.", n.Addr, listed(n.importing))
		}
		open = slices.Concat(open, n.migrating, n.importing)
	}
	if open != nil {
		p.Line("[WARNING] The following slots are open: %s", listed(cluster.SlotsOf(open...).Slots()))
	}
}

func listed(slots []int) string {
	texts := make([]string, len(slots))
	for i, slot := range slots {
		texts[i] = cluster.SlotRange{First: slot, Last: slot}.String()
	}
	return strings.Join(texts, ",")
}

func (c Check) findings(p *Page) {
	if len(c.Findings) == 0 {
		return
	}
	p.Line(">>> Findings: %s", Tally(c.Findings))
	for _, f := range c.Findings {
		p.finding(f)
	}
}

// Tally counts errors and warnings.
func Tally(found []health.Finding) string {
	var errors, warnings int64
	for _, f := range found {
		if f.Severity == health.Error {
			errors++
		} else {
			warnings++
		}
	}
	return count(errors, "error") + ", " + count(warnings, "warning")
}

func (p *Page) finding(f health.Finding) {
	mark := "[WARNING]"
	if f.Severity == health.Error {
		mark = "[ERR]"
	}
	p.Line("%s %s: %s", mark, f.Code, f.Summary)
	for _, e := range f.Evidence {
		p.Line("    %s", e)
	}
	if f.Remedy != "" {
		p.Line("    -> %s", f.Remedy)
	}
}
