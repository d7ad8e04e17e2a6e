package health

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

func unreachable(v *sight) []Finding {
	var found []Finding
	for i, m := range v.Members {
		if m.Reachable() {
			continue
		}
		f := Finding{
			Code: Unreachable, Severity: Error,
			Summary:  fmt.Sprintf("%s does not answer: %s", m.Addr, m.Unreachable),
			Nodes:    []cluster.NodeID{m.ID},
			Evidence: []string{v.hearsay(i)},
			Remedy:   "see whether the server runs and whether this host may reach it; where others call a master failed, trib fix promotes its replica",
		}
		if v.ownsNothing(i) {
			f.Severity = Warning
			f.Remedy = "see whether the server runs; until it is back the cluster survives one failure less"
		}
		if said := saying(m.Cause); said != "" {
			f.Evidence = append(f.Evidence, said)
		}
		found = append(found, f)
	}
	return found
}

// saying is what a cause tells beyond the reason itself.
func saying(c cluster.Cause) string {
	switch c {
	case cluster.CausePaused:
		return "it takes connections and says nothing: its process is stopped or stuck, or its host is overloaded"
	case cluster.CauseRefused:
		return "it runs, and refuses credentials that another node has taken"
	case cluster.CauseUnreadable:
		return "it runs, and refuses what every node is asked, or answers something else"
	case cluster.CauseNotCluster:
		return "it runs, and has lost its cluster configuration"
	case cluster.CauseNoAddr:
		return "those who know of it have lost its address: it has been silent for long, or was never met"
	}
	return ""
}

func (v *sight) hearsay(j int) string {
	var failed, suspect, fine int
	for _, row := range v.lines {
		switch n := row[j]; {
		case n == nil:
		case n.Flags.Has(cluster.FlagFailed):
			failed++
		case n.Flags.Has(cluster.FlagSuspect):
			suspect++
		default:
			fine++
		}
	}
	return fmt.Sprintf("%d nodes call it failed, %d suspect it, %d see nothing wrong", failed, suspect, fine)
}

// suspected are nodes that answer here while others miss them on the cluster
// bus. A failover of a master that works may be near.
func suspected(v *sight) []Finding {
	f := Finding{
		Code: Suspected, Severity: Warning,
		Remedy: "let the others reach its cluster bus port (the client port + 10000 unless set otherwise) in both directions; right after a restart this passes by itself",
	}
	for _, j := range v.reachable() {
		if v.said[j]&(failing|unlinked) == 0 {
			continue
		}
		failed, missed := v.accusers(j)
		if failed == nil && missed == nil {
			continue
		}
		if failed != nil && v.owning([]int{j}) > 0 {
			f.Severity = Error
		}
		f.Nodes = append(f.Nodes, v.Members[j].ID)
		if failed != nil {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s is called failed by %s", v.addr(j), v.named(failed)))
		}
		if missed != nil {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s is missed on the cluster bus by %s", v.addr(j), v.named(missed)))
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = fmt.Sprintf("%s reached from here but missed by others on the cluster bus", be(len(f.Nodes), "node"))
	return []Finding{f}
}

// be is "1 node is", "2 nodes are".
func be(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return several(n, thing) + " are"
}

// accusers are those who call j failed, and those who suspect it or have no link
// to it. Those on the other side of a split are left out: that is another
// finding.
func (v *sight) accusers(j int) (failed, missed []int) {
	for i, row := range v.lines {
		n := row[j]
		switch {
		case i == j || n == nil || v.group[i] != v.group[j]:
		case n.Flags.Has(cluster.FlagFailed):
			failed = append(failed, i)
		case n.Flags.Has(cluster.FlagSuspect), !n.Linked:
			missed = append(missed, i)
		}
	}
	return failed, missed
}

func handshakes(v *sight) []Finding {
	f := Finding{
		Code: Handshake, Severity: Warning,
		Remedy: "a handshake ends within seconds; one that comes back is for an address where no node answers on its bus port: see who keeps sending CLUSTER MEET; with a node that others know, trib fix finishes it",
	}
	for i, m := range v.Members {
		if v.sees[i]&meeting == 0 {
			continue
		}
		f.Nodes = append(f.Nodes, m.ID)
		for _, n := range m.View.Nodes {
			if n.Flags.Has(cluster.FlagHandshake) {
				f.Evidence = append(f.Evidence, fmt.Sprintf("%s is meeting %s, bus port %d", m.Addr, n.Addr, n.BusPort))
			}
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Evidence), "handshake") + " under way, with nodes that have not answered yet"
	return []Finding{f}
}

// split looks for groups of nodes between which nobody sees anybody.
func split(v *sight) []Finding {
	if len(v.groups) < 2 {
		return nil
	}
	f := Finding{
		Code: Split, Severity: Error,
		Summary: fmt.Sprintf("the cluster is split: %d groups of nodes do not see each other", len(v.groups)),
		Remedy:  "mend the network between their cluster bus ports, and change nothing before: each side may promote replicas and take slots",
	}
	for _, g := range v.groups {
		f.Nodes = append(f.Nodes, v.ids(g)...)
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s, %s with slots: %s", several(len(g), "node"), several(v.owning(v.mastersIn(g)), "master"), v.named(g)))
	}
	return []Finding{f}
}

func (v *sight) mastersIn(members []int) (masters []int) {
	for _, i := range members {
		if v.Members[i].IsMaster() {
			masters = append(masters, i)
		}
	}
	return masters
}

// connected are the members that answer, those together who are linked by one
// seeing the other in good order, directly or through others.
func (v *sight) connected() [][]int {
	left := v.reachable()
	var groups [][]int
	for len(left) > 0 {
		group := left[:1:1]
		left = left[1:]
		for k := 0; k < len(group); k++ {
			var rest []int
			for _, j := range left {
				if v.trusts(group[k], j) || v.trusts(j, group[k]) {
					group = append(group, j)
				} else {
					rest = append(rest, j)
				}
			}
			left = rest
		}
		groups = append(groups, group)
	}
	return groups
}

// halfForgotten are nodes that some know and others do not: gossip brings them
// back, or they were never quite met.
func halfForgotten(v *sight) []Finding {
	f := Finding{
		Code: HalfForgotten, Severity: Warning,
		Remedy: "trib fix introduces a living node to all, and lets all forget a dead one without slots; to be rid of a living one, trib del-node",
	}
	for j, m := range v.Members {
		if v.said[j]&unknown == 0 {
			continue
		}
		know, lack := v.acquainted(j)
		if lack == nil {
			continue
		}
		if m.Reachable() || !v.ownsNothing(j) {
			f.Severity = Error
		}
		f.Nodes = append(f.Nodes, m.ID)
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s (%s) is known to %s and not to %s", m.Addr, m.ID.Short(), several(know, "node"), v.named(lack)))
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Nodes), "node") + " known to some nodes and not to others"
	return []Finding{f}
}

// acquainted is how many others know j, and who does not. Two that do not know
// each other and have nobody in common are no acquaintances to be missed: that
// is a split.
func (v *sight) acquainted(j int) (know int, lack []int) {
	for i, row := range v.lines {
		switch {
		case i == j || !v.Members[i].Reachable():
		case row[j] != nil:
			know++
		default:
			lack = append(lack, i)
		}
	}
	if know == 0 && len(v.Members[j].View.Nodes) < 2 {
		return 0, nil
	}
	return know, lack
}

// addressesDiffer compares where a node says that it is with where others look
// for it.
func addressesDiffer(v *sight) []Finding {
	f := Finding{
		Code: AddressesDiffer, Severity: Warning,
		Remedy: "set cluster-announce-ip, cluster-announce-port and cluster-announce-bus-port of the node to what all others and all clients can reach",
	}
	for j, m := range v.Members {
		if v.said[j]&elsewhere == 0 {
			continue
		}
		for _, other := range v.misplaced(j) {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s (%s) is known as %s to %s", m.Addr, m.ID.Short(), other.addr, v.named(other.members)))
			if len(f.Nodes) == 0 || f.Nodes[len(f.Nodes)-1] != m.ID {
				f.Nodes = append(f.Nodes, m.ID)
			}
		}
	}
	if f.Nodes == nil {
		return nil
	}
	f.Summary = be(len(f.Nodes), "node") + " known to others under another address"
	return []Finding{f}
}

type address struct {
	addr    cluster.Addr
	members []int // who know it
}

// misplaced are the addresses other than its own under which a node is known, in
// the order of those who know them.
func (v *sight) misplaced(j int) []address {
	var out []address
	for i, row := range v.lines {
		n := row[j]
		if n == nil || !n.Addr.Known() || n.Addr == v.Members[j].Addr {
			continue
		}
		k := 0
		for k < len(out) && out[k].addr != n.Addr {
			k++
		}
		if k == len(out) {
			out = append(out, address{addr: n.Addr})
		}
		out[k].members = append(out[k].members, i)
	}
	return out
}

func clusterDown(v *sight) []Finding {
	var ids []cluster.NodeID
	var evidence []string
	for _, m := range v.Members {
		if m.Reachable() && !m.ClusterOK {
			ids = append(ids, m.ID)
			evidence = append(evidence, fmt.Sprintf("%s says cluster_state:fail", m.Addr))
		}
	}
	if ids == nil {
		return nil
	}
	return []Finding{{
		Code: ClusterDown, Severity: Error, Nodes: ids, Evidence: evidence,
		Summary: fmt.Sprintf("%d nodes refuse clients because the cluster is down for them", len(ids)),
		Remedy:  "mend the other findings; a node that has just joined needs up to its node timeout",
	}}
}
