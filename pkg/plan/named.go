package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// named are the slots that are named one by one, and by their keys.
func (o ReshardOptions) named() cluster.SlotSet {
	slots := make([]int, len(o.Keys))
	for i, key := range o.Keys {
		slots[i] = cluster.KeySlot(key)
	}
	return o.Named.Union(cluster.SlotsOf(slots...))
}

// reshardNamed plans to move the named slots, each from whoever has it. One
// that the target has is done already; one that is open to the target is
// finished with the others.
func reshardNamed(s cluster.State, o ReshardOptions) (Plan, error) {
	to, sources, refusal := reshardEnds(s, o)
	if refusal != nil {
		return Plan{}, refusal
	}
	p := Plan{Version: Version, Kind: KindReshard, Nodes: []Node{nodeOf(to)}}
	var begun, moved cluster.SlotSet
	for _, m := range sources {
		open := between(m, to).Intersect(o.named())
		slots := m.Slots().Intersect(o.named()).Union(open)
		if twice := slots.Intersect(moved); !twice.Empty() {
			return Plan{}, refuse("slots %s are claimed by %s and by another master", twice, m.Addr)
		}
		p.addMove(m, to, slots)
		moved, begun = moved.Union(slots), begun.Union(open)
		if !open.Empty() {
			p.Reasons = append(p.Reasons, begunReason(open, m))
		}
	}
	if r := noOpenBut(s, begun); r != nil {
		return Plan{}, r
	}
	if r := p.explainNamed(o, to, o.named().Minus(moved)); r != nil {
		return Plan{}, r
	}
	p.seal(s)
	return p, nil
}

// explainNamed says why a named slot moves, or does not; those that are left
// must be the target's.
func (p *Plan) explainNamed(o ReshardOptions, to cluster.Member, left cluster.SlotSet) *Refusal {
	for _, key := range o.Keys {
		p.Reasons = append(p.Reasons, fmt.Sprintf("key %.80q is in slot %d", key, cluster.KeySlot(key)))
	}
	if foreign := left.Minus(to.Slots()); !foreign.Empty() {
		return refuse("slots %s belong to none of the sources", foreign)
	}
	if !left.Empty() {
		p.Reasons = append(p.Reasons, fmt.Sprintf("slots %s are on %s already", left, to.Addr))
	}
	return nil
}
