package health

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// maxSilence is for how many seconds a replica may acknowledge nothing; it does
// so every second.
const maxSilence = 10

// noReplica takes a silent replica for one: that it is silent is told elsewhere.
func noReplica(v *sight) []Finding {
	has := make([]bool, len(v.Members))
	for _, j := range v.master {
		if j >= 0 {
			has[j] = true
		}
	}
	var bare []int
	for i, m := range v.Members {
		if m.IsMaster() && !m.Slots().Empty() && !has[i] {
			bare = append(bare, i)
		}
	}
	if bare == nil {
		return nil
	}
	return []Finding{{
		Code: NoReplica, Severity: Warning, Nodes: v.ids(bare),
		Summary:  fmt.Sprintf("%s no replica: what %s", have(len(bare), "master"), lostWith(len(bare))),
		Evidence: []string{v.named(bare)},
		Remedy:   "give each master a replica on another host; trib fix --spread-replicas uses spare ones",
	}}
}

func lostWith(n int) string {
	if n == 1 {
		return "it holds is lost with it"
	}
	return "they hold is lost with them"
}

// have is "1 master has", "2 masters have".
func have(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " has"
	}
	return several(n, thing) + " have"
}

// linkDown passes over replicas of a silent master: they cannot have a link.
func linkDown(v *sight) []Finding {
	f := Finding{
		Code: LinkDown, Severity: Warning,
		Remedy: "look into the replica's log: the master's password (masterauth, masteruser), its client port, and the output buffer limit for replicas are the usual reasons",
	}
	for i, m := range v.Members {
		master := v.master[i]
		if m.Replication.Role != "slave" || m.Replication.LinkUp || master >= 0 && !v.Members[master].Reachable() {
			continue
		}
		f.Nodes = append(f.Nodes, m.ID)
		f.Evidence = append(f.Evidence, v.brokenLink(i))
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Nodes), "replica") + " without a working link to the master: what it holds grows old"
	return []Finding{f}
}

func (v *sight) brokenLink(i int) string {
	master := "a node that nobody knows"
	if j := v.master[i]; j >= 0 {
		master = v.addr(j)
	}
	if v.Members[i].Replication.Syncing {
		return fmt.Sprintf("%s is copying all data of %s now", v.addr(i), master)
	}
	return fmt.Sprintf("%s says that its link to %s is down", v.addr(i), master)
}

// lag compares what a master has written with what it has been acknowledged,
// both of which it says in one breath.
func lag(v *sight) []Finding {
	f := Finding{
		Code: Lag, Severity: Warning,
		Remedy: "see whether the replica's host or the network to it is overloaded; a failover to this replica now loses what it does not have",
	}
	for _, m := range v.Masters() {
		for _, r := range m.Replication.Replicas {
			behind := m.Replication.Offset - r.Offset
			if !r.Online || behind <= v.options.MaxLag && r.Lag < maxSilence {
				continue
			}
			if i, known := v.replicaAt(m.ID, r.Addr); known && v.Members[i].Reachable() {
				f.Nodes = append(f.Nodes, v.Members[i].ID)
				f.Evidence = append(f.Evidence, fmt.Sprintf("%s is %d bytes behind %s, which heard of it %d s ago", v.addr(i), behind, m.Addr, r.Lag))
			}
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Nodes), "replica") + " far behind the master"
	return []Finding{f}
}

// replicaAt is the replica of a master at an address, or at that port where the
// master sees it under another host.
func (v *sight) replicaAt(master cluster.NodeID, addr cluster.Addr) (int, bool) {
	byPort := -1
	for i, m := range v.Members {
		if j := v.master[i]; j < 0 || v.Members[j].ID != master {
			continue
		}
		if m.Addr == addr {
			return i, true
		}
		if m.Addr.Port == addr.Port {
			byPort = i
		}
	}
	return byPort, byPort >= 0
}

// replicaOfReplica: such a node holds a copy of a copy, and is promoted by
// nobody.
func replicaOfReplica(v *sight) []Finding {
	f := Finding{
		Code: ReplicaOfReplica, Severity: Error,
		Remedy: "trib fix lets it follow the master at the end of the chain",
	}
	for i := range v.Members {
		j := v.master[i]
		if j < 0 || v.master[j] == nobody {
			continue
		}
		f.Nodes = append(f.Nodes, v.Members[i].ID)
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s replicates %s, which replicates %s", v.addr(i), v.addr(j), v.line(j).MasterID.Short()))
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Nodes), "replica") + " fed by another replica"
	return []Finding{f}
}

// orphaned passes over replicas of a silent master that somebody takes for an
// owner still: they are its successors.
func orphaned(v *sight) []Finding {
	f := Finding{
		Code: Orphaned, Severity: Warning,
		Remedy: "trib fix lets it follow the master that needs a replica most; where it has keys, trib fix --orphans reuse, once it is known that nobody misses these",
	}
	for i, m := range v.Members {
		j := v.master[i]
		gone := j == stranger || j >= 0 && !v.Members[j].Reachable() && v.ownsNothing(j)
		if !m.Reachable() || !gone {
			continue
		}
		f.Nodes = append(f.Nodes, m.ID)
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s is a replica of %s, which owns nothing and does not answer; it has %d keys", m.Addr, m.View.Self().MasterID.Short(), m.Keys()))
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = have(len(f.Nodes), "replica") + " no master any more"
	return []Finding{f}
}

func sameHost(v *sight) []Finding {
	return v.together(Finding{
		Code: SameHost, Severity: Warning,
		Remedy: "put a replica of each master on another host: CLUSTER REPLICATE exchanges replicas between masters",
	}, "host", func(i, master int) string {
		if host := v.Members[i].Addr.Host; host == v.Members[master].Addr.Host {
			return host
		}
		return ""
	})
}

// sameZone leaves out what sameHost tells.
func sameZone(v *sight) []Finding {
	return v.together(Finding{
		Code: SameZone, Severity: Warning,
		Remedy: "put a replica of each master into another zone: CLUSTER REPLICATE exchanges replicas between masters",
	}, "zone", func(i, master int) string {
		if zone := v.zone(i); zone == v.zone(master) && v.Members[i].Addr.Host != v.Members[master].Addr.Host {
			return zone
		}
		return ""
	})
}

// together fills in a finding about replicas that are where their master is,
// told once for each place.
func (v *sight) together(f Finding, kind string, shared func(replica, master int) string) []Finding {
	places := make(map[string][]string)
	for i, master := range v.master {
		if master < 0 {
			continue
		}
		if place := shared(i, master); place != "" {
			f.Nodes = append(f.Nodes, v.Members[i].ID)
			places[place] = append(places[place], fmt.Sprintf("%s of %s", v.addr(i), v.addr(master)))
		}
	}
	if f.Nodes == nil {
		return nil
	}
	for _, place := range slices.Sorted(maps.Keys(places)) {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s %s: %s", kind, place, some(places[place])))
	}
	f.Summary = fmt.Sprintf("%s on the same %s as the master: one failure takes both", be(len(f.Nodes), "replica"), kind)
	return []Finding{f}
}
