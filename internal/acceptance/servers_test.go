package acceptance

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestEveryServer takes a cluster from empty nodes through every command, on
// every server.
func TestEveryServer(t *testing.T) {
	for _, name := range labtest.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6})
			create := append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)
			trib(t, create...).done(t, `^\[OK\] All 16384 slots covered\.$`)
			whole(t, l).shaped(t, 3, 1)
			trib(t, create...).done(t, `^\[OK\] Everything in this plan is done already\.$`)

			h := bury(t, l)
			seed := l.Addrs()[4]
			trib(t, "check", seed).done(t, `^\[OK\] All nodes agree about slots configuration\.$`)
			infoAgrees(t, l, seed)
			movesLowest(t, l, h)
			movesFromAll(t, l, h)
			movesLastSlot(t, l, h)
			trib(t, "check", seed, "--strict").exit(t, 3).complains(t, "0 errors, ") // all on one host
			unlocked(t, l)
		})
	}
}

func infoAgrees(t *testing.T, l *labtest.Lab, seed string) {
	var got struct {
		Keys  int
		Nodes []struct {
			Addr      string
			Keys      int
			SlotCount int `json:"slot_count"`
		}
	}
	r := trib(t, "info", seed, "-o", "json").done(t)
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	p, sum := look(t, l), 0
	for _, n := range got.Nodes {
		s := p.at(n.Addr)
		if n.Keys != s.keys || n.SlotCount != len(s.self.slots) {
			t.Errorf("info: %s has %d keys and %d slots, DBSIZE is %d and slots %d", n.Addr, n.Keys, n.SlotCount, s.keys, len(s.self.slots))
		}
		if s.self.is("master") {
			sum += s.keys
		}
	}
	if len(got.Nodes) != len(p) || got.Keys != sum {
		t.Errorf("info: %d keys on %d nodes, DBSIZE adds up to %d on %d", got.Keys, len(got.Nodes), sum, len(p))
	}
}

// reshard moves slots and holds, at once, that exactly the lowest ones moved.
func reshard(t *testing.T, l *labtest.Lab, from, to server, slots int) {
	t.Helper()
	before := look(t, l)
	lowest := before.at(from.Addr()).self.slots[:slots]
	trib(t, "reshard", from.Addr(), "--from", from.self.id, "--to", to.Addr(), "--slots", fmt.Sprint(slots), "--yes").
		done(t, `^\[OK\] Moved [0-9,]+ slots with`, `^\[OK\] All 16384 slots covered\.$`)
	look(t, l).exactly(t, before, lowest, to.Addr())
}

// movesLowest moves the same slots away and straight back, twice: slots that
// move back too soon lose their keys.
func movesLowest(t *testing.T, l *labtest.Lab, h *treasure) {
	m := look(t, l).masters()
	for range 2 {
		reshard(t, l, m[0], m[1], 100)
		reshard(t, l, m[1], m[0], 100)
	}
	whole(t, l)
	h.intact(t)
	reshard(t, l, m[0], m[1], 500)
	whole(t, l)
	h.intact(t)
}

func movesFromAll(t *testing.T, l *labtest.Lab, h *treasure) {
	before := look(t, l)
	to := before.masters()[2].Addr()
	trib(t, "reshard", "--from", "all", "--to", to, "--slots", "300", "--yes", to).done(t)
	after := whole(t, l)
	if got := after.gained(before, to); got != 300 {
		t.Errorf("--from all moved %d slots", got)
	}
	h.intact(t)
}

// movesLastSlot leaves a master without slots: it becomes a replica, on Redis
// 6.0 only where gossip told it before trib did.
func movesLastSlot(t *testing.T, l *labtest.Lab, h *treasure) {
	m := look(t, l).masters()
	from, to := m[2], m[0]
	reshard(t, l, from, to, len(from.self.slots))
	h.intact(t)
	self := soonWhole(t, l).at(from.Addr()).self
	stays := from.Server().Name() == "redis-6.0" && self.is("master")
	if self.master != to.self.id && !stays {
		t.Errorf("%s gave its last slot away and is %s of %s", from.Addr(), self.flags, self.master)
	}
}
