package ui

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Schema is the version of the JSON forms in this package.
const Schema = 1

// Node is one node of a cluster as results show it.
type Node struct {
	ID          cluster.NodeID  `json:"id"`
	Addr        cluster.Addr    `json:"addr"`
	Role        string          `json:"role"` // "master" or "replica"
	MasterID    cluster.NodeID  `json:"master_id,omitempty"`
	Slots       cluster.SlotSet `json:"slots,omitzero"`
	SlotCount   int             `json:"slot_count"`
	Replicas    int             `json:"replicas"` // that answer
	Keys        *int64          `json:"keys"`     // null where the node does not answer
	Epoch       uint64          `json:"epoch"`
	Server      string          `json:"server,omitempty"`
	MemoryBytes int64           `json:"memory_bytes,omitempty"`
	Reachable   bool            `json:"reachable"`
	Unreachable string          `json:"unreachable,omitempty"` // why

	migrating, importing []int
}

// Nodes are the members of a state. Of a node that does not answer they show
// what another one says.
func Nodes(s cluster.State) []Node {
	out := make([]Node, len(s.Members))
	for i, m := range s.Members {
		out[i] = nodeOf(s, m)
	}
	return out
}

func nodeOf(s cluster.State, m cluster.Member) Node {
	line := m.View.Self()
	if !m.Reachable() {
		line = hearsay(s, m.ID)
	}
	n := Node{
		ID: m.ID, Addr: m.Addr, Role: "master", MasterID: line.MasterID,
		Slots: line.Slots, SlotCount: line.Slots.Len(), Replicas: len(s.ReplicasOf(m.ID)),
		Epoch: line.Epoch, Server: m.Server.String(), MemoryBytes: m.UsedMemory,
		Reachable: m.Reachable(), Unreachable: m.Unreachable,
		migrating: openSlots(line.Migrating), importing: openSlots(line.Importing),
	}
	if line.Flags.Has(cluster.FlagReplica) {
		n.Role = "replica"
	}
	if n.Reachable {
		n.Keys = new(m.Keys())
	}
	return n
}

func hearsay(s cluster.State, id cluster.NodeID) cluster.Node {
	for _, m := range s.Members {
		if n, ok := m.View.Get(id); ok {
			return n
		}
	}
	return cluster.Node{}
}

func openSlots(open map[int]cluster.NodeID) []int {
	var slots []int
	for slot := range open {
		slots = append(slots, slot)
	}
	return cluster.SlotsOf(slots...).Slots()
}

// isMaster reports whether the node answers and is a master.
func (n Node) isMaster() bool { return n.Reachable && n.Role == "master" }

// block adds a node in the form that redis-trib gave it.
func (p *Page) block(indent string, n Node) {
	mark, role := "M", "master"
	if n.Role == "replica" {
		mark, role = "S", "slave"
	}
	p.Line("%s%s: %s %s", indent, mark, n.ID, n.Addr)
	p.Line("%s   slots:%s (%d slots) %s", indent, bracketed(n.Slots), n.SlotCount, role)
	if n.MasterID != "" {
		p.Line("%s   replicates %s", indent, n.MasterID)
	}
	if n.Replicas > 0 {
		p.Line("%s   %d additional replica(s)", indent, n.Replicas)
	}
	if !n.Reachable {
		p.Line("%s   [ERR] does not answer: %s", indent, n.Unreachable)
	}
}

// bracketed is "[0-100],[200]"; a replica has none, which redis-cli shows as a
// space.
func bracketed(s cluster.SlotSet) string {
	parts := make([]string, len(s.Ranges()))
	for i, r := range s.Ranges() {
		parts[i] = "[" + r.String() + "]"
	}
	return strings.Join(parts, ",")
}

// count is "1 key", "2 keys".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%s %ss", grouped(n), thing)
}

// grouped is a number with a comma between each three digits.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
