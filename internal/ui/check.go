package ui

import (
	"fmt"
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
	Quorum   health.Quorum    `json:"quorum"`
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
		Quorum: health.QuorumOf(s), Nodes: Nodes(s), Findings: append([]health.Finding{}, found...),
	}
}

// Text writes how many keys there are, and the report.
func (c Check) Text(p *Page) {
	p.keyLines(c.Nodes)
	c.heading(p)
	c.stock(p)
	c.quorum(p)
	c.findings(p)
}

// Report writes what redis-trib reported, and then each finding.
func (c Check) Report(p *Page) {
	c.heading(p)
	c.Verdict(p)
}

// Verdict writes the report without the nodes.
func (c Check) Verdict(p *Page) {
	c.stock(p)
	c.findings(p)
}

func (c Check) heading(p *Page) {
	p.Line(">>> Performing Cluster Check (using node %s)", c.Seed)
	for _, n := range c.Nodes {
		p.block("", n)
	}
}

// stock writes the lines that scripts look for.
func (c Check) stock(p *Page) {
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
}

// quorum says what may fail before the cluster stops.
func (c Check) quorum(p *Page) {
	p.Line(">>> Check quorum...")
	q := c.Quorum
	mark := "[OK]"
	switch {
	case q.Alive < q.Majority:
		mark = "[ERR]"
	case q.MayFail == 0:
		mark = "[WARNING]"
	}
	p.Line("%s %d of %s with slots answer, %d must; %s.", mark, q.Alive, count(int64(q.Voters), "master"), q.Majority, mayFail(q.MayFail))
}

func mayFail(n int) string {
	if n == 0 {
		return "none may fail"
	}
	return fmt.Sprintf("%d may fail at the same time", n)
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
	addrs := make(map[cluster.NodeID]string)
	for _, n := range c.Nodes {
		addrs[n.ID] = n.Addr.String()
	}
	for i, f := range c.Findings {
		p.finding(f, addrs)
		// What to do is said once for several findings of a kind.
		if i+1 == len(c.Findings) || c.Findings[i+1].Code != f.Code || c.Findings[i+1].Remedy != f.Remedy {
			p.Line("    -> %s", f.Remedy)
			p.Line("    see: trib explain %s", f.Code)
		}
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

// shown is how much of a list is printed; JSON has all of it.
const shown = 8

func (p *Page) finding(f health.Finding, addrs map[cluster.NodeID]string) {
	mark := "[WARNING]"
	if f.Severity == health.Error {
		mark = "[ERR]"
	}
	p.Line("%s %s: %s", mark, f.Code, f.Summary)
	nodes := some(named(f.Nodes, addrs), ", ")
	if len(f.Nodes) > 1 {
		p.Line("    nodes: %s", nodes)
	}
	for _, line := range f.Evidence[:min(len(f.Evidence), shown)] {
		if line != nodes || len(f.Nodes) == 1 {
			p.Line("    %s", line)
		}
	}
	if more := len(f.Evidence) - shown; more > 0 {
		p.Line("    and %d more of this kind", more)
	}
}

func named(nodes []cluster.NodeID, addrs map[cluster.NodeID]string) []string {
	names := make([]string, len(nodes))
	for i, id := range nodes {
		if names[i] = addrs[id]; names[i] == "" {
			names[i] = id.Short()
		}
	}
	return names
}

// some joins what there is of a list, as far as it is shown.
func some(list []string, sep string) string {
	if len(list) <= shown {
		return strings.Join(list, sep)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:shown], sep), len(list)-shown)
}
