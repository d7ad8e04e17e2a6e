package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// mixed judges whether the servers can live together: the nodes speak one
// cluster protocol whatever they run, but not all read each other's data.
func mixed(members []cluster.Member, groups []group) (warnings []string, r *Refusal) {
	if problems := unlikeDatabases(members); problems != nil {
		return nil, &Refusal{Reasons: problems, Hint: "give all nodes the same cluster-databases"}
	}
	kinds := releases(members)
	problems := strangersTo(kinds)
	if problems == nil {
		problems = illiterate(groups)
	}
	if problems != nil {
		return nil, &Refusal{Reasons: problems, Hint: "run the same version on every node; a replica may be newer than its master, not older"}
	}
	if len(kinds) > 1 {
		warnings = append(warnings, fmt.Sprintf("the nodes run %s: an older node cannot follow a newer one after a failover, nor take slots from it", names(kinds)))
	}
	return warnings, nil
}

func unlikeDatabases(members []cluster.Member) (problems []string) {
	first := members[0]
	for _, m := range members[1:] {
		if a, b := len(first.Databases), len(m.Databases); a != b {
			problems = append(problems, fmt.Sprintf("%s has %s and %s has %s", first.Addr, count(a, "database"), m.Addr, count(b, "database")))
		}
	}
	return problems
}

// illiterate are the replicas that cannot read what their master would send.
func illiterate(groups []group) (problems []string) {
	for _, g := range groups {
		for _, r := range g.replicas {
			if !reads(r.Server, g.master.Server) {
				problems = append(problems, fmt.Sprintf("replica %s (%s) cannot read the data of its master %s (%s)",
					r.Addr, r.Server, g.master.Addr, g.master.Server))
			}
		}
	}
	return problems
}

// releases are the servers that differ in more than a patch, each by its first
// node.
func releases(members []cluster.Member) []cluster.Member {
	var found []cluster.Member
	for _, m := range members {
		known := slices.ContainsFunc(found, func(k cluster.Member) bool { return release(k.Server) == release(m.Server) })
		if !known && m.Server != (cluster.Server{}) {
			found = append(found, m)
		}
	}
	return found
}

// release is "redis 7.0".
func release(s cluster.Server) string {
	major, rest, _ := strings.Cut(s.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return s.Flavor + " " + major + "." + minor
}

func names(kinds []cluster.Member) string {
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = fmt.Sprintf("%s (%s)", k.Server, k.Addr)
	}
	return strings.Join(texts, ", ")
}

// strangersTo are the pairs of servers of which neither reads the other's data:
// no slot can ever move between them.
func strangersTo(kinds []cluster.Member) []string {
	var out []string
	for i, a := range kinds {
		for _, b := range kinds[i+1:] {
			if !reads(a.Server, b.Server) && !reads(b.Server, a.Server) {
				out = append(out, fmt.Sprintf("%s (%s) and %s (%s) cannot read each other's data", a.Addr, a.Server, b.Addr, b.Server))
			}
		}
	}
	return out
}

// reads reports whether a server takes in the data that another one sends:
// what the replication stream and MIGRATE carry has a version, and servers
// refuse one that is newer than theirs. Valkey 9 has gone its own way, and
// takes nothing from the Redis versions after the parting.
func reads(reader, writer cluster.Server) bool {
	own, theirs := dataVersion(reader), dataVersion(writer)
	if own == dataValkey9 && theirs != own {
		return theirs <= dataParting
	}
	return theirs <= own
}

// The versions of the data format.
const (
	dataRedis6  = 9
	dataRedis7  = 10
	dataParting = 11 // Redis 7.2, from which Valkey parted
	dataRedis74 = 12
	dataValkey9 = 80
)

func dataVersion(s cluster.Server) int {
	switch {
	case s.AtLeast("valkey", 9, 0):
		return dataValkey9
	case s.AtLeast("redis", 7, 4):
		return dataRedis74
	case s.AtLeast("redis", 7, 2), s.Flavor == "valkey":
		return dataParting
	case s.AtLeast("redis", 7, 0):
		return dataRedis7
	}
	return dataRedis6
}
