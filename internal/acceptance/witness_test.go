package acceptance

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// line is a node in the words of CLUSTER NODES.
type line struct {
	id, addr, flags, master, epoch string

	linked bool
	slots  []int
	open   []string
}

func (n line) is(flag string) bool { return slices.Contains(strings.Split(n.flags, ","), flag) }

// server is what one server says of itself and of the others.
type server struct {
	*lab.Node
	self  line
	lines map[string]line // by id
	info  string          // CLUSTER INFO and INFO replication
	keys  int             // in all databases
}

// picture is what all servers say, in the order of their ports.
type picture []server

// look asks every server but those excepted.
func look(t testing.TB, l *labtest.Lab, except ...*lab.Node) picture {
	t.Helper()
	var p picture
	for _, n := range l.Nodes() {
		if slices.Contains(except, n) {
			continue
		}
		s := server{Node: n, lines: make(map[string]line)}
		s.info = l.Text(t, n, "CLUSTER", "INFO") + l.Text(t, n, "INFO", "replication")
		s.keys = dbSize(t, l, n)
		for text := range strings.Lines(l.Text(t, n, "CLUSTER", "NODES")) {
			parsed := parse(strings.Fields(text))
			s.lines[parsed.id] = parsed
			if parsed.is("myself") {
				s.self = parsed
			}
		}
		p = append(p, s)
	}
	return p
}

var otherDB = regexp.MustCompile(`db[1-9]\d*:keys=(\d+)`)

// dbSize is DBSIZE, and what INFO says of the databases beside the first.
func dbSize(t testing.TB, l *labtest.Lab, n *lab.Node) int {
	t.Helper()
	sum := int(l.Do(t, n, "DBSIZE").(int64))
	for _, match := range otherDB.FindAllStringSubmatch(l.Text(t, n, "INFO", "keyspace"), -1) {
		keys, _ := strconv.Atoi(match[1])
		sum += keys
	}
	return sum
}

func parse(fields []string) line {
	addr, _, _ := strings.Cut(fields[1], "@")
	n := line{id: fields[0], addr: addr, flags: fields[2], master: fields[3], epoch: fields[6], linked: fields[7] == "connected"}
	for _, word := range fields[8:] {
		if strings.HasPrefix(word, "[") {
			n.open = append(n.open, word)
			continue
		}
		from, to, isRange := strings.Cut(word, "-")
		first, _ := strconv.Atoi(from)
		last := first
		if isRange {
			last, _ = strconv.Atoi(to)
		}
		for slot := first; slot <= last; slot++ {
			n.slots = append(n.slots, slot)
		}
	}
	return n
}

// at is the server with the given address.
func (p picture) at(addr string) server {
	for _, s := range p {
		if s.Addr() == addr {
			return s
		}
	}
	return server{}
}

// masters are the servers that own slots, the lowest slots first.
func (p picture) masters() picture {
	owners := slices.DeleteFunc(slices.Clone(p), func(s server) bool { return len(s.self.slots) == 0 })
	slices.SortFunc(owners, func(a, b server) int { return a.self.slots[0] - b.self.slots[0] })
	return owners
}

// owners is the address of each slot's owner, by the owners' own word.
func (p picture) owners() map[int]string {
	owners := make(map[int]string)
	for _, s := range p {
		for _, slot := range s.self.slots {
			owners[slot] = s.Addr()
		}
	}
	return owners
}

// faults are what keeps this from being one complete cluster in which all
// servers agree, no slot is open and every replica has its master's data.
func (p picture) faults() []string {
	var faults []string
	blame := func(s server, format string, args ...any) {
		faults = append(faults, s.Addr()+" "+fmt.Sprintf(format, args...))
	}
	claims := make(map[int]string)
	for _, s := range p {
		for _, slot := range s.self.slots {
			if other, twice := claims[slot]; twice {
				blame(s, "owns slot %d, and so does %s", slot, other)
			}
			claims[slot] = s.Addr()
		}
	}
	if len(claims) != labtest.Slots {
		faults = append(faults, fmt.Sprintf("%d slots have an owner", len(claims)))
	}
	for _, s := range p {
		for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:" + strconv.Itoa(len(p))} {
			if !strings.Contains(s.info, want+"\r\n") {
				blame(s, "does not say %s", want)
			}
		}
		if !s.self.is("master") && !strings.Contains(s.info, "master_link_status:up\r\n") {
			blame(s, "has no link to its master")
		}
		if len(s.self.open) > 0 {
			blame(s, "has open slots %v", s.self.open)
		}
		for _, other := range p {
			faults = append(faults, s.misjudges(other)...)
		}
	}
	return faults
}

// misjudges says where s sees another server differently from that one itself.
func (s server) misjudges(other server) []string {
	seen, known := s.lines[other.self.id]
	flags := strings.TrimPrefix(seen.flags, "myself,")
	switch {
	case !known:
		return []string{fmt.Sprintf("%s does not know %s", s.Addr(), other.Addr())}
	case flags != strings.TrimPrefix(other.self.flags, "myself,") || seen.master != other.self.master:
		return []string{fmt.Sprintf("%s calls %s %s of %s", s.Addr(), other.Addr(), flags, seen.master)}
	case !seen.linked:
		return []string{fmt.Sprintf("%s is not linked to %s", s.Addr(), other.Addr())}
	case !slices.Equal(seen.slots, other.self.slots):
		return []string{fmt.Sprintf("%s sees other slots on %s", s.Addr(), other.Addr())}
	}
	return nil
}

// whole holds that the cluster is complete now, and not only after a while:
// trib has said that it verified it.
func whole(t testing.TB, l *labtest.Lab) picture {
	t.Helper()
	p := look(t, l)
	if faults := p.faults(); faults != nil {
		t.Fatalf("the cluster is not whole:\n%s", strings.Join(faults, "\n"))
	}
	return p
}

// soonWhole waits for the cluster to be complete, where roles change: they are
// told by gossip.
func soonWhole(t testing.TB, l *labtest.Lab) picture {
	t.Helper()
	labtest.Await(t, 15*time.Second, "the cluster is whole", func() error {
		if faults := look(t, l).faults(); faults != nil {
			return errors.New(strings.Join(faults, "\n"))
		}
		return nil
	})
	return look(t, l)
}

// shaped holds how many masters with slots there are, and replicas of each.
func (p picture) shaped(t testing.TB, masters, replicas int) picture {
	t.Helper()
	of := make(map[string]int)
	for _, s := range p {
		if len(s.self.slots) > 0 {
			of[s.self.id] += 0
		} else {
			of[s.self.master]++
		}
	}
	if counts := slices.Sorted(maps.Values(of)); len(counts) != masters || counts[0] != replicas || counts[masters-1] != replicas {
		t.Errorf("want %d masters with %d replicas each, got %v", masters, replicas, of)
	}
	return p
}

// gained is how many slots a server has more than it had.
func (p picture) gained(before picture, addr string) int {
	return len(p.at(addr).self.slots) - len(before.at(addr).self.slots)
}

// exactly holds that these slots went to one server and all others stayed.
func (p picture) exactly(t testing.TB, before picture, slots []int, to string) {
	t.Helper()
	want := before.owners()
	for _, slot := range slots {
		want[slot] = to
	}
	got := p.owners()
	for slot := range labtest.Slots {
		if got[slot] != want[slot] {
			t.Fatalf("slot %d is with %s, want %s (%d slots to %s)", slot, got[slot], want[slot], len(slots), to)
		}
	}
}

// memory is all of each server that trib must leave alone, by address: whom it
// knows, what those own, its keys, its functions, its configuration.
func memory(t testing.TB, l *labtest.Lab, except ...*lab.Node) map[string][]string {
	t.Helper()
	memories := make(map[string][]string)
	for _, s := range look(t, l, except...) {
		facts := []string{fmt.Sprint("keys ", s.keys)}
		for _, n := range s.lines {
			facts = append(facts, fmt.Sprint(n.id, " ", n.addr, " master ", n.is("master"), n.master, " epoch ", n.epoch, ranges(n.slots), n.open))
		}
		if s.Server().Name() != "redis-6.0" {
			facts = append(facts, fmt.Sprint("functions ", l.Do(t, s.Node, "FUNCTION", "LIST")))
		}
		config := l.Do(t, s.Node, "CONFIG", "GET", "*").([]any)
		for pair := range slices.Chunk(config, 2) {
			facts = append(facts, fmt.Sprint(pair...))
		}
		slices.Sort(facts)
		memories[s.Addr()] = facts
	}
	return memories
}

// ranges is a list of slots made short enough to read.
func ranges(slots []int) string {
	var b strings.Builder
	for i, slot := range slots {
		switch {
		case i == 0 || slots[i-1] != slot-1:
			fmt.Fprintf(&b, " %d", slot)
		case i == len(slots)-1 || slots[i+1] != slot+1:
			fmt.Fprintf(&b, "-%d", slot)
		}
	}
	return b.String()
}

// untouched holds that the servers are as they were.
func untouched(t testing.TB, l *labtest.Lab, before map[string][]string, except ...*lab.Node) {
	t.Helper()
	for addr, now := range memory(t, l, except...) {
		for _, fact := range before[addr] {
			if !slices.Contains(now, fact) {
				t.Errorf("%s lost %q", addr, fact)
			}
		}
		for _, fact := range now {
			if !slices.Contains(before[addr], fact) {
				t.Errorf("%s got %q", addr, fact)
			}
		}
	}
}

// unlocked waits for every trace of trib to leave the servers: a connection
// that was cut lasts until the server sees it.
func unlocked(t testing.TB, l *labtest.Lab) {
	t.Helper()
	labtest.Await(t, 10*time.Second, "trib is gone from all servers", func() error {
		for _, n := range l.Nodes() {
			if clients := l.Text(t, n, "CLIENT", "LIST"); strings.Contains(clients, "name=trib:") {
				return fmt.Errorf("%s still has\n%s", n.Addr(), clients)
			}
		}
		return nil
	})
}

// ownSlots are the slots that one server claims.
func ownSlots(t testing.TB, l *labtest.Lab, n *lab.Node) []int {
	t.Helper()
	for text := range strings.Lines(l.Text(t, n, "CLUSTER", "NODES")) {
		if s := parse(strings.Fields(text)); s.is("myself") {
			return s.slots
		}
	}
	return nil
}
