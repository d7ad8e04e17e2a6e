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
	said    []oddity          // what is odd in what anybody says of each one
	sees    []oddity          // what is odd in what each one says of anybody
	master  []int             // whose replica each one is, as it says or others say of it; nobody, stranger
	groups  [][]int           // members that answer, those together who see each other
	group   []int             // which of the groups each one is in
	claims  [cluster.SlotCount]uint8
}

// oddity is what one node says of another and should not say. Almost nobody says
// anything odd, so checks look for what they are about before they look closer.
type oddity uint8

const (
	unknown   oddity = 1 << iota // nothing is said
	failing                      // called failed or suspected
	unlinked                     // no link on the cluster bus
	elsewhere                    // at another address
	slotsOdd                     // with other slots than it says itself
	meeting                      // it is no member yet
)

// What sight.master holds instead of a member.
const (
	nobody   = -1 // a master, as far as is known
	stranger = -2 // a node that is no member
)

func newSight(s cluster.State, o Options) *sight {
	n := len(s.Members)
	v := &sight{
		State: s, options: o, index: make(map[cluster.NodeID]int, n),
		lines: make([][]*cluster.Node, n), said: make([]oddity, n), sees: make([]oddity, n),
		master: make([]int, n), group: make([]int, n),
	}
	for i, m := range s.Members {
		v.index[m.ID] = i
	}
	v.lay()
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

// lay lays out the views, and notes what is odd in them on the way: a second look
// at a million lines costs more than everything else.
func (v *sight) lay() {
	all := make([]*cluster.Node, len(v.Members)*len(v.Members))
	selves := make([]self, len(v.Members))
	for i, m := range v.Members {
		selves[i] = self{m.Addr, m.IsMaster(), m.Slots()}
	}
	for i := range v.Members {
		row := all[i*len(v.Members):][:len(v.Members)]
		view := v.Members[i].View.Nodes
		known := 0
		for k := range view {
			n := &view[k]
			if n.Flags.Has(cluster.FlagHandshake) {
				v.sees[i] |= meeting
				continue
			}
			j, ok := v.index[n.ID]
			if !ok {
				continue
			}
			row[j] = n
			known++
			if o := selves[j].oddity(n); o != 0 && i != j {
				v.note(i, j, o)
			}
		}
		v.lines[i] = row
		if known < len(row) && v.Members[i].Reachable() {
			v.noteUnknown(i)
		}
	}
}

func (v *sight) note(i, j int, o oddity) {
	v.sees[i] |= o
	v.said[j] |= o
}

func (v *sight) noteUnknown(i int) {
	for j, n := range v.lines[i] {
		if n == nil {
			v.note(i, j, unknown)
		}
	}
}

// self is what others should say of a node.
type self struct {
	addr   cluster.Addr
	master bool // that answers
	slots  cluster.SlotSet
}

func (s *self) oddity(n *cluster.Node) (o oddity) {
	if n.Flags&(cluster.FlagFailed|cluster.FlagSuspect) != 0 {
		o |= failing
	}
	if !n.Linked {
		o |= unlinked
	}
	if n.Addr != s.addr && n.Addr.Known() {
		o |= elsewhere
	}
	if s.master && !n.Slots.Equal(s.slots) {
		o |= slotsOdd
	}
	return o
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

// trusts reports whether i knows j and sees nothing wrong with it.
func (v *sight) trusts(i, j int) bool {
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
