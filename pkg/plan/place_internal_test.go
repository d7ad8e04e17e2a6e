package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
)

// maxHosts is how many hosts the brute force knows.
const maxHosts = 5

// perHost are numbers by host, and by zone where zones are hosts' numbers.
type perHost [maxHosts]int

func (p perHost) sum() (n int) {
	for _, c := range p {
		n += c
	}
	return n
}

// layout is a placement to solve: which host each node is on, and in which zone
// each host.
type layout struct {
	hosts string // of the nodes, in order: a to e
	zones string // of the hosts, in order: a digit each; empty for no zones
}

func (l layout) members() []cluster.Member {
	var members []cluster.Member
	for i, h := range l.hosts {
		members = append(members, cluster.Member{
			ID:   cluster.NodeID(fmt.Sprintf("%040x", i+1)),
			Addr: cluster.Addr{Host: string(h), Port: 7000 + i},
		})
	}
	return members
}

func (l layout) options() CreateOptions {
	o := CreateOptions{Zones: make(map[string]string)}
	for _, m := range l.members() {
		o.Addrs = append(o.Addrs, m.Addr)
		if l.zones != "" {
			o.Zones[m.Addr.Host] = string(l.zones[m.Addr.Host[0]-'a'])
		}
	}
	return o
}

func (l layout) zone(host int) int {
	if host >= len(l.zones) {
		return 0
	}
	return int(l.zones[host] - '0')
}

// nodes are how many nodes each host has.
func (l layout) nodes() (n perHost) {
	for _, h := range l.hosts {
		n[h-'a']++
	}
	return n
}

func (l layout) inZones(byHost perHost) (n perHost) {
	for h, c := range byHost {
		n[l.zone(h)] += c
	}
	return n
}

// cost is what the replicas on each host cost a master on one: the definition
// that the placement is held against.
func (l layout) cost(master int, replicas perHost) int {
	cost, zones := 0, l.inZones(replicas)
	zoned := false
	for h, nodes := range l.nodes() {
		zoned = zoned || nodes > 0 && l.zone(h) != l.zone(int(l.hosts[0]-'a'))
	}
	for h, n := range replicas {
		if h == master {
			cost += n * costHostOfMaster
		} else {
			cost += max(0, n-1) * costHostOfSibling
		}
	}
	for z, n := range zones {
		switch {
		case !zoned:
		case z == l.zone(master):
			cost += n * costZoneOfMaster
		default:
			cost += max(0, n-1) * costZoneOfSibling
		}
	}
	return cost
}

// table is one master with the replicas that it has by a wish.
type table struct {
	master int
	wished perHost
}

// bruteForce finds the least cost of seating by trying everything.
type bruteForce struct {
	layout
	least int
	best  int
}

// leastCost is the least that seating the free nodes at the tables costs, where
// all get as evenly many as their wished ones allow.
func (l layout) leastCost(tables []table, free perHost) int {
	lacking := func(level int) (n int) {
		for _, t := range tables {
			n += max(0, level-t.wished.sum())
		}
		return n
	}
	b := bruteForce{layout: l, best: 1 << 62}
	for lacking(b.least+1) <= free.sum() {
		b.least++
	}
	b.deal(tables, free, free.sum()-lacking(b.least), 0)
	return b.best
}

// deal tries every set of replicas for the first table, and goes on.
func (b *bruteForce) deal(tables []table, free perHost, spare, cost int) {
	if cost >= b.best {
		return
	}
	if len(tables) == 0 {
		if spare == 0 {
			b.best = cost
		}
		return
	}
	t := tables[0]
	own := t.wished.sum()
	b.fill(tables, free, spare, cost, t.wished, 0, max(0, b.least-own))
	if spare > 0 && own <= b.least {
		b.fill(tables, free, spare-1, cost, t.wished, 0, b.least+1-own)
	}
}

func (b *bruteForce) fill(tables []table, free perHost, spare, cost int, seated perHost, h, want int) {
	if want == 0 {
		b.deal(tables[1:], free, spare, cost+b.cost(tables[0].master, seated))
		return
	}
	if h == maxHosts {
		return
	}
	for n := 0; n <= min(want, free[h]); n++ {
		rest, sits := free, seated
		rest[h] -= n
		sits[h] += n
		b.fill(tables, rest, spare, cost, sits, h+1, want-n)
	}
}

// spreads are the ways to choose masters that are as even over the zones as the
// zones allow, and in each zone as even over its hosts.
func (l layout) spreads(masters int) []perHost {
	var out []perHost
	var choose func(h int, chosen perHost)
	nodes := l.nodes()
	choose = func(h int, chosen perHost) {
		if h == maxHosts {
			if chosen.sum() == masters && l.even(chosen) {
				out = append(out, chosen)
			}
			return
		}
		for n := 0; n <= nodes[h]; n++ {
			chosen[h] = n
			choose(h+1, chosen)
		}
	}
	choose(0, perHost{})
	return out
}

// even: no place has two masters more than another one that could have more.
func (l layout) even(masters perHost) bool {
	nodes := l.nodes()
	zones, inZones := l.inZones(masters), l.inZones(nodes)
	for a := range maxHosts {
		for b := range maxHosts {
			if zones[a] > zones[b]+1 && zones[b] < inZones[b] {
				return false
			}
			if l.zone(a) == l.zone(b) && masters[a] > masters[b]+1 && masters[b] < nodes[b] {
				return false
			}
		}
	}
	return true
}

// bestOfMasters is the least cost over all equally spread masters.
func (l layout) bestOfMasters(masters int) int {
	best := 1 << 62
	for _, choice := range l.spreads(masters) {
		free := l.nodes()
		var tables []table
		for h, n := range choice {
			free[h] -= n
			for range n {
				tables = append(tables, table{master: h})
			}
		}
		best = min(best, l.leastCost(tables, free))
	}
	return best
}

// drawLayout draws up to n nodes on up to five hosts in up to three zones, or in
// none.
func drawLayout(t *rapid.T, least, most int) layout {
	hosts := rapid.IntRange(1, maxHosts).Draw(t, "hosts")
	zones := rapid.IntRange(0, 3).Draw(t, "zones")
	var l layout
	for range rapid.IntRange(least, most).Draw(t, "nodes") {
		l.hosts += string(rune('a' + rapid.IntRange(0, hosts-1).Draw(t, "host")))
	}
	for range maxHosts {
		if zones > 0 {
			l.zones += fmt.Sprint(rapid.IntRange(0, zones-1).Draw(t, "zone"))
		}
	}
	return l
}

// TestPlaceIsBest promises that masters are spread evenly over the zones and
// then over the hosts; that replicas cost the least that these masters allow;
// and that no other masters, spread as evenly, let fewer replicas share a host
// or, with as many of these, a zone with their master.
func TestPlaceIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		masters := rapid.IntRange(1, 4).Draw(t, "masters")
		checkPlacement(t, drawLayout(t, masters, 10), masters)
	})
}

type failer interface{ Fatalf(string, ...any) }

func checkPlacement(t failer, l layout, masters int) {
	o := l.options()
	groups := place(l.members(), o, masters)
	var choice perHost
	free := l.nodes()
	var tables []table
	for _, g := range groups {
		h := int(g.master.Addr.Host[0] - 'a')
		choice[h]++
		free[h]--
		tables = append(tables, table{master: h})
	}
	if !l.even(choice) {
		t.Fatalf("%+v: %v masters on each host: %s", l, choice, describe(groups))
	}
	got := cast{zones: o.Zones}.crowd(groups).cost()
	if want := l.leastCost(tables, free); got != want {
		t.Fatalf("%+v, %d masters: cost %#x, and %#x is possible: %s", l, masters, got, want, describe(groups))
	}
	const worst = costZoneOfMaster - 1
	if best := l.bestOfMasters(masters); got&^worst > best&^worst {
		t.Fatalf("%+v, %d masters: cost %#x, and other masters allow %#x: %s", l, masters, got, best, describe(groups))
	}
	everybodySits(t, groups, l)
}

// everybodySits: each node has one place, and nobody has two replicas more than
// another without a wish.
func everybodySits(t failer, groups []group, l layout) {
	placed := make(map[cluster.NodeID]bool)
	least, most := len(l.hosts), 0
	for _, g := range groups {
		for _, m := range append([]cluster.Member{g.master}, g.replicas...) {
			if placed[m.ID] {
				t.Fatalf("%s has two places", m.Addr)
			}
			placed[m.ID] = true
		}
		least = min(least, len(g.replicas))
		most = max(most, len(g.replicas)-max(0, g.wished-1))
	}
	if len(placed) != len(l.hosts) {
		t.Fatalf("%d of %d nodes have a place", len(placed), len(l.hosts))
	}
	if most > least+1 {
		t.Fatalf("%d to %d replicas: %s", least, most, describe(groups))
	}
}

func describe(groups []group) string {
	text := ""
	for _, g := range groups {
		text += g.master.Addr.Host + "("
		for _, r := range g.replicas {
			text += r.Addr.Host
		}
		text += ") "
	}
	return text
}

// TestPlaceWithWishesIsBest promises the same of seating around masters and
// replicas that were wished for, and that the wishes are met.
func TestPlaceWithWishesIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t, 3, 9)
		o := drawWishes(t, l.options())
		if o.Check() != nil {
			t.Skip("contradictory")
		}
		groups := place(l.members(), o, o.masters())
		free := l.nodes()
		var tables []table
		for _, g := range groups {
			at := table{master: int(g.master.Addr.Host[0] - 'a')}
			free[at.master]--
			for i, r := range g.replicas {
				master, wished := o.ReplicaOf[r.Addr]
				if wished != (i < g.wished) || wished && master != g.master.Addr {
					t.Fatalf("%s is the %d. replica of %s, wished for %s", r.Addr, i+1, g.master.Addr, master)
				}
				if wished {
					at.wished[r.Addr.Host[0]-'a']++
					free[r.Addr.Host[0]-'a']--
				}
			}
			if len(g.replicas) < o.Replicas {
				t.Fatalf("%s has %d replicas, %d wished for", g.master.Addr, len(g.replicas), o.Replicas)
			}
			tables = append(tables, at)
		}
		got := cast{zones: o.Zones}.crowd(groups).cost()
		if want := l.leastCost(tables, free); got != want {
			t.Fatalf("%+v, %+v: cost %#x, and %#x is possible: %s", l, o, got, want, describe(groups))
		}
		everybodySits(t, groups, l)
	})
}

func drawWishes(t *rapid.T, o CreateOptions) CreateOptions {
	o.Replicas = rapid.IntRange(0, 2).Draw(t, "replicas")
	o.ReplicaOf, o.Weights = make(map[cluster.Addr]cluster.Addr), make(map[cluster.Addr]int)
	for range rapid.IntRange(0, 4).Draw(t, "pairs") {
		pair := rapid.SliceOfNDistinct(rapid.SampledFrom(o.Addrs), 2, 2, func(a cluster.Addr) cluster.Addr { return a }).Draw(t, "pair")
		o.ReplicaOf[pair[0]] = pair[1]
	}
	if rapid.Bool().Draw(t, "weight") {
		o.Weights[rapid.SampledFrom(o.Addrs).Draw(t, "heavy")] = 3
	}
	return o
}

// TestPlaceKnownLayouts are layouts where simple methods go wrong.
func TestPlaceKnownLayouts(t *testing.T) {
	tests := []struct {
		name    string
		hosts   string
		zones   string
		masters int
	}{
		{"one host", "aaaaaa", "", 3},
		{"two hosts, in blocks", "aaabbb", "", 3},
		{"three hosts, in blocks", "aabbcc", "", 3},
		{"the heavy host comes first", "aaaaaabcd", "", 3},
		{"the heavy host comes last", "bcdaaaaaa", "", 3},
		{"an augmenting path is needed", "abcbca", "", 3},
		{"replicas to spare", "abcabcab", "", 3},
		{"two replicas each on three hosts", "abcabcabc", "", 3},
		{"as many hosts as masters, uneven", "aaaabbccd", "", 4},
		{"masters only", "aabbc", "", 5},
		{"two zones", "aabbccdd", "0011", 4},
		{"the heavy zone comes first", "aabbccde", "00012", 3},
		{"the heavy zone has the lightest host", "aaaabbbccd", "11000", 3},
		{"two replicas each in three zones", "abcdeabcd", "00112", 3},
		{"hosts of one zone only", "abcabc", "000", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkPlacement(t, layout{tt.hosts, tt.zones}, tt.masters) })
	}
}

// TestPlaceKeepsTheOrder promises that nodes which are named first become
// masters, as far as spreading them allows.
func TestPlaceKeepsTheOrder(t *testing.T) {
	tests := []struct{ name, hosts, zones, want string }{
		{"one host", "aaaaaa", "", "7000 7001 7002"},
		{"taking turns", "abcabc", "", "7000 7001 7002"},
		{"in blocks", "aabbcc", "", "7000 7002 7004"},
		{"more hosts than masters", "abcdee", "", "7000 7001 7002"},
		{"zones before hosts", "abcde", "00112", "7000 7002 7004"},
		{"hosts within zones", "aabbcc", "001", "7000 7004 7002"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := layout{tt.hosts, tt.zones}
			var got []string
			for _, g := range place(l.members(), l.options(), 3) {
				got = append(got, fmt.Sprint(g.master.Addr.Port))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("masters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShareIsEven promises that n contiguous ranges cover every slot once and
// differ by one at most, for every number of masters.
func TestShareIsEven(t *testing.T) {
	for n := 1; n <= 1000; n++ {
		next := 0
		for i, slots := range (CreateOptions{}).share(make([]cluster.Addr, n)) {
			ranges := slots.Ranges()
			if len(ranges) != 1 || ranges[0].First != next {
				t.Fatalf("range %d of %d: %v, want one from %d", i, n, ranges, next)
			}
			if size := ranges[0].Len(); size < cluster.SlotCount/n || size > (cluster.SlotCount+n-1)/n {
				t.Fatalf("range %d of %d has %d slots", i, n, size)
			}
			next = ranges[0].Last + 1
		}
		if next != cluster.SlotCount {
			t.Fatalf("%d ranges end at slot %d", n, next-1)
		}
	}
}

// TestShareMeetsWishes promises that every slot has one master, that named
// slots are exactly these, and that nobody else is a whole slot off the share
// that their weight gives them, and nobody without a slot.
func TestShareMeetsWishes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o CreateOptions
		for i := range rapid.IntRange(1, 40).Draw(t, "masters") {
			o.Addrs = append(o.Addrs, cluster.Addr{Host: "h", Port: i + 1})
		}
		o.Weights, o.Slots = make(map[cluster.Addr]int), make(map[cluster.Addr]cluster.SlotSet)
		free, next := cluster.AllSlots(), 0
		for _, addr := range o.Addrs {
			switch rapid.IntRange(0, 2).Draw(t, "wish") {
			case 1:
				o.Weights[addr] = rapid.IntRange(1, 1000).Draw(t, "weight")
			case 2:
				first := next + rapid.IntRange(0, 500).Draw(t, "gap")
				next = first + rapid.IntRange(1, 500).Draw(t, "length")
				if next <= cluster.SlotCount {
					o.Slots[addr] = cluster.NewSlotSet(cluster.SlotRange{First: first, Last: next - 1})
					free = free.Minus(o.Slots[addr])
				}
			}
		}
		if o.Check() != nil {
			t.Skip("contradictory")
		}
		total, all := 0, cluster.SlotSet{}
		for _, addr := range o.Addrs {
			total += o.weight(addr)
		}
		for i, slots := range o.share(o.Addrs) {
			addr := o.Addrs[i]
			if own, named := o.Slots[addr]; named && !own.Equal(slots) {
				t.Fatalf("%s gets %s, wanted %s", addr, slots, own)
			} else if off := slots.Len()*total - o.weight(addr)*free.Len(); !named && (off <= -total || off >= total || slots.Empty()) {
				t.Fatalf("%s gets %d of %d slots with weight %d of %d", addr, slots.Len(), free.Len(), o.weight(addr), total)
			}
			if !all.Intersect(slots).Empty() {
				t.Fatalf("%s gets slots that others have: %s", addr, slots)
			}
			all = all.Union(slots)
		}
		if !all.Equal(cluster.AllSlots()) {
			t.Fatalf("shared out: %s", all)
		}
	})
}

// spreadOut is 1,000 fresh nodes on n hosts, dealt to zones whose weights are
// given.
func spreadOut(hosts int, zones ...int) (cluster.State, CreateOptions) {
	var s cluster.State
	o := CreateOptions{Replicas: 1, Zones: make(map[string]string)}
	var zoneOf []string
	for z, weight := range zones {
		zoneOf = append(zoneOf, slices.Repeat([]string{fmt.Sprint("zone", z)}, weight)...)
	}
	for i := range 1000 {
		id := cluster.NodeID(fmt.Sprintf("%040x", i+1))
		addr := cluster.Addr{Host: fmt.Sprintf("10.0.%d.%d", i%hosts/250, i%hosts%250), Port: 7000 + i/hosts}
		self := cluster.Node{ID: id, Addr: addr, Flags: cluster.FlagMyself | cluster.FlagMaster}
		s.Members = append(s.Members, cluster.Member{ID: id, Addr: addr, View: cluster.View{Nodes: []cluster.Node{self}}})
		o.Addrs = append(o.Addrs, addr)
		o.Zones[addr.Host] = zoneOf[i%hosts%len(zoneOf)]
	}
	s.Sort()
	return s, o
}

// BenchmarkCreate1000 plans create for 1,000 nodes in three zones: spread as
// they should be, and so that much cannot be had.
func BenchmarkCreate1000(b *testing.B) {
	for _, bench := range []struct {
		name     string
		hosts    int
		zones    []int
		replicas int
	}{
		{"100 hosts in even zones", 99, []int{1, 1, 1}, 1},
		{"1000 hosts in even zones", 1000, []int{1, 1, 1}, 1},
		{"100 hosts, one zone heavy", 100, []int{6, 2, 2}, 1},
		{"1000 hosts, one zone heavy", 1000, []int{6, 2, 2}, 1},
		{"100 hosts in even zones, three replicas", 99, []int{1, 1, 1}, 3},
		{"7 hosts in uneven zones", 7, []int{4, 2, 1}, 2},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s, o := spreadOut(bench.hosts, bench.zones...)
			o.Replicas = bench.replicas
			for b.Loop() {
				if _, err := Create(s, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
