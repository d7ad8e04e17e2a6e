package plan

import (
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
// spread as widely as the hosts allow. The others are then handed out in
// rounds, one replica for each master in a round, by maximum matching: first
// along pairs where the replica shares its host with nobody in the group, then
// also with siblings, and only at last with the master.
func place(members []cluster.Member, masters int) ([]group, []string) {
	dealt := dealByHost(members)
	groups := make([]group, masters)
	for i := range groups {
		groups[i].master = dealt[i]
	}
	rest := dealt[masters:]
	for len(rest) > 0 {
		rest = dealReplicas(groups, rest)
	}
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

// dealReplicas gives at most one of rest to each group and returns the
// remaining ones.
func dealReplicas(groups []group, rest []cluster.Member) []cluster.Member {
	m := matching{groups: groups, rest: rest, groupOf: make([]int, len(rest)), takenBy: make([]int, len(groups))}
	for i := range m.groupOf {
		m.groupOf[i] = -1
	}
	for i := range m.takenBy {
		m.takenBy[i] = -1
	}
	for allowed := apart; allowed <= withMaster; allowed++ {
		for g := range groups {
			if m.takenBy[g] < 0 {
				m.augment(g, allowed, make([]bool, len(rest)))
			}
		}
	}
	var left []cluster.Member
	for i, r := range rest {
		if g := m.groupOf[i]; g >= 0 {
			groups[g].replicas = append(groups[g].replicas, r)
		} else {
			left = append(left, r)
		}
	}
	return left
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

// matching pairs groups with replicas along augmenting paths.
type matching struct {
	groups  []group
	rest    []cluster.Member
	groupOf []int // by replica; -1 while free
	takenBy []int // by group: its replica; -1 while without
}

// augment finds a replica for group g: the first free one, else one of another
// group that can take a different one instead. seen marks the replicas tried on
// this path.
func (m *matching) augment(g int, allowed closeness, seen []bool) bool {
	for r := range m.rest {
		if m.groupOf[r] < 0 && m.fits(g, r, allowed) {
			m.groupOf[r], m.takenBy[g] = g, r
			return true
		}
	}
	for r := range m.rest {
		if seen[r] || !m.fits(g, r, allowed) {
			continue
		}
		seen[r] = true
		if m.augment(m.groupOf[r], allowed, seen) {
			m.groupOf[r], m.takenBy[g] = g, r
			return true
		}
	}
	return false
}

func (m *matching) fits(g, r int, allowed closeness) bool {
	return m.groups[g].closeness(m.rest[r].Addr.Host) <= allowed
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
