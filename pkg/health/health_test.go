package health_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
)

// trouble builds a state of three masters, a, b and c, and a replica of each,
// d, e and f, and puts one thing wrong.
type trouble struct {
	nodes []cluster.Node // as everybody sees them
	views map[string]func(*cluster.View)
	tweak map[string]func(*cluster.Member)
	zones map[string]string
}

func id(name string) cluster.NodeID { return cluster.NodeID(strings.Repeat(name, 40)) }

func addr(name string) cluster.Addr {
	return cluster.Addr{Host: fmt.Sprintf("10.0.0.%d", name[0]-'a'+1), Port: 7000}
}

func slotSet(text string) cluster.SlotSet {
	s, err := cluster.ParseSlotSet(text)
	if err != nil {
		panic(err)
	}
	return s
}

func newTrouble() *trouble {
	tr := &trouble{views: make(map[string]func(*cluster.View)), tweak: make(map[string]func(*cluster.Member))}
	for i, slots := range []string{"0-5460", "5461-10922", "10923-16383"} {
		name, replica := string(rune('a'+i)), string(rune('d'+i))
		tr.nodes = append(tr.nodes,
			cluster.Node{ID: id(name), Addr: addr(name), Flags: cluster.FlagMaster, Epoch: uint64(i + 1), Linked: true, Slots: slotSet(slots)},
			cluster.Node{ID: id(replica), Addr: addr(replica), Flags: cluster.FlagReplica, MasterID: id(name), Epoch: uint64(i + 1), Linked: true})
	}
	return tr
}

// node changes what everybody, the node included, says of a node.
func (tr *trouble) node(name string, change func(*cluster.Node)) *trouble {
	for i := range tr.nodes {
		if tr.nodes[i].ID == id(name) {
			change(&tr.nodes[i])
		}
	}
	return tr
}

// seenBy changes what one node says of another, or of itself.
func (tr *trouble) seenBy(name, of string, change func(*cluster.Node)) *trouble {
	before := tr.views[name]
	tr.views[name] = func(v *cluster.View) {
		if before != nil {
			before(v)
		}
		for i := range v.Nodes {
			if v.Nodes[i].ID == id(of) {
				change(&v.Nodes[i])
			}
		}
	}
	return tr
}

// seen adds a node to what one node sees.
func (tr *trouble) seen(name string, n cluster.Node) *trouble {
	before := tr.views[name]
	tr.views[name] = func(v *cluster.View) {
		if before != nil {
			before(v)
		}
		v.Nodes = append(v.Nodes, n)
	}
	return tr
}

// without lets a node know nothing of another.
func (tr *trouble) without(name, of string) *trouble {
	before := tr.views[name]
	tr.views[name] = func(v *cluster.View) {
		if before != nil {
			before(v)
		}
		v.Nodes = slices.DeleteFunc(v.Nodes, func(n cluster.Node) bool { return n.ID == id(of) })
	}
	return tr
}

// cut lets nobody of one group see anybody of the other.
func (tr *trouble) cut(one, other string) *trouble {
	for _, a := range one {
		for _, b := range other {
			tr.seenBy(string(a), string(b), flagged(cluster.FlagSuspect))
			tr.seenBy(string(b), string(a), flagged(cluster.FlagSuspect))
		}
	}
	return tr
}

// member changes what was read of a node beside its view.
func (tr *trouble) member(name string, change func(*cluster.Member)) *trouble {
	tr.tweak[name] = change
	return tr
}

// zone tells in which zone a node's host is.
func (tr *trouble) zone(name, zone string) *trouble {
	if tr.zones == nil {
		tr.zones = make(map[string]string)
	}
	tr.zones[addr(name).Host] = zone
	return tr
}

func (tr *trouble) silent(name, why string) *trouble {
	return tr.member(name, func(m *cluster.Member) { *m = cluster.Member{ID: m.ID, Addr: m.Addr, Unreachable: why} })
}

// state prints every view and parses it, so that it is one that could be read.
func (tr *trouble) state(t *testing.T) cluster.State {
	t.Helper()
	var s cluster.State
	for i := range tr.nodes {
		name := string(tr.nodes[i].ID[0])
		v := cluster.View{Nodes: slices.Clone(tr.nodes)}
		v.Nodes[i].Flags |= cluster.FlagMyself
		if change := tr.views[name]; change != nil {
			change(&v)
		}
		m := cluster.Member{ID: tr.nodes[i].ID, Addr: tr.nodes[i].Addr, View: reparse(t, v), ClusterOK: true}
		if change := tr.tweak[name]; change != nil {
			change(&m)
		}
		s.Members = append(s.Members, m)
	}
	s.Sort()
	return s
}

func reparse(t *testing.T, v cluster.View) cluster.View {
	t.Helper()
	var b strings.Builder
	for _, n := range v.Nodes {
		var flags []string
		for flag, name := range map[cluster.Flags]string{
			cluster.FlagMyself: "myself", cluster.FlagMaster: "master", cluster.FlagReplica: "slave",
			cluster.FlagFailed: "fail", cluster.FlagSuspect: "fail?", cluster.FlagHandshake: "handshake",
		} {
			if n.Flags.Has(flag) {
				flags = append(flags, name)
			}
		}
		master := string(n.MasterID)
		if master == "" {
			master = "-"
		}
		link := "disconnected"
		if n.Linked {
			link = "connected"
		}
		fmt.Fprintf(&b, "%s %s@17000 %s %s 0 0 %d %s %s", n.ID, n.Addr, strings.Join(flags, ","), master, n.Epoch, link,
			strings.ReplaceAll(n.Slots.String(), ",", " "))
		for slot, peer := range n.Migrating {
			fmt.Fprintf(&b, " [%d->-%s]", slot, peer)
		}
		for slot, peer := range n.Importing {
			fmt.Fprintf(&b, " [%d-<-%s]", slot, peer)
		}
		b.WriteString("\n")
	}
	parsed, err := cluster.ParseNodes(b.String())
	if err != nil {
		t.Fatalf("the test's own view: %v", err)
	}
	return parsed
}

func owns(slots string) func(*cluster.Node) {
	return func(n *cluster.Node) { n.Slots = slotSet(slots) }
}

func flagged(f cluster.Flags) func(*cluster.Node) {
	return func(n *cluster.Node) { n.Flags |= f }
}

// newcomer is a master that was met a moment ago.
func newcomer(n *cluster.Node) { n.Flags, n.MasterID, n.Epoch = cluster.FlagMaster, "", 0 }

func replica(r cluster.Replication) func(*cluster.Member) {
	r.Role = "slave"
	return func(m *cluster.Member) { m.Replication = r }
}

// master has written 20 MiB.
func master(replicas ...cluster.ReplicaOffset) func(*cluster.Member) {
	return func(m *cluster.Member) {
		m.Replication = cluster.Replication{Role: "master", Offset: 20 << 20, Replicas: replicas}
	}
}

func server(flavor, version string) func(*cluster.Member) {
	return func(m *cluster.Member) { m.Server = cluster.Server{Flavor: flavor, Version: version} }
}

func config(pairs ...string) func(*cluster.Member) {
	return func(m *cluster.Member) {
		m.Config = make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			m.Config[pairs[i]] = pairs[i+1]
		}
	}
}

func functions(digest string, n int64) func(*cluster.Member) {
	return func(m *cluster.Member) { m.Libraries, m.Functions = digest, n }
}

// brief is what a finding comes to; the sentences are for people and may be
// worded better one day, but have to say certain things.
type brief struct {
	Code     health.Code
	Severity health.Severity
	Nodes    string // names
	Slots    string
	Says     []string // all of these stand in summary or evidence
}

// TestFindings promises that each thing that can be wrong is found, as grave as
// it is, about the right nodes and slots, with what shows it; and that nothing
// else is.
func TestFindings(t *testing.T) {
	tests := []struct {
		name string
		tr   *trouble
		want []brief
	}{
		{"nothing", newTrouble(), nil},

		{
			"a silent replica warns",
			newTrouble().silent("d", "i/o timeout").seenBy("a", "d", flagged(cluster.FlagSuspect)).seenBy("b", "d", flagged(cluster.FlagFailed)),
			[]brief{{health.Unreachable, health.Warning, "d", "", []string{"10.0.0.4:7000", "i/o timeout", "1 nodes call it failed, 1 suspect it, 3 see nothing wrong"}}},
		},
		{
			"a silent master uncovers its slots",
			newTrouble().silent("a", "connection refused"),
			[]brief{
				{health.Unreachable, health.Error, "a", "", []string{"10.0.0.1:7000", "connection refused", "5 see nothing wrong"}},
				{health.Uncovered, health.Error, "", "0-5460", []string{"5461 slots", "10.0.0.2:7000 sees slots 0-5460 with aaaaaaaa"}},
				{health.QuorumAtRisk, health.Warning, "", "", []string{"3 masters with slots, 2 of them answer, a majority is 2", "any one master"}},
			},
		},
		{
			"a silent node that one takes for a master and others for a replica",
			newTrouble().silent("d", "i/o timeout").seenBy("b", "d", func(n *cluster.Node) { n.Flags, n.MasterID = cluster.FlagMaster, "" }),
			[]brief{{health.Unreachable, health.Warning, "d", "", []string{"i/o timeout"}}},
		},
		{
			"a silent master whose replica took over is dead weight",
			newTrouble().node("a", func(n *cluster.Node) { n.Slots = cluster.SlotSet{}; n.Flags |= cluster.FlagFailed }).
				node("d", func(n *cluster.Node) {
					n.Flags, n.MasterID, n.Epoch, n.Slots = cluster.FlagMaster, "", 9, slotSet("0-5460")
				}).
				silent("a", "connection refused"),
			[]brief{{health.Unreachable, health.Warning, "a", "", []string{"5 nodes call it failed"}}, {health.NoReplica, health.Warning, "d", "", []string{"10.0.0.4:7000"}}},
		},

		{
			"two owners",
			newTrouble().seenBy("b", "b", owns("5000-10922")).seenBy("b", "a", owns("0-4999")),
			[]brief{
				{health.MultipleOwners, health.Error, "ab", "5000-5460", []string{"461 slots", "10.0.0.1:7000 claims 5000-5460 with epoch 1", "10.0.0.2:7000 claims 5000-5460 with epoch 2"}},
				{health.Disagreement, health.Error, "abcdef", "5000-5460", []string{"6 nodes disagree"}},
			},
		},
		{
			"slots that nobody claims",
			newTrouble().node("c", owns("10923-16000,16002-16383")),
			[]brief{{health.Uncovered, health.Error, "", "16001", []string{"1 slots have no owner that answers: 16001"}}},
		},
		{
			"slots that everybody thinks somebody else has",
			newTrouble().seenBy("a", "a", owns("1-5460")).seenBy("a", "b", owns("0,5461-10922")),
			[]brief{
				{health.Uncovered, health.Error, "", "0", []string{"1 slots"}},
				{health.Disagreement, health.Error, "abcdef", "0", []string{"10.0.0.1:7000 sees slots 0 with other owners"}},
			},
		},
		{
			"one node is behind",
			newTrouble().seenBy("f", "a", owns("0-5459")).seenBy("f", "b", owns("5460-10922")),
			[]brief{{health.Disagreement, health.Error, "f", "5460", []string{"1 nodes disagree about who owns 1 slots", "10.0.0.6:7000"}}},
		},
		{
			"one node does not know another",
			newTrouble().seenBy("c", "b", func(n *cluster.Node) { n.ID = id("9"); n.Slots = cluster.SlotSet{} }),
			[]brief{
				{health.Disagreement, health.Error, "c", "5461-10922", []string{"10.0.0.3:7000"}},
				{health.HalfForgotten, health.Error, "b", "", []string{"10.0.0.2:7000 (bbbbbbbb) is known to 4 nodes and not to 10.0.0.3:7000"}},
			},
		},

		{
			"an open slot, both sides",
			newTrouble().seenBy("a", "a", func(n *cluster.Node) { n.Migrating = map[int]cluster.NodeID{5: id("b")} }).
				seenBy("b", "b", func(n *cluster.Node) { n.Importing = map[int]cluster.NodeID{5: id("a")} }),
			[]brief{{health.OpenSlots, health.Error, "ab", "5", []string{"1 slots are open: 5", "10.0.0.1:7000 has slots 5 migrating to bbbbbbbb", "10.0.0.2:7000 has slots 5 importing from aaaaaaaa"}}},
		},
		{
			"several, to several nodes",
			newTrouble().seenBy("a", "a", func(n *cluster.Node) {
				n.Migrating = map[int]cluster.NodeID{5: id("b"), 6: id("b"), 9: id("c")}
			}),
			[]brief{{health.OpenSlots, health.Error, "a", "5-6,9", []string{"has slots 5-6 migrating to bbbbbbbb", "has slots 9 migrating to cccccccc"}}},
		},
		{
			"a replica that repeats its master's open slots is no finding of its own",
			newTrouble().seenBy("d", "d", func(n *cluster.Node) { n.Migrating = map[int]cluster.NodeID{5: id("b")} }),
			nil,
		},

		{
			"keys of a slot that is another's",
			newTrouble().member("b", func(m *cluster.Member) { m.SlotKeys = map[int]int64{5461: 9, 3: 2, 4: 0, 7: 1} }),
			[]brief{{health.ForeignKeys, health.Error, "b", "3,7", []string{"10.0.0.2:7000 holds 3 keys of slots that it does not own: 3,7"}}},
		},
		{
			"keys of a slot that is being imported belong there",
			newTrouble().seenBy("b", "b", func(n *cluster.Node) { n.Importing = map[int]cluster.NodeID{3: id("a")} }).
				member("b", func(m *cluster.Member) { m.SlotKeys = map[int]int64{3: 2} }),
			[]brief{{health.OpenSlots, health.Error, "b", "3", nil}},
		},
		{
			"a replica's keys are its master's",
			newTrouble().member("d", func(m *cluster.Member) { m.SlotKeys = map[int]int64{3: 2} }),
			nil,
		},

		{
			"a node that refuses clients",
			newTrouble().member("c", func(m *cluster.Member) { m.ClusterOK = false }).member("f", func(m *cluster.Member) { m.ClusterOK = false }),
			[]brief{{health.ClusterDown, health.Error, "cf", "", []string{"2 nodes", "10.0.0.3:7000 says cluster_state:fail", "10.0.0.6:7000"}}},
		},

		{
			"a node that answers and that a majority calls failed",
			newTrouble().seenBy("a", "b", flagged(cluster.FlagFailed)).seenBy("c", "b", flagged(cluster.FlagFailed)),
			[]brief{{health.Suspected, health.Error, "b", "", []string{"10.0.0.2:7000 is called failed by 10.0.0.1:7000, 10.0.0.3:7000"}}},
		},
		{
			"a replica that one suspects, and one that another has no link to",
			newTrouble().seenBy("a", "d", flagged(cluster.FlagSuspect)).seenBy("b", "e", func(n *cluster.Node) { n.Linked = false }),
			[]brief{{health.Suspected, health.Warning, "de", "", []string{"10.0.0.4:7000 is missed on the cluster bus by 10.0.0.1:7000", "10.0.0.5:7000 is missed on the cluster bus by 10.0.0.2:7000"}}},
		},
		{
			"a handshake",
			newTrouble().seen("a", cluster.Node{ID: id("9"), Addr: addr("z"), Flags: cluster.FlagHandshake, Linked: true}),
			[]brief{{health.Handshake, health.Warning, "a", "", []string{"10.0.0.1:7000 is meeting 10.0.0.26:7000, bus port 17000"}}},
		},
		{
			"two halves",
			newTrouble().cut("ad", "bcef"),
			[]brief{{health.Split, health.Error, "adbcef", "", []string{"2 groups", "2 nodes, 1 master with slots: 10.0.0.1:7000, 10.0.0.4:7000", "4 nodes, 2 masters with slots"}}},
		},
		{
			"three parts",
			newTrouble().cut("ad", "be").cut("be", "cf").cut("ad", "cf"),
			[]brief{{health.Split, health.Error, "adbecf", "", []string{"3 groups"}}},
		},
		{
			"a bad link between two who both see the others is no split",
			newTrouble().cut("a", "b"),
			[]brief{{health.Suspected, health.Warning, "ab", "", []string{"10.0.0.1:7000 is missed on the cluster bus by 10.0.0.2:7000"}}},
		},
		{
			"a dead replica that one has forgotten",
			newTrouble().silent("d", "connection refused").without("b", "d"),
			[]brief{
				{health.Unreachable, health.Warning, "d", "", nil},
				{health.HalfForgotten, health.Warning, "d", "", []string{"is known to 4 nodes and not to 10.0.0.2:7000"}},
			},
		},
		{
			"a node that everybody has forgotten, and that remembers them",
			newTrouble().without("a", "d").without("b", "d").without("c", "d").without("e", "d").without("f", "d"),
			[]brief{{health.HalfForgotten, health.Error, "d", "", []string{"is known to 0 nodes and not to 10.0.0.1:7000"}}},
		},
		{
			"other addresses",
			newTrouble().seenBy("a", "b", func(n *cluster.Node) { n.Addr.Host = "127.0.0.1" }).seenBy("c", "b", func(n *cluster.Node) { n.Addr.Host = "127.0.0.1" }).
				seenBy("d", "f", func(n *cluster.Node) { n.Addr.Port = 7001 }),
			[]brief{{health.AddressesDiffer, health.Warning, "bf", "", []string{
				"10.0.0.2:7000 (bbbbbbbb) is known as 127.0.0.1:7000 to 10.0.0.1:7000, 10.0.0.3:7000", "10.0.0.6:7000 (ffffffff) is known as 10.0.0.6:7001 to 10.0.0.4:7000",
			}}},
		},

		{
			"owners with one epoch",
			newTrouble().node("b", func(n *cluster.Node) { n.Epoch = 1 }).node("e", func(n *cluster.Node) { n.Epoch = 1 }),
			[]brief{{health.EpochCollision, health.Error, "ab", "", []string{"2 masters share", "epoch 1: 10.0.0.1:7000, 10.0.0.2:7000"}}},
		},
		{
			"newcomers with one epoch",
			newTrouble().node("d", newcomer).node("e", newcomer),
			[]brief{
				{health.EpochCollision, health.Warning, "de", "", []string{"epoch 0: 10.0.0.4:7000, 10.0.0.5:7000"}},
				{health.NoReplica, health.Warning, "ab", "", nil},
			},
		},
		{
			"a majority is gone",
			newTrouble().silent("a", "x").silent("b", "x"),
			[]brief{
				{health.Unreachable, health.Error, "a", "", nil},
				{health.Unreachable, health.Error, "b", "", nil},
				{health.Uncovered, health.Error, "", "0-10922", nil},
				{health.QuorumLost, health.Error, "ab", "", []string{"3 masters with slots, 1 of them answer, a majority is 2"}},
			},
		},
		{
			"two masters on a host, and zones",
			newTrouble().node("b", func(n *cluster.Node) { n.Addr = cluster.Addr{Host: "10.0.0.1", Port: 7001} }).
				zone("a", "east").zone("c", "east").zone("d", "west").zone("e", "west").zone("f", "east"),
			[]brief{
				{health.QuorumAtRisk, health.Warning, "", "", []string{"host 10.0.0.1 has 2 of the 3 masters that answer", "zone east has 3 of the 3 masters that answer"}},
				{health.SameZone, health.Warning, "f", "", []string{"zone east: 10.0.0.6:7000 of 10.0.0.3:7000"}},
			},
		},
		{
			"zones that nodes announce",
			newTrouble().member("a", func(m *cluster.Member) { m.Zone = "east" }).member("d", func(m *cluster.Member) { m.Zone = "east" }).
				member("b", func(m *cluster.Member) { m.Zone = "east" }).zone("b", "west").member("e", func(m *cluster.Member) { m.Zone = "east" }),
			[]brief{{health.SameZone, health.Warning, "d", "", []string{"zone east: 10.0.0.4:7000 of 10.0.0.1:7000"}}},
		},
		{
			"replicas beside their masters",
			newTrouble().node("d", func(n *cluster.Node) { n.Addr = cluster.Addr{Host: "10.0.0.1", Port: 7001} }).
				node("f", func(n *cluster.Node) { n.Addr = cluster.Addr{Host: "10.0.0.3", Port: 7001} }).zone("c", "x"),
			[]brief{{health.SameHost, health.Warning, "df", "", []string{"host 10.0.0.1: 10.0.0.1:7001 of 10.0.0.1:7000", "host 10.0.0.3: 10.0.0.3:7001 of 10.0.0.3:7000"}}},
		},

		{
			"a replica without link, one that copies, and one of a silent master",
			newTrouble().member("d", replica(cluster.Replication{})).member("e", replica(cluster.Replication{Syncing: true})).
				silent("c", "x").member("f", replica(cluster.Replication{})),
			[]brief{
				{health.Unreachable, health.Error, "c", "", nil},
				{health.Uncovered, health.Error, "", "10923-16383", nil},
				{health.QuorumAtRisk, health.Warning, "", "", nil},
				{health.LinkDown, health.Warning, "de", "", []string{"10.0.0.4:7000 says that its link to 10.0.0.1:7000 is down", "10.0.0.5:7000 is copying all data of 10.0.0.2:7000 now"}},
			},
		},
		{
			"replicas that are behind, in bytes and in time",
			newTrouble().member("a", master(cluster.ReplicaOffset{Addr: addr("d"), Online: true, Offset: 100})).
				member("b", master(cluster.ReplicaOffset{Addr: cluster.Addr{Host: "nat", Port: 7000}, Online: true, Offset: 20 << 20, Lag: 11})).
				member("c", master(cluster.ReplicaOffset{Addr: addr("f"), Online: true, Offset: 11 << 20, Lag: 1})),
			[]brief{{health.Lag, health.Warning, "de", "", []string{"10.0.0.4:7000 is 20971420 bytes behind 10.0.0.1:7000, which heard of it 0 s ago", "10.0.0.5:7000 is 0 bytes behind 10.0.0.2:7000, which heard of it 11 s ago"}}},
		},
		{
			"a chain",
			newTrouble().node("e", func(n *cluster.Node) { n.MasterID = id("d") }),
			[]brief{
				{health.ReplicaOfReplica, health.Error, "e", "", []string{"10.0.0.5:7000 replicates 10.0.0.4:7000, which replicates aaaaaaaa"}},
				{health.NoReplica, health.Warning, "b", "", nil},
			},
		},
		{
			"a master that nobody knows",
			newTrouble().node("e", func(n *cluster.Node) { n.MasterID = id("9") }),
			[]brief{
				{health.Orphaned, health.Warning, "e", "", []string{"10.0.0.5:7000 is a replica of 99999999, which owns nothing and does not answer; it has 0 keys"}},
				{health.NoReplica, health.Warning, "b", "", nil},
			},
		},

		{
			"servers differ",
			newTrouble().member("a", server("redis", "7.0.15")).member("b", server("valkey", "8.1.1")).member("c", server("redis", "7.0.15")),
			[]brief{{health.VersionsDiffer, health.Warning, "", "", []string{"2 different servers", "redis 7.0.15: 2 nodes (10.0.0.1:7000, 10.0.0.3:7000)", "valkey 8.1.1: 1 node (10.0.0.2:7000)"}}},
		},
		{
			"settings differ",
			newTrouble().member("a", config("maxmemory", "0", "appendonly", "yes")).member("b", config("maxmemory", "0")).
				member("c", config("maxmemory", "1", "maxmemory-policy", "")).member("d", config("maxmemory-policy", "noeviction")),
			[]brief{{health.ConfigDiffers, health.Warning, "cd", "", []string{
				"2 settings: maxmemory, maxmemory-policy", "maxmemory: 0 on 10.0.0.1:7000, 10.0.0.2:7000; 1 on 10.0.0.3:7000",
				"maxmemory-policy: (empty) on 10.0.0.3:7000; noeviction on 10.0.0.4:7000",
			}}},
		},
		{
			"functions differ",
			newTrouble().member("a", functions("0123456789", 2)).member("b", functions("0123456789", 2)).member("c", functions("abcdef", 0)).member("d", functions("x", 1)),
			[]brief{{health.FunctionsDiffer, health.Error, "c", "", []string{"2 functions (digest 01234567): 10.0.0.1:7000, 10.0.0.2:7000", "0 functions (digest abcdef): 10.0.0.3:7000"}}},
		},
		{
			"a newcomer without functions",
			newTrouble().node("d", newcomer).member("a", functions("x", 1)).member("d", functions("y", 0)),
			[]brief{{health.FunctionsDiffer, health.Warning, "d", "", nil}, {health.NoReplica, health.Warning, "a", "", nil}},
		},
	}
	provoked := make(map[health.Code][]health.Severity)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := health.Options{Zones: tt.tr.zones}.Check(tt.tr.state(t))
			var got []brief
			for i, f := range found {
				b := brief{Code: f.Code, Severity: f.Severity, Slots: f.Slots.String()}
				for _, n := range f.Nodes {
					b.Nodes += string(n[0])
				}
				text := f.Summary + "\n" + strings.Join(f.Evidence, "\n")
				if i < len(tt.want) {
					for _, s := range tt.want[i].Says {
						if strings.Contains(text, s) {
							b.Says = append(b.Says, s)
						}
					}
				}
				got = append(got, b)
				provoked[f.Code] = append(provoked[f.Code], f.Severity)
				if f.Summary == "" || f.Remedy == "" || len(f.Evidence) == 0 && f.Code != health.Uncovered {
					t.Errorf("finding without summary, evidence or remedy: %+v", f)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\nfound: %+v", diff, found)
			}
			if want := slices.ContainsFunc(tt.want, func(b brief) bool { return b.Severity == health.Error }); health.HasErrors(found) != want {
				t.Errorf("has errors: %v", !want)
			}
		})
	}
	for _, s := range health.Stories() {
		got := provoked[s.Code]
		slices.Sort(got)
		if diff := cmp.Diff(s.Severities, slices.Compact(got)); diff != "" {
			t.Errorf("%s (-severities of the story +provoked):\n%s", s.Code, diff)
		}
	}
}

// TestBlocking promises that errors forbid to move slots, but for those that
// have nothing to do with it, and that no warning does.
func TestBlocking(t *testing.T) {
	var found []health.Finding
	for _, s := range health.Stories() {
		found = append(found, health.Finding{Code: s.Code, Severity: health.Error}, health.Finding{Code: s.Code, Severity: health.Warning})
	}
	harmless := []health.Code{health.OpenSlots, health.ReplicaOfReplica, health.FunctionsDiffer}
	blocking := health.Blocking(found)
	for _, f := range found {
		want := f.Severity == health.Error && !slices.Contains(harmless, f.Code)
		got := slices.ContainsFunc(blocking, func(b health.Finding) bool { return b.Code == f.Code && b.Severity == f.Severity })
		if got != want {
			t.Errorf("%s %s blocks: %v", f.Severity, f.Code, got)
		}
		if f.Severity == health.Warning && health.MayPass(f) || f.Severity == health.Error && health.IsAdvice(f) {
			t.Errorf("%s %s: may pass %v, is advice %v", f.Severity, f.Code, health.MayPass(f), health.IsAdvice(f))
		}
	}
	if health.HasErrors(nil) || health.Blocking(nil) != nil {
		t.Error("nothing has errors")
	}
}

// TestHealthyServers promises no finding on clusters that real servers formed:
// the captured view of a master and that of a replica, as both would answer.
func TestHealthyServers(t *testing.T) {
	const captures = "../../testdata/nodes"
	dirs, err := os.ReadDir(captures)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		t.Run(d.Name(), func(t *testing.T) {
			if diff := cmp.Diff(oneHost(), codesOf(health.Check(captured(t, filepath.Join(captures, d.Name()), "formed")))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkCapturedTrouble(t, filepath.Join(captures, d.Name()))
		})
	}
}

// oneHost is what is found on every cluster that runs on one host.
func oneHost() []health.Code { return []health.Code{health.QuorumAtRisk, health.SameHost} }

func codesOf(found []health.Finding) []health.Code {
	var codes []health.Code
	for _, f := range found {
		codes = append(codes, f.Code)
	}
	return codes
}

// checkCapturedTrouble looks for the trouble that is known to be in other
// captures.
func checkCapturedTrouble(t *testing.T, dir string) {
	for name, want := range map[string][]health.Code{
		"fragmented":  {health.Uncovered},
		"open-source": {health.OpenSlots},
		"open-target": {health.OpenSlots},
	} {
		if diff := cmp.Diff(append(want, oneHost()...), codesOf(health.Check(captured(t, dir, name)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// captured is a cluster in which everybody answers as the captured node did:
// each about itself.
func captured(t *testing.T, dir, name string) cluster.State {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "nodes-"+name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := cluster.ParseNodes(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var s cluster.State
	for _, n := range v.Nodes {
		s.Members = append(s.Members, cluster.Member{ID: n.ID, Addr: n.Addr, View: asSelf(t, string(text), v, n.ID), ClusterOK: true})
	}
	s.Sort()
	return s
}

// asSelf moves "myself" to another line. Open slots stay with the line that has
// them: only the node itself prints them.
func asSelf(t *testing.T, text string, v cluster.View, id cluster.NodeID) cluster.View {
	t.Helper()
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "myself,", "")) {
		fields := strings.Fields(line)
		if cluster.NodeID(fields[0]) == id {
			fields[2] = "myself," + fields[2]
		} else {
			fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "[") })
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	own, err := cluster.ParseNodes(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// TestFindingJSON promises the names that scripts match.
func TestFindingJSON(t *testing.T) {
	got, err := json.Marshal(health.Finding{
		Code: health.Uncovered, Severity: health.Error, Summary: "s", Slots: slotSet("1-3"), Nodes: []cluster.NodeID{"x"}, Remedy: "r",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"code":"uncovered-slots","severity":"error","summary":"s","nodes":["x"],"slots":"1-3","remedy":"r"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCheckChangesNothing promises that a state may be judged again.
func TestCheckChangesNothing(t *testing.T) {
	s := newTrouble().silent("a", "x").state(t)
	first := health.Check(s)
	if diff := cmp.Diff(first, health.Check(s)); diff != "" {
		t.Errorf("the second time (-first +second):\n%s", diff)
	}
}

// thousand is a healthy cluster of 1,000 nodes, half of them masters.
func thousand() cluster.State {
	var nodes []cluster.Node
	for i := range 1000 {
		n := cluster.Node{ID: cluster.NodeID(fmt.Sprintf("%040x", i)), Addr: cluster.Addr{Host: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: 7000}, Flags: cluster.FlagMaster, Linked: true, Epoch: uint64(i)}
		if i < 500 {
			n.Slots = cluster.NewSlotSet(cluster.SlotRange{First: i * cluster.SlotCount / 500, Last: (i+1)*cluster.SlotCount/500 - 1})
		} else {
			n.Flags, n.MasterID = cluster.FlagReplica, nodes[i-500].ID
		}
		nodes = append(nodes, n)
	}
	var s cluster.State
	for i, n := range nodes {
		// A view's own line comes first where nothing else is said.
		own := append([]cluster.Node{n}, nodes[:i]...)
		own = append(own, nodes[i+1:]...)
		s.Members = append(s.Members, cluster.Member{ID: n.ID, Addr: n.Addr, View: cluster.View{Nodes: own}, ClusterOK: true})
	}
	return s
}

// BenchmarkCheck1000 is the judgement of a healthy cluster of 1,000 nodes.
func BenchmarkCheck1000(b *testing.B) {
	s := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if found := health.Check(s); found != nil {
			b.Fatal(found)
		}
	}
}
