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

// Foreign keys are named and left alone; brought to the owner of their slot;
// deleted where the owner has equal ones; or deleted in any case, except for
// those that differ. A key that the owner lacks may have been deleted there: to
// adopt it may bring it back from the dead, and to discard it may lose the only
// copy, which is for the user to decide.
const (
	ForeignList    ForeignPolicy = "list"
	ForeignAdopt   ForeignPolicy = "adopt"
	ForeignDrop    ForeignPolicy = "drop"
	ForeignDiscard ForeignPolicy = "discard"
)

// ForeignPolicies are all of them.
func ForeignPolicies() []ForeignPolicy {
	return []ForeignPolicy{ForeignList, ForeignAdopt, ForeignDrop, ForeignDiscard}
}

// HealOptions restrict what is repaired, and decide what cannot be told from the
// cluster's state. The zero value repairs all that needs no decision.
type HealOptions struct {
	Only        []health.Code   // kinds of findings; all where it is empty
	Slots       cluster.SlotSet // all where it is empty
	ForeignKeys ForeignPolicy   // default ForeignList
	Begun       []Step          // of a repair that was interrupted, see Plan.Begun: its decisions hold
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
	h.holdBack()
	h.tellForeign()
	p := h.plan()
	p.Warnings = h.losses()
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
	claims  map[cluster.NodeID][]int
	foreign map[ForeignPolicy]map[pair][]int
	empty   []int // uncovered, without keys
	left    []Undecided
}

func newHealer(s cluster.State, o HealOptions) *healer {
	h := &healer{
		s: s, o: o, unsure: unsure(s, o), r: newResumer(s),
		pins: make(map[pair][]int), claims: make(map[cluster.NodeID][]int),
		foreign: make(map[ForeignPolicy]map[pair][]int),
	}
	for _, policy := range ForeignPolicies() {
		h.foreign[policy] = make(map[pair][]int)
	}
	h.r.begun = o.Begun
	h.open = h.r.open()
	return h
}

// unsure is why no claim is safe: a node that does not answer may own slots or
// hold the only copy of their keys, and groups that do not see each other would
// each get owners.
func unsure(s cluster.State, o HealOptions) string {
	if m, decidable, found := o.obstacle(s); decidable {
		return fmt.Sprintf("%s is dead and may hold their keys: start it again, or do without it", m.Addr)
	} else if found {
		return fmt.Sprintf("%s does not answer and may own it or hold its keys: bring it back, let a replica take its place (trib failover), or remove it (trib forget)", m.Addr)
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
		h.foreigners(slot, owners[0].ID, h.s.Masters())
	}
}

func (h *healer) ifSure(code health.Code, slot int, repair func()) {
	switch {
	case !h.wants(code):
	case h.unsure != "":
		h.left = ask(h.left, Undecided{Code: code, Slots: cluster.SlotsOf(slot), Text: h.unsure, Flag: h.decides()})
	default:
		repair()
	}
}

// decides is the flag by which claims are safe enough, where only one that is dead
// forbids them.
func (h *healer) decides() string {
	if _, decidable, _ := h.o.obstacle(h.s); decidable {
		return takeFromDead
	}
	return ""
}

// obstacle is a silent node that forbids claims: one of which nobody can decide to do
// without it, where there is one.
func (o HealOptions) obstacle(s cluster.State) (m cluster.Member, decidable, found bool) {
	silent := o.silent(s)
	if len(silent) == 0 {
		return cluster.Member{}, false, false
	}
	i := slices.IndexFunc(silent, func(m cluster.Member) bool { return !deadForGood(s, m.ID) })
	if i < 0 {
		return silent[0], true, true
	}
	return silent[i], false, true
}

// finish rolls an open slot forward. Where it is not known that keys were on
// their way, they are foreign on any side that does not own the slot. A node that
// imports a slot and knows no owner of it, as a repair leaves it that was killed,
// calls the cluster down.
func (h *healer) finish(slot int, owner cluster.Member) {
	if h.abandon(slot, owner) {
		return
	}
	home, strays, problem := h.r.slot(slot, owner)
	if problem != "" {
		h.leave(health.OpenSlots, slot, problem)
		return
	}
	for _, m := range strays {
		if seen, _ := m.View.Get(owner.ID); home == owner.ID && !seen.Slots.Has(slot) {
			h.pins[pair{m.ID, home}] = append(h.pins[pair{m.ID, home}], slot)
		}
	}
	h.foreigners(slot, home, strays)
}

// foreigners are the nodes with keys of a slot of which another node is the home.
func (h *healer) foreigners(slot int, home cluster.NodeID, among []cluster.Member) {
	for _, m := range among {
		if keys, _ := m.KeysIn(slot); keys > 0 && m.ID != home {
			ends := pair{m.ID, home}
			policy := h.policy(slot, ends)
			h.foreign[policy][ends] = append(h.foreign[policy][ends], slot)
		}
	}
}

// policy is what becomes of foreign keys: what the user says now, or said for a
// repair that was interrupted. To lose keys takes to be told again.
func (h *healer) policy(slot int, ends pair) ForeignPolicy {
	if h.o.ForeignKeys != "" && h.o.ForeignKeys != ForeignList {
		return h.o.ForeignKeys
	}
	switch begun(h.o.Begun, h.s, slot, ends) {
	case GatherKeys:
		return ForeignAdopt
	case DropKeys, DiscardKeys:
		return ForeignDrop
	}
	return ForeignList
}

// Begun are the steps of an interrupted repair that say what becomes of keys on
// nodes that do not own them. What a node holds that was restarted since may be
// older than what was decided about; runs tells of the others.
func (p Plan) Begun(runs func(cluster.NodeID) bool) []Step {
	var steps []Step
	for _, step := range p.Steps {
		if step.Action.Gathers() && runs(step.From) {
			steps = append(steps, step)
		}
	}
	return steps
}

// begun is what an interrupted repair was about to do with the keys of a slot
// between two nodes; the second may have been failed over since.
func begun(steps []Step, s cluster.State, slot int, ends pair) Action {
	for _, step := range steps {
		sameHome := step.To == ends[1] || replicates(s, step.To, ends[1])
		if step.From == ends[0] && sameHome && step.Slots.Has(slot) {
			return step.Action
		}
	}
	return ""
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
	ends := pair{from, owner}
	h.pins[ends] = append(h.pins[ends], slot)
	h.foreign[ForeignAdopt][ends] = append(h.foreign[ForeignAdopt][ends], slot)
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
		keys, _ := m.KeysIn(slot)
		switch {
		case m.Slots().Has(slot):
		case keys > 0:
			h.bring(slot, m.ID, winner)
		case m.OpenSlots().Has(slot):
			h.r.closes[m.ID] = append(h.r.closes[m.ID], slot)
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
		for _, slot := range h.empty {
			h.leave(health.Uncovered, slot, "no master answers that could have it")
		}
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

// holdBack leaves a node its last slot as long as nobody has said what becomes of
// keys that it holds of others: with that slot gone it would be wiped.
func (h *healer) holdBack() {
	for _, ends := range h.pairs(h.r.moves) {
		from, _ := h.s.Get(ends[0])
		holds := slices.ContainsFunc(h.pairs(h.foreign[ForeignList]), func(p pair) bool { return p[0] == from.ID })
		slots := h.r.moves[ends]
		if !holds || !h.emptied(from) {
			continue
		}
		kept := slots[len(slots)-1]
		h.r.moves[ends] = slots[:len(slots)-1]
		h.keepAway(kept, ends[1])
		h.left = append(h.left, Undecided{
			Code: health.OpenSlots, Slots: cluster.SlotsOf(kept), Flag: flagForeign,
			Text: fmt.Sprintf("%s would give its last slot away and be wiped, while it holds keys of slots that it does not own", from.Addr),
		})
	}
}

// emptied reports whether all slots that a node owns leave it.
func (h *healer) emptied(m cluster.Member) bool {
	stay := m.Slots()
	for _, to := range h.s.Members {
		stay = stay.Minus(cluster.SlotsOf(h.r.moves[pair{m.ID, to.ID}]...))
	}
	return stay.Empty() && !m.Slots().Empty()
}

// keepAway brings no keys of a slot to a node that does not get it.
func (h *healer) keepAway(slot int, home cluster.NodeID) {
	for _, of := range h.foreign {
		for ends, slots := range of {
			if ends[1] == home {
				of[ends] = slices.DeleteFunc(slots, func(s int) bool { return s == slot })
			}
		}
	}
}

// flagForeign names the ways to decide.
const flagForeign = "--foreign-keys adopt|drop|discard"

func (h *healer) tellForeign() {
	for _, ends := range h.pairs(h.foreign[ForeignList]) {
		slots := cluster.SlotsOf(h.foreign[ForeignList][ends]...)
		from, _ := h.s.Get(ends[0])
		home, _ := h.s.Get(ends[1])
		h.left = append(h.left, Undecided{
			Code: health.ForeignKeys, Slots: slots, Flag: flagForeign,
			Text: fmt.Sprintf("%s holds %s", from.Addr, stake(from, home, slots)),
		})
	}
}

// stake says what is known of foreign keys.
func stake(from, home cluster.Member, slots cluster.SlotSet) string {
	keys, lone, known := strays(from, slots)
	text := fmt.Sprintf("%s of them and %s owns them", count(int(keys), "key"), home.Addr)
	switch {
	case !known:
		return text + ": keys that the owner lacks may have been deleted there since"
	case lone == 0:
		return text + " and has keys of these names"
	}
	return text + fmt.Sprintf(" and lacks %d: these may have been deleted there since", lone)
}

// strays are how many keys of slots a node has, and how many of these the owner
// of their slots lacks, if that is known.
func strays(from cluster.Member, slots cluster.SlotSet) (keys, lone int64, known bool) {
	known = true
	for slot := range slots.All() {
		keys += from.SlotKeys[slot]
		n, compared := from.LoneKeys[slot]
		lone += n
		known = known && compared
	}
	return keys, lone, known
}

// losses are what discarding costs.
func (h *healer) losses() []string {
	var texts []string
	for _, ends := range h.pairs(h.foreign[ForeignDiscard]) {
		from, _ := h.s.Get(ends[0])
		home, _ := h.s.Get(ends[1])
		keys, lone, known := strays(from, cluster.SlotsOf(h.foreign[ForeignDiscard][ends]...))
		most := ""
		if !known {
			lone, most = keys, "up to "
		}
		if lone > 0 {
			texts = append(texts, fmt.Sprintf("%s%s on %s will be lost for good: %s does not have them",
				most, count(int(lone), "key"), from.Addr, home.Addr))
		}
	}
	return texts
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

// plan puts the steps in an order in which nobody loses a key: a node that
// imports a slot does not hear who claims it, and keys come to where their slots
// are. Those come first whose slots stay: a node that holds any gives no last slot
// away, since it would be wiped, see partings.
func (h *healer) plan() Plan {
	p := Plan{Version: Version, Kind: KindFix}
	var closes, claims []Step
	for _, m := range h.s.Members {
		if slots := h.r.closes[m.ID]; slots != nil {
			closes = append(closes, Step{Action: CloseSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
		if slots := h.claims[m.ID]; len(slots) > 0 {
			claims = append(claims, Step{Action: ClaimSlots, Node: m.ID, Slots: cluster.SlotsOf(slots...)})
		}
	}
	soon, last := h.partings()
	first, then := slotsOf(soon), slotsOf(last)
	p.Steps = slices.Concat(
		h.r.steps(PinSlots, h.pins), closes, claims, h.gathering(cluster.AllSlots().Minus(first).Minus(then)),
		h.r.steps(MoveSlots, soon), h.gathering(first),
		h.r.steps(MoveSlots, last), h.gathering(then),
	)
	h.r.nameNodes(&p)
	p.Reasons = reasonsToHeal(p)
	return p
}

// partings are the moves, those of nodes that give all slots away and still hold keys
// of others apart: these go last, when the keys are where their slots are by then.
func (h *healer) partings() (soon, last map[pair][]int) {
	soon, last = make(map[pair][]int), make(map[pair][]int)
	for ends, slots := range h.r.moves {
		from, _ := h.s.Get(ends[0])
		if h.emptied(from) && !foreignSlots(from).Empty() {
			last[ends] = slots
		} else {
			soon[ends] = slots
		}
	}
	return soon, last
}

func slotsOf(moves map[pair][]int) cluster.SlotSet {
	var all cluster.SlotSet
	for _, slots := range moves {
		all = all.Union(cluster.SlotsOf(slots...))
	}
	return all
}

// gathering are the steps that deal with foreign keys of some slots.
func (h *healer) gathering(of cluster.SlotSet) []Step {
	var steps []Step
	for _, way := range []struct {
		action Action
		policy ForeignPolicy
	}{{GatherKeys, ForeignAdopt}, {DropKeys, ForeignDrop}, {DiscardKeys, ForeignDiscard}} {
		among := make(map[pair][]int)
		for ends, slots := range h.foreign[way.policy] {
			among[ends] = cluster.SlotsOf(slots...).Intersect(of).Slots()
		}
		steps = append(steps, h.r.steps(way.action, among)...)
	}
	return steps
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
		{DropKeys, "dropping is safe: a key is deleted only when its owner was seen to have an equal one; others are named"},
		{CloseSlots, "clearing is safe: the node holds no key of the slots, or owns them and sends them nowhere"},
		{MoveSlots, "moving on is safe: only the open state lets clients find keys on both sides, and it stays until one side is empty"},
	} {
		if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action == of.action }) {
			reasons = append(reasons, of.why)
		}
	}
	return reasons
}
