package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// group is a master with its replicas.
type group struct {
	master   cluster.Member
	replicas []cluster.Member
}

// place chooses masters and gives each its replicas. It returns a sentence for
// every replica that had to share a host with its master or with a sibling.
//
// The nodes are dealt host by host, so that the masters, which come first, are
// spread as widely as the hosts allow. The others are seated so that as few as
// possible are with their master and then as few as possible with a sibling.
func place(members []cluster.Member, masters int) ([]group, []string) {
	dealt := dealByHost(members)
	if overfull(dealt, masters) {
		dealt = dealByHost(fewestFirst(members))
	}
	groups := make([]group, masters)
	for i := range groups {
		groups[i].master = dealt[i]
	}
	s := newSeating(groups, dealt[masters:])
	s.fill(groups)
	return groups, crowding(groups)
}

// dealByHost orders members so that hosts take turns, in the order in which
// they first appear.
func dealByHost(members []cluster.Member) []cluster.Member {
	var hosts []string
	byHost := make(map[string][]cluster.Member)
	for _, m := range members {
		if byHost[m.Addr.Host] == nil {
			hosts = append(hosts, m.Addr.Host)
		}
		byHost[m.Addr.Host] = append(byHost[m.Addr.Host], m)
	}
	var dealt []cluster.Member
	for len(dealt) < len(members) {
		for _, h := range hosts {
			if nodes := byHost[h]; len(nodes) > 0 {
				dealt = append(dealt, nodes[0])
				byHost[h] = nodes[1:]
			}
		}
	}
	return dealt
}

// overfull reports whether a host has more replicas to give than the masters
// elsewhere can take. The fewer masters a host has, the more of them fit.
func overfull(dealt []cluster.Member, masters int) bool {
	least, spare := (len(dealt)-masters)/masters, (len(dealt)-masters)%masters
	own, give := perHost(dealt[:masters]), perHost(dealt[masters:])
	for host, n := range give {
		elsewhere := masters - own[host]
		if n > least*elsewhere+min(spare, elsewhere) {
			return true
		}
	}
	return false
}

// fewestFirst orders members so that hosts with few of them come first.
func fewestFirst(members []cluster.Member) []cluster.Member {
	nodes := perHost(members)
	return slices.SortedStableFunc(slices.Values(members), func(a, b cluster.Member) int {
		return cmp.Compare(nodes[a.Addr.Host], nodes[b.Addr.Host])
	})
}

func perHost(members []cluster.Member) map[string]int {
	nodes := make(map[string]int)
	for _, m := range members {
		nodes[m.Addr.Host]++
	}
	return nodes
}

// closeness is the worst company that a replica would find in a group.
type closeness int

const (
	apart closeness = iota
	withSibling
	withMaster
)

func (g group) closeness(host string) closeness {
	if g.master.Addr.Host == host {
		return withMaster
	}
	if slices.ContainsFunc(g.replicas, func(r cluster.Member) bool { return r.Addr.Host == host }) {
		return withSibling
	}
	return apart
}

func crowding(groups []group) []string {
	var out []string
	for _, g := range groups {
		for i, r := range g.replicas {
			switch (group{g.master, g.replicas[:i]}).closeness(r.Addr.Host) {
			case withMaster:
				out = append(out, fmt.Sprintf("replica %s is on the same host as its master %s", r.Addr, g.master.Addr))
			case withSibling:
				out = append(out, fmt.Sprintf("replica %s is on the same host as another replica of %s", r.Addr, g.master.Addr))
			}
		}
	}
	return out
}
