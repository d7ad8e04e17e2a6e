package drivertest

import (
	"context"
	"strconv"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// ownershipCases are about slots that change hands.
func ownershipCases(add adder) {
	add("NODE is refused while keys are held", nodeWhileHeld)
	add("a move, target first", moveTargetFirst)
	add("a move, source first", moveSourceFirst)
	add("a claim deletes the loser's keys", claimDeletes)
	add("DELSLOTS and ADDSLOTS", delAndAdd)
	add("who loses the last slot becomes a replica", loseLastSlot).Spoils = true
	add("who gives away the last slot becomes a replica", giveLastSlot).Spoils = true
}

func nodeWhileHeld(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("x"), "v")
	s.begin(p)
	s.refusedSetSlot(p.a, p, "keys", "NODE", p.idB)
	if got := s.view(p.a).Self().Migrating[p.slot]; string(got) != p.idB {
		s.Errorf("a refused NODE closed the slot")
	}
	s.migrated(p, "OK", nil, p.key("x"))
	s.setSlot(p.a, p, "NODE", p.idB)
	s.setSlot(p.b, p, "NODE", p.idB)
}

func moveTargetFirst(s *suite) {
	p := s.pair()
	s.begin(p)
	before := s.epochs(p.b)
	s.setSlot(p.b, p, "NODE", p.idB)
	s.setSlot(p.a, p, "NODE", p.idB)
	s.ownedByB(p)
	if after := s.view(p.b).Self().Epoch; after < before {
		s.Errorf("the new owner's epoch is %d, there is a higher one: %d", after, before)
	}
}

// epochs is the highest config epoch that a node knows of.
func (s *suite) epochs(c driver.Conn) uint64 {
	highest := uint64(0)
	for _, n := range s.view(c).Nodes {
		highest = max(highest, n.Epoch)
	}
	return highest
}

func moveSourceFirst(s *suite) {
	p := s.pair()
	s.begin(p)
	s.setSlot(p.a, p, "NODE", p.idB)
	s.refused(p.a, "MOVED", p.addrB.String(), "GET", p.key("x"))
	s.setSlot(p.b, p, "NODE", p.idB)
	s.ownedByB(p)
}

// ownedByB waits until everybody agrees and nothing is left open.
func (s *suite) ownedByB(p pair) {
	s.Helper()
	third := s.open(2)
	s.eventually("all masters know the new owner", func() bool {
		return string(s.owner(p.a, p.slot)) == p.idB && string(s.owner(p.b, p.slot)) == p.idB && string(s.owner(third, p.slot)) == p.idB
	})
	if s.view(p.a).Self().Migrating[p.slot] != "" || s.view(p.b).Self().Importing[p.slot] != "" {
		s.Error("the slot is still open")
	}
}

// claimDeletes is the rule that costs users their data: the target claims the
// slot while the source holds keys.
func claimDeletes(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("x"), "v")
	s.begin(p)
	s.setSlot(p.b, p, "NODE", p.idB)
	s.eventually("the source hears of it and deletes its keys", func() bool { return s.count(p.a, p) == 0 })
	if got := s.owner(p.a, p.slot); string(got) != p.idB {
		s.Errorf("the source believes that %s is the owner", got)
	}
	s.setSlot(p.a, p, "STABLE")
}

func delAndAdd(s *suite) {
	p := s.pair()
	s.refused(p.b, "ERR", "busy", "CLUSTER", "ADDSLOTS", p.number())
	s.call(p.a, "SET", p.key("x"), "v")
	// All in one: a slot that nobody owns is claimed by gossip from whoever does.
	replies, err := p.a.Do(context.Background(), driver.Cmd("CLUSTER", "DELSLOTS", p.number()),
		driver.Cmd("CLUSTER", "DELSLOTS", p.number()), driver.Cmd("GET", p.key("x")),
		driver.Cmd("CLUSTER", "ADDSLOTS", p.number()), driver.Cmd("GET", p.key("x")))
	if err != nil {
		s.Fatal(err)
	}
	if !driver.Mentions(replies[1].Err, "unassigned") || !driver.HasCode(replies[2].Err, "CLUSTERDOWN") {
		s.Errorf("without an owner: %v, %v", replies[1].Err, replies[2].Err)
	}
	if replies[0].OK() != nil || replies[3].OK() != nil {
		s.Errorf("DELSLOTS %v, ADDSLOTS %v", replies[0].Err, replies[3].Err)
	}
	s.eventually("the key is served again", func() bool {
		reply, _ := driver.Call(context.Background(), p.a, "GET", p.key("x"))
		return reply.Value == "v"
	})
}

// loseLastSlot: claims turn a master that has lost everything into a replica,
// which is then wiped.
func loseLastSlot(s *suite) {
	p := s.pair()
	slots := s.view(p.a).Self().Slots
	s.setSlots(p.b, slots, "IMPORTING", p.idA)
	s.setSlots(p.b, slots, "NODE", p.idB)
	s.becomesReplica(p)
}

// giveLastSlot: since Redis 7.0 the same happens to a master that is told to
// give its last slot away; before, it stayed an empty master.
func giveLastSlot(s *suite) {
	p := s.pair()
	info, err := cluster.ParseInfo(s.text(p.a, "INFO", "server"))
	if err != nil {
		s.Fatal(err)
	}
	if server, err := info.Server(); err != nil || server.Flavor == "redis" && !server.AtLeast("redis", 7, 0) {
		s.Skipf("%s %v: not by being told", server, err)
	}
	s.setSlots(p.a, s.view(p.a).Self().Slots, "NODE", p.idB)
	s.becomesReplica(p)
}

func (s *suite) becomesReplica(p pair) {
	s.Helper()
	s.eventually("the source calls itself a replica of the target", func() bool {
		self := s.view(p.a).Self()
		return self.Flags.Has(cluster.FlagReplica) && string(self.MasterID) == p.idB
	})
	s.refusedSetSlot(p.a, p, "", "STABLE")
	role, _ := s.call(p.a, "ROLE").Value.([]any)
	if len(role) != 5 || role[0] != "slave" {
		s.Errorf("ROLE: %v", role)
	}
}

// setSlots sends the same SETSLOT for many slots.
func (s *suite) setSlots(c driver.Conn, slots cluster.SlotSet, args ...string) {
	s.Helper()
	var cmds []driver.Command
	for slot := range slots.All() {
		cmds = append(cmds, append(driver.Cmd("CLUSTER", "SETSLOT", strconv.Itoa(slot)), args...))
	}
	replies, err := c.Do(context.Background(), cmds...)
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		s.Fatal(err)
	}
}
