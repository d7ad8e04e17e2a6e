package health

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

func unreachable(s cluster.State) []Finding {
	var found []Finding
	for _, m := range s.Unreachable() {
		f := Finding{
			Code: Unreachable, Severity: Error,
			Summary:  fmt.Sprintf("%s does not answer: %s", m.Addr, m.Unreachable),
			Nodes:    []cluster.NodeID{m.ID},
			Evidence: hearsay(s, m.ID),
			Remedy:   "see whether the server runs and whether this host may reach it; a dead master's replica can be promoted with CLUSTER FAILOVER",
		}
		if ownsNothing(s, m.ID) {
			f.Severity = Warning
			f.Remedy = "see whether the server runs; until it is back the cluster survives one failure less"
		}
		found = append(found, f)
	}
	return found
}

// ownsNothing asks the others what a silent node is: a replica, or a master
// without slots. It is taken for more unless everybody who knows it agrees.
func ownsNothing(s cluster.State, id cluster.NodeID) bool {
	known := false
	for _, m := range s.Members {
		n, ok := m.View.Get(id)
		if ok && !n.Flags.Has(cluster.FlagReplica) && !n.Slots.Empty() {
			return false
		}
		known = known || ok
	}
	return known
}

func hearsay(s cluster.State, id cluster.NodeID) []string {
	var failed, suspect, fine int
	for _, m := range s.Members {
		n, ok := m.View.Get(id)
		switch {
		case !ok:
		case n.Flags.Has(cluster.FlagFailed):
			failed++
		case n.Flags.Has(cluster.FlagSuspect):
			suspect++
		default:
			fine++
		}
	}
	return []string{fmt.Sprintf("%d nodes call it failed, %d suspect it, %d see nothing wrong", failed, suspect, fine)}
}

func clusterDown(s cluster.State) []Finding {
	var ids []cluster.NodeID
	var evidence []string
	for _, m := range s.Members {
		if m.Reachable() && !m.ClusterOK {
			ids = append(ids, m.ID)
			evidence = append(evidence, fmt.Sprintf("%s says cluster_state:fail", m.Addr))
		}
	}
	if ids == nil {
		return nil
	}
	return []Finding{{
		Code: ClusterDown, Severity: Error, Nodes: ids, Evidence: evidence,
		Summary: fmt.Sprintf("%d nodes refuse clients because the cluster is down for them", len(ids)),
		Remedy:  "mend the other findings; a node that has just joined needs up to its node timeout",
	}}
}

func uncovered(s cluster.State) []Finding {
	missing := cluster.AllSlots()
	for _, m := range s.Masters() {
		missing = missing.Minus(m.Slots())
	}
	if missing.Empty() {
		return nil
	}
	f := Finding{
		Code: Uncovered, Severity: Error, Slots: missing,
		Summary: fmt.Sprintf("%d slots have no owner that answers: %s", missing.Len(), missing),
		Remedy:  "slots of a node that does not answer come back with it or with its replica; slots that nobody has must be assigned again, to a node that holds their keys if any does",
	}
	for _, m := range s.Members {
		for id, slots := range claimsBy(m.View) {
			owner, known := s.Get(id)
			if lost := slots.Intersect(missing); !lost.Empty() && (!known || !owner.Reachable()) {
				f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees slots %s with %s", m.Addr, lost, id.Short()))
			}
		}
	}
	slices.Sort(f.Evidence)
	return []Finding{f}
}

func multipleOwners(s cluster.State) []Finding {
	var claimed, doubled cluster.SlotSet
	for _, m := range s.Masters() {
		doubled = doubled.Union(claimed.Intersect(m.Slots()))
		claimed = claimed.Union(m.Slots())
	}
	if doubled.Empty() {
		return nil
	}
	f := Finding{
		Code: MultipleOwners, Severity: Error, Slots: doubled,
		Summary: fmt.Sprintf("%d slots have several owners: %s", doubled.Len(), doubled),
		Remedy:  "nodes usually settle this within seconds; where they do not, change nothing before it is known which of them holds the keys",
	}
	for _, m := range s.Masters() {
		if both := m.Slots().Intersect(doubled); !both.Empty() {
			f.Nodes = append(f.Nodes, m.ID)
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s claims %s with epoch %d", m.Addr, both, m.View.Self().Epoch))
		}
	}
	return []Finding{f}
}

// claimsBy is who owns what, as one view has it.
func claimsBy(v cluster.View) map[cluster.NodeID]cluster.SlotSet {
	claims := make(map[cluster.NodeID]cluster.SlotSet)
	for _, n := range v.Nodes {
		if !n.Slots.Empty() {
			claims[n.ID] = n.Slots
		}
	}
	return claims
}

// disagreement compares each view with what the nodes say of themselves.
func disagreement(s cluster.State) []Finding {
	own := make(map[cluster.NodeID]cluster.SlotSet)
	for _, m := range s.Masters() {
		own[m.ID] = m.Slots()
	}
	f := Finding{
		Code: Disagreement, Severity: Error,
		Remedy: "right after a change nodes need a moment; where it lasts, a node is cut off from the others' cluster bus",
	}
	for _, m := range s.Members {
		if wrong := misjudged(s, m, own); !wrong.Empty() {
			f.Nodes = append(f.Nodes, m.ID)
			f.Slots = f.Slots.Union(wrong)
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s sees slots %s with other owners", m.Addr, wrong))
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = fmt.Sprintf("%d nodes disagree about who owns %d slots", len(f.Nodes), f.Slots.Len())
	return []Finding{f}
}

// misjudged are the slots that m's view gives to another node than the one
// that claims them. What it says of silent nodes cannot be compared.
func misjudged(s cluster.State, m cluster.Member, own map[cluster.NodeID]cluster.SlotSet) cluster.SlotSet {
	var wrong cluster.SlotSet
	seen := claimsBy(m.View)
	for _, id := range slices.Sorted(maps.Keys(own)) {
		wrong = wrong.Union(own[id].Minus(seen[id])).Union(seen[id].Minus(own[id]))
	}
	if !m.Reachable() {
		return cluster.SlotSet{}
	}
	return wrong
}

// openSlots reports masters only: a Valkey replica repeats its master's open
// slots and cannot be told to close them.
func openSlots(s cluster.State) []Finding {
	f := Finding{
		Code: OpenSlots, Severity: Error,
		Remedy: "trib resume finishes the interrupted move",
	}
	for _, m := range s.Masters() {
		self := m.View.Self()
		f.addOpen(m, self.Migrating, "migrating to")
		f.addOpen(m, self.Importing, "importing from")
	}
	if f.Slots.Empty() {
		return nil
	}
	f.Summary = fmt.Sprintf("%d slots are open: %s", f.Slots.Len(), f.Slots)
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
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s has slots %s %s %s", m.Addr, slots, state, peer.Short()))
		if !slices.Contains(f.Nodes, m.ID) {
			f.Nodes = append(f.Nodes, m.ID)
		}
	}
}

// foreignKeys passes over slots that the node is importing: keys are meant to
// be there.
func foreignKeys(s cluster.State) []Finding {
	var found []Finding
	for _, m := range s.Masters() {
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
		found = append(found, Finding{
			Code: ForeignKeys, Severity: Error, Nodes: []cluster.NodeID{m.ID}, Slots: set,
			Summary:  fmt.Sprintf("%s holds %d keys of slots that it does not own: %s", m.Addr, keys, set),
			Evidence: []string{"clients cannot reach these keys; they are deleted when the node learns of a newer owner"},
			Remedy:   "bring the keys to their owner before anything else changes: CLUSTER SETSLOT n IMPORTING on this node lets MIGRATE run there",
		})
	}
	return found
}
