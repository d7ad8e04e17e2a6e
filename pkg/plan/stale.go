package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Why a step is blocked is said as a field with what the plan took it to be and
// what it is.

func differs(field string, was, is any) string {
	return fmt.Sprintf("%s: was %v, is %v", field, was, is)
}

// absent says why a node of the plan cannot be judged: it does not answer, it
// is another one by now, or this is another cluster.
func (p Plan) absent(id cluster.NodeID, s cluster.State) string {
	addr := p.Addr(id)
	if m, ok := s.Get(id); ok {
		return fmt.Sprintf("%s does not answer", m.Addr)
	}
	switch m, ok := memberAt(s, addr); {
	case !ok:
		return fmt.Sprintf("%s (%s) is not a node of this cluster", addr, id)
	case !m.Reachable():
		return fmt.Sprintf("%s does not answer", addr)
	default:
		return differs("node at "+addr.String(), id, m.ID)
	}
}

func roleChanged(m cluster.Member, s cluster.State) string {
	role := "master"
	if master := m.View.Self().MasterID; master != "" {
		role = "replica of " + addrOf(s, master)
	}
	return differs("role of "+m.Addr.String(), "master", role)
}

// ownersChanged says who has slots that the source of a move had.
func ownersChanged(lost cluster.SlotSet, from cluster.Member, s cluster.State) string {
	var owners []string
	slots := make(map[string][]int)
	for slot := range lost.All() {
		owner := ownersOf(s, slot)
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
		slots[owner] = append(slots[owner], slot)
	}
	changes := make([]string, len(owners))
	for i, owner := range owners {
		changes[i] = differs(fmt.Sprintf("owner of slots %s", cluster.SlotsOf(slots[owner]...)), from.Addr, owner)
	}
	return strings.Join(changes, "; ")
}

func ownersOf(s cluster.State, slot int) string {
	var addrs []string
	for _, m := range s.Owners(slot) {
		addrs = append(addrs, m.Addr.String())
	}
	if addrs == nil {
		return "nobody that answers"
	}
	return strings.Join(addrs, " and ")
}

func addrOf(s cluster.State, id cluster.NodeID) string {
	if m, ok := s.Get(id); ok {
		return m.Addr.String()
	}
	return string(id)
}
