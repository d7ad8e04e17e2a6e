package health

import (
	"fmt"
	"maps"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Quorum is how many masters may fail before no majority is left to agree on a
// failover, and the cluster stops.
type Quorum struct {
	Voters   int `json:"voters"`   // masters with slots
	Alive    int `json:"alive"`    // of these, that answer
	Majority int `json:"majority"` // that it takes to call a node failed and to promote a replica
	MayFail  int `json:"may_fail"` // of those alive, at the same time
}

// QuorumOf counts the masters of a state.
func QuorumOf(s cluster.State) Quorum { return newSight(s, Options{}).quorum() }

func (v *sight) quorum() Quorum {
	voters := v.voters()
	q := Quorum{Voters: len(voters), Majority: len(voters)/2 + 1}
	for _, i := range voters {
		if v.Members[i].Reachable() {
			q.Alive++
		}
	}
	q.MayFail = max(q.Alive-q.Majority, 0)
	return q
}

func quorum(v *sight) []Finding {
	q := v.quorum()
	if q.Voters == 0 {
		return nil
	}
	counts := fmt.Sprintf("%s with slots, %d of them answer, a majority is %d", several(q.Voters, "master"), q.Alive, q.Majority)
	if q.Alive < q.Majority {
		return []Finding{{
			Code: QuorumLost, Severity: Error, Nodes: v.ids(v.silent(v.voters())),
			Summary:  "too few masters answer: no majority can call a node failed or promote a replica",
			Evidence: []string{counts},
			Remedy:   "bring masters back until a majority answers; where that cannot be, trib fix --takeover promotes a replica of each lost master without a vote",
		}}
	}
	evidence := v.fragile(q)
	if evidence == nil {
		return nil
	}
	return []Finding{{
		Code: QuorumAtRisk, Severity: Warning,
		Summary:  "one failure more can leave the cluster without a majority of masters",
		Evidence: append([]string{counts}, evidence...),
		Remedy:   "have three masters or more that answer, on so many hosts and zones that none of them has half of the masters",
	}}
}

func (v *sight) silent(members []int) []int {
	return slices.DeleteFunc(slices.Clone(members), func(i int) bool { return v.Members[i].Reachable() })
}

// fragile are the single failures after which no majority is left.
func (v *sight) fragile(q Quorum) []string {
	var out []string
	if q.MayFail == 0 {
		out = append(out, "the failure of any one master that answers is one too many")
	}
	out = append(out, v.concentrated(q, "host", func(i int) string { return v.Members[i].Addr.Host })...)
	return append(out, v.concentrated(q, "zone", v.zone)...)
}

// concentrated are the places whose loss leaves no majority.
func (v *sight) concentrated(q Quorum, kind string, place func(int) string) []string {
	alive := make(map[string]int)
	for _, i := range v.voters() {
		if at := place(i); at != "" && v.Members[i].Reachable() {
			alive[at]++
		}
	}
	var out []string
	for _, at := range slices.Sorted(maps.Keys(alive)) {
		// A place with a single master was spoken of already.
		if n := alive[at]; n > 1 && q.Alive-n < q.Majority {
			out = append(out, fmt.Sprintf("%s %s has %d of the %d masters that answer", kind, at, n, q.Alive))
		}
	}
	return out
}
