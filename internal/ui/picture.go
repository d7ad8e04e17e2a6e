package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// The picture of a large cluster is cut off here; the lines above it have all.
const (
	treeLines  = 40
	placeLines = 24
	placePorts = 6
)

// tree is a master with its replicas.
type tree struct {
	master   plan.Node
	slots    cluster.SlotSet
	replicas []plan.Node
}

func (v CreatePlan) forest() []tree {
	nodes := make(map[cluster.NodeID]plan.Node)
	for _, n := range v.Plan.Nodes {
		nodes[n.ID] = n
	}
	replicas := make(map[cluster.NodeID][]plan.Node)
	for _, s := range v.steps(plan.Replicate) {
		replicas[s.Master] = append(replicas[s.Master], nodes[s.Node])
	}
	var trees []tree
	for _, s := range v.steps(plan.AssignSlots) {
		trees = append(trees, tree{nodes[s.Node], s.Slots, replicas[s.Node]})
	}
	return trees
}

// trees draws each master's slots with its replicas below it.
func (v CreatePlan) trees(p *Page) {
	all := v.forest()
	shown := fitting(all)
	width := 0
	for _, t := range shown {
		width = max(width, len(placed(t.master)))
		for _, r := range t.replicas {
			width = max(width, len(placed(r))+3)
		}
	}
	p.ruler(width)
	for _, t := range shown {
		p.raw(fmt.Sprintf("  %-*s  %s  %s", width, placed(t.master), p.style.bar(t.slots, t.slots, p.style.good), Safe(someRanges(t.slots))))
		for _, r := range t.replicas {
			p.raw("  " + p.style.dim(p.style.branch()+" "+placed(r)))
		}
	}
	if more := all[len(shown):]; len(more) > 0 {
		replicas := 0
		for _, t := range more {
			replicas += len(t.replicas)
		}
		p.Line("  ... and %s with %s", count(int64(len(more)), "more master"), count(int64(replicas), "replica"))
	}
}

// fitting are the trees of which not too many lines are made; all of them, where
// leaving some out would not be worth it.
func fitting(trees []tree) []tree {
	lines, full := 0, len(trees)
	for i, t := range trees {
		if lines += 1 + len(t.replicas); lines > treeLines {
			full = min(full, max(i, 1))
		}
	}
	return trees[:full]
}

// placed is a node with its zone.
func placed(n plan.Node) string {
	if n.Zone == "" {
		return Safe(n.Addr.String())
	}
	return Safe(fmt.Sprintf("%s (%s)", n.Addr, n.Zone))
}

// someRanges are the first ranges of a set, and how many more there are.
func someRanges(s cluster.SlotSet) string {
	const few = 4
	ranges := s.Ranges()
	if len(ranges) <= few {
		return s.String()
	}
	return fmt.Sprintf("%s and %s", cluster.NewSlotSet(ranges[:few]...), count(int64(len(ranges)-few), "more range"))
}

// place is a host, or a zone where there are too many hosts to show.
type place struct {
	zone, host        string
	hosts             int
	masters, replicas []string // ports
}

// places shows who stands where, unless there is only one host.
func (v CreatePlan) places(p *Page) {
	hosts := v.onHosts()
	if len(hosts) < 2 {
		return
	}
	if zones := inZones(hosts); len(hosts) > placeLines && zones[0].zone != "" {
		hosts = zones
	}
	header, zoned := []string{"host", "masters", "replicas"}, hosts[0].zone != ""
	if zoned {
		header = append([]string{"zone"}, header...)
	}
	var rows [][]string
	for _, h := range hosts[:min(len(hosts), placeLines)] {
		row := []string{h.host, ports(h.masters), ports(h.replicas)}
		if h.hosts > 1 {
			row = []string{count(int64(h.hosts), "host"), fmt.Sprint(len(h.masters)), fmt.Sprint(len(h.replicas))}
		}
		if zoned {
			row = append([]string{h.zone}, row...)
		}
		rows = append(rows, row)
	}
	p.table(header, rows)
	if more := len(hosts) - placeLines; more > 0 {
		p.Line("... and %s", count(int64(more), "more place"))
	}
	p.Blank()
}

// onHosts are the hosts, by zone.
func (v CreatePlan) onHosts() []*place {
	var hosts []*place
	byName := make(map[string]*place)
	at := func(n plan.Node) *place {
		if byName[n.Addr.Host] == nil {
			byName[n.Addr.Host] = &place{zone: n.Zone, host: n.Addr.Host, hosts: 1}
			hosts = append(hosts, byName[n.Addr.Host])
		}
		return byName[n.Addr.Host]
	}
	for _, n := range v.Plan.Nodes {
		at(n)
	}
	for _, t := range v.forest() {
		h := at(t.master)
		h.masters = append(h.masters, fmt.Sprint(t.master.Addr.Port))
		for _, r := range t.replicas {
			h := at(r)
			h.replicas = append(h.replicas, fmt.Sprint(r.Addr.Port))
		}
	}
	slices.SortStableFunc(hosts, func(a, b *place) int { return cmp.Compare(a.zone, b.zone) })
	return hosts
}

// inZones sums hosts up.
func inZones(hosts []*place) []*place {
	var zones []*place
	for _, h := range hosts {
		if len(zones) == 0 || zones[len(zones)-1].zone != h.zone {
			zones = append(zones, &place{zone: h.zone})
		}
		z := zones[len(zones)-1]
		z.host = h.host
		z.hosts++
		z.masters, z.replicas = append(z.masters, h.masters...), append(z.replicas, h.replicas...)
	}
	return zones
}

func ports(all []string) string {
	if len(all) <= placePorts {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:placePorts-1], " "), len(all)-placePorts+1)
}
