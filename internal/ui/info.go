package ui

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Info is the result of looking at a cluster.
type Info struct {
	Schema      int     `json:"schema"`
	Command     string  `json:"command"`
	Seed        string  `json:"seed"`
	Masters     int     `json:"masters"`
	Keys        int64   `json:"keys"`
	KeysPerSlot float64 `json:"keys_per_slot"`
	Nodes       []Node  `json:"nodes"`
}

// NewInfo makes the view of a state.
func NewInfo(seed string, s cluster.State) Info {
	v := Info{Schema: Schema, Command: "info", Seed: seed, Nodes: Nodes(s)}
	v.Masters, v.Keys = totals(v.Nodes)
	v.KeysPerSlot = float64(v.Keys) / cluster.SlotCount
	return v
}

func totals(nodes []Node) (masters int, keys int64) {
	for _, n := range nodes {
		if n.isMaster() {
			masters++
			keys += *n.Keys
		}
	}
	return masters, keys
}

// Text writes redis-trib's lines, then what each master has, and then a table of
// all nodes.
func (v Info) Text(p *Page) {
	p.keyLines(v.Nodes)
	v.masterTable(p)
	p.Blank()
	v.nodeTable(p)
	for _, n := range v.Nodes {
		if !n.Reachable {
			p.Line("[WARNING] %s does not answer: %s", n.Addr, n.Unreachable)
		}
	}
}

// masterTable shows where each master's slots are, and what stands in them.
func (v Info) masterTable(p *Page) {
	ruler := fmt.Sprintf("%-*d%d", infoCells(p.style)-5, 0, cluster.SlotCount-1)
	header := []string{"master", ruler, "slots", "keys", "replicas", "memory", "server"}
	if p.style.Narrow {
		header = header[:6]
	}
	var rows [][]string
	for _, n := range v.Nodes {
		if n.isMaster() {
			rows = append(rows, masterRow(p.style, n)[:len(header)])
		}
	}
	if rows != nil {
		p.Blank()
		p.table(header, rows, 2, 3, 4, 5)
	}
}

// infoCells leaves room for the columns beside the bar.
func infoCells(s Style) int { return s.cells() / 2 }

func masterRow(s Style, n Node) []string {
	bar := s.barOf(infoCells(s), n.Slots, cluster.SlotSet{}, nil)
	return []string{n.Addr.String(), bar, fmt.Sprint(n.SlotCount), grouped(*n.Keys), fmt.Sprint(n.Replicas), byteSize(n.MemoryBytes), n.Server}
}

func (v Info) nodeTable(p *Page) {
	header, numeric := []string{"address", "id", "role", "slots", "keys", "server", "epoch", "memory"}, []int{3, 4, 6, 7}
	if p.style.Narrow {
		header, numeric = header[:6], numeric[:2]
	}
	rows := make([][]string, len(v.Nodes))
	for i, n := range v.Nodes {
		rows[i] = infoRow(n)[:len(header)]
	}
	p.table(header, rows, numeric...)
}

func infoRow(n Node) []string {
	role := n.Role
	if n.MasterID != "" {
		role += " of " + n.MasterID.Short()
	}
	row := []string{n.Addr.String(), n.ID.Short(), role, fmt.Sprint(n.SlotCount)}
	if !n.Reachable {
		return append(row, "-", "does not answer", "-", "-")
	}
	return append(row, grouped(*n.Keys), n.Server, fmt.Sprint(n.Epoch), byteSize(n.MemoryBytes))
}

// keyLines adds how many keys each master has, in redis-trib's words.
func (p *Page) keyLines(nodes []Node) {
	masters, keys := totals(nodes)
	for _, n := range nodes {
		if n.isMaster() {
			p.Line("%s (%s...) -> %d keys | %d slots | %d slaves.", n.Addr, n.ID.Short(), *n.Keys, n.SlotCount, n.Replicas)
		}
	}
	p.Line("[OK] %d keys in %d masters.", keys, masters)
	p.Line("%.2f keys per slot on average.", float64(keys)/cluster.SlotCount)
}

func byteSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
