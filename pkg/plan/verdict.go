package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// autonomous is how many masters a cluster needs to promote a replica by
// itself when one of them fails.
const autonomous = 3

// explain says in words what was had of a good placement, and what could not
// be had and why.
func (p *Plan) explain(groups []group, o CreateOptions) {
	v := verdict{cast: cast{zones: o.Zones}, groups: groups}
	v.crowd = v.cast.crowd(groups)
	for _, g := range groups {
		v.members = append(append(v.members, g.master), g.replicas...)
		v.replicas += len(g.replicas)
	}
	v.hosts, v.zones = tally(v.members, v.cast.host), tally(v.members, v.cast.zone)
	p.Reasons = append(p.Reasons, v.spread())
	p.Reasons = append(p.Reasons, v.had()...)
	p.Warnings = append(p.Warnings, v.fewMasters()...)
	p.Warnings = append(p.Warnings, v.lacked()...)
	p.Warnings = append(p.Warnings, v.majority()...)
}

// verdict is a placement under judgement.
type verdict struct {
	cast         cast
	groups       []group
	crowd        crowd
	members      []cluster.Member
	replicas     int
	hosts, zones map[string]int // nodes by place
}

func (v verdict) spread() string {
	over := count(len(v.hosts), "host")
	if len(v.cast.zones) > 0 {
		over = count(len(v.zones), "zone") + " and " + over
	}
	return fmt.Sprintf("%s over %s, each with %s", count(len(v.groups), "master"), over, replicaCounts(v.groups))
}

func replicaCounts(groups []group) string {
	least, most := len(groups[0].replicas), len(groups[0].replicas)
	for _, g := range groups {
		least, most = min(least, len(g.replicas)), max(most, len(g.replicas))
	}
	switch {
	case least == most:
		return count(least, "replica")
	case most == least+1:
		return fmt.Sprintf("%d or %s", least, count(most, "replica"))
	}
	return fmt.Sprintf("%d to %s", least, count(most, "replica"))
}

// had is the best that can be said of the replicas.
func (v verdict) had() []string {
	best := "host"
	switch {
	case v.replicas == 0, len(v.hosts) == 1, len(v.crowd.hostOfMaster)+len(v.crowd.hostOfSibling) > 0:
		return nil
	case v.cast.zoned() && len(v.crowd.zoneOfMaster)+len(v.crowd.zoneOfSibling) == 0:
		best = "zone"
	}
	return []string{fmt.Sprintf("no replica shares a %s with its master or with another replica of it", best)}
}

func (v verdict) fewMasters() []string {
	if len(v.groups) >= autonomous {
		return nil
	}
	return []string{fmt.Sprintf("with %s no replica takes over by itself when a master fails, since a majority of the masters has to agree; "+
		"that takes %d masters, or CLUSTER FAILOVER TAKEOVER by hand", count(len(v.groups), "master"), autonomous)}
}

// lacked are the wishes for distance that could not be met.
func (v verdict) lacked() []string {
	switch {
	case len(v.members) == 1:
		return nil
	case len(v.hosts) == 1:
		return []string{"all nodes are on one host: the cluster does not survive its failure"}
	}
	var out []string
	if len(v.zones) == 1 && len(v.cast.zones) > 0 {
		out = append(out, "all nodes are in one zone: the cluster does not survive its failure")
	}
	for _, c := range []struct {
		replicas []cluster.Member
		company  string
		place    string
		nodes    map[string]int
		needed   int
	}{
		{v.crowd.hostOfMaster, "the host of their master", "host", v.hosts, 2},
		{v.crowd.zoneOfMaster, "the zone of their master", "zone", v.zones, 2},
		{v.crowd.hostOfSibling, "a host with another replica of their master", "host", v.hosts, v.largest()},
		{v.crowd.zoneOfSibling, "a zone with another replica of their master", "zone", v.zones, v.largest()},
	} {
		if len(c.replicas) > 0 {
			out = append(out, fmt.Sprintf("%d of %s %s %s (%s): %s", len(c.replicas), count(v.replicas, "replica"),
				plural(len(c.replicas), "shares", "share"), c.company, some(c.replicas), v.why(c.replicas, c.place, c.nodes, c.needed)))
		}
	}
	return out
}

// largest is how many nodes a master and its replicas are at most.
func (v verdict) largest() int {
	n := 0
	for _, g := range v.groups {
		n = max(n, len(g.replicas)+1)
	}
	return n
}

// why is what kept replicas together: a wish, too few places, or one that has
// too many of the nodes.
func (v verdict) why(crowded []cluster.Member, place string, nodes map[string]int, needed int) string {
	if v.wished(crowded) {
		return "it was asked for"
	}
	if len(nodes) < needed {
		return fmt.Sprintf("%d nodes would need as many %ss, and there are %d", needed, place, len(nodes))
	}
	heaviest := ""
	for _, name := range sortedKeys(nodes) {
		if nodes[name] > nodes[heaviest] {
			heaviest = name
		}
	}
	return fmt.Sprintf("%s %s holds %d of %d nodes", place, heaviest, nodes[heaviest], len(v.members))
}

func (v verdict) wished(replicas []cluster.Member) bool {
	wished := make(map[cluster.NodeID]bool)
	for _, g := range v.groups {
		for _, r := range g.replicas[:g.wished] {
			wished[r.ID] = true
		}
	}
	return !slices.ContainsFunc(replicas, func(r cluster.Member) bool { return !wished[r.ID] })
}

// majority warns of a place whose failure leaves too few masters to promote
// anybody.
func (v verdict) majority() []string {
	if len(v.groups) < autonomous || v.replicas == 0 {
		return nil
	}
	var masters []cluster.Member
	for _, g := range v.groups {
		masters = append(masters, g.master)
	}
	for _, c := range []struct {
		name   string
		place  func(cluster.Member) string
		places int
	}{{"zone", v.cast.zone, len(v.zones)}, {"host", v.cast.host, len(v.hosts)}} {
		on := tally(masters, c.place)
		for _, place := range sortedKeys(on) {
			if c.places > 1 && len(masters)-on[place] <= len(masters)/2 {
				return []string{fmt.Sprintf("%s %s has %d of %d masters: when it fails, the others are no majority and no replica is promoted",
					c.name, place, on[place], len(masters))}
			}
		}
	}
	return nil
}

// some names a few nodes.
func some(members []cluster.Member) string {
	const few = 3
	var names []string
	for _, m := range members[:min(len(members), few)] {
		names = append(names, m.Addr.String())
	}
	if more := len(members) - few; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// count is "1 host" or "3 hosts".
func count(n int, noun string) string {
	return fmt.Sprintf("%d %s", n, plural(n, noun, noun+"s"))
}
