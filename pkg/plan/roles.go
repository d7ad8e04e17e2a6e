package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// ReparentOptions are the wishes for a node that is to follow a master.
type ReparentOptions struct {
	Node, Master cluster.NodeID
	Zones        Zones
}

// Reparent plans that a node without slots and keys of its own becomes a
// replica, or a replica changes its master.
func Reparent(s cluster.State, o ReparentOptions) (Plan, error) {
	p := Plan{Version: Version, Kind: KindReplicate}
	node, ok := s.Get(o.Node)
	if r := unfitReplica(s, node, ok, o); r != nil {
		return Plan{}, r
	}
	master, ok := s.Get(o.Master)
	if r := unfitParent(master, ok, o.Master); r != nil {
		return Plan{}, r
	}
	p.enlist(master, node)
	p.Steps = []Step{{Action: Replicate, Node: node.ID, Master: master.ID}}
	if node.View.Self().MasterID != master.ID {
		f := family{master: master, zone: o.Zones.of(master), replicas: []string{o.Zones.of(node)}}
		for _, r := range s.ReplicasOf(master.ID) {
			f.replicas = append(f.replicas, o.Zones.of(r))
		}
		p.neighbours(f, node, o.Zones)
		p.thinOut(s, node)
	}
	for _, r := range s.ReplicasOf(node.ID) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s replicates %s and will follow %s, too", r.Addr, node.Addr, master.Addr))
	}
	return p.stamp(), nil
}

func unfitReplica(s cluster.State, node cluster.Member, known bool, o ReparentOptions) *Refusal {
	switch {
	case !known:
		return refuse("there is no node %s", o.Node)
	case !node.Reachable():
		return refuse("%s does not answer: %s", node.Addr, node.Unreachable)
	case o.Node == o.Master:
		return refuse("%s cannot replicate itself", node.Addr)
	case !node.Slots().Empty():
		r := refuse("%s is a master with %s: %s", node.Addr, count(node.Slots().Len(), "slot"), node.Slots())
		r.Hint = "trib drain moves them away first; trib failover makes one of its replicas the master"
		return r
	case node.IsMaster() && node.Keys() > 0:
		r := refuse("%s is a master with %s, which would be lost", node.Addr, count(int(node.Keys()), "key"))
		r.Hint = "trib check shows where they belong; FLUSHALL on that node discards them"
		return r
	case node.View.Self().MasterID == o.Master:
		return nil
	}
	return lastCopy(s, node)
}

// FailoverMode says how much a failover asks of the others.
type FailoverMode string

// The modes of a failover.
const (
	Graceful FailoverMode = ""         // the master lets the replica catch up and hands over: nothing is lost
	Force    FailoverMode = "force"    // the other masters elect the replica; its master is not asked
	Takeover FailoverMode = "takeover" // nobody is asked
)

// PromoteOptions are the wishes for a replica that is to become the master.
type PromoteOptions struct {
	Node cluster.NodeID
	Mode FailoverMode
}

// Promote plans that a replica takes its master's place. A node that is a
// master is what was wished for.
func Promote(s cluster.State, o PromoteOptions) (Plan, error) {
	p := Plan{Version: Version, Kind: KindFailover}
	node, ok := s.Get(o.Node)
	switch {
	case !ok:
		return Plan{}, refuse("there is no node %s", o.Node)
	case !node.Reachable():
		return Plan{}, refuse("%s does not answer: %s", node.Addr, node.Unreachable)
	case node.IsMaster():
		return p.masterAlready(s, node), nil
	}
	master, _ := s.Get(node.View.Self().MasterID)
	if r := mayFailOver(s, o, node, master); r != nil {
		return Plan{}, r
	}
	p.enlist(node)
	p.enlist(others(s, node.ID)...)
	p.enlist(master)
	p.Steps = []Step{{Action: Failover, Node: node.ID, Master: master.ID, Mode: o.Mode}}
	p.foretellLoss(o.Mode, node, master)
	return p.stamp(), nil
}

func (p Plan) masterAlready(s cluster.State, node cluster.Member) Plan {
	p.enlist(node)
	reason := fmt.Sprintf("%s is a master already, and has no replica", node.Addr)
	if replicas := s.ReplicasOf(node.ID); replicas != nil {
		reason = fmt.Sprintf("%s is a master already; to replace it, name one of its replicas: %s", node.Addr, addrs(replicas))
	}
	p.Reasons = append(p.Reasons, reason)
	return p.stamp()
}

func mayFailOver(s cluster.State, o PromoteOptions, node, master cluster.Member) *Refusal {
	seen, _ := node.View.Get(master.ID)
	down := !master.Reachable() || seen.Flags.Has(cluster.FlagFailed)
	switch {
	case o.Mode == Graceful && down:
		r := refuse("%s, the master of %s, does not answer: it cannot hand over", master.Addr, node.Addr)
		r.Hint = "--force lets the other masters elect the replica, --takeover asks nobody; both lose what the replica has not received"
		return r
	case o.Mode != Takeover && !majority(s, master.ID):
		r := refuse("most masters do not answer: nobody can be elected")
		r.Hint = "--takeover asks nobody; use it only where the masters that do not answer are dead"
		return r
	case !openWith(s, master.ID).Empty():
		r := refuse("slots %s are on their way from or to %s: a failover would leave keys out of sight", openWith(s, master.ID), master.Addr)
		r.Hint = "trib resume finishes these moves first"
		return r
	}
	return nil
}

// majority reports whether most of the masters that own slots answer, the one
// that is replaced counted as silent.
func majority(s cluster.State, replaced cluster.NodeID) bool {
	owners, answer := 0, 0
	for _, m := range s.Members {
		if slotsSeen(s, m.ID).Empty() {
			continue
		}
		owners++
		if m.IsMaster() && m.ID != replaced {
			answer++
		}
	}
	return answer > owners/2
}

// openWith are the slots that move from or to a node. A failover of either end
// makes most servers forget that they do.
func openWith(s cluster.State, id cluster.NodeID) cluster.SlotSet {
	var slots []int
	for _, m := range s.Masters() {
		self := m.View.Self()
		for _, open := range []map[int]cluster.NodeID{self.Migrating, self.Importing} {
			for slot, peer := range open {
				if m.ID == id || peer == id {
					slots = append(slots, slot)
				}
			}
		}
	}
	return cluster.SlotsOf(slots...)
}

func (p *Plan) foretellLoss(mode FailoverMode, node, master cluster.Member) {
	switch mode {
	case Force:
		p.Warnings = append(p.Warnings, fmt.Sprintf("writes that %s has acknowledged and %s has not received are lost", master.Addr, node.Addr))
	case Takeover:
		p.Warnings = append(p.Warnings, fmt.Sprintf("writes that %s has acknowledged and %s has not received are lost, and nobody is asked: if %s or another replica of it is alive beyond a partition, two nodes own the same slots for a while, and one's writes are lost",
			master.Addr, node.Addr, master.Addr))
	}
}
