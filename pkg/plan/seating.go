package plan

import (
	"math"

	"github.com/trib-dev/trib/pkg/cluster"
)

// seating decides how many replicas from each host go to each group: a minimum
// cost flow, grown by one replica at a time along a cheapest path, on which
// replicas that sit already may move on. A replica with a sibling costs one,
// one with its master more than all siblings together.
type seating struct {
	rest   []cluster.Member // the replicas
	host   map[string]int   // index of each host that has any
	master []int            // by group: the host of its master; -1 where that has no replicas
	seated [][]int          // by group and host: how many replicas
	size   []int            // by group: how many in all
	least  int              // every group gets so many,
	spare  int              // and so many groups one more
}

const companyOfMaster = 1 << 20

func newSeating(groups []group, rest []cluster.Member) *seating {
	s := &seating{
		rest: rest, host: make(map[string]int),
		master: make([]int, len(groups)), seated: make([][]int, len(groups)), size: make([]int, len(groups)),
		least: len(rest) / len(groups), spare: len(rest) % len(groups),
	}
	for _, r := range rest {
		if _, ok := s.host[r.Addr.Host]; !ok {
			s.host[r.Addr.Host] = len(s.host)
		}
	}
	for g := range groups {
		s.seated[g] = make([]int, len(s.host))
		h, ok := s.host[groups[g].master.Addr.Host]
		if !ok {
			h = -1
		}
		s.master[g] = h
	}
	for _, r := range rest {
		s.seat(s.host[r.Addr.Host])
	}
	return s
}

// fill hands out the replicas in their order, in rounds.
func (s *seating) fill(groups []group) {
	for _, r := range s.rest {
		h, to := s.host[r.Addr.Host], -1
		for g := range groups {
			if s.seated[g][h] > 0 && (to < 0 || len(groups[g].replicas) < len(groups[to].replicas)) {
				to = g
			}
		}
		s.seated[to][h]--
		groups[to].replicas = append(groups[to].replicas, r)
	}
}

// price is what one more replica from host h costs in group g.
func (s *seating) price(g, h int) int { return s.company(g, h, s.seated[g][h]) }

// refund is what one less costs less.
func (s *seating) refund(g, h int) int { return s.company(g, h, s.seated[g][h]-1) }

func (s *seating) company(g, h, siblings int) int {
	switch {
	case s.master[g] == h:
		return companyOfMaster
	case siblings > 0:
		return 1
	}
	return 0
}

// open reports whether a group can take one more without giving one away.
func (s *seating) open(g int) bool {
	return s.size[g] < s.least || s.size[g] == s.least && s.spare > 0
}

// cheapest is the open group with the lowest cost, the smallest one of those.
func (s *seating) cheapest(cost func(g int) int) int {
	best := -1
	for g := range s.size {
		if s.open(g) && (best < 0 || cost(g) < cost(best) || cost(g) == cost(best) && s.size[g] < s.size[best]) {
			best = g
		}
	}
	return best
}

// seat finds a place for one more replica from host h. Where one costs nothing
// there is no need to look further: nothing gets cheaper by one replica more.
func (s *seating) seat(h int) {
	if g := s.cheapest(func(g int) int { return s.price(g, h) }); s.price(g, h) == 0 {
		s.take(g)
		s.seated[g][h]++
		return
	}
	p := s.paths(h)
	g := s.cheapest(func(g int) int { return p.toGroup[g] })
	s.take(g)
	s.move(p, g)
}

func (s *seating) take(g int) {
	if s.size[g] >= s.least {
		s.spare--
	}
	s.size[g]++
}

// paths are the cheapest ways by which a replica can come to every group, and
// one from every host be looking for a place.
type paths struct {
	toGroup, toHost []int
	byHost          []int // by group: the host that the replica comes from; -1 for one that is given up
	byGroup         []int // by group, where it is given up: to which group
	from            []int // by host: the group that the replica leaves; -1 for the new one
}

const never = math.MaxInt / 2

func (s *seating) paths(h int) paths {
	p := paths{
		toGroup: make([]int, len(s.size)), toHost: make([]int, len(s.host)),
		byHost: make([]int, len(s.size)), byGroup: make([]int, len(s.size)), from: make([]int, len(s.host)),
	}
	for g := range p.toGroup {
		p.toGroup[g] = never
	}
	for i := range p.toHost {
		p.toHost[i], p.from[i] = never, -1
	}
	p.toHost[h] = 0
	for changed := true; changed; {
		changed = s.arrivals(&p)
		changed = s.departures(&p) || changed
		changed = s.cessions(&p) || changed
	}
	return p
}

// arrivals: a replica from a host sits down in a group.
func (s *seating) arrivals(p *paths) (changed bool) {
	for h, cost := range p.toHost {
		for g := range p.toGroup {
			if c := cost + s.price(g, h); cost < never && c < p.toGroup[g] {
				p.toGroup[g], p.byHost[g] = c, h
				changed = true
			}
		}
	}
	return changed
}

// departures: somebody else of the group gets up instead.
func (s *seating) departures(p *paths) (changed bool) {
	for g, cost := range p.toGroup {
		for h, n := range s.seated[g] {
			if c := cost - s.refund(g, h); n > 0 && cost < never && c < p.toHost[h] {
				p.toHost[h], p.from[h] = c, g
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
	for g, cost := range p.toGroup {
		if cost == never || s.size[g] != s.least {
			continue
		}
		for other, size := range s.size {
			if size > s.least && cost < p.toGroup[other] {
				p.toGroup[other], p.byHost[other], p.byGroup[other] = cost, -1, g
				changed = true
			}
		}
	}
	return changed
}

// move carries out what led to a group, from its end to its beginning.
func (s *seating) move(p paths, g int) {
	for {
		h := p.byHost[g]
		if h < 0 {
			s.size[g]--
			g = p.byGroup[g]
			s.size[g]++
			continue
		}
		s.seated[g][h]++
		if p.from[h] < 0 {
			return
		}
		g = p.from[h]
		s.seated[g][h]--
	}
}
