package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// healAcquaintance introduces nodes that do not know each other and that others
// know: a node that was forgotten by some, and a cluster that was formed in part.
func healAcquaintance(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.Slots.Empty() || !o.wantsAny(health.HalfForgotten, health.Handshake) {
		return Plan{}, nil
	}
	p := stage(s)
	var left []Undecided
	for _, m := range newcomers(s) {
		if u, stays := mayNotMeet(s, o, m); stays {
			left = append(left, u)
			continue
		}
		p.Steps = append(p.Steps, Step{Action: Meet, Node: m.ID})
		p.Reasons = append(p.Reasons, fmt.Sprintf("meeting is safe: %s claims no slot that another node claims, and %d of %s know it; where it is to leave instead, trib del-node removes it",
			m.Addr, len(Knowing(s, m.ID)), count(len(others(s, m.ID)), "other node")))
	}
	left = append(left, handshakesWithNobody(s)...)
	// All who are introduced have to be at hand, also one that may not meet.
	for _, u := range left {
		if !u.Advice {
			return Plan{}, left
		}
	}
	return p.stamp(), left
}

// newcomers are so few of the members who answer that all know each other once
// these have met everybody: those with the most acquaintances missing first.
func newcomers(s cluster.State) []cluster.Member {
	members := others(s)
	missing := make(map[cluster.NodeID][]cluster.NodeID)
	knows := acquaintances(members)
	for i, a := range members {
		for j, b := range members[:i] {
			if !knows[i][b.ID] || !knows[j][a.ID] {
				missing[a.ID] = append(missing[a.ID], b.ID)
				missing[b.ID] = append(missing[b.ID], a.ID)
			}
		}
	}
	var out []cluster.Member
	for len(missing) > 0 {
		most := slices.MaxFunc(members, func(a, b cluster.Member) int { return len(missing[a.ID]) - len(missing[b.ID]) })
		out = append(out, most)
		for _, id := range missing[most.ID] {
			missing[id] = slices.DeleteFunc(missing[id], func(other cluster.NodeID) bool { return other == most.ID })
			if len(missing[id]) == 0 {
				delete(missing, id)
			}
		}
		delete(missing, most.ID)
	}
	return out
}

// acquaintances are, for each member, whom it has met.
func acquaintances(members []cluster.Member) []map[cluster.NodeID]bool {
	out := make([]map[cluster.NodeID]bool, len(members))
	for i, m := range members {
		out[i] = make(map[cluster.NodeID]bool, len(m.View.Nodes))
		for _, n := range m.View.Nodes {
			out[i][n.ID] = !n.Flags.Has(cluster.FlagHandshake)
		}
	}
	return out
}

// mayNotMeet is why a node must not be introduced: of two claims to a slot the
// one with the lower epoch ends with its keys.
func mayNotMeet(s cluster.State, o HealOptions, m cluster.Member) (Undecided, bool) {
	u := Undecided{Code: health.HalfForgotten, Slots: disputed(s, m, o.givenUp)}
	switch {
	case alone(m):
		u.Text = fmt.Sprintf("%s knows nobody, as after CLUSTER RESET, and others know it: trib forget lets it go, and then trib add-node takes it in again", m.Addr)
	case !u.Slots.Empty():
		u.Text = fmt.Sprintf("%s and others claim them and do not know each other: when they meet, one side deletes its keys. Compare these, and give up the claims of one side (CLUSTER DELSLOTS on its node)", m.Addr)
	default:
		return u, false
	}
	return u, true
}

// clash are the slots of a node that others claim as well.
func clash(s cluster.State, m cluster.Member) cluster.SlotSet {
	var slots cluster.SlotSet
	for _, other := range s.Masters() {
		if other.ID != m.ID {
			slots = slots.Union(other.Slots().Intersect(m.Slots()))
		}
	}
	return slots
}

// disputed are the slots of a node that others claim as well, or would if they
// answered: somebody sees these with one that does not, and that does not count for
// nothing. Whoever imports a slot believes nobody about it.
func disputed(s cluster.State, m cluster.Member, gone func(cluster.State, cluster.NodeID) bool) cluster.SlotSet {
	slots := clash(s, m)
	for _, silent := range s.Unreachable() {
		if gone(s, silent.ID) {
			continue
		}
		for _, witness := range s.Members {
			n, _ := witness.View.Get(silent.ID)
			slots = slots.Union(n.Slots.Intersect(m.Slots()).Minus(witness.OpenSlots()))
		}
	}
	return slots
}

// handshakesWithNobody are those with addresses at which no member is: they end
// by themselves.
func handshakesWithNobody(s cluster.State) []Undecided {
	var left []Undecided
	for _, m := range s.Members {
		for _, n := range m.View.Nodes {
			if !n.Flags.Has(cluster.FlagHandshake) {
				continue
			}
			if _, member := memberAt(s, n.Addr); !member {
				left = append(left, Undecided{
					Code: health.Handshake, Advice: true,
					Text: fmt.Sprintf("%s is meeting %s, where no member is: that ends by itself within the node timeout; where it comes back, somebody repeats CLUSTER MEET, or bus port %d is closed", m.Addr, n.Addr, n.BusPort),
				})
			}
		}
	}
	return left
}

// healGhosts lets everybody forget dead nodes that some have forgotten already
// and that have nothing.
func healGhosts(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.Slots.Empty() || !o.wantsAny(health.HalfForgotten) {
		return Plan{}, nil
	}
	p := stage(s)
	var left []Undecided
	for _, m := range s.Unreachable() {
		know := Knowing(s, m.ID)
		if len(know) == 0 || len(know) == len(others(s)) || !slotsSeen(s, m.ID).Empty() || s.ReplicasOf(m.ID) != nil {
			continue
		}
		if !Dead(s, m.ID) {
			left = append(left, Undecided{
				Code: health.HalfForgotten,
				Text: fmt.Sprintf("%s does not answer this host (%s), and those who know it see nothing wrong with it: let it answer, and it is introduced to the others; stop it, and it is forgotten", m.Addr, m.Unreachable),
			})
			continue
		}
		if r := p.cannotBeTold(s, m); r != nil {
			left = append(left, Undecided{Code: health.HalfForgotten, Text: r.Error()})
			continue
		}
		p.enlist(m)
		p.Steps = append(p.Steps, Step{Action: Forget, Node: m.ID})
		p.Reasons = append(p.Reasons, fmt.Sprintf("forgetting is safe: %s does not answer, all who know it take it for dead, it has no slots and no replicas, and %d of %s have forgotten it",
			m.Addr, len(others(s))-len(know), count(len(others(s)), "node")))
	}
	return p.stamp(), left
}

// healClaims raises the epochs of owners whom others do not believe, because they
// know of a newer claim by somebody who makes it no more: whoever took these slots
// was stopped before it raised the epoch.
func healClaims(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.wantsAny(health.Disagreement, health.Uncovered) {
		return Plan{}, nil
	}
	p := stage(s)
	odd := hearsay(s)
	var left []Undecided
	for _, m := range s.Masters() {
		slots, rivals := disbelieved(s, odd, m)
		if !o.Slots.Empty() {
			slots = slots.Intersect(o.Slots)
		}
		if slots.Empty() || !clash(s, m).Empty() {
			continue
		}
		silent := slices.DeleteFunc(slices.Clone(rivals), func(r cluster.Member) bool { return r.Reachable() || o.givenUp(s, r.ID) })
		if len(silent) > 0 {
			left = append(left, Undecided{
				Code: health.Disagreement, Slots: slots, Flag: takeFromDead,
				Text: fmt.Sprintf("%s claims them, and others see them with %s, which does not answer: start that again, it may have their keys; given to %s they are lost", m.Addr, addrs(silent), m.Addr),
			})
			continue
		}
		if gone := slices.DeleteFunc(rivals, cluster.Member.Reachable); len(gone) > 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("what only %s has of slots %s is lost, as you decided", addrs(gone), slots))
		}
		p.Steps = append(p.Steps, Step{Action: BumpEpoch, Node: m.ID, Epoch: highestEpoch(s) + 1})
		p.Reasons = append(p.Reasons, fmt.Sprintf("a newer epoch is safe: nobody but %s claims slots %s, and others believe an older claim to them", m.Addr, slots))
	}
	return p.stamp(), left
}

// disbelieved are the slots of a master that others see with somebody else, by
// an epoch that is not older, and with whom. One that imports a slot believes
// nobody.
func disbelieved(s cluster.State, odd []heard, m cluster.Member) (cluster.SlotSet, []cluster.Member) {
	var slots cluster.SlotSet
	var rivals []cluster.Member
	for _, h := range odd {
		wrong := h.over(m)
		if wrong.Empty() || h.owner.Epoch < m.View.Self().Epoch {
			continue
		}
		slots = slots.Union(wrong)
		if rival, _ := s.Get(h.owner.ID); !slices.ContainsFunc(rivals, func(r cluster.Member) bool { return r.ID == rival.ID }) {
			rivals = append(rivals, rival)
		}
	}
	return slots, rivals
}

// heard is what one node says of the slots of another, who says otherwise.
type heard struct {
	witness cluster.Member
	owner   cluster.Node
}

// over are the slots of m that the witness sees with somebody else. One that
// imports a slot believes nobody about it.
func (h heard) over(m cluster.Member) cluster.SlotSet {
	if h.owner.ID == m.ID {
		return cluster.SlotSet{}
	}
	return h.owner.Slots.Intersect(m.Slots()).Minus(h.witness.OpenSlots())
}

// hearsay is all of it. In a cluster at peace nobody says anything of the kind,
// so that a large one is gone through but once.
func hearsay(s cluster.State) []heard {
	own := make(map[cluster.NodeID]cluster.SlotSet)
	for _, m := range s.Masters() {
		own[m.ID] = m.Slots()
	}
	var odd []heard
	for _, witness := range s.Members {
		for _, n := range witness.View.Nodes {
			if !n.Slots.Equal(own[n.ID]) {
				odd = append(odd, heard{witness, n})
			}
		}
	}
	return odd
}

// healEpochs gives masters that share a config epoch epochs of their own.
func healEpochs(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.Slots.Empty() || !o.wantsAny(health.EpochCollision) {
		return Plan{}, nil
	}
	p := stage(s)
	highest := highestEpoch(s)
	var left []Undecided
	var atTop bool
	for _, m := range s.Masters() {
		twins := twinsOf(s, m)
		if len(twins) == 0 || m.ID < twins[0].ID {
			continue // the first one keeps the epoch
		}
		if both := disputed(s, m, o.givenUp); !both.Empty() {
			left = append(left, Undecided{
				Code: health.EpochCollision, Slots: both,
				Text: fmt.Sprintf("%s shares its config epoch with %s, and others claim slots of it: a newer epoch would delete their keys", m.Addr, addrs(twins)),
			})
			continue
		}
		atTop = atTop || m.View.Self().Epoch == highest
		p.Steps = append(p.Steps, Step{Action: BumpEpoch, Node: m.ID, Epoch: highest + 1})
		p.Reasons = append(p.Reasons, fmt.Sprintf("a newer epoch is safe: nobody else claims a slot of %s, so nobody loses one to it", m.Addr))
	}
	if atTop {
		p.lift(s, o, highest)
	}
	return p.stamp(), left
}

// lift lets another master raise its epoch first: a server that has the highest
// one already takes no newer.
func (p *Plan) lift(s cluster.State, o HealOptions, highest uint64) {
	for _, m := range s.Masters() {
		if ownsSlots(m) && m.View.Self().Epoch < highest && disputed(s, m, o.givenUp).Empty() {
			p.Steps = append([]Step{{Action: BumpEpoch, Node: m.ID, Epoch: highest + 1}}, p.Steps...)
			p.Reasons = append(p.Reasons, fmt.Sprintf("%s goes first, since a server that has the highest epoch takes no newer one", m.Addr))
			return
		}
	}
	p.Warnings = append(p.Warnings, "a server that has the highest epoch takes no newer one: where this does nothing, mend the cluster bus between the two, and they settle it")
}

// twinsOf are the other masters with slots that have a master's config epoch,
// in the order of their ids.
func twinsOf(s cluster.State, m cluster.Member) []cluster.Member {
	if !ownsSlots(m) {
		return nil
	}
	twins := slices.DeleteFunc(s.Masters(), func(other cluster.Member) bool {
		return other.ID == m.ID || !ownsSlots(other) || other.View.Self().Epoch != m.View.Self().Epoch
	})
	slices.SortFunc(twins, func(a, b cluster.Member) int { return cmp.Compare(a.ID, b.ID) })
	return twins
}

func highestEpoch(s cluster.State) uint64 {
	var highest uint64
	for _, m := range s.Members {
		for _, n := range m.View.Nodes {
			highest = max(highest, n.Epoch)
		}
	}
	return highest
}

// bumpStatus counts any epoch above the one that the plan names as done.
func (p Plan) bumpStatus(step Step, s cluster.State) (Status, string) {
	m, _ := s.Get(step.Node)
	switch both := disputed(s, m, Dead); {
	case !m.IsMaster():
		return Blocked, roleChanged(m, s)
	case m.View.Self().Epoch >= step.Epoch:
		return Done, ""
	case !both.Empty():
		return Blocked, fmt.Sprintf("others claim slots %s of %s as well", both, m.Addr)
	}
	return Ready, ""
}
