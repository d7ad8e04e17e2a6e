package plan

import (
	"fmt"

	"github.com/trib-dev/trib/pkg/cluster"
)

// How long servers get for what they do by themselves, in ms.
const (
	judging  = 10_000 // to call a node failed, beyond the node timeout
	electing = 5_000  // to promote a replica of it, and to hear of such things
)

// Pending says what servers may be about to mend by themselves, and for how many
// milliseconds that is worth waiting for: to promote a replica of a master that has just died, say. It is empty
// where there is nothing to wait for.
func Pending(s cluster.State) (what string, patience int64) {
	for _, owner := range s.Unreachable() {
		silent := owner.Cause == cluster.CauseDead || owner.Cause == cluster.CausePaused || owner.Cause == ""
		if lostSlots(s, owner.ID).Empty() || !silent {
			continue
		}
		v := verdictOn(s, owner)
		heirs, _ := heirsOf(s, owner.ID)
		switch {
		case v.fine > 0, v.failed == 0 && majority(s, owner.ID):
			return fmt.Sprintf("the others to call %s failed", owner.Addr), judging + nodeTimeout(s)
		case len(heirs) > 0 && majority(s, owner.ID) && !heirs[0].View.Self().Flags.Has(cluster.FlagNoFailover):
			return fmt.Sprintf("a replica of %s to be elected", owner.Addr), electing
		}
	}
	if lost := orphans(s); lost != nil {
		return fmt.Sprintf("%s to find another master", lost[0].Addr), electing
	}
	if m, late := unheard(s); late {
		return fmt.Sprintf("all to hear what %s owns", m.Addr), electing
	}
	return "", 0
}

// unheard is a master whose slots somebody sees with another node, by an older
// claim: the news is on its way. One that imports a slot hears no news of it.
func unheard(s cluster.State) (cluster.Member, bool) {
	odd := hearsay(s)
	for _, m := range s.Masters() {
		for _, h := range odd {
			if !h.over(m).Empty() && h.owner.Epoch < m.View.Self().Epoch && clash(s, m).Empty() {
				return m, true
			}
		}
	}
	return cluster.Member{}, false
}

func nodeTimeout(s cluster.State) int64 {
	var longest int64
	for _, m := range s.Members {
		longest = max(longest, m.NodeTimeout)
	}
	return longest
}
