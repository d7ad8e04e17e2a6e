package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// group is a master with its replicas.
type group struct {
	master   cluster.Member
	replicas []cluster.Member
	wished   int // how many of the replicas, the first ones, were wished for
}

// cast is who is what by the wishes, and who is left.
type cast struct {
	zones   map[string]string // by host; empty where there are none
	masters []group           // with the replicas that were wished for
	free    []cluster.Member
}

func newCast(members []cluster.Member, o CreateOptions) cast {
	c := cast{zones: o.Zones}
	seat := make(map[cluster.Addr]int)
	for i, addr := range o.namedMasters() {
		seat[addr] = i
		c.masters = append(c.masters, group{})
	}
	for _, m := range members {
		g, isMaster := seat[m.Addr]
		master, isReplica := o.ReplicaOf[m.Addr]
		switch {
		case isMaster:
			c.masters[g].master = m
		case isReplica:
			g := &c.masters[seat[master]]
			g.replicas = append(g.replicas, m)
			g.wished++
		default:
			c.free = append(c.free, m)
		}
	}
	return c
}

// zoned reports whether there are zones to keep apart: one is as good as none.
func (c cast) zoned() bool {
	first := ""
	for _, zone := range c.zones {
		if first != "" && zone != first {
			return true
		}
		first = zone
	}
	return false
}

func (c cast) host(m cluster.Member) string { return m.Addr.Host }
func (c cast) zone(m cluster.Member) string { return c.zones[m.Addr.Host] }

// place chooses masters and gives each its replicas.
//
// Zones take turns, and in each zone the hosts, so that the masters, which come
// first, are spread as widely as the places allow. The others are seated at the
// least cost. Where a host or a zone has more replicas to give than masters
// elsewhere can take, the fewer masters it has, the more of its replicas fit:
// then it is tried, too, what comes of it when places with few nodes go first.
func place(members []cluster.Member, o CreateOptions, masters int) []group {
	c := newCast(members, o)
	groups := c.seat(c.deal(c.free), masters)
	best := c.crowd(groups)
	if len(best.hostOfMaster)+len(best.zoneOfMaster) == 0 {
		return groups
	}
	tried := map[string]bool{c.shape(groups): true}
	byHost, byZone := fewestFirst(c.free, c.host), fewestFirst(c.free, c.zone)
	for _, free := range [][]cluster.Member{byZone, byHost, fewestFirst(byHost, c.zone), fewestFirst(byZone, c.host)} {
		dealt := c.deal(free)
		if shape := c.shape(c.headed(dealt, masters)); !tried[shape] {
			tried[shape] = true
			other := c.seat(dealt, masters)
			if crowd := c.crowd(other); crowd.cost() < best.cost() {
				groups, best = other, crowd
			}
		}
	}
	return groups
}

// shape is what the cost of a choice of masters depends on: how many nodes and
// masters the hosts of each zone have. Where there are wishes it depends on the
// hosts themselves.
func (c cast) shape(groups []group) string {
	nodes, masters := tally(c.free, c.host), make(map[string]int)
	for _, g := range groups {
		masters[c.host(g.master)]++
	}
	var hosts []string
	for host, n := range nodes {
		kind := fmt.Sprintf("%s %d %d", c.zones[host], n, masters[host])
		if len(c.masters) > 0 {
			kind += " " + host
		}
		hosts = append(hosts, kind)
	}
	slices.Sort(hosts)
	return strings.Join(hosts, "\n")
}

// headed are the groups with their masters, the first of those dealt where none
// are named, and the replicas that were wished for.
func (c cast) headed(dealt []cluster.Member, masters int) []group {
	groups := make([]group, masters)
	for i := range groups {
		if i < len(c.masters) {
			g := c.masters[i]
			groups[i] = group{g.master, slices.Clone(g.replicas), g.wished}
		} else {
			groups[i].master = dealt[i-len(c.masters)]
		}
	}
	return groups
}

// seat gives the replicas among those dealt their masters.
func (c cast) seat(dealt []cluster.Member, masters int) []group {
	groups := c.headed(dealt, masters)
	s := newSeating(c, groups, dealt[masters-len(c.masters):])
	s.fill(groups)
	return groups
}

// deal orders nodes so that zones take turns, and the hosts within each zone.
// Places that have masters already wait.
func (c cast) deal(free []cluster.Member) []cluster.Member {
	return c.turns(c.turns(free, c.host), c.zone)
}

func (c cast) turns(members []cluster.Member, place func(cluster.Member) string) []cluster.Member {
	taken := make(map[string]int)
	for _, g := range c.masters {
		taken[place(g.master)]++
	}
	turn := make(map[cluster.NodeID]int)
	first := make(map[string]int)
	for i, m := range members {
		p := place(m)
		if _, seen := first[p]; !seen {
			first[p] = i
		}
		turn[m.ID] = taken[p]
		taken[p]++
	}
	return slices.SortedStableFunc(slices.Values(members), func(a, b cluster.Member) int {
		return cmp.Or(cmp.Compare(turn[a.ID], turn[b.ID]), cmp.Compare(first[place(a)], first[place(b)]))
	})
}

// fewestFirst orders members so that places with few of them come first.
func fewestFirst(members []cluster.Member, place func(cluster.Member) string) []cluster.Member {
	nodes := tally(members, place)
	return slices.SortedStableFunc(slices.Values(members), func(a, b cluster.Member) int {
		return cmp.Compare(nodes[place(a)], nodes[place(b)])
	})
}

func tally(members []cluster.Member, place func(cluster.Member) string) map[string]int {
	nodes := make(map[string]int)
	for _, m := range members {
		nodes[place(m)]++
	}
	return nodes
}
