package health

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// claimed are the slots that so many masters claim; 2 stands for more, too.
func (v *sight) claimed(times uint8) cluster.SlotSet {
	var slots []int
	for slot, n := range v.claims {
		if n == times {
			slots = append(slots, slot)
		}
	}
	return cluster.SlotsOf(slots...)
}

func uncovered(v *sight) []Finding {
	missing := v.claimed(0)
	if missing.Empty() {
		return nil
	}
	f := Finding{
		Code: Uncovered, Severity: Error, Slots: missing,
		Summary: fmt.Sprintf("%d slots have no owner that answers: %s", missing.Len(), slotList(missing)),
		Remedy:  "slots of a node that does not answer come back with it or with its replica, which trib fix promotes; those that nobody has it gives to the node that holds their keys, or shares them out",
	}
	for j, owner := range v.Members {
		if owner.Reachable() {
			continue
		}
		for i, row := range v.lines {
			if n := row[j]; n != nil && !n.Slots.Intersect(missing).Empty() {
				f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees slots %s with %s", v.addr(i), slotList(n.Slots.Intersect(missing)), owner.ID.Short()))
			}
		}
	}
	slices.Sort(f.Evidence)
	return []Finding{f}
}

func multipleOwners(v *sight) []Finding {
	doubled := v.claimed(2)
	if doubled.Empty() {
		return nil
	}
	f := Finding{
		Code: MultipleOwners, Severity: Error, Slots: doubled,
		Summary: fmt.Sprintf("%d slots have several owners: %s", doubled.Len(), slotList(doubled)),
		Remedy:  "nodes usually settle this within seconds; where they do not, trib fix lets one of them stay, brings it the others' keys, and names those that differ (--conflict, --conflict-for)",
	}
	for _, m := range v.Masters() {
		if both := m.Slots().Intersect(doubled); !both.Empty() {
			f.Nodes = append(f.Nodes, m.ID)
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s claims %s with epoch %d", m.Addr, slotList(both), m.View.Self().Epoch))
		}
	}
	return []Finding{f}
}

// disagreement compares each view with what the nodes say of themselves.
func disagreement(v *sight) []Finding {
	f := Finding{
		Code: Disagreement, Severity: Error,
		Remedy: "right after a change nodes need a moment; where it lasts, a node is cut off from the others' cluster bus",
	}
	for _, i := range v.reachable() {
		if v.sees[i]&(unknown|slotsOdd) == 0 {
			continue
		}
		if wrong := v.misjudged(i); !wrong.Empty() {
			f.Nodes = append(f.Nodes, v.Members[i].ID)
			f.Slots = f.Slots.Union(wrong)
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees slots %s with other owners", v.addr(i), slotList(wrong)))
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = fmt.Sprintf("%d nodes disagree about who owns %d slots", len(f.Nodes), f.Slots.Len())
	return []Finding{f}
}

// misjudged are the slots that i's view gives to another node than the one that
// claims them. What it says of silent nodes cannot be compared.
func (v *sight) misjudged(i int) cluster.SlotSet {
	var wrong cluster.SlotSet
	for j, m := range v.Members {
		if !m.IsMaster() {
			continue
		}
		var seen cluster.SlotSet
		if n := v.lines[i][j]; n != nil {
			seen = n.Slots
		}
		if own := m.Slots(); !own.Equal(seen) {
			wrong = wrong.Union(own.Minus(seen)).Union(seen.Minus(own))
		}
	}
	return wrong
}

// openSlots reports masters only: a Valkey replica repeats its master's open
// slots and cannot be told to close them.
func openSlots(v *sight) []Finding {
	f := Finding{
		Code: OpenSlots, Severity: Error,
		Remedy: "trib resume finishes the interrupted move; trib fix also where its keys need a decision",
	}
	for _, m := range v.Masters() {
		self := m.View.Self()
		f.addOpen(m, self.Migrating, "migrating to")
		f.addOpen(m, self.Importing, "importing from")
	}
	if f.Slots.Empty() {
		return nil
	}
	f.Summary = fmt.Sprintf("%d slots are open: %s", f.Slots.Len(), slotList(f.Slots))
	return []Finding{f}
}

func (f *Finding) addOpen(m cluster.Member, open map[int]cluster.NodeID, state string) {
	byPeer := make(map[cluster.NodeID][]int)
	for slot, peer := range open {
		byPeer[peer] = append(byPeer[peer], slot)
	}
	for _, peer := range slices.Sorted(maps.Keys(byPeer)) {
		slots := cluster.SlotsOf(byPeer[peer]...)
		f.Slots = f.Slots.Union(slots)
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s has slots %s %s %s", m.Addr, slotList(slots), state, peer.Short()))
		if !slices.Contains(f.Nodes, m.ID) {
			f.Nodes = append(f.Nodes, m.ID)
		}
	}
}

// foreignKeys passes over slots that the node is importing: keys are meant to
// be there.
func foreignKeys(v *sight) []Finding {
	var found []Finding
	for _, m := range v.Masters() {
		var slots []int
		var keys int64
		self := m.View.Self()
		for slot, n := range m.SlotKeys {
			if _, importing := self.Importing[slot]; n > 0 && !importing && !self.Slots.Has(slot) {
				slots = append(slots, slot)
				keys += n
			}
		}
		if slots == nil {
			continue
		}
		set := cluster.SlotsOf(slots...)
		f := Finding{
			Code: ForeignKeys, Severity: Error, Nodes: []cluster.NodeID{m.ID}, Slots: set,
			Summary:  fmt.Sprintf("%s holds %d keys of slots that it does not own: %s", m.Addr, keys, slotList(set)),
			Evidence: []string{"clients cannot reach these keys; they are deleted when the node learns of a newer owner"},
			Remedy:   "trib fix says how many of them the owner lacks; with --foreign-keys adopt it brings them there, with drop it deletes those that the owner has as well",
		}
		if len(m.Databases) > 1 {
			f.Evidence = append(f.Evidence, fmt.Sprintf("counted over all %d databases", len(m.Databases)))
		}
		found = append(found, f)
	}
	return found
}

// epochCollision matters between owners of slots: the epoch decides whose claim
// is the newer one.
func epochCollision(v *sight) []Finding {
	byEpoch := make(map[uint64][]int)
	for i, m := range v.Members {
		if m.IsMaster() {
			epoch := m.View.Self().Epoch
			byEpoch[epoch] = append(byEpoch[epoch], i)
		}
	}
	f := Finding{
		Code: EpochCollision, Severity: Warning,
		Remedy: "nodes give themselves new epochs as soon as they hear of each other: where this lasts, see why their cluster bus is cut; trib fix raises epochs without it; move no slots before it is over",
	}
	for _, epoch := range slices.Sorted(maps.Keys(byEpoch)) {
		masters := byEpoch[epoch]
		if len(masters) < 2 {
			continue
		}
		if v.owning(masters) > 1 {
			f.Severity = Error
		}
		f.Nodes = append(f.Nodes, v.ids(masters)...)
		f.Evidence = append(f.Evidence, fmt.Sprintf("epoch %d: %s", epoch, v.named(masters)))
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = fmt.Sprintf("%d masters share their config epoch with another one", len(f.Nodes))
	return []Finding{f}
}

// owning is how many of the members have slots.
func (v *sight) owning(members []int) int {
	n := 0
	for _, i := range members {
		if !v.Members[i].Slots().Empty() {
			n++
		}
	}
	return n
}
