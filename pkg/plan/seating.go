package plan

import (
	"cmp"
	"math"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// seating decides how many replicas from each host go to each group: a minimum
// cost flow, grown by one replica at a time along a cheapest path, on which
// replicas that sit already may move on.
//
// A replica passes from its host into the row of its zone in a group, and from
// the row into the group. The first passage costs what its company on the host
// is worth, the second what its company in the zone is.
type seating struct {
	rest   []cluster.Member // the replicas to seat
	host   map[string]int   // index of each host with replicas, wished ones too
	zoneOf []int            // by host
	zoned  bool             // otherwise all hosts are in zone 0, which costs nothing

	masterHost []int   // by group; -1 where that host has no replicas
	masterZone []int   // by group; likewise
	seated     [][]int // by group and host: how many replicas
	movable    [][]int // by group and host: how many of them may move on
	present    [][]int // by group: the hosts of those who may
	inRow      [][]int // by group and zone: how many replicas
	size       []int   // by group: how many in all
	least      int     // every group gets so many, unless it has more by a wish,
	spare      int     // and so many groups one more
	full       []bool  // by group: has more than the least by a wish
}

func newSeating(c cast, groups []group, rest []cluster.Member) *seating {
	s := &seating{
		rest: rest, host: make(map[string]int), zoned: c.zoned(),
		masterHost: make([]int, len(groups)), masterZone: make([]int, len(groups)), size: make([]int, len(groups)),
		seated: make([][]int, len(groups)), movable: make([][]int, len(groups)),
		present: make([][]int, len(groups)), inRow: make([][]int, len(groups)), full: make([]bool, len(groups)),
	}
	zones := s.survey(c, groups)
	for i, g := range groups {
		s.seated[i], s.movable[i] = make([]int, len(s.host)), make([]int, len(s.host))
		s.inRow[i] = make([]int, len(zones))
		s.masterHost[i] = indexIn(s.host, g.master.Addr.Host)
		s.masterZone[i] = indexIn(zones, c.zone(g.master))
		for _, r := range g.replicas {
			h := s.host[r.Addr.Host]
			s.seated[i][h]++
			s.inRow[i][s.zoneOf[h]]++
			s.size[i]++
		}
	}
	s.level()
	for _, r := range rest {
		s.seat(s.host[r.Addr.Host])
	}
	return s
}

// survey numbers the hosts of replicas and their zones.
func (s *seating) survey(c cast, groups []group) (zones map[string]int) {
	zones = make(map[string]int)
	note := func(r cluster.Member) {
		if _, ok := s.host[r.Addr.Host]; ok {
			return
		}
		zone := ""
		if s.zoned {
			zone = c.zone(r)
		}
		if _, ok := zones[zone]; !ok {
			zones[zone] = len(zones)
		}
		s.host[r.Addr.Host] = len(s.host)
		s.zoneOf = append(s.zoneOf, zones[zone])
	}
	for _, r := range s.rest {
		note(r)
	}
	for _, g := range groups {
		for _, r := range g.replicas {
			note(r)
		}
	}
	return zones
}

func indexIn(m map[string]int, key string) int {
	if i, ok := m[key]; ok {
		return i
	}
	return -1
}

// level finds how many replicas each group gets at least, so that all get as
// evenly many as the wishes allow.
func (s *seating) level() {
	lacking := func(level int) int {
		n := 0
		for _, size := range s.size {
			n += max(0, level-size)
		}
		return n
	}
	for len(s.size) > 0 && lacking(s.least+1) <= len(s.rest) {
		s.least++
	}
	s.spare = len(s.rest) - lacking(s.least)
	for g, size := range s.size {
		s.full[g] = size > s.least
	}
}

// fill hands out the replicas in their order, in rounds.
func (s *seating) fill(groups []group) {
	for _, r := range s.rest {
		h, to := s.host[r.Addr.Host], -1
		for g := range groups {
			if s.movable[g][h] > 0 && (to < 0 || len(groups[g].replicas) < len(groups[to].replicas)) {
				to = g
			}
		}
		s.movable[to][h]--
		groups[to].replicas = append(groups[to].replicas, r)
	}
}

// hostPrice is what a replica from host h costs in group g where others from
// there are in it already.
func (s *seating) hostPrice(g, h, others int) int {
	switch {
	case s.masterHost[g] == h:
		return costHostOfMaster
	case others > 0:
		return costHostOfSibling
	}
	return 0
}

// rowPrice is what a replica in row z costs in group g beside the others of the
// row.
func (s *seating) rowPrice(g, z, others int) int {
	switch {
	case !s.zoned:
		return 0
	case s.masterZone[g] == z:
		return costZoneOfMaster
	case others > 0:
		return costZoneOfSibling
	}
	return 0
}

// price is what one more replica from host h costs in group g.
func (s *seating) price(g, h int) int {
	z := s.zoneOf[h]
	return s.hostPrice(g, h, s.seated[g][h]) + s.rowPrice(g, z, s.inRow[g][z])
}

// open reports whether a group can take one more without giving one away.
func (s *seating) open(g int) bool {
	return s.size[g] < s.least || s.size[g] == s.least && s.spare > 0
}

// cheapest is the open group with the lowest cost, the smallest one of those.
func (s *seating) cheapest(cost func(g int) int) (best, lowest int) {
	best = -1
	for g := range s.size {
		if !s.open(g) {
			continue
		}
		if c := cost(g); best < 0 || c < lowest || c == lowest && s.size[g] < s.size[best] {
			best, lowest = g, c
		}
	}
	return best, lowest
}

// seat finds a place for one more replica from host h. Where one costs nothing
// there is no need to look further: nothing gets cheaper by one replica more.
func (s *seating) seat(h int) {
	if g, cost := s.cheapest(func(g int) int { return s.price(g, h) }); cost == 0 {
		s.take(g)
		s.sitDown(g, h)
		return
	}
	p := s.paths(h)
	g, _ := s.cheapest(func(g int) int { return p.toGroup[g] })
	s.take(g)
	s.move(p, g)
}

func (s *seating) take(g int) {
	if s.size[g] >= s.least {
		s.spare--
	}
	s.size[g]++
}

func (s *seating) sitDown(g, h int) {
	s.seated[g][h]++
	s.inRow[g][s.zoneOf[h]]++
	if s.movable[g][h]++; s.movable[g][h] == 1 {
		s.present[g] = append(s.present[g], h)
	}
}

func (s *seating) getUp(g, h int) {
	s.seated[g][h]--
	s.inRow[g][s.zoneOf[h]]--
	if s.movable[g][h]--; s.movable[g][h] == 0 {
		s.present[g] = slices.DeleteFunc(s.present[g], func(other int) bool { return other == h })
	}
}

// paths are the cheapest ways by which a replica can come to every row and
// every group, and one from every host be looking for a place.
type paths struct {
	toHost, toGroup []int
	toRow           [][]int // by group and zone
	leaves          []int   // by host: the group that its replica leaves; -1 for the new one
	enters          [][]int // by group and zone: the host that comes; -1 for a seat given up in the group
	row             []int   // by group: the row of the one who comes; -1 where another group gives up
	cedes           []int   // by group, where another one gives up: which
}

const never = math.MaxInt / 2

func (s *seating) paths(h int) paths {
	zones := len(s.inRow[0])
	p := paths{
		toHost: repeated(never, len(s.host)), toGroup: repeated(never, len(s.size)),
		leaves: repeated(-1, len(s.host)), row: make([]int, len(s.size)), cedes: make([]int, len(s.size)),
	}
	for range s.size {
		p.toRow = append(p.toRow, repeated(never, zones))
		p.enters = append(p.enters, make([]int, zones))
	}
	p.toHost[h] = 0
	for changed := true; changed; {
		changed = s.arrivals(&p)
		changed = s.admissions(&p) || changed
		changed = s.cessions(&p) || changed
		changed = s.departures(&p) || changed
	}
	return p
}

func repeated(value, n int) []int { return slices.Repeat([]int{value}, n) }

// arrivals: a replica from a host comes into a row. Most hosts cost the same
// there, so the cheapest ones are asked first and few others after them.
func (s *seating) arrivals(p *paths) (changed bool) {
	for z, hosts := range s.reached(p) {
		for g := range s.size {
			for _, h := range hosts {
				if p.toHost[h] >= p.toRow[g][z] {
					break
				}
				if c := p.toHost[h] + s.hostPrice(g, h, s.seated[g][h]); c < p.toRow[g][z] {
					p.toRow[g][z], p.enters[g][z] = c, h
					changed = true
				}
			}
		}
	}
	return changed
}

// reached are, by zone, the hosts with a replica that looks for a place, the
// cheapest ones first.
func (s *seating) reached(p *paths) [][]int {
	hosts := make([][]int, len(s.inRow[0]))
	for h, cost := range p.toHost {
		if cost < never {
			hosts[s.zoneOf[h]] = append(hosts[s.zoneOf[h]], h)
		}
	}
	for _, hs := range hosts {
		slices.SortFunc(hs, func(a, b int) int { return cmp.Or(cmp.Compare(p.toHost[a], p.toHost[b]), cmp.Compare(a, b)) })
	}
	return hosts
}

// admissions: who has come into a row sits down in the group.
func (s *seating) admissions(p *paths) (changed bool) {
	for g, rows := range p.toRow {
		for z, cost := range rows {
			if c := cost + s.rowPrice(g, z, s.inRow[g][z]); cost < never && c < p.toGroup[g] {
				p.toGroup[g], p.row[g] = c, z
				changed = true
			}
		}
	}
	return changed
}

// departures: somebody else of the same row gets up instead, or, once one has
// sat down, somebody of any row of the group.
func (s *seating) departures(p *paths) (changed bool) {
	for g, hosts := range s.present {
		for _, h := range hosts {
			z := s.zoneOf[h]
			if c := p.toGroup[g] - s.rowPrice(g, z, s.inRow[g][z]-1); p.toGroup[g] < never && c < p.toRow[g][z] {
				p.toRow[g][z], p.enters[g][z] = c, -1
				changed = true
			}
			if c := p.toRow[g][z] - s.hostPrice(g, h, s.seated[g][h]-1); p.toRow[g][z] < never && c < p.toHost[h] {
				p.toHost[h], p.leaves[h] = c, g
				changed = true
			}
		}
	}
	return changed
}

// cessions: a group that has one more than the least gives up that right.
func (s *seating) cessions(p *paths) (changed bool) {
	if s.spare > 0 {
		return false
	}
	from, cost := -1, never
	for g, c := range p.toGroup {
		if s.size[g] == s.least && c < cost {
			from, cost = g, c
		}
	}
	for g, size := range s.size {
		if size > s.least && !s.full[g] && cost < p.toGroup[g] {
			p.toGroup[g], p.row[g], p.cedes[g] = cost, -1, from
			changed = true
		}
	}
	return changed
}

// move carries out what led to a group, from its end to its beginning.
func (s *seating) move(p paths, g int) {
	z := p.row[g]
	for {
		if z < 0 {
			s.size[g]--
			g = p.cedes[g]
			s.size[g]++
			z = p.row[g]
			continue
		}
		h := p.enters[g][z]
		if h < 0 {
			z = p.row[g]
			continue
		}
		s.sitDown(g, h)
		if p.leaves[h] < 0 {
			return
		}
		g, z = p.leaves[h], s.zoneOf[h]
		s.getUp(g, h)
	}
}
