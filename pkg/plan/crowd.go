package plan

import (
	"github.com/trib-dev/trib/pkg/cluster"
)

// crowd are the replicas in bad company, the worst company first. A replica
// that shares its master's host shares its zone, too, and stands in both lists.
type crowd struct {
	hostOfMaster, zoneOfMaster   []cluster.Member
	hostOfSibling, zoneOfSibling []cluster.Member
}

// What a replica in each company costs: more than all the lesser companies of
// all replicas together, of which there may be 32,767.
const (
	costZoneOfSibling = 1
	costHostOfSibling = 1 << 15
	costZoneOfMaster  = 1 << 30
	costHostOfMaster  = 1 << 45
)

func (c crowd) cost() int {
	return len(c.hostOfMaster)*costHostOfMaster + len(c.zoneOfMaster)*costZoneOfMaster +
		len(c.hostOfSibling)*costHostOfSibling + len(c.zoneOfSibling)*costZoneOfSibling
}

func (c cast) crowd(groups []group) crowd {
	var out crowd
	zoned := c.zoned()
	for _, g := range groups {
		master, sibling := company(g, c.host)
		out.hostOfMaster = append(out.hostOfMaster, master...)
		out.hostOfSibling = append(out.hostOfSibling, sibling...)
		if zoned {
			master, sibling = company(g, c.zone)
			out.zoneOfMaster = append(out.zoneOfMaster, master...)
			out.zoneOfSibling = append(out.zoneOfSibling, sibling...)
		}
	}
	return out
}

// company are the replicas of a group that share their place with its master,
// and those of the others that share theirs with a replica before them.
func company(g group, place func(cluster.Member) string) (withMaster, withSibling []cluster.Member) {
	seen := make(map[string]bool)
	for _, r := range g.replicas {
		switch p := place(r); {
		case p == place(g.master):
			withMaster = append(withMaster, r)
		case seen[p]:
			withSibling = append(withSibling, r)
		default:
			seen[p] = true
		}
	}
	return withMaster, withSibling
}
