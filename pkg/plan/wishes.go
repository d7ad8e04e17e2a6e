package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// CreateOptions are the wishes for a new cluster. All but Addrs may be empty.
type CreateOptions struct {
	// Addrs are the nodes, in the order in which they are preferred as masters.
	Addrs []cluster.Addr
	// Replicas is how many replicas each master gets at least.
	Replicas int
	// Zones says in which zone each host stands: all of them, or none.
	Zones map[string]string
	// ReplicaOf says of nodes whose replicas they are to be.
	ReplicaOf map[cluster.Addr]cluster.Addr
	// Slots are those of nodes that are to have exactly these.
	Slots map[cluster.Addr]cluster.SlotSet
	// Weights divide the slots that Slots leaves among the other masters; a
	// master that is not named has weight 1.
	Weights map[cluster.Addr]int
}

// Check names a contradiction among the wishes that shows without a look at
// the nodes.
func (o CreateOptions) Check() error {
	for _, check := range []func() error{o.checkNumbers, o.checkNames, o.checkZones, o.checkRoles, o.checkCount, o.checkSlots} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (o CreateOptions) checkNumbers() error {
	switch {
	case len(o.Addrs) == 0:
		return fmt.Errorf("a cluster needs a node")
	case o.Replicas < 0:
		return fmt.Errorf("%d replicas for each master: want 0 or more", o.Replicas)
	}
	for _, addr := range o.Addrs {
		if w, ok := o.Weights[addr]; ok && w < 1 {
			return fmt.Errorf("weight %d of %s: want 1 or more", w, addr)
		}
		if slots, ok := o.Slots[addr]; ok && slots.Empty() {
			return fmt.Errorf("no slots for %s: a master needs some", addr)
		}
	}
	return nil
}

// checkNames: every wish is for one of the nodes.
func (o CreateOptions) checkNames() error {
	var strange []cluster.Addr
	note := func(addr cluster.Addr) {
		if !slices.Contains(o.Addrs, addr) {
			strange = append(strange, addr)
		}
	}
	for replica, master := range o.ReplicaOf {
		note(replica)
		note(master)
	}
	for addr := range o.Slots {
		note(addr)
	}
	for addr := range o.Weights {
		note(addr)
	}
	if strange == nil {
		return nil
	}
	return fmt.Errorf("%s is not one of the nodes", slices.MinFunc(strange, compareAddrs))
}

func (o CreateOptions) checkZones() error {
	if len(o.Zones) == 0 {
		return nil
	}
	hosts := make(map[string]bool)
	for _, addr := range o.Addrs {
		hosts[addr.Host] = true
		if o.Zones[addr.Host] == "" {
			return fmt.Errorf("host %s has no zone, and others have: name one for each host", addr.Host)
		}
	}
	for _, host := range sortedKeys(o.Zones) {
		if !hosts[host] {
			return fmt.Errorf("host %s is in zone %s and has no node", host, o.Zones[host])
		}
	}
	return nil
}

// checkRoles: nobody is to be a master and a replica.
func (o CreateOptions) checkRoles() error {
	for _, addr := range o.Addrs {
		master, isReplica := o.ReplicaOf[addr]
		_, hasSlots := o.Slots[addr]
		_, hasWeight := o.Weights[addr]
		above, chained := o.ReplicaOf[master]
		switch {
		case isReplica && master == addr:
			return fmt.Errorf("%s cannot be a replica of itself", addr)
		case isReplica && chained:
			return fmt.Errorf("%s is to be a replica of %s, which is to be a replica of %s itself", addr, master, above)
		case isReplica && hasSlots:
			return fmt.Errorf("%s is to be a replica of %s and to have slots of its own", addr, master)
		case isReplica && hasWeight:
			return fmt.Errorf("%s is to be a replica of %s and to have a weight, as masters have", addr, master)
		case hasSlots && hasWeight:
			return fmt.Errorf("%s is to have slots %s and a share by weight: name one of them", addr, o.Slots[addr])
		}
	}
	return nil
}

func (o CreateOptions) checkCount() error {
	masters := o.masters()
	if named := len(o.namedMasters()); masters < max(named, 1) {
		what := count(len(o.Addrs), "node")
		if len(o.ReplicaOf) > 0 {
			what += fmt.Sprintf(", %d of them replicas by name,", len(o.ReplicaOf))
		}
		each := count(o.Replicas, "replica")
		if named == 0 {
			return fmt.Errorf("%s cannot give any master %s", what, each)
		}
		return fmt.Errorf("%s cannot give each of %s that %s %s", what, count(named, "master"), plural(named, "is named", "are named"), each)
	}
	return nil
}

// checkSlots: every slot has one master and every master a slot.
func (o CreateOptions) checkSlots() error {
	var taken cluster.SlotSet
	for _, addr := range o.Addrs {
		if both := taken.Intersect(o.Slots[addr]); !both.Empty() {
			return fmt.Errorf("slots %s are wanted for %s and for another master", both, addr)
		}
		taken = taken.Union(o.Slots[addr])
	}
	free, others := cluster.AllSlots().Minus(taken), o.masters()-len(o.Slots)
	switch {
	case others == 0 && !free.Empty():
		return fmt.Errorf("slots %s are left over: every master has its slots named", free)
	case others > free.Len():
		return fmt.Errorf("%s without named slots, and only %s left for them", count(others, "master"), count(free.Len(), "slot"))
	}
	return o.checkWeights(free.Len(), others)
}

func (o CreateOptions) checkWeights(free, others int) error {
	total, lightest := others-len(o.Weights), 1
	if total == 0 {
		lightest = math.MaxInt
	}
	for _, w := range o.Weights {
		total, lightest = total+w, min(lightest, w)
	}
	if others == 0 || free >= (total+lightest-1)/lightest {
		return nil
	}
	return fmt.Errorf("weights that add up to %d leave weight %d without any of %s", total, lightest, count(free, "slot"))
}

// namedMasters are the nodes that are masters by some wish, in their order.
func (o CreateOptions) namedMasters() []cluster.Addr {
	named := make(map[cluster.Addr]bool)
	for _, master := range o.ReplicaOf {
		named[master] = true
	}
	var out []cluster.Addr
	for _, addr := range o.Addrs {
		_, hasSlots := o.Slots[addr]
		_, hasWeight := o.Weights[addr]
		if named[addr] || hasSlots || hasWeight {
			out = append(out, addr)
		}
	}
	return out
}

// masters is how many masters there will be: as many as can have the wanted
// replicas each. It is less than the named ones where the wishes cannot be met.
func (o CreateOptions) masters() int {
	named := o.namedMasters()
	own := make(map[cluster.Addr]int)
	for _, master := range o.ReplicaOf {
		own[master]++
	}
	for n := len(o.Addrs) / (o.Replicas + 1); n >= max(len(named), 1); n-- {
		lacking := (n - len(named)) * o.Replicas
		for _, m := range named {
			lacking += max(0, o.Replicas-own[m])
		}
		if lacking <= len(o.Addrs)-n-len(o.ReplicaOf) {
			return n
		}
	}
	return 0
}

// share divides the slots: what is wished for, and the rest in contiguous
// ranges by weight. Each bound is rounded by itself, so that nobody is a whole
// slot off their share.
func (o CreateOptions) share(masters []cluster.Addr) []cluster.SlotSet {
	free, total := cluster.AllSlots(), 0
	for _, m := range masters {
		free = free.Minus(o.Slots[m])
		total += o.weight(m)
	}
	shares := make([]cluster.SlotSet, len(masters))
	sum, given, left := 0, 0, free
	for i, m := range masters {
		if own, ok := o.Slots[m]; ok {
			shares[i] = own
			continue
		}
		sum += o.weight(m)
		bound := (2*sum*free.Len() + total) / (2 * total)
		shares[i] = left.Take(bound - given)
		left, given = left.Minus(shares[i]), bound
	}
	return shares
}

// weight is a master's share of the slots that nobody is to have by name.
func (o CreateOptions) weight(addr cluster.Addr) int {
	if _, named := o.Slots[addr]; named {
		return 0
	}
	if w, ok := o.Weights[addr]; ok {
		return w
	}
	return 1
}

func compareAddrs(a, b cluster.Addr) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
