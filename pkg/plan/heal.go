package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// ForeignPolicy says what becomes of keys on nodes that do not own their slots.
type ForeignPolicy string

// Foreign keys are named and left alone, or brought to the owner of their slot.
// A key that the owner lacks may have been deleted there: to adopt it may bring
// it back from the dead, which is for the user to decide.
const (
	ForeignList  ForeignPolicy = "list"
	ForeignAdopt ForeignPolicy = "adopt"
)

// ForeignPolicies are all of them.
func ForeignPolicies() []ForeignPolicy { return []ForeignPolicy{ForeignList, ForeignAdopt} }

// HealOptions restrict what is repaired, and decide what cannot be told from the
// cluster's state. The zero value repairs all that needs no decision.
type HealOptions struct {
	Only        []health.Code   // kinds of findings; all where it is empty
	Slots       cluster.SlotSet // all where it is empty
	ForeignKeys ForeignPolicy   // default ForeignList
	TopologyOptions
}

// Undecided is a problem that is not repaired, and why.
type Undecided struct {
	Code  health.Code     `json:"code"`
	Slots cluster.SlotSet `json:"slots,omitzero"`
	Text  string          `json:"text"`
	Flag  string          `json:"flag,omitempty"` // that decides; empty where none does

	Advice bool `json:"advice,omitempty"` // nothing is wrong without it
}

func (u Undecided) String() string {
	if u.Slots.Empty() {
		return fmt.Sprintf("%s: %s", u.Code, u.Text)
	}
	return fmt.Sprintf("%s: slots %s: %s", u.Code, u.Slots, u.Text)
}

// Healable are the findings that Repair repairs.
func Healable() []health.Code {
	return append([]health.Code{health.OpenSlots, health.Uncovered, health.MultipleOwners, health.ForeignKeys}, topologyCodes()...)
}

// Heal plans to repair who owns which slot, from nothing but what the nodes say.
// It rolls forward what is open, gives every slot one owner, and brings keys of
// the slots it gives there. Whoever would lose a slot imports it before anybody
// claims it: a node deletes keys of a slot that it claims when it hears of a
// better claim.
//
// s must have keys counted as by observe.ForHeal. What it does not repair comes
// with it.
func Heal(s cluster.State, o HealOptions) (Plan, []Undecided) {
	h := newHealer(s, o)
	for slot := range h.suspects().All() {
		h.slot(slot)
	}
	h.spread()
	h.tellForeign()
	p := h.plan()
	p.overrule(s, o)
	p.seal(s)
	return p, h.left
}

// pair is a node that keys or slots come from, and the one that gets them.
type pair = [2]cluster.NodeID

type healer struct {
	s       cluster.State
	o       HealOptions
	r       resumer // the rows of open slots
	open    cluster.SlotSet
	unsure  string // why nobody may claim anything
	pins    map[pair][]int
	gathers map[pair][]int
	claims  map[cluster.NodeID][]int
	foreign map[pair][]int
	empty   []int // uncovered, without keys
	left    []Undecided
}

func newHealer(s cluster.State, o HealOptions) *healer {
	h := &healer{
		s: s, o: o, unsure: unsure(s, o),
		r:    resumer{s: s, moves: make(map[pair][]int), closes: make(map[cluster.NodeID][]int)},
		pins: make(map[pair][]int), gathers: make(map[pair][]int),
		claims: make(map[cluster.NodeID][]int), foreign: make(map[pair][]int),
	}
	h.open = h.r.open()
	return h
}

// unsure is why no claim is safe: a node that does not answer may own slots or
// hold the only copy of their keys, and groups that do not see each other would
// each get owners.
func unsure(s cluster.State, o HealOptions) string {
	if silent := o.silent(s); len(silent) > 0 {
		return fmt.Sprintf("%s does not answer and may own it or hold its keys: bring it back, let a replica take its place (trib failover), or remove it (trib forget)", silent[0].Addr)
	}
	if busy := loading(s); busy != "" {
		return busy
	}
	for _, m := range s.Members {
		if id := m.View.Self().MasterID; id != "" {
			if _, ok := s.Get(id); !ok {
				return fmt.Sprintf("%s is a replica of %s, which nobody knows: what that held is not known either", m.Addr, id.Short())
			}
		}
	}
	for _, f := range health.Check(s) {
		if f.Code == health.Split {
			return f.Summary
		}
	}
	return ""
}

func (h *healer) wants(code health.Code) bool {
	return len(h.o.Only) == 0 || slices.Contains(h.o.Only, code)
}

// suspects are the slots that are not simply owned by one node and closed.
func (h *healer) suspects() cluster.SlotSet {
	suspects, owned := h.open, cluster.SlotSet{}
	for _, m := range h.s.Masters() {
		suspects = suspects.Union(owned.Intersect(m.Slots())).Union(foreignSlots(m))
		owned = owned.Union(m.Slots())
	}
	suspects = suspects.Union(cluster.AllSlots().Minus(owned))
	if !h.o.Slots.Empty() {
		suspects = suspects.Intersect(h.o.Slots)
	}
	return suspects
}

// foreignSlots are the slots of which a node has keys and which it does not own.
func foreignSlots(m cluster.Member) cluster.SlotSet {
	var slots []int
	for slot, keys := range m.SlotKeys {
		if keys > 0 && !m.Slots().Has(slot) {
			slots = append(slots, slot)
		}
	}
	return cluster.SlotsOf(slots...)
}

// slot is the recovery table.
func (h *healer) slot(slot int) {
	owners := h.s.Owners(slot)
	switch {
	case len(owners) == 0 && h.open.Has(slot) && h.wants(health.OpenSlots) && h.r.finishGiven(slot):
	case len(owners) == 0:
		h.ifSure(health.Uncovered, slot, func() { h.cover(slot) })
	case len(owners) > 1:
		h.ifSure(health.MultipleOwners, slot, func() { h.settle(slot, owners) })
	case h.open.Has(slot) && h.wants(health.OpenSlots):
		h.finish(slot, owners[0])
	case !h.open.Has(slot) && h.wants(health.ForeignKeys):
		h.foreigners(slot, owners[0])
	}
}

func (h *healer) ifSure(code health.Code, slot int, repair func()) {
	switch {
	case !h.wants(code):
	case h.unsure != "":
		h.leave(code, slot, h.unsure)
	default:
		repair()
	}
}

// finish rolls an open slot forward. Where it is not known that it was on its
// way, the keys on the side that does not own it are foreign.
func (h *healer) finish(slot int, owner cluster.Member) {
	if h.abandon(slot, owner) {
		return
	}
	_, migrating := owner.View.Self().Migrating[slot]
	if !migrating && h.doubtful(slot, owner) {
		h.foreigners(slot, owner)
		return
	}
	if problem := h.r.slot(slot); problem != "" {
		h.leave(health.OpenSlots, slot, problem)
	}
}

// doubtful reports whether a node imports the slot with keys that may be stale.
func (h *healer) doubtful(slot int, owner cluster.Member) bool {
	return slices.ContainsFunc(h.s.Masters(), func(m cluster.Member) bool {
		_, importing := m.View.Self().Importing[slot]
		return importing && m.ID != owner.ID && h.r.doubt(slot, owner, m) != ""
	})
}

// foreigners are the nodes with keys of a slot that another one owns.
func (h *healer) foreigners(slot int, owner cluster.Member) {
	for _, m := range h.s.Masters() {
		if keys, _ := m.KeysIn(slot); keys == 0 || m.ID == owner.ID {
			continue
		}
		ends := pair{m.ID, owner.ID}
		if h.o.ForeignKeys == ForeignAdopt {
			h.gathers[ends] = append(h.gathers[ends], slot)
		} else {
			h.foreign[ends] = append(h.foreign[ends], slot)
		}
	}
}

// cover finds an owner for a slot that has none: the node with the most of its
// keys. All others that have some import it from there.
func (h *healer) cover(slot int) {
	holders, problem := h.holders(slot)
	if problem != "" {
		h.leave(health.Uncovered, slot, problem)
		return
	}
	for _, m := range h.s.Masters() {
		if keys, _ := m.KeysIn(slot); keys == 0 && m.OpenSlots().Has(slot) {
			h.r.closes[m.ID] = append(h.r.closes[m.ID], slot)
		}
	}
	if len(holders) == 0 {
		h.empty = append(h.empty, slot)
		return
	}
	owner := holders[0].ID
	h.claims[owner] = append(h.claims[owner], slot)
	for _, m := range holders[1:] {
		h.bring(slot, m.ID, owner)
	}
}

// bring lets a node that must not keep a slot's keys hold on to them until they
// are at the owner.
func (h *healer) bring(slot int, from, owner cluster.NodeID) {
	h.pins[pair{from, owner}] = append(h.pins[pair{from, owner}], slot)
	h.gathers[pair{from, owner}] = append(h.gathers[pair{from, owner}], slot)
}

// holders are the masters with keys of a slot, those with most first. A replica
// with keys that its master lacks holds the last copy of them.
func (h *healer) holders(slot int) (holders []cluster.Member, problem string) {
	for _, m := range h.s.Members {
		if !m.Reachable() {
			continue // it counts for nothing, or nothing is claimed
		}
		keys, counted := m.KeysIn(slot)
		if !counted {
			return nil, fmt.Sprintf("its keys on %s were not counted", m.Addr)
		}
		master, _ := h.s.Get(m.View.Self().MasterID)
		if has, _ := master.KeysIn(slot); !m.IsMaster() && keys > 0 && has == 0 {
			return nil, fmt.Sprintf("the replica %s holds %d keys of it and its master %s none", m.Addr, keys, master.Addr)
		}
		if m.IsMaster() && keys > 0 {
			holders = append(holders, m)
		}
	}
	slices.SortStableFunc(holders, func(a, b cluster.Member) int { return cmp.Compare(b.SlotKeys[slot], a.SlotKeys[slot]) })
	return holders, ""
}

// settle decides between nodes that all claim a slot: whom most masters believe,
// and then the highest epoch. The others give up their claims and keep their
// keys, which are brought to the winner.
func (h *healer) settle(slot int, owners []cluster.Member) {
	if _, problem := h.holders(slot); problem != "" {
		h.leave(health.MultipleOwners, slot, problem)
		return
	}
	rank := func(a, b cluster.Member) int {
		return cmp.Or(cmp.Compare(h.believers(slot, b.ID), h.believers(slot, a.ID)),
			cmp.Compare(b.View.Self().Epoch, a.View.Self().Epoch))
	}
	slices.SortStableFunc(owners, rank)
	winner := owners[0].ID
	h.claims[winner] = append(h.claims[winner], slot)
	for _, m := range owners[1:] {
		h.bring(slot, m.ID, winner)
	}
	for _, m := range h.s.Masters() {
		if keys, _ := m.KeysIn(slot); keys > 0 && !m.Slots().Has(slot) {
			h.bring(slot, m.ID, winner)
		}
	}
}

// believers are how many masters see the slot with a node.
func (h *healer) believers(slot int, owner cluster.NodeID) int {
	n := 0
	for _, m := range h.s.Masters() {
		if seen, ok := m.View.Get(owner); ok && seen.Slots.Has(slot) {
			n++
		}
	}
	return n
}

// spread shares slots without keys among the masters, so that those with fewest
// slots get most, each a range of them. Masters without any slot get none: they
// may have been drained.
func (h *healer) spread() {
	masters := slices.DeleteFunc(h.s.Masters(), func(m cluster.Member) bool { return m.Slots().Empty() })
	if len(masters) == 0 {
		masters = h.s.Masters()
	}
	if len(masters) == 0 {
		return
	}
	load := make(map[cluster.NodeID]int)
	for _, m := range masters {
		load[m.ID] = m.Slots().Len() + len(h.claims[m.ID])
	}
	share := make(map[cluster.NodeID]int)
	for range h.empty {
		least := slices.MinFunc(masters, func(a, b cluster.Member) int {
			return cmp.Compare(load[a.ID]+share[a.ID], load[b.ID]+share[b.ID])
		})
		share[least.ID]++
	}
	rest := h.empty
	for _, m := range masters {
		h.claims[m.ID] = append(h.claims[m.ID], rest[:share[m.ID]]...)
		rest = rest[share[m.ID]:]
	}
}

// leave notes what is not repaired; slots with the same problem share a line.
func (h *healer) leave(code health.Code, slot int, text string) {
	for i, u := range h.left {
		if u.Code == code && u.Text == text {
			h.left[i].Slots = u.Slots.Union(cluster.SlotsOf(slot))
			return
		}
	}
	h.left = append(h.left, Undecided{Code: code, Slots: cluster.SlotsOf(slot), Text: text})
}

func (h *healer) tellForeign() {
	for _, ends := range h.pairs(h.foreign) {
		from, _ := h.s.Get(ends[0])
		owner, _ := h.s.Get(ends[1])
		keys := int64(0)
		for _, slot := range h.foreign[ends] {
			keys += from.SlotKeys[slot]
		}
		h.left = append(h.left, Undecided{
			Code: health.ForeignKeys, Slots: cluster.SlotsOf(h.foreign[ends]...),
			Text: fmt.Sprintf("%s holds %s of them and %s owns them: keys that the owner lacks may have been deleted there since",
				from.Addr, count(int(keys), "key"), owner.Addr),
			Flag: "--foreign-keys adopt",
		})
	}
}

// pairs are the ends in the order of the members.
func (h *healer) pairs(of map[pair][]int) []pair {
	var out []pair
	for _, from := range h.s.Members {
		for _, to := range h.s.Members {
			if ends := (pair{from.ID, to.ID}); of[ends] != nil {
				out = append(out, ends)
			}
		}
	}
	return out
}

func (h *healer) plan() Plan {
	p := Plan{Version: Version, Kind: KindFix}
	var pins, closes, claims, gathers []Step
	for _, ends := range h.pairs(h.pins) {
		pins = append(pins, Step{Action: PinSlots, From: ends[0], To: ends[1], Slots: cluster.SlotsOf(h.pins[ends]...)})
	}
	for _, m := range h.s.Members {
		if slots := h.r.closes[m.ID]; slots != nil {
			closes = append(closes, Step{Action: CloseSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
		if slots := h.claims[m.ID]; len(slots) > 0 {
			claims = append(claims, Step{Action: ClaimSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
	}
	for _, ends := range h.pairs(h.gathers) {
		gathers = append(gathers, Step{Action: GatherKeys, From: ends[0], To: ends[1], Slots: cluster.SlotsOf(h.gathers[ends]...)})
	}
	// A node that imports a slot does not hear who claims it.
	p.Steps = slices.Concat(pins, closes, claims, gathers)
	h.r.closes = nil
	h.r.writeTo(&p)
	p.Reasons = reasonsToHeal(p)
	return p
}

// reasonsToHeal says why each kind of step is safe.
func reasonsToHeal(p Plan) []string {
	var reasons []string
	for _, of := range []struct {
		action Action
		why    string
	}{
		{PinSlots, "pinning is safe: a node deletes keys only of slots that it claims, and one that imports a slot keeps them"},
		{ClaimSlots, "claiming is safe: every known node answers, and whoever else holds keys of the slots imports them first"},
		{GatherKeys, "gathering is safe: nothing is replaced at the owner, only equal copies are deleted, and differing ones are named"},
		{CloseSlots, "clearing is safe: the node holds no key of the slots, or owns them and sends them nowhere"},
		{MoveSlots, "moving on is safe: only the open state lets clients find keys on both sides, and it stays until one side is empty"},
	} {
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == of.action }) {
			reasons = append(reasons, of.why)
		}
	}
	return reasons
}
