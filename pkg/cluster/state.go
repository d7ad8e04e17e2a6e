package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// State is everybody's opinion side by side, as far as it could be read: the
// input of health and plan.
type State struct {
	Members []Member // sorted by address, then id
}

// Member is one node and what it said of itself and of the cluster.
type Member struct {
	ID   NodeID
	Addr Addr // as announced; of a node without known host, as it was dialled

	// Reached is where this host finds the node, if that is not Addr: it only
	// lets people name the node so.
	Reached Addr

	// Unreachable says why nothing below is filled in, and is empty otherwise.
	Unreachable string
	Cause       Cause // the kind of reason that Unreachable gives; empty with it

	View        View
	RunID       string // changes with every restart
	Server      Server
	Features    Features
	Replication Replication
	Zone        string // availability zone that it announces (Valkey 8.1+)
	ClusterOK   bool   // cluster_state:ok
	Functions   int64  // functions loaded (Redis 7.0+)
	Libraries   string // digest of their code; empty where it could not be read
	UsedMemory  int64  // bytes
	Keyspace    []DBKeys
	Databases   []int         // that clients may select; only Valkey 9 has more than 0
	NodeTimeout int64         // cluster-node-timeout in ms; 0 where it could not be read
	SlotKeys    map[int]int64 // keys by slot, all databases; a slot that was not counted is absent
	LoneKeys    map[int]int64 // by slot that another node owns, keys which that one lacks; a slot that was not compared is absent
	Jobs        []Job         // moves by the server itself, newest first; read only where asked for, as is the next
	Admission   Admission     // what such a move takes

	MaxMemory       int64             // bytes; 0 where there is no limit, or it could not be read
	HostMemory      int64             // bytes that its host has; 0 where it does not say
	MaxMemoryPolicy string            // what happens at the limit, e.g. "noeviction"
	Config          map[string]string // settings that nodes should share, as far as they could be read
}

// Cause is why nothing could be read of a member.
type Cause string

// The causes.
const (
	CauseDead       Cause = "dead"        // nothing listens there, or nothing gets there
	CausePaused     Cause = "paused"      // it takes connections and says nothing
	CauseRefused    Cause = "refused"     // it refuses the credentials
	CauseUnreadable Cause = "unreadable"  // it answers, and not with what was asked for
	CauseNotCluster Cause = "not-cluster" // it answers, and runs without cluster mode
	CauseStranger   Cause = "stranger"    // another node answers at its address
	CauseNoAddr     Cause = "no-address"  // nobody knows an address for it
)

// Features are what a server can do, found by asking it rather than by its
// version, where it can be asked.
type Features struct {
	AddSlotsRange     bool    // CLUSTER ADDSLOTSRANGE (Redis 7.0, Valkey)
	ReplicatedSetSlot bool    // SETSLOT reaches online replicas before it replies (Valkey 8)
	Atomic            Dialect // how it moves slots by itself
}

// Admission is what decides whether a server that could move slots by itself is
// let to, as far as it could be read.
type Admission struct {
	DemandsPassword bool     // of whom connects to it (requirepass)
	HasPassword     bool     // to show to other nodes (primaryauth)
	Modules         []string // loaded ones that forbid it
}

// Reachable reports whether the member answered.
func (m Member) Reachable() bool { return m.Unreachable == "" }

// IsMaster reports whether the member answered and calls itself a master.
func (m Member) IsMaster() bool { return m.Reachable() && m.View.Self().IsMaster() }

// Keys is the number of keys over all databases.
func (m Member) Keys() int64 {
	var n int64
	for _, db := range m.Keyspace {
		n += db.Keys
	}
	return n
}

// KeysIn is the number of keys that the member holds of a slot, and whether
// they were counted at all.
func (m Member) KeysIn(slot int) (keys int64, counted bool) {
	keys, counted = m.SlotKeys[slot]
	return keys, counted
}

// Slots is what the member itself says it owns.
func (m Member) Slots() SlotSet { return m.View.Self().Slots }

// OpenSlots are the slots that the member itself says are migrating or
// importing.
func (m Member) OpenSlots() SlotSet {
	self := m.View.Self()
	open := slices.Collect(maps.Keys(self.Migrating))
	return SlotsOf(slices.AppendSeq(open, maps.Keys(self.Importing))...)
}

// Get finds a member by its id.
func (s State) Get(id NodeID) (Member, bool) {
	for _, m := range s.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// Masters are the members that answered and call themselves masters.
func (s State) Masters() []Member {
	return s.filter(Member.IsMaster)
}

// Unreachable are the members that did not answer.
func (s State) Unreachable() []Member {
	return s.filter(func(m Member) bool { return !m.Reachable() })
}

func (s State) filter(keep func(Member) bool) []Member {
	var out []Member
	for _, m := range s.Members {
		if keep(m) {
			out = append(out, m)
		}
	}
	return out
}

// ReplicasOf are the members that answered and call themselves replicas of id.
func (s State) ReplicasOf(id NodeID) []Member {
	return s.filter(func(m Member) bool { return m.Reachable() && m.View.Self().MasterID == id })
}

// Owners are the reachable masters that claim slot in their own view: one, in
// a healthy cluster.
func (s State) Owners(slot int) []Member {
	return s.filter(func(m Member) bool { return m.IsMaster() && m.Slots().Has(slot) })
}

// Sort puts the members in their canonical order.
func (s State) Sort() {
	slices.SortFunc(s.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Addr.Host, b.Addr.Host), cmp.Compare(a.Addr.Port, b.Addr.Port), cmp.Compare(a.ID, b.ID))
	})
}

// Find resolves what a person calls a node: its id, an unambiguous prefix of
// the id, or its address: the announced one, that with the announced host name,
// or where it is reached. The error of an unknown or ambiguous name lists the
// candidates.
func (s State) Find(name string) (Member, error) {
	var found []Member
	for _, m := range s.Members {
		if m.answersTo(name) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Member{}, fmt.Errorf("no node %q; known nodes: %s", clip(name), listNames(s.Members))
	}
	return Member{}, fmt.Errorf("node %q is ambiguous; it may be %s", clip(name), listNames(found))
}

func (m Member) answersTo(name string) bool {
	if name == "" {
		return false
	}
	if addr, err := ParseAddr(name); err == nil {
		named := Addr{Host: m.View.Self().Hostname, Port: m.Addr.Port}
		return slices.ContainsFunc([]Addr{m.Addr, m.Reached, named}, func(own Addr) bool {
			return own.Known() && addr.Canonical() == own.Canonical()
		})
	}
	return strings.HasPrefix(string(m.ID), strings.ToLower(name))
}

func listNames(members []Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = fmt.Sprintf("%s (%s)", m.Addr, m.ID.Short())
	}
	return strings.Join(names, ", ")
}
