package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Zones name the failure zone of hosts. A host that is not among them is a zone
// of its own.
type Zones map[string]string

func (z Zones) of(m cluster.Member) string {
	if zone := z[m.Addr.Host]; zone != "" {
		return "in zone " + zone
	}
	return "on host " + m.Addr.Host
}

// family is a master with the replicas that it has or is to have.
type family struct {
	master   cluster.Member
	zone     string
	replicas []string // their zones
}

// families are the masters that may get replicas, with those they have: of
// masters without slots only where no other is. Left out are nodes that leave,
// and replicas that are looking for a master.
func families(s cluster.State, z Zones, except ...cluster.NodeID) []family {
	masters := slices.DeleteFunc(s.Masters(), func(m cluster.Member) bool { return slices.Contains(except, m.ID) })
	if slices.ContainsFunc(masters, ownsSlots) {
		masters = slices.DeleteFunc(masters, func(m cluster.Member) bool { return !ownsSlots(m) })
	}
	out := make([]family, len(masters))
	for i, m := range masters {
		out[i] = family{master: m, zone: z.of(m)}
		for _, r := range s.ReplicasOf(m.ID) {
			if !slices.Contains(except, r.ID) {
				out[i].replicas = append(out[i].replicas, z.of(r))
			}
		}
	}
	return out
}

func ownsSlots(m cluster.Member) bool { return !m.Slots().Empty() }

// companyOfMaster outweighs the company of any number of siblings.
const companyOfMaster = 1 << 20

// company is how unwelcome a zone is in a family: that of its master is worse
// than any number of siblings.
func (f family) company(zone string) int {
	if f.zone == zone {
		return companyOfMaster
	}
	n := 0
	for _, r := range f.replicas {
		if r == zone {
			n++
		}
	}
	return n
}

// adopt finds a master for each replica: the one with the fewest replicas, of
// these one that lives elsewhere, of these the one with most slots. Replicas
// then change places while that brings more of them away from their masters
// and siblings. It returns an index of families for each replica.
func adopt(families []family, replicas []cluster.Member, z Zones) []int {
	chosen := make([]int, len(replicas))
	for i, r := range replicas {
		zone := z.of(r)
		best := 0
		for f := range families {
			if families[f].needs(zone, families[best]) {
				best = f
			}
		}
		chosen[i] = best
		families[best].replicas = append(families[best].replicas, zone)
	}
	for improved := true; improved; {
		improved = exchange(families, replicas, chosen, z)
	}
	return chosen
}

// needs reports whether f needs a replica from zone more than other does.
func (f family) needs(zone string, other family) bool {
	switch a, b := len(f.replicas), len(other.replicas); {
	case a != b:
		return a < b
	case f.company(zone) != other.company(zone):
		return f.company(zone) < other.company(zone)
	}
	return f.master.Slots().Len() > other.master.Slots().Len()
}

// exchange lets the first two replicas that gain by it change places, or else
// the first one that does move to a family that is smaller.
func exchange(families []family, replicas []cluster.Member, chosen []int, z Zones) bool {
	for i, r := range replicas {
		for j := range i {
			a, b := &families[chosen[i]], &families[chosen[j]]
			if a != b && swap(a, b, z.of(r), z.of(replicas[j])) {
				chosen[i], chosen[j] = chosen[j], chosen[i]
				return true
			}
		}
		for f := range families {
			if move(&families[chosen[i]], &families[f], z.of(r)) {
				chosen[i] = f
				return true
			}
		}
	}
	return false
}

// swap lets replicas from two zones change places if that is better.
func swap(a, b *family, fromA, fromB string) bool {
	restA, restB := a.without(fromA), b.without(fromB)
	before := restA.company(fromA) + restB.company(fromB)
	if restA.company(fromB)+restB.company(fromA) >= before {
		return false
	}
	*a, *b = restA.with(fromB), restB.with(fromA)
	return true
}

// move lets a replica go to a smaller family if that is better.
func move(from, to *family, zone string) bool {
	rest := from.without(zone)
	if len(to.replicas) > len(rest.replicas) || from == to || to.company(zone) >= rest.company(zone) {
		return false
	}
	*from, *to = rest, to.with(zone)
	return true
}

func (f family) without(zone string) family {
	i := slices.Index(f.replicas, zone)
	f.replicas = slices.Delete(slices.Clone(f.replicas), i, i+1)
	return f
}

func (f family) with(zone string) family {
	f.replicas = append(slices.Clone(f.replicas), zone)
	return f
}

// settle plans masters for replicas and says why these.
func (p *Plan) settle(families []family, replicas []cluster.Member, z Zones, step func(replica, master cluster.Member)) {
	had := make([]int, len(families))
	for i, f := range families {
		had[i] = len(f.replicas)
	}
	for i, f := range adopt(families, replicas, z) {
		r, m := replicas[i], families[f].master
		step(r, m)
		need := "which has no replica"
		if had[f] > 0 {
			need = fmt.Sprintf("which has %s; no master is left with fewer", count(had[f], "replica"))
		}
		had[f]++
		p.Reasons = append(p.Reasons, fmt.Sprintf("%s replicates %s, %s", r.Addr, m.Addr, need))
		p.neighbours(families[f], r, z)
	}
}

// neighbours says whom a replica shares its zone with.
func (p *Plan) neighbours(f family, r cluster.Member, z Zones) {
	zone := z.of(r)
	switch n := f.without(zone).company(zone); {
	case n == companyOfMaster:
		p.Warnings = append(p.Warnings, fmt.Sprintf("replica %s and its master %s are both %s", r.Addr, f.master.Addr, zone))
	case n > 0:
		p.Warnings = append(p.Warnings, fmt.Sprintf("replica %s and another replica of %s are both %s", r.Addr, f.master.Addr, zone))
	default:
		p.Reasons = append(p.Reasons, fmt.Sprintf("%s is %s, its master %s %s", r.Addr, zone, f.master.Addr, f.zone))
	}
}
