package health

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// sight is a state with everybody's opinions laid side by side, so that a check
// need not search a view for a node: with a thousand nodes there are a million
// opinions. Members are meant by their index.
type sight struct {
	cluster.State
	options Options
	index   map[cluster.NodeID]int
	lines   [][]*cluster.Node // lines[i][j] is what i says of j; nil where it does not know it
	master  []int             // whose replica each one is, as it says or others say of it; nobody, stranger
	groups  [][]int           // members that answer, those together who see each other
	group   []int             // which of the groups each one is in
	claims  [cluster.SlotCount]uint8
}

// What sight.master holds instead of a member.
const (
	nobody   = -1 // a master, as far as is known
	stranger = -2 // a node that is no member
)

func newSight(s cluster.State, o Options) *sight {
	n := len(s.Members)
	v := &sight{
		State: s, options: o, index: make(map[cluster.NodeID]int, n),
		lines: make([][]*cluster.Node, n), master: make([]int, n), group: make([]int, n),
	}
	for i, m := range s.Members {
		v.index[m.ID] = i
	}
	for i := range s.Members {
		v.lines[i] = v.row(s.Members[i].View)
	}
	for i := range s.Members {
		v.master[i] = v.masterOf(i)
	}
	v.groups = v.connected()
	for g, members := range v.groups {
		for _, i := range members {
			v.group[i] = g
		}
	}
	for _, m := range s.Masters() {
		for slot := range m.Slots().All() {
			v.claims[slot] = min(v.claims[slot]+1, 2)
		}
	}
	return v
}

func (v *sight) row(view cluster.View) []*cluster.Node {
	row := make([]*cluster.Node, len(v.Members))
	for k := range view.Nodes {
		n := &view.Nodes[k]
		if j, ok := v.index[n.ID]; ok && !n.Flags.Has(cluster.FlagHandshake) {
			row[j] = n
		}
	}
	return row
}

// line is what i says of itself or, where it is silent, what the first one who
// knows it says.
func (v *sight) line(i int) cluster.Node {
	if v.Members[i].Reachable() {
		return v.Members[i].View.Self()
	}
	for _, row := range v.lines {
		if row[i] != nil {
			return *row[i]
		}
	}
	return cluster.Node{}
}

func (v *sight) masterOf(i int) int {
	line := v.line(i)
	if line.MasterID == "" {
		return nobody
	}
	if j, ok := v.index[line.MasterID]; ok {
		return j
	}
	return stranger
}

// reachable are the members that answered.
func (v *sight) reachable() []int {
	var out []int
	for i, m := range v.Members {
		if m.Reachable() {
			out = append(out, i)
		}
	}
	return out
}

// voters are the masters with slots: their majority decides who has failed and
// who is promoted. A silent one counts where nobody who knows it says otherwise.
func (v *sight) voters() []int {
	var out []int
	for i, m := range v.Members {
		if m.IsMaster() && !m.Slots().Empty() || !m.Reachable() && !v.ownsNothing(i) {
			out = append(out, i)
		}
	}
	return out
}

// ownsNothing asks the others what a silent node is: a replica, or a master
// without slots. It is taken for more unless everybody who knows it agrees.
func (v *sight) ownsNothing(j int) bool {
	known := false
	for _, row := range v.lines {
		n := row[j]
		if n != nil && !n.Flags.Has(cluster.FlagReplica) && !n.Slots.Empty() {
			return false
		}
		known = known || n != nil
	}
	return known
}

// sees reports whether i knows j and sees nothing wrong with it.
func (v *sight) sees(i, j int) bool {
	n := v.lines[i][j]
	return n != nil && n.Flags&(cluster.FlagFailed|cluster.FlagSuspect) == 0
}

func (v *sight) ids(members []int) []cluster.NodeID {
	var out []cluster.NodeID
	for _, i := range members {
		out = append(out, v.Members[i].ID)
	}
	return out
}

func (v *sight) addr(i int) string { return v.Members[i].Addr.String() }

// zone is where a member stands, as far as anybody has said.
func (v *sight) zone(i int) string {
	m := v.Members[i]
	if zone, ok := v.options.Zones[m.Addr.Host]; ok {
		return zone
	}
	return m.Zone
}

// named lists members by address, some of them where they are many.
func (v *sight) named(members []int) string {
	addrs := make([]string, len(members))
	for i, m := range members {
		addrs[i] = v.addr(m)
	}
	return some(addrs)
}

// enough is how many things a sentence lists.
const enough = 4

func some(things []string) string {
	if len(things) <= enough+1 {
		return strings.Join(things, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(things[:enough], ", "), len(things)-enough)
}

// slotList is a set of slots as a sentence lists it.
func slotList(s cluster.SlotSet) string {
	ranges := s.Ranges()
	if len(ranges) <= 2*enough {
		return s.String()
	}
	head := cluster.NewSlotSet(ranges[:2*enough]...)
	return fmt.Sprintf("%s and %d more", head, s.Len()-head.Len())
}

// several is "1 node", "2 nodes".
func several(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
