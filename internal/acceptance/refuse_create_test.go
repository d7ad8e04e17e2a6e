package acceptance

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// spoiled are nodes of which create must take none, beside some that it would.
type spoiled struct {
	*labtest.Lab
	good                                  []string
	keyed, keyed2, function, slots, knows *lab.Node
}

func spoil(t *testing.T, name string) spoiled {
	t.Helper()
	config := []string{"bind 127.0.0.1 127.0.0.2"}
	if name == "valkey-9.1" {
		config = append(config, "cluster-databases 4")
	}
	l := labtest.Start(t, labtest.Options{Server: name, Nodes: 10, Config: config})
	n := l.Nodes()
	s := spoiled{Lab: l, good: l.Addrs()[:4], keyed: n[4], function: n[5], slots: n[6], knows: n[7]}
	l.Do(t, s.function, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
	l.Do(t, s.slots, "CLUSTER", "ADDSLOTS", "1", "2", "3", "9000")
	l.Do(t, s.knows, "CLUSTER", "MEET", n[8].Host(), fmt.Sprint(n[8].Port()))
	leaveKeys(t, l, s.keyed, "0")
	if name == "valkey-9.1" {
		s.keyed2 = n[9]
		leaveKeys(t, l, s.keyed2, "3")
	}
	labtest.Await(t, 10*time.Second, "two nodes know each other", func() error {
		p := look(t, l)
		a, b := p.at(s.knows.Addr()), p.at(n[8].Addr())
		seen, known := b.lines[a.self.id]
		if !known || len(a.lines) != 2 || seen.epoch != a.self.epoch || a.self.epoch == b.self.epoch {
			return fmt.Errorf("%v and %v", a.lines, b.lines)
		}
		return nil
	})
	return s
}

// leaveKeys writes keys and takes the slots away from under them.
func leaveKeys(t *testing.T, l *labtest.Lab, n *lab.Node, db string) {
	t.Helper()
	l.Do(t, n, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	conn := l.Dial(t, n)
	if db != "0" {
		if _, err := conn.Do("SELECT", db); err != nil {
			t.Fatal(err)
		}
	}
	labtest.Await(t, 10*time.Second, n.Addr()+" takes keys", func() error {
		_, err := conn.Do("MSET", "{a}1", "x", "{a}2", "x")
		return err
	})
	l.Do(t, n, "CLUSTER", "DELSLOTSRANGE", "0", "16383")
}

// TestCreateRefuses: what create must not take is refused with the node or the
// arithmetic, and not a bit of any node is changed.
func TestCreateRefuses(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			s := spoil(t, name)
			before := memory(t, s.Lab)
			for _, tt := range s.cases(t) {
				t.Run(tt.name, func(t *testing.T) {
					r := trib(t, append([]string{"create", "--yes"}, tt.args...)...).exit(t, tt.exit)
					r.complains(t, tt.stderr...)
					if r.took > 5*time.Second {
						t.Errorf("it took %v", r.took)
					}
					untouched(t, s.Lab, before)
				})
			}
			unlocked(t, s.Lab)
		})
	}
}

type refusal struct {
	name   string
	args   []string
	exit   int
	stderr []string
}

func (s spoiled) cases(t *testing.T) []refusal {
	with := func(extra ...string) []string { return append(append([]string{}, s.good...), extra...) }
	_, port, _ := strings.Cut(s.good[0], ":")
	standalone := labtest.Start(t, labtest.Options{Nodes: 1, Config: []string{"cluster-enabled no"}}).Addrs()[0]
	http := listen(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	mute := listen(t, "")
	cases := []refusal{
		{"two names of one node", with("localhost:" + port), 4, []string{s.good[0] + " and localhost:" + port + " are the same node"}},
		{"two addresses of one node", with("127.0.0.2:" + port), 4, []string{s.good[0] + " and 127.0.0.2:" + port + " are the same node"}},
		{"keys", with(s.keyed.Addr()), 4, []string{s.keyed.Addr() + " holds 2 keys in database 0", "^hint: a node must be empty"}},
		{"a function", with(s.function.Addr()), 4, []string{s.function.Addr() + " has 1 functions?"}},
		{"slots", with(s.slots.Addr()), 4, []string{s.slots.Addr() + ` already has slots 1-3,9000`}},
		{"others", with(s.knows.Addr()), 4, []string{s.knows.Addr() + " already knows 1 other nodes?"}},
		{"everything at once", with(s.keyed.Addr(), s.function.Addr(), s.slots.Addr(), s.knows.Addr()), 4, []string{
			s.keyed.Addr() + " holds", s.function.Addr() + " has", s.slots.Addr() + " already", s.knows.Addr() + " already",
		}},
		{"too few nodes", with("--replicas", "4"), 2, []string{"4 nodes cannot give any master 4 replicas"}},
		{"nobody listens", with("127.0.0.1:1", "127.0.0.1:2"), 7, []string{"127.0.0.1:1 does not answer: ", "127.0.0.1:2 does not answer: ", "^hint: "}},
		{"no cluster node", with(standalone), 4, []string{standalone + ".*cluster-enabled"}},
		{"another protocol", with(http), 7, []string{http + " does not answer: "}},
		{"silence", with(mute), 7, []string{mute + " does not answer: "}},
	}
	if s.keyed2 != nil {
		cases = append(cases, refusal{"keys in database 3", with(s.keyed2.Addr()), 4, []string{s.keyed2.Addr() + " holds 2 keys in database 3"}})
	}
	return cases
}

// listen is a program that is no server: it greets, and says nothing more.
func listen(t *testing.T, greeting string) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(greeting))
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return listener.Addr().String()
}

// TestUsage: what cannot be meant is refused before any connection, so the
// addresses need not exist.
func TestUsage(t *testing.T) {
	const seed = "127.0.0.1:1"
	for _, args := range []string{
		"create",
		"create " + seed + " 127.0.0.1:2 127.0.0.1:3 --replicas x",
		"create " + seed + " 127.0.0.1:2 127.0.0.1:3 --replicas -1",
		"create " + seed + " " + seed + " 127.0.0.1:3",
		"create 127.0.0.1:99999 127.0.0.1:2 127.0.0.1:3",
		"create 127.0.0.1 127.0.0.1:2 127.0.0.1:3",
		"create " + seed + " 127.0.0.1:2 127.0.0.1:3 --wait=never",
		"create " + seed + " 127.0.0.1:2 127.0.0.1:3 --nonsense",
		"create " + seed + " 127.0.0.1:2 --zone 127.0.0.2=a",
		"create " + seed + " 127.0.0.1:2 --replica-of " + seed + "=127.0.0.1:3",
		"create " + seed + " 127.0.0.1:2 --slots " + seed + "=0-9 --weight " + seed + "=2",
		"reshard " + seed + " --from a --to b --slots 0",
		"reshard " + seed + " --from a --to b --slots 20000",
		"reshard " + seed + " --from a --to b --slots 1 --pipeline 0",
		"reshard " + seed + " --from a --to a --slots 1",
		"reshard " + seed + " --from a --to b --yes",
		"reshard " + seed + " --to b --slots 1 --yes",
		"reshard " + seed + " --from all,a --to b --slots 1",
		"reshard --from a --to b --slots 1",
		"check",
		"check " + seed + " --yes",
		"check " + seed + " 127.0.0.1:2",
		"check :::",
		"info " + seed + " -o xml",
		"resume",
		"frobnicate " + seed,
	} {
		r := trib(t, strings.Fields(args)...).exit(t, 2).complains(t, "^trib: ", "^hint: ")
		if r.out != "" {
			t.Errorf("standard output is not empty: %v", r)
		}
	}
}
