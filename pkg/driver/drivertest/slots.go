package drivertest

import (
	"context"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// slotCases are about open slots: who refuses what, and who is sent where.
func slotCases(add adder) {
	add("SETSLOT refusals", setSlotRefusals)
	add("open slots are shown and closed", openSlots)
	add("keys of a slot", keysOfSlot)
	add("MOVED", moved)
	add("ASK, ASKING and TRYAGAIN", askAndAsking)
	add("several databases are refused or kept apart", databases)
	add("SET-CONFIG-EPOCH of a member is refused", configEpoch)
	add("BUMPEPOCH", bumpEpoch)
}

func setSlotRefusals(s *suite) {
	p := s.pair()
	nobody := strings.Repeat("0", 40)
	s.refusedSetSlot(p.b, p, "not the owner", "MIGRATING", p.idA)
	s.refusedSetSlot(p.a, p, "already the owner", "IMPORTING", p.idB)
	s.refusedSetSlot(p.a, p, nobody, "MIGRATING", nobody)
	s.refusedSetSlot(p.b, p, nobody, "IMPORTING", nobody)
	s.refusedSetSlot(p.a, p, nobody, "NODE", nobody)
	s.refusedSetSlot(p.a, p, "", "NODE")
	s.refusedSetSlot(p.a, p, "", "NOSUCHACTION")
	for _, slot := range []string{"16384", "-1", "x"} {
		s.refused(p.a, "ERR", "", "CLUSTER", "SETSLOT", slot, "STABLE")
	}
	if got := s.owner(p.a, p.slot); string(got) != p.idA {
		s.Errorf("a refused command made %s the owner", got)
	}
}

func openSlots(s *suite) {
	p := s.pair()
	s.begin(p)
	if got := s.view(p.a).Self().Migrating[p.slot]; string(got) != p.idB {
		s.Errorf("source migrates to %q", got)
	}
	if got := s.view(p.b).Self().Importing[p.slot]; string(got) != p.idA {
		s.Errorf("target imports from %q", got)
	}
	s.setSlot(p.a, p, "STABLE")
	s.setSlot(p.b, p, "STABLE")
	s.setSlot(p.b, p, "STABLE")
	if s.view(p.a).Self().Migrating[p.slot] != "" || s.view(p.b).Self().Importing[p.slot] != "" {
		s.Error("STABLE does not close a slot")
	}
	if got := s.owner(p.b, p.slot); string(got) != p.idA {
		s.Errorf("STABLE made %s the owner", got)
	}
}

func keysOfSlot(s *suite) {
	p := s.pair()
	for i := range 5 {
		s.call(p.a, "SET", p.key(strconv.Itoa(i)), "v")
	}
	if n := s.count(p.a, p); n != 5 {
		s.Errorf("%d keys counted", n)
	}
	for limit, want := range map[string]int{"0": 0, "3": 3, "100": 5} {
		keys, err := s.call(p.a, "CLUSTER", "GETKEYSINSLOT", p.number(), limit).Strings()
		if err != nil || len(keys) != want {
			s.Errorf("limit %s: %q, %v", limit, keys, err)
		}
	}
	s.refused(p.a, "ERR", "", "CLUSTER", "GETKEYSINSLOT", p.number(), "-1")
	s.refused(p.a, "ERR", "", "CLUSTER", "GETKEYSINSLOT", p.number(), "abc")
	s.refused(p.a, "ERR", "", "CLUSTER", "COUNTKEYSINSLOT", "16384")
	if n := s.int(p.a, "CLUSTER", "KEYSLOT", p.key("x")); n != int64(p.slot) {
		s.Errorf("key slot %d, want %d", n, p.slot)
	}
}

func moved(s *suite) {
	p := s.pair()
	where := p.number() + " " + s.Nodes[0].Addr.String()
	s.refused(p.b, "MOVED", where, "GET", p.key("x"))
	s.refused(p.b, "MOVED", where, "SET", p.key("x"), "v")
	s.refused(p.b, "MOVED", where, "RESTORE-ASKING", p.key("x"), "0", "payload")
	s.refused(p.a, "CROSSSLOT", "", "EXISTS", p.key("x"), "{}other{"+p.tag+"}")
}

func askAndAsking(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("here"), "v")
	s.begin(p)
	ask := p.number() + " " + p.addrB.String()
	if got := s.text(p.a, "GET", p.key("here")); got != "v" {
		s.Errorf("a key that is still at the source: %q", got)
	}
	s.refused(p.a, "ASK", ask, "GET", p.key("new"))
	s.refused(p.a, "ASK", ask, "SET", p.key("new"), "v")
	s.refused(p.b, "MOVED", "", "SET", p.key("new"), "v")
	s.asking(p.b, "SET", p.key("new"), "v")
	s.refused(p.b, "MOVED", "", "GET", p.key("new")) // ASKING is for one command
	if got, _ := s.asking(p.b, "GET", p.key("new")).Text(); got != "v" {
		s.Errorf("a key that was created at the target: %q", got)
	}
	s.call(p.b, "ASKING")
	s.refused(p.b, "TRYAGAIN", "", "EXISTS", p.key("new"), p.key("here"))
	s.setSlot(p.a, p, "STABLE")
	if s.call(p.a, "GET", p.key("new")).Value != nil {
		s.Error("a closed source knows what was created at the target")
	}
	s.setSlot(p.a, p, "MIGRATING", p.idB)
	s.asking(p.b, "DEL", p.key("new"))
	s.setSlot(p.a, p, "STABLE")
	s.setSlot(p.b, p, "STABLE")
}

func databases(s *suite) {
	p := s.pair()
	_, err := driver.Call(context.Background(), p.a, "SELECT", "1")
	s.call(p.a, "SELECT", "0")
	if err != nil {
		if !driver.HasCode(err, "ERR") {
			s.Error(err)
		}
		return
	}
	s.call(p.a, "SET", p.key("x"), "v")
	s.call(p.a, "SELECT", "1")
	if n := s.count(p.a, p); n != 0 {
		s.Errorf("keys are counted across databases: %d", n)
	}
	s.call(p.a, "SET", p.key("x"), "w")
	s.call(p.a, "SELECT", "0")
	s.call(p.a, "DEL", p.key("x"))
	s.refusedSetSlot(p.a, p, "keys", "NODE", p.idB) // database 1 counts
	s.call(p.a, "SELECT", "1")
	s.call(p.a, "DEL", p.key("x"))
}

func configEpoch(s *suite) {
	c := s.open(0)
	s.refused(c, "ERR", "", "CLUSTER", "SET-CONFIG-EPOCH", "1000")
	s.refused(c, "ERR", "", "CLUSTER", "SET-CONFIG-EPOCH", "-1")
}

func bumpEpoch(s *suite) {
	c := s.open(0)
	s.text(c, "CLUSTER", "BUMPEPOCH")
	if got := s.text(c, "CLUSTER", "BUMPEPOCH"); !strings.HasPrefix(got, "STILL ") {
		s.Errorf("the highest epoch was raised: %s", got)
	}
	mine := s.view(c).Self()
	other := s.open(1)
	s.eventually("the other node knows the new epoch", func() bool {
		n, ok := s.view(other).Get(mine.ID)
		return ok && n.Epoch == mine.Epoch
	})
	if got := s.text(other, "CLUSTER", "BUMPEPOCH"); !strings.HasPrefix(got, "BUMPED ") {
		s.Errorf("a lower epoch was not raised: %s", got)
	}
	epochs := make(map[uint64]cluster.NodeID)
	for _, n := range s.view(other).Nodes {
		if twin, ok := epochs[n.Epoch]; ok {
			s.Errorf("%s and %s have epoch %d", twin, n.ID, n.Epoch)
		}
		epochs[n.Epoch] = n.ID
	}
}
