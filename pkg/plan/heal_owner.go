package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// The flags that decide.
const (
	takeFromDead = "--fix-with-unreachable-masters"
	takeover     = "--takeover"
)

// healOwners lets replicas take the place of masters that are dead.
func healOwners(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if !o.wantsAny(health.Unreachable, health.Uncovered, health.QuorumLost) {
		return Plan{}, nil
	}
	p := stage(s)
	var left []Undecided
	for _, owner := range s.Unreachable() {
		slots := lostSlots(s, owner.ID)
		if slots.Empty() || !o.Slots.Empty() && slots.Intersect(o.Slots).Empty() {
			continue
		}
		if u, stays := p.replace(s, o, owner, slots); stays {
			left = append(left, u)
		}
	}
	p.Reasons = append(p.Reasons, "what else there is to repair is looked for when these are masters")
	return p.stamp(), left
}

// lostSlots are the slots that others see with a node that does not answer, and
// that nobody who answers owns.
func lostSlots(s cluster.State, id cluster.NodeID) cluster.SlotSet {
	slots := slotsSeen(s, id)
	for _, m := range s.Masters() {
		slots = slots.Minus(m.Slots())
	}
	return slots
}

// replace plans who takes the place of a dead owner, or says why nobody does.
func (p *Plan) replace(s cluster.State, o HealOptions, owner cluster.Member, slots cluster.SlotSet) (Undecided, bool) {
	u := Undecided{Code: health.Unreachable, Slots: slots}
	v := verdictOn(s, owner)
	heirs, unfit := heirsOf(s, owner.ID)
	switch {
	case v.fine > 0:
		u.Text = fmt.Sprintf("%s owns them and does not answer this host, and yet %s: it may be alive, so nobody takes its place", v.name, v)
		return u, true
	case len(heirs) == 0:
		return lostFor(o, u, v, unfit)
	case outdated(owner, heirs[0]) != "" && !o.Takeover:
		u.Flag = takeover
		u.Text = fmt.Sprintf("%s owns them and does not answer; %s, and the masters do not elect its replica %s, which %s: start %s again, it has the newest data", v.name, v, heirs[0].Addr, outdated(owner, heirs[0]), v.name)
		return u, true
	case majority(s, owner.ID) && v.failed == 0 && !o.Takeover:
		u.Text = fmt.Sprintf("%s owns them and does not answer, and %s: the masters call it failed within the node timeout, then the same command promotes %s", v.name, v, heirs[0].Addr)
		return u, true
	case majority(s, owner.ID):
		p.promote(Force, heirs[0], owner)
		p.Reasons = append(p.Reasons, fmt.Sprintf("promoting %s is %s: %s; %s, and most masters have to elect it", heirs[0].Addr, safety(owner, heirs[0]), v, bestOf(heirs)))
	case !o.Takeover:
		u.Code, u.Flag = health.QuorumLost, takeover
		u.Text = fmt.Sprintf("%s owns them and does not answer; %s, and those that answer are no majority that could elect its replica %s: it can take over without being elected, which loses writes where the others live beyond a partition", v.name, v, heirs[0].Addr)
		return u, true
	default:
		p.promote(Takeover, heirs[0], owner)
		p.Reasons = append(p.Reasons, fmt.Sprintf("%s takes over as you decided: %s; %s, and no majority is left that could elect it", heirs[0].Addr, v, bestOf(heirs)))
	}
	return u, false
}

func (p *Plan) promote(mode FailoverMode, heir, owner cluster.Member) {
	p.enlist(owner)
	p.Steps = append(p.Steps, Step{Action: Failover, Node: heir.ID, Master: owner.ID, Mode: mode})
	p.foretellLoss(mode, heir, owner)
}

func safety(owner, heir cluster.Member) string {
	if why := outdated(owner, heir); why != "" {
		return fmt.Sprintf("what you decided, though it %s", why)
	}
	return "safe"
}

func bestOf(heirs []cluster.Member) string {
	if len(heirs) == 1 {
		return "it is the only replica that answers"
	}
	return fmt.Sprintf("of %s it has most of the data", count(len(heirs), "replica"))
}

// lostFor is a dead owner whom no replica can replace.
func lostFor(o HealOptions, u Undecided, v verdictOnOwner, unfit []string) (Undecided, bool) {
	heirs := "no replica of it answers"
	if unfit != nil {
		heirs = strings.Join(unfit, ", ")
	}
	if o.TakeFromDead {
		return u, false
	}
	u.Flag = takeFromDead
	u.Text = fmt.Sprintf("%s owns them and does not answer (%s); %s, and %s: start it again, it has the keys; given to other masters the slots work again without these keys", v.name, v.why, v, heirs)
	return u, true
}

// verdictOnOwner is what the masters with slots that answer say of one that does
// not.
type verdictOnOwner struct {
	name                  cluster.Addr
	why                   string
	failed, suspect, fine int
}

func verdictOn(s cluster.State, owner cluster.Member) verdictOnOwner {
	v := verdictOnOwner{name: owner.Addr, why: owner.Unreachable}
	for _, m := range s.Members {
		n, known := m.View.Get(owner.ID)
		switch {
		case !known:
		case n.Flags.Has(cluster.FlagFailed):
			v.failed++
		case n.Flags.Has(cluster.FlagSuspect):
			v.suspect++
		default:
			v.fine++
		}
	}
	return v
}

func (v verdictOnOwner) String() string {
	var parts []string
	for _, said := range []struct {
		by               int
		verb, verbs, how string
	}{{v.failed, "calls", "call", "it failed"}, {v.suspect, "suspects", "suspect", "it"}, {v.fine, "sees", "see", "nothing wrong with it"}} {
		if said.by > 0 {
			parts = append(parts, fmt.Sprintf("%s %s %s", count(said.by, "node"), plural(said.by, said.verb, said.verbs), said.how))
		}
	}
	return strings.Join(parts, ", ")
}

// heirsOf are the replicas that can take a dead master's place, the one with
// most of its data first, and why others cannot.
func heirsOf(s cluster.State, id cluster.NodeID) (heirs []cluster.Member, unfit []string) {
	for _, r := range s.ReplicasOf(id) {
		switch {
		case r.Replication.Loading:
			unfit = append(unfit, fmt.Sprintf("its replica %s is loading its data", r.Addr))
		case r.Replication.Syncing:
			unfit = append(unfit, fmt.Sprintf("its replica %s was just copying its data", r.Addr))
		case r.Replication.NoLink && r.Keys() == 0:
			unfit = append(unfit, fmt.Sprintf("its replica %s has none of its data", r.Addr))
		default:
			heirs = append(heirs, r)
		}
	}
	owner, _ := s.Get(id)
	slices.SortStableFunc(heirs, func(a, b cluster.Member) int {
		if old := outdated(owner, a) != ""; old != (outdated(owner, b) != "") {
			return map[bool]int{true: 1, false: -1}[old]
		}
		return cmp.Or(cmp.Compare(b.Replication.Offset, a.Replication.Offset), cmp.Compare(b.Keys(), a.Keys()))
	})
	return heirs, unfit
}

// outdated is why the servers do not elect a replica of a dead master: it had lost
// its link for too long when the master was last heard of. (They count until now; a
// replica is no older for it that no majority was there to elect it in time.)
func outdated(owner, r cluster.Member) string {
	factor, err := strconv.ParseInt(r.Config["cluster-replica-validity-factor"], 10, 64)
	if err != nil {
		factor = defaultValidity
	}
	if factor == 0 {
		return ""
	}
	if r.Replication.NoLink {
		return "never had a link to it, only data of its own"
	}
	limit := factor*cmp.Or(r.NodeTimeout, defaultTimeout) + pingPeriod
	if apart := r.Replication.DownFor*1000 - silence(r.View, owner.ID); apart > limit {
		return fmt.Sprintf("had no link to it for %d s before it failed", apart/1000)
	}
	return ""
}

// What servers have where nobody sets it, and trib cannot read it; times in ms.
const (
	defaultValidity = 10
	defaultTimeout  = 15_000
	pingPeriod      = 10_000
)

// silence is for how many ms a node has not been heard of, by somebody's view: since
// then others were. It is without end where it was never heard of.
func silence(v cluster.View, id cluster.NodeID) int64 {
	var last int64
	for _, n := range v.Nodes {
		last = max(last, n.Heard)
	}
	n, _ := v.Get(id)
	if n.Heard == 0 {
		return math.MaxInt64
	}
	return last - n.Heard
}

// silent are the nodes whose silence forbids to claim anything: all that do not
// answer but those that count as dead.
func (o HealOptions) silent(s cluster.State) []cluster.Member {
	return slices.DeleteFunc(s.Unreachable(), func(m cluster.Member) bool { return o.givenUp(s, m.ID) })
}

// givenUp reports whether a node is dead, and whoever repairs has decided to do
// without what it has.
func (o HealOptions) givenUp(s cluster.State, id cluster.NodeID) bool {
	return o.TakeFromDead && deadForGood(s, id)
}

// deadForGood reports whether a node is dead and has no replica to replace it.
func deadForGood(s cluster.State, id cluster.NodeID) bool {
	if _, known := s.Get(id); !known || !Dead(s, id) {
		return false
	}
	heirs, _ := heirsOf(s, id)
	return len(heirs) == 0
}

// loading is a node of whose keys nobody knows before it has read them.
func loading(s cluster.State) string {
	for _, m := range s.Members {
		if m.Replication.Loading {
			return fmt.Sprintf("%s is loading its data and may hold its keys", m.Addr)
		}
	}
	return ""
}

// abandon closes a slot at its owner that was on its way to a dead node.
func (h *healer) abandon(slot int, owner cluster.Member) bool {
	to := owner.View.Self().Migrating[slot]
	if !deadForGood(h.s, to) || h.r.successor(slot, owner, to) != "" {
		return false
	}
	if !h.o.TakeFromDead {
		h.left = ask(h.left, Undecided{
			Code: health.OpenSlots, Slots: cluster.SlotsOf(slot), Flag: takeFromDead,
			Text: fmt.Sprintf("they were on their way from %s to %s, which is dead: start that again, it has the keys that have moved already; closed, the slots lose these", owner.Addr, name(h.s, to)),
		})
		return true
	}
	h.r.closes[owner.ID] = append(h.r.closes[owner.ID], slot)
	return true
}

// successor is who took the place of a dead target of a slot: the one master
// beside the owner that imports it or has keys of it, since most servers do not
// tell replicas what their master imports. It is nobody's where the target owns
// slots still.
func (r *resumer) successor(slot int, owner cluster.Member, target cluster.NodeID) cluster.NodeID {
	if !replaced(r.s, target) {
		return ""
	}
	var found cluster.NodeID
	for _, m := range r.s.Masters() {
		keys, _ := m.KeysIn(slot)
		from, importing := m.View.Self().Importing[slot]
		heir := importing && from == owner.ID || keys > 0
		switch {
		case m.ID == owner.ID || !heir || !mayReplace(r.s, m, target):
		case found != "":
			return ""
		default:
			found = m.ID
		}
	}
	return found
}

// replaced reports whether a node is dead and others have all its slots.
func replaced(s cluster.State, id cluster.NodeID) bool {
	_, known := s.Get(id)
	return known && Dead(s, id) && slotsSeen(s, id).Empty()
}

// mayReplace reports whether a master may have taken the slots of a dead one.
// Servers since Redis 7.2 tell who is of one shard; on older ones whoever takes
// another's slots has a higher epoch, and nobody takes those of a node that never
// had any.
func mayReplace(s cluster.State, m cluster.Member, dead cluster.NodeID) bool {
	self, epoch := m.View.Self(), uint64(0)
	for _, witness := range s.Members {
		n, _ := witness.View.Get(dead)
		if shard := n.Aux["shard-id"]; shard != "" {
			return self.Aux["shard-id"] == shard
		}
		if n.MasterID == m.ID {
			return true
		}
		epoch = max(epoch, n.Epoch)
	}
	return epoch > 0 && self.Epoch > epoch
}

// ask adds a question, to the same one about other slots where there is one.
func ask(left []Undecided, u Undecided) []Undecided {
	for i, known := range left {
		if known.Code == u.Code && known.Text == u.Text {
			left[i].Slots = known.Slots.Union(u.Slots)
			return left
		}
	}
	return append(left, u)
}

// overrule marks what is done in spite of dead nodes, and tells its cost.
func (p *Plan) overrule(s cluster.State, o HealOptions) {
	dead := slices.DeleteFunc(s.Unreachable(), func(m cluster.Member) bool { return !o.givenUp(s, m.ID) })
	if len(dead) == 0 {
		return
	}
	var taken cluster.SlotSet
	for i, step := range p.Steps {
		if step.Action == ClaimSlots || step.Action == CloseSlots {
			p.Steps[i].Dead = true
			taken = taken.Union(step.Slots)
		}
	}
	for i, reason := range p.Reasons {
		p.Reasons[i] = strings.Replace(reason, "every known node answers, and whoever else", "nodes that are dead count for nothing, as you decided, and whoever answers and", 1)
	}
	for _, m := range dead {
		if lost := lostSlots(s, m.ID).Intersect(taken); !lost.Empty() {
			p.Warnings = append(p.Warnings, fmt.Sprintf("what only %s has of %s (%s) is lost: when it is started again, it hears of the new owners and deletes it. To save it, keep its data files, and trib import from a server of its own that has loaded them",
				m.Addr, count(lost.Len(), "slot"), lost))
		}
	}
	for _, step := range p.Steps {
		if step.Action == CloseSlots && p.abandons(step, s) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("keys of slots %s that had moved away from %s already are lost with the node that they moved to", step.Slots, p.Addr(step.Node)))
		}
	}
}

// abandons reports whether a step closes slots whose target does not answer.
func (p Plan) abandons(step Step, s cluster.State) bool {
	m, _ := s.Get(step.Node)
	for slot := range step.Slots.All() {
		if target, _ := s.Get(m.View.Self().Migrating[slot]); !target.Reachable() {
			return true
		}
	}
	return false
}
