package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// stock does what redis-cli --cluster does, faults included: the simulator has
// to lose data where the real tool loses it.
type stock struct {
	*sim.Dialer
	masters  []*stockNode
	pipeline int
	replace  bool
}

type stockNode struct {
	driver.Conn
	addr cluster.Addr
	self cluster.Node
}

func (n *stockNode) id() string { return string(n.self.ID) }

func (n *stockNode) do(args ...string) error {
	_, err := driver.Call(context.Background(), n, args...)
	return err
}

func (n *stockNode) setSlot(slot int, args ...string) error {
	return n.do(append([]string{"CLUSTER", "SETSLOT", strconv.Itoa(slot)}, args...)...)
}

func (n *stockNode) keys(slot, limit int) ([]string, error) {
	reply, err := driver.Call(context.Background(), n, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), strconv.Itoa(limit))
	if err != nil {
		return nil, err
	}
	return reply.Strings()
}

func (n *stockNode) count(slot int) int {
	reply, err := driver.Call(context.Background(), n, "CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(slot))
	if err != nil {
		return 0
	}
	count, _ := reply.Int()
	return int(count)
}

// load reads the seed's nodes, and each master's own line. Who does not answer
// is left out.
func load(t *testing.T, d *sim.Dialer, seed *sim.Node) *stock {
	s := &stock{Dialer: d, pipeline: 10}
	view, err := cluster.ParseNodes(seed.View())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range view.Nodes {
		c, err := d.Dial(context.Background(), n.Addr, "")
		if err != nil || !n.IsMaster() {
			continue
		}
		reply, err := driver.Call(context.Background(), c, "CLUSTER", "NODES")
		if err != nil {
			continue
		}
		own, err := cluster.ParseNodes(reply.Value.(string))
		if err != nil {
			t.Fatal(err)
		}
		s.masters = append(s.masters, &stockNode{c, n.Addr, own.Self()})
	}
	return s
}

func (s *stock) node(n *sim.Node) *stockNode {
	i := slices.IndexFunc(s.masters, func(m *stockNode) bool { return m.addr == n.Addr() })
	return s.masters[i]
}

// move is one slot of reshard.
func (s *stock) move(from, to *stockNode, slot int) error {
	if err := to.setSlot(slot, "IMPORTING", from.id()); err != nil {
		return err
	}
	if err := from.setSlot(slot, "MIGRATING", to.id()); err != nil {
		return err
	}
	if err := s.drain(from, to, slot); err != nil {
		return err
	}
	if err := to.setSlot(slot, "NODE", to.id()); err != nil {
		return err
	}
	if err := from.setSlot(slot, "NODE", to.id()); err != nil && !driver.Mentions(err, "only with masters") {
		return err
	}
	for _, n := range s.masters {
		if n != from && n != to {
			if err := n.setSlot(slot, "NODE", to.id()); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain moves keys until the source says that there are none.
func (s *stock) drain(from, to *stockNode, slot int) error {
	for {
		keys, err := from.keys(slot, s.pipeline)
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.migrate(from, to, nil, keys)
		if driver.Mentions(err, "BUSYKEY") && s.replace {
			err = s.migrate(from, to, []string{"REPLACE"}, keys)
		}
		if err != nil {
			return err
		}
	}
}

func (s *stock) migrate(from, to *stockNode, options, keys []string) error {
	cmd := []string{"MIGRATE", to.addr.Host, strconv.Itoa(to.addr.Port), "", "0", "500"}
	return from.do(append(append(append(cmd, options...), "KEYS"), keys...)...)
}

// fix repairs one open slot.
func (s *stock) fix(slot int) error {
	var owners, migrating, importing []*stockNode
	for _, n := range s.masters {
		if n.self.Slots.Has(slot) || n.count(slot) > 0 {
			owners = append(owners, n)
		}
		switch {
		case n.self.Migrating[slot] != "":
			migrating = append(migrating, n)
		case n.self.Importing[slot] != "":
			importing = append(importing, n)
		case !n.self.Slots.Has(slot) && n.count(slot) > 0:
			importing = append(importing, n)
		}
	}
	if len(owners) != 1 {
		owner := s.richest(slot)
		if err := s.elect(owner, slot); err != nil {
			return err
		}
		drop := func(n *stockNode) bool { return n == owner }
		migrating, importing = slices.DeleteFunc(migrating, drop), slices.DeleteFunc(importing, drop)
		for _, n := range owners {
			if n == owner {
				continue
			}
			if err := s.depose(n, owner, slot); err != nil {
				return err
			}
			migrating = slices.DeleteFunc(migrating, func(m *stockNode) bool { return m == n })
			if !slices.Contains(importing, n) {
				importing = append(importing, n)
			}
		}
		owners = []*stockNode{owner}
	}
	return s.closeSlot(slot, owners[0], migrating, importing)
}

// richest is the master with most keys of a slot.
func (s *stock) richest(slot int) *stockNode {
	return slices.MaxFunc(s.masters, func(a, b *stockNode) int { return a.count(slot) - b.count(slot) })
}

// elect makes a node the owner and raises its epoch, before anything protects
// the keys on the other side.
func (s *stock) elect(n *stockNode, slot int) error {
	if err := n.setSlot(slot, "STABLE"); err != nil {
		return err
	}
	number := strconv.Itoa(slot)
	_, err := n.Do(context.Background(), driver.Cmd("MULTI"), driver.Cmd("CLUSTER", "DELSLOTS", number),
		driver.Cmd("CLUSTER", "ADDSLOTS", number), driver.Cmd("CLUSTER", "BUMPEPOCH"), driver.Cmd("EXEC"))
	return err
}

func (s *stock) depose(n, owner *stockNode, slot int) error {
	if err := n.do("CLUSTER", "DELSLOTS", strconv.Itoa(slot)); err != nil && !driver.Mentions(err, "unassigned") {
		return err
	}
	if err := n.setSlot(slot, "NODE", owner.id()); err != nil {
		return err
	}
	return n.setSlot(slot, "IMPORTING", owner.id())
}

func (s *stock) closeSlot(slot int, owner *stockNode, migrating, importing []*stockNode) error {
	switch {
	case len(migrating)+len(importing) == 0: // nothing to see
		return nil
	case len(migrating) == 1 && len(importing) == 1:
		return s.move(migrating[0], importing[0], slot)
	case len(migrating) == 0 && len(importing) > 0:
		return s.moveBack(slot, owner, importing)
	case len(migrating) == 1 && len(importing) == 0:
		return migrating[0].setSlot(slot, "STABLE")
	}
	return errors.New("can't fix this slot yet")
}

// moveBack is "case 2": everything to the owner.
func (s *stock) moveBack(slot int, owner *stockNode, importing []*stockNode) error {
	for _, n := range importing {
		if n == owner {
			continue
		}
		if err := s.drain(n, owner, slot); err != nil {
			return err
		}
		if err := n.setSlot(slot, "STABLE"); err != nil {
			return err
		}
	}
	for _, n := range s.masters {
		if n != owner {
			if err := n.setSlot(slot, "NODE", owner.id()); err != nil {
				return err
			}
		}
	}
	return nil
}

// addNode meets a node that looks empty: it knows nobody and has no keys.
func (s *stock) addNode(t *testing.T, n *sim.Node) error {
	c, err := s.Dial(context.Background(), n.Addr(), "")
	if err != nil {
		return err
	}
	info := must(t, c, "CLUSTER", "INFO").Value.(string)
	keyspace := must(t, c, "INFO", "keyspace").Value.(string)
	if !strings.Contains(info, "cluster_known_nodes:1\r\n") || strings.Contains(keyspace, "db0:") {
		return fmt.Errorf("%s is not empty", n)
	}
	seed := s.masters[0].addr
	return (&stockNode{Conn: c}).do("CLUSTER", "MEET", seed.Host, strconv.Itoa(seed.Port))
}
