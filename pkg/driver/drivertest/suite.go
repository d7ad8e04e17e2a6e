package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// patience bounds every wait for something that has to happen by itself.
const patience = 20 * time.Second

// suite is one case at work.
type suite struct {
	*testing.T
	Target
}

// open dials a node; the connection is closed with the case.
func (s *suite) open(node int) driver.Conn {
	s.Helper()
	return s.openNamed(node, "")
}

func (s *suite) openNamed(node int, name string) driver.Conn {
	s.Helper()
	c, err := s.Dialer.Dial(context.Background(), s.Nodes[node].Addr, name)
	if err != nil {
		s.Fatalf("dial: %v", err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

// call sends a command that must not be refused.
func (s *suite) call(c driver.Conn, args ...string) driver.Reply {
	s.Helper()
	reply, err := driver.Call(context.Background(), c, args...)
	if err != nil {
		s.Fatalf("%s: %v", driver.Cmd(args...).Name(), err)
	}
	return reply
}

func (s *suite) text(c driver.Conn, args ...string) string {
	s.Helper()
	text, err := s.call(c, args...).Text()
	if err != nil {
		s.Fatalf("%s: %v", driver.Cmd(args...).Name(), err)
	}
	return text
}

func (s *suite) int(c driver.Conn, args ...string) int64 {
	s.Helper()
	n, err := s.call(c, args...).Int()
	if err != nil {
		s.Fatalf("%s: %v", driver.Cmd(args...).Name(), err)
	}
	return n
}

// refused sends a command that the server must refuse, and checks the error's
// first word and, where part is not empty, that its text contains part.
func (s *suite) refused(c driver.Conn, code, part string, args ...string) {
	s.Helper()
	reply, err := driver.Call(context.Background(), c, args...)
	if !driver.HasCode(err, code) || !driver.Mentions(err, part) {
		s.Errorf("%q: reply %v, error %v; want an error %s with %q", args, reply.Value, err, code, part)
	}
}

// eventually polls: some effects need gossip.
func (s *suite) eventually(what string, holds func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.Fatalf("not within %v: %s", patience, what)
}

// waitUntilHealthy lets the cluster recover from the case before.
func (s *suite) waitUntilHealthy() {
	s.Helper()
	s.eventually("every node says cluster_state:ok", func() bool {
		for _, n := range s.Nodes {
			if !s.healthy(n.Addr) {
				return false
			}
		}
		return true
	})
}

func (s *suite) healthy(addr cluster.Addr) bool {
	c, err := s.Dialer.Dial(context.Background(), addr, "")
	if err != nil {
		return false
	}
	defer c.Close()
	reply, err := driver.Call(context.Background(), c, "CLUSTER", "INFO")
	text, _ := reply.Text()
	return err == nil && strings.Contains(text, "cluster_state:ok")
}

func (s *suite) view(c driver.Conn) cluster.View {
	s.Helper()
	v, err := cluster.ParseNodes(s.text(c, "CLUSTER", "NODES"))
	if err != nil {
		s.Fatal(err)
	}
	return v
}

func (s *suite) owner(c driver.Conn, slot int) cluster.NodeID {
	s.Helper()
	for _, n := range s.view(c).Nodes {
		if n.Slots.Has(slot) {
			return n.ID
		}
	}
	return ""
}

// pair is two masters and a slot that is the first one's, without keys.
type pair struct {
	a, b     driver.Conn
	idA, idB string
	addrB    cluster.Addr
	slot     int
	tag      string // a hash tag that makes keys belong to it
}

func (s *suite) pair() pair {
	s.Helper()
	p := pair{a: s.open(0), b: s.open(1), addrB: s.Nodes[1].Addr}
	p.idA, p.idB = s.text(p.a, "CLUSTER", "MYID"), s.text(p.b, "CLUSTER", "MYID")
	self := s.view(p.a).Self()
	for i := range 10 * cluster.SlotCount {
		p.tag = fmt.Sprintf("{t%d}", i)
		p.slot = cluster.KeySlot(p.tag)
		if self.Slots.Has(p.slot) && self.Migrating[p.slot] == "" && s.untouched(p) {
			return p
		}
	}
	s.Fatal("the first master has no empty slot left")
	return p
}

func (s *suite) untouched(p pair) bool { return s.count(p.a, p) == 0 && s.count(p.b, p) == 0 }

// key is a key in the pair's slot.
func (p pair) key(name string) string { return p.tag + name }

func (p pair) number() string { return strconv.Itoa(p.slot) }

// begin opens the slot for a move from a to b, the target first.
func (s *suite) begin(p pair) {
	s.Helper()
	s.call(p.b, "CLUSTER", "SETSLOT", p.number(), "IMPORTING", p.idA)
	s.call(p.a, "CLUSTER", "SETSLOT", p.number(), "MIGRATING", p.idB)
}

func (s *suite) setSlot(c driver.Conn, p pair, args ...string) {
	s.Helper()
	s.call(c, append([]string{"CLUSTER", "SETSLOT", p.number()}, args...)...)
}

func (s *suite) refusedSetSlot(c driver.Conn, p pair, part string, args ...string) {
	s.Helper()
	s.refused(c, "ERR", part, append([]string{"CLUSTER", "SETSLOT", p.number()}, args...)...)
}

// migration is MIGRATE from a to b, of one key or, where that is empty, of the
// KEYS among the options.
func (s *suite) migration(p pair, key string, timeout time.Duration, options ...string) driver.Command {
	cmd := driver.Cmd("MIGRATE", p.addrB.Host, strconv.Itoa(p.addrB.Port), key, "0", itoa(timeout.Milliseconds()))
	if s.Password != "" {
		cmd = append(cmd, "AUTH", s.Password)
	}
	return append(cmd, options...)
}

// migrate is the reply to MIGRATE KEYS, "" where it is an error.
func (s *suite) migrate(p pair, options []string, keys ...string) (string, error) {
	s.Helper()
	options = append(append(options, "KEYS"), keys...)
	reply, err := driver.Call(context.Background(), p.a, s.migration(p, "", 2*time.Second, options...)...)
	text, _ := reply.Text()
	return text, err
}

// count is how many keys of the pair's slot a node holds.
func (s *suite) count(c driver.Conn, p pair) int64 {
	s.Helper()
	return s.int(c, "CLUSTER", "COUNTKEYSINSLOT", p.number())
}

// asking reads a key on a node that imports its slot.
func (s *suite) asking(c driver.Conn, args ...string) driver.Reply {
	s.Helper()
	replies, err := c.Do(context.Background(), driver.Cmd("ASKING"), args)
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		s.Fatalf("ASKING, %s: %v", args[0], err)
	}
	return replies[1]
}

// transportError checks that err names the node as a transport error has to.
func (s *suite) transportError(err error, addr cluster.Addr) {
	s.Helper()
	var te *driver.TransportError
	if !errors.As(err, &te) {
		s.Fatalf("error %v (%T), want a *driver.TransportError", err, err)
	}
	if te.Addr != addr || !strings.Contains(err.Error(), addr.String()) {
		s.Errorf("error %q does not name %s", err, addr)
	}
}
