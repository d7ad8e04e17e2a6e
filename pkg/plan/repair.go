package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// OrphanPolicy says what becomes of replicas whose master is gone for good.
type OrphanPolicy string

// Orphans are left alone, or follow another master and drop the data they have.
const (
	OrphansKeep  OrphanPolicy = "keep"
	OrphansReuse OrphanPolicy = "reuse"
)

// OrphanPolicies are all of them.
func OrphanPolicies() []OrphanPolicy { return []OrphanPolicy{OrphansKeep, OrphansReuse} }

// TopologyOptions decide what can cost data, or is a matter of taste. The zero
// value decides nothing.
type TopologyOptions struct {
	Takeover       bool         // replicas of dead masters take over without a vote where no majority is left, and with data too old to be elected
	TakeFromDead   bool         // slots of dead masters without a usable replica go to others, without their keys
	Orphans        OrphanPolicy // default OrphansKeep
	SpreadReplicas bool         // masters without a replica get a spare one
}

func topologyCodes() []health.Code {
	return []health.Code{
		health.Unreachable, health.QuorumLost, health.HalfForgotten, health.Handshake, health.EpochCollision, health.Disagreement,
		health.ReplicaOfReplica, health.Orphaned, health.NoReplica,
	}
}

// Repair plans the next stage of a repair: what must be in order before the rest
// can be judged comes before it. When a stage is done, the rest is planned from
// what the cluster has become. First somebody has to own what dead masters own;
// then all must know each other, or keys and claims would be overlooked; then
// slots and keys find their owners. An epoch makes claims win: it is raised only
// where nobody else makes the same ones. Replicas come last, when it is known
// whose data count.
//
// A plan without steps means that nothing is left to repair but what comes with
// it. s must have keys counted as by observe.ForHeal.
func Repair(s cluster.State, o HealOptions) (Plan, []Undecided) {
	if u, lone := stranded(s); lone {
		return Plan{Version: Version, Kind: KindFix}, []Undecided{u}
	}
	var left []Undecided
	for _, stage := range []func(cluster.State, HealOptions) (Plan, []Undecided){
		healOwners, healAcquaintance, healGhosts, healClaims, Heal, healEpochs, healReplicas,
	} {
		p, more := stage(s, o)
		left = told(left, more)
		if len(p.Steps) > 0 {
			p.Warnings = append(p.Warnings, unformed(s, p)...)
			return p, left
		}
	}
	return Plan{Version: Version, Kind: KindFix}, left
}

// stranded is a node that belongs to no cluster: to give it all slots would be
// to form one.
func stranded(s cluster.State) (Undecided, bool) {
	if len(s.Members) != 1 || !s.Members[0].Slots().Empty() {
		return Undecided{}, false
	}
	return Undecided{
		Code: health.Uncovered, Slots: cluster.AllSlots(),
		Text: fmt.Sprintf("%s knows nobody and owns nothing: trib create forms a cluster, trib add-node takes it into one; name another node of the cluster if there is one", s.Members[0].Addr),
	}, true
}

// unformed warns where slots are given away in a cluster without any key: whoever
// forms it may have been stopped.
func unformed(s cluster.State, p Plan) []string {
	claims := slices.ContainsFunc(p.Steps, func(step Step) bool { return step.Action == ClaimSlots })
	if !claims || slices.ContainsFunc(s.Members, func(m cluster.Member) bool { return !m.Reachable() || m.Keys() > 0 }) {
		return nil
	}
	return []string{"no node has a key: a trib create that was interrupted is finished by the same command instead, with all its nodes"}
}

// told adds what a later stage leaves to what earlier ones do, without slots
// that have been spoken of.
func told(left, more []Undecided) []Undecided {
	var known cluster.SlotSet
	for _, u := range left {
		known = known.Union(u.Slots)
	}
	for _, u := range more {
		rest := u.Slots.Minus(known)
		if u.Slots.Empty() || !rest.Empty() {
			u.Slots = rest
			left = append(left, u)
		}
	}
	return left
}

// wantsAny reports whether any of these kinds is to be repaired. What is not
// about slots is left alone where only some slots are.
func (o HealOptions) wantsAny(codes ...health.Code) bool {
	return len(o.Only) == 0 || slices.ContainsFunc(codes, func(c health.Code) bool { return slices.Contains(o.Only, c) })
}

// stage is a plan in the making: a stage of a repair deals with all that answer.
func stage(s cluster.State) Plan {
	p := Plan{Version: Version, Kind: KindFix}
	p.enlist(others(s)...)
	return p
}
