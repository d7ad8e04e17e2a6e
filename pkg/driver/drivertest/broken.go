package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// brokenCases are about nodes that do not answer.
func brokenCases(add adder) {
	add("deadline on a paused node", pausedDeadline)
	add("deadline without a context's", pausedDefault)
	add("cancelling while a node is silent", pausedCancel)
	add("dialling a paused node", pausedDial)
	add("a broken connection stays broken", brokenForGood)
	add("dialling nobody", deadDial)
	add("a connection ended by the server", killedByServer)
	add("a killed node", killedNode).Spoils = true
}

// took checks that something ended at its deadline, give or take.
func (s *suite) took(since time.Time, want time.Duration) {
	s.Helper()
	if d := time.Since(since); d < want-50*time.Millisecond || d > want+time.Second {
		s.Errorf("it took %v, want about %v", d, want)
	}
}

func pausedDeadline(s *suite) {
	c, node := s.open(2), s.Nodes[2]
	s.pause(node)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	replies, err := c.Do(ctx, driver.Cmd("PING"), driver.Cmd("PING"))
	s.took(began, 300*time.Millisecond)
	s.transportError(err, node.Addr)
	if len(replies) != 0 {
		s.Errorf("replies of a silent node: %v", replies)
	}
	if !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		s.Errorf("%v does not say that time was up", err)
	}
}

// pause stops a node until the case ends.
func (s *suite) pause(node Node) {
	node.Pause()
	s.Cleanup(node.Resume)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func pausedDefault(s *suite) {
	c, node := s.open(2), s.Nodes[2]
	s.pause(node)
	began := time.Now()
	_, err := c.Do(context.Background(), driver.Cmd("PING"))
	s.took(began, driver.ProbeTimeout)
	s.transportError(err, node.Addr)
}

func pausedCancel(s *suite) {
	c, node := s.open(2), s.Nodes[2]
	s.pause(node)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(200*time.Millisecond, cancel)
	began := time.Now()
	_, err := c.Do(ctx, driver.Cmd("PING"))
	s.took(began, 200*time.Millisecond)
	s.transportError(err, node.Addr)
	if _, err := c.Do(context.Background(), driver.Cmd("PING")); !errors.Is(err, driver.ErrBroken) {
		s.Errorf("after that: %v, want ErrBroken", err)
	}
}

func pausedDial(s *suite) {
	node := s.Nodes[2]
	s.pause(node)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := s.Dialer.Dial(ctx, node.Addr, "trib:contract")
	s.took(began, 300*time.Millisecond)
	s.transportError(err, node.Addr)
}

func brokenForGood(s *suite) {
	p := s.pair()
	c, node := s.open(0), s.Nodes[0]
	node.Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Do(ctx, driver.Cmd("RPUSH", p.key("list"), "unknown"))
	s.transportError(err, node.Addr)
	node.Resume()
	for range 2 {
		replies, err := c.Do(context.Background(), driver.Cmd("RPUSH", p.key("list"), "never"))
		if !errors.Is(err, driver.ErrBroken) || len(replies) != 0 {
			s.Errorf("broken connection: %v, %v; want ErrBroken", replies, err)
		}
	}
	if err := c.Close(); err != nil {
		s.Errorf("closing a broken connection: %v", err)
	}
	// The first one may be there, and only once: nothing is sent twice.
	got, err := s.call(p.a, "LRANGE", p.key("list"), "0", "-1").Strings()
	if err != nil || len(got) > 1 || len(got) == 1 && got[0] != "unknown" {
		s.Errorf("carried out: %q, %v", got, err)
	}
}

func deadDial(s *suite) {
	nobody := cluster.Addr{Host: s.Nodes[0].Addr.Host, Port: 1}
	_, err := s.Dialer.Dial(context.Background(), nobody, "")
	s.transportError(err, nobody)
}

func killedByServer(s *suite) {
	c, other := s.open(0), s.open(0)
	id := s.int(c, "CLIENT", "ID")
	if n := s.int(other, "CLIENT", "KILL", "ID", itoa(id)); n != 1 {
		s.Errorf("%d connections killed", n)
	}
	_, err := c.Do(context.Background(), driver.Cmd("PING"))
	s.transportError(err, s.Nodes[0].Addr)
	if _, err := c.Do(context.Background(), driver.Cmd("PING")); !errors.Is(err, driver.ErrBroken) {
		s.Errorf("after that: %v, want ErrBroken", err)
	}
}

func killedNode(s *suite) {
	c, node := s.open(2), s.Nodes[2]
	node.Kill()
	_, err := c.Do(context.Background(), driver.Cmd("PING"))
	s.transportError(err, node.Addr)
	_, err = s.Dialer.Dial(context.Background(), node.Addr, "")
	s.transportError(err, node.Addr)
}
