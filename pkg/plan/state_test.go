package plan_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// A state is written down a node to a line:
//
//	a 10.0.0.1:7000 0-5460 epoch=1 migrating=5:b,6:b importing=9:c keys=5:2,6:0 lone=5:1 db0=2 functions=1
//	b 10.0.0.2:7000 replica=a
//	c 10.0.0.3:7000 down="i/o timeout"
//	d 10.0.0.4:7000 server=valkey/9.1.0 databases=4
//
// The name becomes the id: "ab" is ababab..., forty digits. Everybody knows
// everybody, unless one says knows=a,b (or knows=- for nobody); meets=a is a
// node that it is just meeting, and sees=a:0-5 are slots that it takes for a's.
// The others know that a node with fail=yes has failed, suspect one with
// suspect=yes, and know nothing of a node with outside=yes, unless they say
// knows=. A node with hidden=yes was not read. A replica has offset=9 of its
// master's stream, and may be syncing=yes, loading=yes, nolink=yes or downfor=9
// (seconds). A server that tells its shard has shard=x. Nobody has a link to a node
// with unlinked=yes, and all last heard of one with heard=9 at that millisecond.
type node struct {
	name   string
	addr   cluster.Addr
	slots  cluster.SlotSet
	fields map[string]string
}

func nodeID(name string) cluster.NodeID {
	return cluster.NodeID(strings.Repeat(name, 40/len(name)+1)[:40])
}

// parseState reads a state; what it cannot read is a mistake in the test.
func parseState(text string) cluster.State {
	var nodes []node
	for line := range strings.Lines(text) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			nodes = append(nodes, parseNode(line))
		}
	}
	var s cluster.State
	for _, n := range nodes {
		if n.fields["hidden"] == "" {
			s.Members = append(s.Members, n.member(nodes))
		}
	}
	s.Sort()
	return s
}

func parseNode(line string) node {
	f := strings.Fields(line)
	n := node{name: f[0], addr: must(cluster.ParseAddr(f[1])), fields: make(map[string]string)}
	for _, field := range f[2:] {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			n.slots = must(cluster.ParseSlotSet(field))
			continue
		}
		n.fields[name] = value
	}
	return n
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func (n node) member(all []node) cluster.Member {
	m := cluster.Member{ID: nodeID(n.name), Addr: n.addr}
	if why, ok := n.fields["down"]; ok {
		m.Unreachable = why
		return m
	}
	m.View = must(cluster.ParseNodes(n.view(all)))
	m.ClusterOK = true
	m.Databases = []int{0}
	for db := 1; db < n.number("databases"); db++ {
		m.Databases = append(m.Databases, db)
	}
	m.Server = cluster.Server{Flavor: "redis", Version: cmp.Or(n.fields["version"], "7.0.15")}
	if flavor, version, ok := strings.Cut(n.fields["server"], "/"); ok {
		m.Server = cluster.Server{Flavor: flavor, Version: version}
	}
	m.NodeTimeout = int64(n.number("timeout"))
	m.Config = map[string]string{"cluster-replica-validity-factor": n.fields["validity"]}
	m.Features.ReplicatedSetSlot = m.Server.AtLeast("valkey", 8, 0)
	m.Functions = int64(n.number("functions"))
	m.Replication = cluster.Replication{Offset: int64(n.number("offset")), Syncing: n.fields["syncing"] != "", Loading: n.fields["loading"] != "", NoLink: n.fields["nolink"] != "", DownFor: int64(n.number("downfor"))}
	for db := range 3 {
		if keys := n.number(fmt.Sprintf("db%d", db)); keys > 0 {
			m.Keyspace = append(m.Keyspace, cluster.DBKeys{DB: db, Keys: int64(keys)})
		}
	}
	for slot, keys := range n.pairs("lone") {
		if m.LoneKeys == nil {
			m.LoneKeys = make(map[int]int64)
		}
		m.LoneKeys[slot] = int64(must(strconv.Atoi(keys)))
	}
	for slot, keys := range n.pairs("keys") {
		if m.SlotKeys == nil {
			m.SlotKeys = make(map[int]int64)
		}
		m.SlotKeys[slot] = int64(must(strconv.Atoi(keys)))
	}
	return m
}

func (n node) number(field string) int {
	if n.fields[field] == "" {
		return 0
	}
	return must(strconv.Atoi(n.fields[field]))
}

// pairs reads slot:value,slot:value.
func (n node) pairs(field string) map[int]string {
	out := make(map[int]string)
	for _, pair := range strings.FieldsFunc(n.fields[field], func(r rune) bool { return r == ',' }) {
		slot, value, _ := strings.Cut(pair, ":")
		out[must(strconv.Atoi(slot))] = value
	}
	return out
}

// view is CLUSTER NODES as n would print it: where two claim a slot, everybody
// believes themselves and then whoever comes first.
func (n node) view(all []node) string {
	var b strings.Builder
	taken := n.slots
	believed, mistaken, _ := strings.Cut(n.fields["sees"], ":")
	wrong := must(cluster.ParseSlotSet(mistaken))
	for _, other := range all {
		if other.name == believed {
			other.slots = other.slots.Union(wrong)
		} else if other.name != n.name {
			other.slots = other.slots.Minus(wrong)
		}
		if other.name != n.name {
			other.slots, taken = other.slots.Minus(taken), taken.Union(other.slots)
		}
		if other.name == n.name {
			b.WriteString(n.line("myself," + n.role()))
			for slot, to := range n.pairs("migrating") {
				fmt.Fprintf(&b, " [%d->-%s]", slot, nodeID(to))
			}
			for slot, from := range n.pairs("importing") {
				fmt.Fprintf(&b, " [%d-<-%s]", slot, nodeID(from))
			}
			b.WriteString("\n")
		} else if n.knows(other) {
			b.WriteString(other.line(other.seenRole()) + "\n")
		} else if n.fields["meets"] == other.name {
			b.WriteString(fmt.Sprintf("%s %s@17000 handshake - 0 0 0 disconnected\n", nodeID("0"+other.name), other.addr))
		}
	}
	return b.String()
}

func (n node) knows(other node) bool {
	list, ok := n.fields["knows"]
	if !ok {
		return n.fields["outside"] == other.fields["outside"]
	}
	return slices.Contains(strings.Split(list, ","), other.name)
}

func (n node) seenRole() string {
	if n.fields["fail"] != "" {
		return n.role() + ",fail"
	}
	if n.fields["suspect"] != "" {
		return n.role() + ",fail?"
	}
	return n.role()
}

func (n node) role() string {
	if n.fields["replica"] != "" {
		return "slave"
	}
	return "master"
}

func (n node) line(flags string) string {
	master := "-"
	if of := n.fields["replica"]; of != "" {
		master = string(nodeID(of))
	}
	shard := n.fields["shard"]
	if shard != "" {
		shard = ",,shard-id=" + shard
	}
	link := "connected"
	if n.fields["unlinked"] != "" {
		link = "disconnected"
	}
	return fmt.Sprintf("%s %s@17000%s %s %s 0 %d %d %s %s", nodeID(n.name), n.addr, shard, flags, master,
		n.number("heard"), n.number("epoch"), link, strings.ReplaceAll(n.slots.String(), ",", " "))
}
