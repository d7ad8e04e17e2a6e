package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// AddNodeOptions are the wishes for nodes that are to join a cluster.
type AddNodeOptions struct {
	New     []cluster.NodeID // nodes of the state, whether the cluster knows them or not
	Replica bool             // they become replicas, not masters without slots
	Master  cluster.NodeID   // of the replicas; where it is empty, whoever needs one most
	Zones   Zones
}

// AddNode plans that nodes join the cluster of the other nodes in s. A node must
// be empty and belong to no other cluster; one that is a member already is
// taken as far as it has come, so that an add-node that was killed is finished
// by planning it again.
//
// A node meets the others before it is given their functions: so functions on
// a node that has met nobody are known to be its own.
func AddNode(s cluster.State, o AddNodeOptions) (Plan, error) {
	p := Plan{Version: Version, Kind: KindAddNode}
	old := others(s, o.New...)
	p.enlist(old...)
	if r := p.admitNew(s, o, old); r != nil {
		return Plan{}, r
	}
	p.enlist(o.members(s)...)
	for _, m := range o.members(s) {
		p.Steps = append(p.Steps, Step{Action: Meet, Node: m.ID})
		if len(Knowing(s, m.ID)) > 0 {
			p.Reasons = append(p.Reasons, fmt.Sprintf("%s is a member already", m.Addr))
		}
	}
	if !o.Replica {
		p.copyFunctions(o.members(s), old)
	} else if r := p.addParents(s, o); r != nil {
		return Plan{}, r
	}
	p.compare(o.members(s), old)
	p.unintroduced(s)
	return p.stamp(), nil
}

func (o AddNodeOptions) members(s cluster.State) []cluster.Member {
	out := make([]cluster.Member, len(o.New))
	for i, id := range o.New {
		out[i], _ = s.Get(id)
	}
	return out
}

// admitNew refuses nodes that cannot join, and a cluster that is none.
func (p *Plan) admitNew(s cluster.State, o AddNodeOptions, old []cluster.Member) *Refusal {
	if !slices.ContainsFunc(old, func(m cluster.Member) bool { return !slotsSeen(s, m.ID).Empty() }) {
		r := refuse("%s belongs to no cluster: nobody that it knows has slots", addrs(old))
		r.Hint = "trib create forms a cluster"
		return r
	}
	r := &Refusal{}
	for _, m := range o.members(s) {
		var problems []string
		switch {
		case !m.Reachable():
			problems = []string{"does not answer: " + m.Unreachable}
		case len(Knowing(s, m.ID)) > 0:
			problems = unfitMember(m, o)
		default:
			if problems = burdens(s, m); problems != nil {
				r.Hint = "a new node must be empty: FLUSHALL, FUNCTION FLUSH and CLUSTER RESET make it so, and destroy what it holds"
			}
			problems = append(problems, unlike(m, old)...)
		}
		for _, problem := range problems {
			r.Reasons = append(r.Reasons, fmt.Sprintf("%s: %s", m.Addr, problem))
		}
	}
	if r.Reasons == nil {
		return nil
	}
	return r
}

// unfitMember is what keeps a member from getting the role that is wished for.
func unfitMember(m cluster.Member, o AddNodeOptions) []string {
	self := m.View.Self()
	switch {
	case !o.Replica, self.MasterID != "" && (o.Master == "" || o.Master == self.MasterID):
		return nil
	case self.MasterID != "":
		return []string{fmt.Sprintf("is a member already, and a replica of %s; trib replicate changes that", self.MasterID)}
	case !self.Slots.Empty():
		return []string{fmt.Sprintf("is a member already, and a master with slots %s", self.Slots)}
	case m.Keys() > 0:
		return []string{fmt.Sprintf("is a member already, and a master with %s", count(int(m.Keys()), "key"))}
	}
	return nil
}

// burdens are what a node must not bring along. What a replica of a member has
// is the member's: the others have only dropped the replica.
func burdens(s cluster.State, m cluster.Member) []string {
	var problems []string
	self := m.View.Self()
	_, ours := s.Get(self.MasterID)
	for _, db := range m.Keyspace {
		if db.Keys > 0 && !ours {
			problems = append(problems, fmt.Sprintf("holds %s in database %d", count(int(db.Keys), "key"), db.DB))
		}
	}
	if m.Functions > 0 && !ours {
		problems = append(problems, fmt.Sprintf("node already contains functions (%d of them)", m.Functions))
	}
	if !self.Slots.Empty() {
		problems = append(problems, fmt.Sprintf("already has slots %s, which it would take from their owners", self.Slots))
	}
	if len(self.Migrating)+len(self.Importing) > 0 {
		problems = append(problems, "has open slots")
	}
	if self.MasterID != "" && !ours {
		problems = append(problems, fmt.Sprintf("is a replica of %s", self.MasterID))
	}
	if n := foreigners(s, m.View); n > 0 {
		problems = append(problems, fmt.Sprintf("knows %s that this cluster does not: it belongs to another cluster", count(n, "node")))
	}
	return problems
}

// foreigners counts the nodes in a view that the state does not know. A node in
// handshake has a made-up id and is recognised by its address.
func foreigners(s cluster.State, v cluster.View) int {
	n := 0
	for _, k := range v.Nodes {
		known := slices.ContainsFunc(s.Members, func(m cluster.Member) bool {
			return m.ID == k.ID || k.Flags.Has(cluster.FlagHandshake) && m.Addr == k.Addr
		})
		if !known && !k.Flags.Has(cluster.FlagMyself) {
			n++
		}
	}
	return n
}

// unlike is what makes a server unable to hold what the cluster's hold.
func unlike(m cluster.Member, old []cluster.Member) []string {
	var problems []string
	for _, k := range old {
		if len(k.Databases) != len(m.Databases) {
			problems = append(problems, fmt.Sprintf("has cluster-databases %d, %s has %d", len(m.Databases), k.Addr, len(k.Databases)))
			break
		}
	}
	if source, ok := withFunctions(old); ok && m.Server.Flavor == "redis" && !m.Server.AtLeast("redis", 7, 0) {
		problems = append(problems, fmt.Sprintf("runs %s, which has no functions; %s has %d", m.Server, source.Addr, source.Functions))
	}
	return problems
}

// withFunctions is the master with the most functions.
func withFunctions(members []cluster.Member) (cluster.Member, bool) {
	var best cluster.Member
	for _, m := range members {
		if m.IsMaster() && m.Functions > best.Functions {
			best = m
		}
	}
	return best, best.Functions > 0
}

// copyFunctions is for masters: replicas get them with everything else.
func (p *Plan) copyFunctions(newcomers, old []cluster.Member) {
	source, ok := withFunctions(old)
	if !ok {
		return
	}
	for _, m := range newcomers {
		if m.View.Self().MasterID == "" && m.Functions == 0 {
			p.Steps = append(p.Steps, Step{Action: CopyFunctions, Node: m.ID, From: source.ID})
			p.Reasons = append(p.Reasons, fmt.Sprintf("%s gets the %s of %s", m.Addr, count(int(source.Functions), "function"), source.Addr))
		}
	}
}

// addParents finds masters for those that have none yet.
func (p *Plan) addParents(s cluster.State, o AddNodeOptions) *Refusal {
	follow := func(replica, master cluster.Member) {
		p.Steps = append(p.Steps, Step{Action: Replicate, Node: replica.ID, Master: master.ID})
	}
	var orphans []cluster.Member
	for _, m := range o.members(s) {
		if master, ok := s.Get(m.View.Self().MasterID); ok && (o.Master == "" || o.Master == master.ID) {
			follow(m, master)
		} else {
			orphans = append(orphans, m)
		}
	}
	all := families(s, o.Zones, o.New...)
	if o.Master == "" {
		if len(all) == 0 {
			return refuse("no master of the cluster answers")
		}
		p.settle(all, orphans, o.Zones, follow)
		return nil
	}
	master, ok := s.Get(o.Master)
	if r := unfitParent(master, ok, o.Master); r != nil {
		return r
	}
	f := family{master: master, zone: o.Zones.of(master)}
	for _, r := range s.ReplicasOf(o.Master) {
		f.replicas = append(f.replicas, o.Zones.of(r))
	}
	for _, m := range orphans {
		follow(m, master)
		f.replicas = append(f.replicas, o.Zones.of(m))
		p.neighbours(f, m, o.Zones)
	}
	return nil
}

// unfitParent refuses a master that is none.
func unfitParent(m cluster.Member, known bool, id cluster.NodeID) *Refusal {
	switch {
	case !known:
		return refuse("there is no node %s", id)
	case !m.Reachable():
		return refuse("%s does not answer: %s", m.Addr, m.Unreachable)
	case !m.IsMaster():
		r := refuse("%s is a replica itself, of %s", m.Addr, m.View.Self().MasterID)
		r.Hint = "name its master"
		return r
	}
	return nil
}

// compare warns of servers that differ.
func (p *Plan) compare(newcomers, old []cluster.Member) {
	var servers []string
	for _, m := range old {
		if text := m.Server.String(); !slices.Contains(servers, text) {
			servers = append(servers, text)
		}
	}
	for _, m := range newcomers {
		if text := m.Server.String(); !slices.Contains(servers, text) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s runs %s, the cluster %s: keys and replicas only go to servers that are as new",
				m.Addr, text, servers[0]))
		}
	}
}

// unintroduced warns of members that cannot be told of the new ones.
func (p *Plan) unintroduced(s cluster.State) {
	for _, m := range s.Unreachable() {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s does not answer and will hear of the new members from the others", m.Addr))
	}
}
