package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// minMasters is how many masters a cluster needs to elect a replica when one of
// them fails.
const minMasters = 3

// CreateOptions are the wishes for a new cluster.
type CreateOptions struct {
	// Addrs are the nodes, in the order in which they are preferred as masters.
	Addrs []cluster.Addr
	// Replicas is how many replicas each master gets at least.
	Replicas int
}

// Create plans a cluster of the nodes in s, which must hold what each of the
// addresses answered. Masters are spread over hosts, replicas are kept away
// from their master's host and from each other's where the hosts allow it, and
// the slots are divided evenly in contiguous ranges.
//
// The same addresses in the same order always give the same plan. So a create
// that was killed is finished by calling it again: a node that already has the
// slots, the peers or the master that this plan gives it is accepted, and its
// steps count as done. Any other node that is not fresh is refused.
func Create(s cluster.State, o CreateOptions) (Plan, error) {
	if o.Replicas < 0 {
		return Plan{}, fmt.Errorf("%d replicas for each master: want 0 or more", o.Replicas)
	}
	members, refusal := candidates(s, o.Addrs)
	if refusal != nil {
		return Plan{}, refusal
	}
	count := len(members) / (o.Replicas + 1)
	if count < minMasters {
		return Plan{}, tooFew(len(members), o.Replicas, count)
	}
	groups, crowded := place(members, count)
	p := Plan{Version: Version, Kind: KindCreate, Cost: Cost{Slots: cluster.SlotCount}}
	p.addCreateSteps(members, groups)
	p.explainPlacement(groups, crowded)
	p.Fingerprint = p.createFingerprint()
	if r := p.admit(members); r != nil && !p.finished(s) {
		return Plan{}, r
	}
	return p, nil
}

func tooFew(nodes, replicas, masters int) *Refusal {
	r := refuse("%s with %s for each master make %s; a cluster needs at least %d, that is %d nodes",
		count(nodes, "node"), count(replicas, "replica"), count(masters, "master"), minMasters, minMasters*(replicas+1))
	r.Hint = "name more nodes, or ask for fewer replicas"
	return r
}

// candidates are the members behind the addresses, in the addresses' order.
func candidates(s cluster.State, addrs []cluster.Addr) ([]cluster.Member, *Refusal) {
	var members []cluster.Member
	var problems []string
	byID := make(map[cluster.NodeID]cluster.Addr)
	for _, addr := range addrs {
		m, ok := memberAt(s, addr)
		switch {
		case !ok || !m.Reachable():
			problems = append(problems, fmt.Sprintf("%s does not answer: %s", addr, m.Unreachable))
		case byID[m.ID] != cluster.Addr{}:
			problems = append(problems, fmt.Sprintf("%s and %s are the same node %s", byID[m.ID], addr, m.ID))
		default:
			byID[m.ID] = addr
			members = append(members, m)
		}
	}
	if problems != nil {
		return nil, &Refusal{Reasons: problems}
	}
	return members, nil
}

func memberAt(s cluster.State, addr cluster.Addr) (cluster.Member, bool) {
	for _, m := range s.Members {
		if m.Addr == addr {
			return m, true
		}
	}
	return cluster.Member{}, false
}

// addCreateSteps writes the steps in the order that keeps a kill at any point
// harmless: epochs and slots while the nodes still stand alone (the servers
// refuse SET-CONFIG-EPOCH later, and slots assigned first let the cluster state
// become ok sooner), then the meeting, then the replicas.
func (p *Plan) addCreateSteps(members []cluster.Member, groups []group) {
	for i, m := range members {
		p.Nodes = append(p.Nodes, nodeOf(m))
		p.Steps = append(p.Steps, Step{Action: SetEpoch, Node: m.ID, Epoch: uint64(i + 1)})
	}
	for i, g := range groups {
		p.Steps = append(p.Steps, Step{Action: AssignSlots, Node: g.master.ID, Slots: evenRange(i, len(groups))})
	}
	p.Steps = append(p.Steps, Step{Action: Join})
	for _, g := range groups {
		for _, r := range g.replicas {
			p.Steps = append(p.Steps, Step{Action: Replicate, Node: r.ID, Master: g.master.ID})
		}
	}
}

// evenRange is the i-th of n contiguous ranges that differ by one slot at most.
func evenRange(i, n int) cluster.SlotSet {
	bound := func(i int) int { return (i*cluster.SlotCount + n/2) / n }
	return cluster.NewSlotSet(cluster.SlotRange{First: bound(i), Last: bound(i+1) - 1})
}

func (p *Plan) explainPlacement(groups []group, crowded []string) {
	hosts := make(map[string]bool)
	for _, n := range p.Nodes {
		hosts[n.Addr.Host] = true
	}
	p.Reasons = append(p.Reasons, fmt.Sprintf("%d masters over %s, each with %s",
		len(groups), count(len(hosts), "host"), replicaCounts(groups)))
	if len(hosts) == 1 {
		p.Warnings = append(p.Warnings, "all nodes are on one host: the cluster does not survive its failure")
		return
	}
	if len(crowded) == 0 && len(groups[0].replicas) > 0 {
		p.Reasons = append(p.Reasons, "no replica shares a host with its master or with another replica of it")
	}
	p.Warnings = append(p.Warnings, crowded...)
}

func replicaCounts(groups []group) string {
	least, most := len(groups[0].replicas), len(groups[0].replicas)
	for _, g := range groups {
		least, most = min(least, len(g.replicas)), max(most, len(g.replicas))
	}
	if least == most {
		return count(least, "replica")
	}
	return fmt.Sprintf("%d or %s", least, count(most, "replica"))
}

// count is "1 host" or "3 hosts".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func (p Plan) createFingerprint() string {
	facts := []string{string(p.Kind)}
	for _, n := range p.Nodes {
		facts = append(facts, fmt.Sprintf("%s %s", n.ID, n.Addr))
	}
	return fingerprint(facts)
}

// finished reports whether the cluster of this plan stands already; it may hold
// anything then.
func (p Plan) finished(s cluster.State) bool {
	for _, step := range p.Steps {
		if status, _ := p.judge(step, s); status != Done {
			return false
		}
	}
	return true
}

// admit refuses nodes that hold anything which this very plan did not put
// there.
func (p Plan) admit(members []cluster.Member) *Refusal {
	var problems []string
	for _, m := range members {
		for _, problem := range p.obstacles(m) {
			problems = append(problems, fmt.Sprintf("%s %s", m.Addr, problem))
		}
	}
	if problems == nil {
		return nil
	}
	return &Refusal{
		Reasons: problems,
		Hint:    "a node must be empty: FLUSHALL and CLUSTER RESET make it so, and destroy what it holds",
	}
}

func (p Plan) obstacles(m cluster.Member) []string {
	var problems []string
	self := m.View.Self()
	for _, db := range m.Keyspace {
		if db.Keys > 0 {
			problems = append(problems, fmt.Sprintf("holds %d keys in database %d", db.Keys, db.DB))
		}
	}
	if m.Functions > 0 {
		problems = append(problems, fmt.Sprintf("has %d functions", m.Functions))
	}
	if want := p.slotsOf(m.ID); !self.Slots.Empty() && !self.Slots.Equal(want) {
		problems = append(problems, fmt.Sprintf("already has slots %s", self.Slots))
	}
	if len(self.Migrating)+len(self.Importing) > 0 {
		problems = append(problems, "has open slots")
	}
	if self.MasterID != "" && self.MasterID != p.masterOf(m.ID) {
		problems = append(problems, fmt.Sprintf("is a replica of %s", self.MasterID))
	}
	if n := p.strangers(m.View); n > 0 {
		problems = append(problems, fmt.Sprintf("already knows %d other nodes", n))
	}
	return problems
}

// strangers counts the nodes in a view that the plan does not name. A node in
// handshake has a made-up id and is recognised by its address.
func (p Plan) strangers(v cluster.View) int {
	count := 0
	for _, n := range v.Nodes {
		known := slices.ContainsFunc(p.Nodes, func(k Node) bool {
			return k.ID == n.ID || n.Flags.Has(cluster.FlagHandshake) && k.Addr == n.Addr
		})
		if !known && !n.Flags.Has(cluster.FlagMyself) {
			count++
		}
	}
	return count
}

func (p Plan) slotsOf(id cluster.NodeID) cluster.SlotSet {
	for _, s := range p.Steps {
		if s.Action == AssignSlots && s.Node == id {
			return s.Slots
		}
	}
	return cluster.SlotSet{}
}

func (p Plan) masterOf(id cluster.NodeID) cluster.NodeID {
	for _, s := range p.Steps {
		if s.Action == Replicate && s.Node == id {
			return s.Master
		}
	}
	return ""
}
