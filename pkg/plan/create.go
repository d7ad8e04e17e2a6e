package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Create plans a cluster of the nodes in s, which must hold what each of the
// addresses answered. Masters are spread over zones and then over hosts.
// Replicas are kept away from their master's host and zone and from each
// other's as far as these masters allow, in this order, and the plan says what
// could not be had. The slots are divided in contiguous ranges.
//
// The same addresses in the same order and the same wishes always give the same
// plan. So a create that was killed is finished by calling it again: a node that
// already has the slots, the peers or the master that this plan gives it is
// accepted, and its steps count as done. Any other node that is not fresh is
// refused.
func Create(s cluster.State, o CreateOptions) (Plan, error) {
	if err := o.Check(); err != nil {
		return Plan{}, err
	}
	members, refusal := candidates(s, o.Addrs)
	if refusal != nil {
		return Plan{}, refusal
	}
	groups := place(members, o, o.masters())
	p := Plan{Version: Version, Kind: KindCreate, Cost: Cost{Slots: cluster.SlotCount}}
	p.addCreateSteps(members, groups, o)
	p.explain(groups, o)
	p.Fingerprint = p.createFingerprint()
	if p.finished(s) {
		return p, nil
	}
	warnings, refusal := mixed(members, groups)
	p.Warnings = append(p.Warnings, warnings...)
	if refusal == nil {
		refusal = p.admit(members)
	}
	if refusal != nil {
		return Plan{}, refusal
	}
	return p, nil
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
func (p *Plan) addCreateSteps(members []cluster.Member, groups []group, o CreateOptions) {
	epochs := firstEpochs(members, groups)
	for _, m := range members {
		p.Nodes = append(p.Nodes, Node{ID: m.ID, Addr: m.Addr, Zone: o.Zones[m.Addr.Host]})
		p.Steps = append(p.Steps, Step{Action: SetEpoch, Node: m.ID, Epoch: epochs[m.ID]})
	}
	masters := make([]cluster.Addr, len(groups))
	for i, g := range groups {
		masters[i] = g.master.Addr
	}
	for i, slots := range o.share(masters) {
		p.Steps = append(p.Steps, Step{Action: AssignSlots, Node: groups[i].master.ID, Slots: slots})
	}
	p.Steps = append(p.Steps, Step{Action: Join})
	for _, g := range groups {
		for _, r := range g.replicas {
			p.Steps = append(p.Steps, Step{Action: Replicate, Node: r.ID, Master: g.master.ID})
		}
	}
}

// firstEpochs are the epochs that nodes begin with: each its own, since masters
// that shared one would take new ones when they meet, and that of a replica below
// its master's. From a replica its master's epoch is heard, and Valkey 9 takes what
// a node says for stale, and it for a master for ever, once it had a higher one.
func firstEpochs(members []cluster.Member, groups []group) map[cluster.NodeID]uint64 {
	epochs := make(map[cluster.NodeID]uint64, len(members))
	last := uint64(len(members) - len(groups))
	for _, g := range groups {
		last++
		epochs[g.master.ID] = last
	}
	next := uint64(0)
	for _, m := range members {
		if epochs[m.ID] == 0 {
			next++
			epochs[m.ID] = next
		}
	}
	return epochs
}

// createFingerprint covers the steps: whatever wish shapes the plan shows there.
func (p Plan) createFingerprint() string {
	facts := []string{string(p.Kind)}
	for _, n := range p.Nodes {
		facts = append(facts, fmt.Sprintf("%s %s %s", n.ID, n.Addr, n.Zone))
	}
	for _, s := range p.Steps {
		facts = append(facts, fmt.Sprintf("%s %s %d %s %s", s.Action, s.Node, s.Epoch, s.Master, s.Slots))
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
		Hint: "a node must be empty: FLUSHALL and CLUSTER RESET make it so, and destroy what it holds; " +
			"a create that was interrupted is finished with the nodes and options that it was begun with",
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
	if len(v.Nodes) == 1 {
		return 0
	}
	ids, addrs := make(map[cluster.NodeID]bool), make(map[cluster.Addr]bool)
	for _, n := range p.Nodes {
		ids[n.ID], addrs[n.Addr] = true, true
	}
	count := 0
	for _, n := range v.Nodes {
		known := ids[n.ID] || n.Flags.Has(cluster.FlagHandshake) && addrs[n.Addr]
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
