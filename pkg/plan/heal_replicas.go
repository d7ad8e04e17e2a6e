package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// healReplicas lets replicas follow masters that need them.
func healReplicas(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.Slots.Empty() || !slices.ContainsFunc(s.Masters(), ownsSlots) {
		return Plan{}, nil
	}
	h := rehoming{s: s, o: o, p: stage(s)}
	if o.wantsAny(health.ReplicaOfReplica) {
		h.shorten()
	}
	if o.wantsAny(health.Orphaned) {
		h.adoptOrphans()
	}
	if o.wantsAny(health.NoReplica) {
		h.spread()
	}
	return h.p.stamp(), h.left
}

// rehoming is a plan of new masters for replicas.
type rehoming struct {
	s    cluster.State
	o    HealOptions
	p    Plan
	left []Undecided
}

func (h *rehoming) follow(replica, master cluster.Member) {
	h.p.Steps = append(h.p.Steps, Step{Action: Replicate, Node: replica.ID, Master: master.ID})
}

// shorten lets a replica of a replica follow the master at the end of the chain,
// whose data it has at second hand.
func (h *rehoming) shorten() {
	for _, m := range h.s.Members {
		parent, _ := h.s.Get(m.View.Self().MasterID)
		if master, found := endOfChain(h.s, parent); found && master.ID != parent.ID {
			h.follow(m, master)
			h.p.Reasons = append(h.p.Reasons, fmt.Sprintf("%s follows %s, whose data it gets from another replica now", m.Addr, master.Addr))
		}
	}
}

// endOfChain is the master that a replica gets its data from, over however many
// others: of one that does not answer, and so is no master, nothing is known.
func endOfChain(s cluster.State, m cluster.Member) (cluster.Member, bool) {
	for range s.Members {
		if m.IsMaster() {
			return m, true
		}
		next, known := s.Get(m.View.Self().MasterID)
		if !known {
			break
		}
		m = next
	}
	return cluster.Member{}, false
}

// orphans are the replicas whose master is not known, or is dead and owns
// nothing any more.
func orphans(s cluster.State) []cluster.Member {
	var out []cluster.Member
	for _, m := range s.Members {
		id := m.View.Self().MasterID
		if id == "" {
			continue
		}
		if _, known := s.Get(id); !known || replaced(s, id) {
			out = append(out, m)
		}
	}
	return out
}

// adoptOrphans gives orphans to the masters that need a replica most. What they
// have may be the only copy of something: it is for the user to drop it, and for
// nobody while slots have no owner.
func (h *rehoming) adoptOrphans() {
	covered := h.s.Masters()
	var owned cluster.SlotSet
	for _, m := range covered {
		owned = owned.Union(m.Slots())
	}
	var free []cluster.Member
	for _, m := range orphans(h.s) {
		u := Undecided{Code: health.Orphaned, Advice: true, Flag: "--orphans reuse"}
		what := fmt.Sprintf("%s is a replica of %s, which is gone, and has %s", m.Addr, name(h.s, m.View.Self().MasterID), count(int(m.Keys()), "key"))
		switch {
		case m.Keys() > 0 && !owned.Equal(cluster.AllSlots()):
			u.Advice, u.Flag = false, ""
			u.Text = what + ", perhaps the only copy of them, while slots have no owner: bring its master back"
		case m.Keys() > 0 && h.o.Orphans != OrphansReuse:
			u.Text = what + ", which its next master replaces by its own: look for what is missing in the cluster first"
		default:
			free = append(free, m)
			continue
		}
		h.left = append(h.left, u)
	}
	if free != nil {
		h.settle(free)
	}
}

// settle finds masters for free replicas.
func (h *rehoming) settle(free []cluster.Member) {
	h.p.settle(families(h.s, nil, ids(free)...), free, nil, func(r, m cluster.Member) {
		h.follow(r, m)
		if r.Keys() > 0 {
			h.p.Warnings = append(h.p.Warnings, fmt.Sprintf("the %s that %s has are replaced by the data of %s", count(int(r.Keys()), "key"), r.Addr, m.Addr))
		}
	})
}

// spread finds a replica for each master that has none: a master without slots
// and keys, or one of several replicas of another master.
func (h *rehoming) spread() {
	bare := h.bare()
	if len(bare) == 0 {
		return
	}
	spare := h.spares()
	for _, f := range bare {
		if len(spare) == 0 {
			return
		}
		i := f.nearest(spare)
		r := spare[i].Member
		spare = h.without(spare, i)
		if !h.o.SpreadReplicas {
			h.left = append(h.left, Undecided{
				Code: health.NoReplica, Advice: true, Flag: "--spread-replicas",
				Text: fmt.Sprintf("%s has no replica, and %s could be one", f.master.Addr, r.Addr),
			})
			continue
		}
		h.follow(r, f.master)
		f.replicas = []string{Zones(nil).of(r)}
		h.p.Reasons = append(h.p.Reasons, fmt.Sprintf("%s becomes a replica of %s, which has none; it copies all data of it", r.Addr, f.master.Addr))
		h.p.neighbours(f, r, nil)
	}
}

// bare are the masters with slots that nobody replicates, a silent replica
// counted as one. Families are of such masters only, since there are some.
func (h *rehoming) bare() []family {
	return slices.DeleteFunc(families(h.s, nil), func(f family) bool {
		return h.served(f.master.ID)
	})
}

// served reports whether anybody is a replica of a master, or is about to be.
func (h *rehoming) served(id cluster.NodeID) bool {
	return slices.ContainsFunc(h.p.Steps, func(step Step) bool { return step.Master == id }) ||
		slices.ContainsFunc(h.s.Members, func(m cluster.Member) bool { return seenMaster(h.s, m) == id })
}

// spareNode is a node that can become a replica of another master.
type spareNode struct {
	cluster.Member
	of       cluster.NodeID // its master; empty for a master
	siblings int
}

// spares are the nodes that nobody would miss, those without a master first. None
// of them has been found another master by now: those had none that is one.
func (h *rehoming) spares() []spareNode {
	var out []spareNode
	for _, m := range h.s.Members {
		master, _ := h.s.Get(m.View.Self().MasterID)
		switch {
		case m.IsMaster() && !ownsSlots(m) && !alone(m) && slotsSeen(h.s, m.ID).Empty() && m.Keys() == 0 && !h.served(m.ID) && m.OpenSlots().Empty():
			out = append(out, spareNode{Member: m})
		case master.IsMaster() && len(h.s.ReplicasOf(master.ID)) > 1:
			out = append(out, spareNode{m, master.ID, len(h.s.ReplicasOf(master.ID))})
		}
	}
	slices.SortStableFunc(out, func(a, b spareNode) int {
		if (a.of == "") != (b.of == "") {
			return cmp.Compare(len(a.of), len(b.of))
		}
		return cmp.Compare(b.siblings, a.siblings)
	})
	return out
}

// nearest is the spare node that suits a family best: from another host where
// there is one.
func (f family) nearest(spare []spareNode) int {
	best := 0
	for i, m := range spare {
		if f.company(Zones(nil).of(m.Member)) < f.company(Zones(nil).of(spare[best].Member)) {
			best = i
		}
	}
	return best
}

// without takes one out, and its siblings where only one of them is left.
func (h *rehoming) without(spare []spareNode, i int) []spareNode {
	taken := spare[i]
	var rest []spareNode
	for j, m := range spare {
		if m.of == taken.of {
			m.siblings--
		}
		if j != i && (m.of == "" || m.siblings > 1) {
			rest = append(rest, m)
		}
	}
	return rest
}
