package backup

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// node is one node in nodes.json, in the form that redis-cli and valkey-cli give
// it.
type node struct {
	Name      cluster.NodeID            `json:"name"`
	Host      string                    `json:"host"`
	Port      int                       `json:"port"`
	Replicate *cluster.NodeID           `json:"replicate"`
	Slots     [][]int                   `json:"slots"`
	Count     int                       `json:"slots_count"`
	Flags     string                    `json:"flags"`
	Epoch     uint64                    `json:"current_epoch"`
	Migrating map[string]cluster.NodeID `json:"migrating,omitempty"`
	Importing map[string]cluster.NodeID `json:"importing,omitempty"`
}

// describe is nodes.json.
func describe(s cluster.State) ([]byte, error) {
	nodes := make([]node, len(s.Members))
	for i, m := range s.Members {
		nodes[i] = nodeOf(s, m)
	}
	text, err := json.MarshalIndent(nodes, "", "  ")
	return append(text, '\n'), err
}

func nodeOf(s cluster.State, m cluster.Member) node {
	self := lineOf(s, m)
	n := node{
		Name: m.ID, Host: m.Addr.Host, Port: m.Addr.Port, Slots: pairs(self.Slots), Count: self.Slots.Len(),
		Flags: flagsOf(self), Epoch: self.Epoch, Migrating: open(self.Migrating), Importing: open(self.Importing),
	}
	if self.MasterID != "" {
		n.Replicate = &self.MasterID
	}
	return n
}

// lineOf is what a node says of itself or, where it does not answer, another one
// of it.
func lineOf(s cluster.State, m cluster.Member) cluster.Node {
	if m.Reachable() {
		return m.View.Self()
	}
	for _, other := range s.Members {
		if n, ok := other.View.Get(m.ID); ok {
			return n
		}
	}
	return cluster.Node{}
}

// pairs are ranges as lists: of two slots, or of one.
func pairs(s cluster.SlotSet) [][]int {
	all := [][]int{}
	for _, r := range s.Ranges() {
		pair := []int{r.First, r.Last}
		if r.First == r.Last {
			pair = pair[:1]
		}
		all = append(all, pair)
	}
	return all
}

func flagsOf(n cluster.Node) string {
	flags := []string{"master"}
	if !n.IsMaster() {
		flags = []string{"slave"}
	}
	if n.Flags.Has(cluster.FlagFailed) {
		flags = append(flags, "fail")
	}
	return strings.Join(flags, ",")
}

func open(slots map[int]cluster.NodeID) map[string]cluster.NodeID {
	out := make(map[string]cluster.NodeID)
	for slot, id := range slots {
		out[strconv.Itoa(slot)] = id
	}
	return out
}
