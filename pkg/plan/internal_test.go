package plan

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
)

// crowd is how badly replicas are placed: with their master, and with a
// sibling. The first is worse than any number of the second.
type crowd struct{ withMaster, withSibling int }

func (c crowd) worseThan(d crowd) bool {
	return c.withMaster > d.withMaster || c.withMaster == d.withMaster && c.withSibling > d.withSibling
}

func (c crowd) plus(d crowd) crowd {
	return crowd{c.withMaster + d.withMaster, c.withSibling + d.withSibling}
}

func crowdOf(groups []group) crowd {
	var c crowd
	for _, g := range groups {
		for i, r := range g.replicas {
			switch (group{g.master, g.replicas[:i]}).closeness(r.Addr.Host) {
			case withMaster:
				c.withMaster++
			case withSibling:
				c.withSibling++
			}
		}
	}
	return c
}

// onHosts are nodes, in order, on the hosts whose letters are given.
func onHosts(hosts string) []cluster.Member {
	var members []cluster.Member
	for i, h := range hosts {
		members = append(members, cluster.Member{
			ID:   cluster.NodeID(fmt.Sprintf("%040x", i+1)),
			Addr: cluster.Addr{Host: string(h), Port: 7000 + i},
		})
	}
	return members
}

// drawHosts draws which of a few hosts each node is on.
func drawHosts(t *rapid.T, nodes int) string {
	hosts := rapid.IntRange(1, 5).Draw(t, "hosts")
	b := make([]byte, nodes)
	for i := range b {
		b[i] = byte('a' + rapid.IntRange(0, hosts-1).Draw(t, "host"))
	}
	return string(b)
}

// bruteForce is the least crowding that choices of masters, counted by host, and
// any distribution of the replicas allow, found by trying all of them.
type bruteForce struct {
	free  [5]int // nodes on each host
	sizes int    // replicas for each master, at least
	extra int    // masters that get one more
	best  crowd
}

func leastCrowded(hosts string, choices [][5]int) crowd {
	masters := sum(choices[0])
	b := bruteForce{free: nodesOn(hosts), best: crowd{1 << 20, 0}}
	rest := len(hosts) - masters
	b.sizes, b.extra = rest/masters, rest%masters
	for _, choice := range choices {
		b.chosen(choice)
	}
	return b.best
}

func nodesOn(hosts string) [5]int {
	var nodes [5]int
	for _, h := range hosts {
		nodes[h-'a']++
	}
	return nodes
}

// spreads are the ways to choose masters that are as even over the hosts as
// the hosts allow: everybody gets one before anybody gets a second.
func spreads(free [5]int, masters int) [][5]int {
	var level [5]int
	for {
		var next [5]int
		total := 0
		for h := range next {
			next[h] = min(free[h], level[h]+1)
			total += next[h]
		}
		if total > masters {
			break
		}
		level = next
		if total == masters {
			return [][5]int{level}
		}
	}
	return choose(free, level, 0, masters-sum(level))
}

func sum(counts [5]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// choose gives one more to any n hosts from h on that have one.
func choose(free, level [5]int, h, n int) [][5]int {
	if n == 0 {
		return [][5]int{level}
	}
	if h == len(level) {
		return nil
	}
	out := choose(free, level, h+1, n)
	if free[h] > level[h] {
		level[h]++
		out = append(out, choose(free, level, h+1, n-1)...)
	}
	return out
}

func (b *bruteForce) chosen(masters [5]int) {
	left := b.free
	var hosts []int
	for h, n := range masters {
		left[h] -= n
		for range n {
			hosts = append(hosts, h)
		}
	}
	b.deal(hosts, left, b.extra, crowd{})
}

// deal tries every set of replicas for the first master, and goes on.
func (b *bruteForce) deal(masters []int, left [5]int, extra int, so crowd) {
	if !b.best.worseThan(so) {
		return
	}
	if len(masters) == 0 {
		b.best = so
		return
	}
	for more := range 2 {
		if more <= extra && extra-more <= len(masters)-1 {
			b.fill(masters, left, extra-more, so, 0, b.sizes+more)
		}
	}
}

func (b *bruteForce) fill(masters []int, left [5]int, extra int, so crowd, h, want int) {
	if want == 0 {
		b.deal(masters[1:], left, extra, so)
		return
	}
	if h == len(left) {
		return
	}
	for n := 0; n <= min(want, left[h]); n++ {
		c := so
		if h == masters[0] {
			c = c.plus(crowd{withMaster: n})
		} else if n > 1 {
			c = c.plus(crowd{withSibling: n - 1})
		}
		rest := left
		rest[h] -= n
		b.fill(masters, rest, extra, c, h+1, want-n)
	}
}

// TestPlaceIsBest promises that a replica is with its master only where no
// choice of equally spread masters avoids it, and with another replica only
// where these masters do not allow otherwise.
func TestPlaceIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		masters := rapid.IntRange(1, 4).Draw(t, "masters")
		hosts := drawHosts(t, rapid.IntRange(masters, 10).Draw(t, "nodes"))
		checkPlacement(t, hosts, masters)
	})
}

func checkPlacement(t interface{ Fatalf(string, ...any) }, hosts string, masters int) {
	members := onHosts(hosts)
	groups, crowded := place(members, masters)
	var choice [5]int
	for _, g := range groups {
		choice[g.master.Addr.Host[0]-'a']++
	}
	choices := spreads(nodesOn(hosts), masters)
	if !slices.Contains(choices, choice) {
		t.Fatalf("nodes on hosts %s: %v masters on each, want one of %v", hosts, choice, choices)
	}
	got, want := crowdOf(groups), leastCrowded(hosts, [][5]int{choice})
	if got != want {
		t.Fatalf("nodes on hosts %s, %d masters: %+v, and %+v is possible: %s", hosts, masters, got, want, describe(groups))
	}
	if best := leastCrowded(hosts, choices); got.withMaster > best.withMaster {
		t.Fatalf("nodes on hosts %s, %d masters: %+v, and other masters allow %+v: %s", hosts, masters, got, best, describe(groups))
	}
	if len(crowded) != got.withMaster+got.withSibling {
		t.Fatalf("%d crowded replicas, %d sentences: %q", got.withMaster+got.withSibling, len(crowded), crowded)
	}
	// Everybody has one place, and nobody has two replicas more than another.
	placed := make(map[cluster.NodeID]bool)
	rest := len(members) - masters
	for _, g := range groups {
		for _, m := range append([]cluster.Member{g.master}, g.replicas...) {
			if placed[m.ID] {
				t.Fatalf("%s has two places", m.Addr)
			}
			placed[m.ID] = true
		}
		if n := len(g.replicas); n != rest/masters && n != (rest+masters-1)/masters {
			t.Fatalf("%d replicas for one master of %d for %d", n, rest, masters)
		}
	}
	if len(placed) != len(members) {
		t.Fatalf("%d of %d nodes have a place", len(placed), len(members))
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

// TestPlaceKnownLayouts are layouts where simple methods go wrong.
func TestPlaceKnownLayouts(t *testing.T) {
	tests := []struct {
		name    string
		hosts   string
		masters int
	}{
		{"one host", "aaaaaa", 3},
		{"two hosts, in blocks", "aaabbb", 3},
		{"three hosts, in blocks", "aabbcc", 3},
		{"the heavy host comes first", "aaaaaabcd", 3},
		{"the heavy host comes last", "bcdaaaaaa", 3},
		{"an augmenting path is needed", "abcbca", 3},
		{"replicas to spare", "abcabcab", 3},
		{"two replicas each on three hosts", "abcabcabc", 3},
		{"as many hosts as masters, uneven", "aaaabbccd", 4},
		{"masters only", "aabbc", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkPlacement(t, tt.hosts, tt.masters) })
	}
}

// TestPlaceKeepsTheOrder promises that nodes which are named first become
// masters, as far as spreading them allows.
func TestPlaceKeepsTheOrder(t *testing.T) {
	tests := []struct{ name, hosts, want string }{
		{"one host", "aaaaaa", "7000 7001 7002"},
		{"taking turns", "abcabc", "7000 7001 7002"},
		{"in blocks", "aabbcc", "7000 7002 7004"},
		{"more hosts than masters", "abcdef", "7000 7001 7002"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			groups, _ := place(onHosts(tt.hosts), 3)
			var got []string
			for _, g := range groups {
				got = append(got, fmt.Sprint(g.master.Addr.Port))
			}
			if diff := cmp.Diff(tt.want, fmt.Sprintf("%s %s %s", got[0], got[1], got[2])); diff != "" {
				t.Errorf("masters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEvenRange promises that n contiguous ranges cover every slot once and
// differ by one at most, for every number of masters.
func TestEvenRange(t *testing.T) {
	for n := 1; n <= 1000; n++ {
		next := 0
		for i := range n {
			ranges := evenRange(i, n).Ranges()
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

func TestLargestRemainder(t *testing.T) {
	tests := []struct {
		name    string
		weights []int
		want    int
		shares  []int
	}{
		{"nothing wanted", []int{5, 5}, 0, []int{0, 0}},
		{"nobody", nil, 0, []int{}},
		{"nobody has anything", []int{0, 0}, 0, []int{0, 0}},
		{"everything", []int{3, 0, 4}, 7, []int{3, 0, 4}},
		{"11 of three equal sources", []int{100, 100, 100}, 11, []int{4, 4, 3}},
		{"5 of ten equal sources", []int{9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, 5, []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}},
		{"105 of ten equal sources", []int{1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638, 1638}, 105, []int{11, 11, 11, 11, 11, 10, 10, 10, 10, 10}},
		{"343 of one", []int{5461}, 343, []int{343}},
		{"the largest fraction gets more", []int{3, 3, 4}, 5, []int{2, 1, 2}},
		{"a tie of fractions goes to the larger weight", []int{1, 2, 7}, 5, []int{0, 1, 4}},
		{"a tie goes to the larger one", []int{1, 3}, 2, []int{0, 2}},
		{"one", []int{1, 16383}, 1, []int{0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.shares, largestRemainder(tt.weights, tt.want)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLargestRemainderIsFair promises exactly as many as wanted, nobody more
// than they have, and nobody a whole one off their fair share.
func TestLargestRemainderIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 300), 1, 250).Draw(t, "weights")
		total := 0
		for _, w := range weights {
			total += w
		}
		want := rapid.IntRange(0, total).Draw(t, "want")
		got := 0
		for i, share := range largestRemainder(weights, want) {
			got += share
			if share < 0 || share > weights[i] {
				t.Fatalf("share %d of %d", share, weights[i])
			}
			if off := share*total - weights[i]*want; total > 0 && (off <= -total || off >= total) {
				t.Fatalf("share %d of %d, %d wanted of %d", share, weights[i], want, total)
			}
		}
		if got != want {
			t.Fatalf("%d given, %d wanted", got, want)
		}
	})
}

// TestFingerprintTellsFactsApart promises that what differs in any fact has
// another fingerprint.
func TestFingerprintTellsFactsApart(t *testing.T) {
	seen := make(map[string][]string)
	for _, facts := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"ab"}, {}, {"a", ""}} {
		f := fingerprint(facts)
		if twin, ok := seen[f]; ok {
			t.Errorf("%q and %q have fingerprint %s", facts, twin, f)
		}
		seen[f] = facts
		if again := fingerprint(facts); again != f || len(f) != 16 {
			t.Errorf("fingerprints %s and %s", f, again)
		}
	}
}

// BenchmarkPlace1000 deals 1,000 nodes on 100 hosts.
func BenchmarkPlace1000(b *testing.B) {
	members := onHosts(string(make([]rune, 1000)))
	for i := range members {
		members[i].Addr.Host = fmt.Sprintf("10.0.0.%d", i/10)
	}
	for b.Loop() {
		if groups, crowded := place(members, 500); len(groups) != 500 || crowded != nil {
			b.Fatal(crowded)
		}
	}
}
