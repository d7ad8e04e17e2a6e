// Package serve puts simulated nodes on TCP ports of this machine, where any
// client finds them as it finds real servers: trib itself, redis-cli, an
// application. Time is the clock's then, and nothing is deterministic.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/tidwall/redcon"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Options say what is served.
type Options struct {
	Sim       sim.Options
	Nodes     int
	Masters   int // of a cluster that is formed already; 0 for empty nodes that know nobody
	FirstPort int // ports from here on; 0 takes free ones
}

// Service is a simulated cluster on real ports.
type Service struct {
	Cluster *sim.Cluster

	listeners []net.Listener
	group     sync.WaitGroup
}

const (
	host = "127.0.0.1"
	// usualPort is where free ports are looked for, upwards.
	usualPort = 7001
	// highestPort leaves room for the bus port that a cluster's views show, though
	// nobody listens on it.
	highestPort = 65535 - cluster.BusPortOffset
)

// Start takes the ports and answers on all of them until Close.
func Start(o Options) (*Service, error) {
	s := &Service{}
	if err := s.listen(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	o.Sim.Addrs = s.Addrs()
	s.Cluster = sim.New(o.Sim)
	if o.Masters > 0 {
		s.Cluster.Form(o.Masters, o.Nodes/o.Masters-1)
	}
	for i, listener := range s.listeners {
		if o.Masters == 0 {
			s.Cluster.AddNode()
		}
		s.serve(listener, o.Sim.Addrs[i])
	}
	return s, nil
}

func (s *Service) listen(o Options) error {
	for port := cmp.Or(o.FirstPort, usualPort); len(s.listeners) < o.Nodes; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			s.listeners = append(s.listeners, listener)
		case o.FirstPort != 0 || !errors.Is(err, syscall.EADDRINUSE) || port == highestPort:
			return fmt.Errorf("serve a simulated node: %w", err)
		}
	}
	return nil
}

func (s *Service) serve(listener net.Listener, addr cluster.Addr) {
	accept := func(c redcon.Conn) bool {
		socket, err := s.Cluster.Dialer().Socket(addr)
		c.SetContext(socket)
		return err == nil
	}
	closed := func(c redcon.Conn, _ error) { c.Context().(driver.Conn).Close() }
	server := redcon.NewServer(addr.String(), answer, accept, closed)
	s.group.Go(func() { _ = server.Serve(listener) }) // until the listener is closed
}

// Addrs are the addresses of the nodes, by port.
func (s *Service) Addrs() []cluster.Addr {
	var addrs []cluster.Addr
	for _, listener := range s.listeners {
		addrs = append(addrs, cluster.Addr{Host: host, Port: listener.Addr().(*net.TCPAddr).Port})
	}
	return addrs
}

// Close gives the ports back and ends all connections.
func (s *Service) Close() error {
	var errs []error
	for _, listener := range s.listeners {
		errs = append(errs, listener.Close())
	}
	s.group.Wait()
	return errors.Join(errs...)
}

// patience is for commands that may take as long as they like, such as WAIT.
const patience = time.Hour

// answer carries out a command. A node that crashed closes its connections.
func answer(c redcon.Conn, received redcon.Command) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := make(driver.Command, len(received.Args))
	for i, arg := range received.Args {
		cmd[i] = string(arg)
	}
	if cmd.Name() == "QUIT" {
		c.WriteString("OK")
		c.Close()
		return
	}
	replies, err := c.Context().(driver.Conn).Do(ctx, cmd)
	if err != nil {
		c.Close()
		return
	}
	write(c, replies[0])
}

func write(c redcon.Conn, reply driver.Reply) {
	if reply.Err != nil {
		c.WriteError(reply.Err.Error())
		return
	}
	writeValue(c, reply.Value)
}

func writeValue(c redcon.Conn, value any) {
	switch v := value.(type) {
	case nil:
		c.WriteNull()
	case int64:
		c.WriteInt64(v)
	case error:
		c.WriteError(v.Error())
	case string:
		writeText(c, v)
	case []any:
		c.WriteArray(len(v))
		for _, item := range v {
			writeValue(c, item)
		}
	default:
		c.WriteError(fmt.Sprintf("ERR a reply of type %T cannot be sent", v))
	}
}

// writeText: the simulator does not tell a status from a string, and people who
// look on expect one.
func writeText(c redcon.Conn, text string) {
	switch text {
	case "OK", "PONG", "QUEUED", "NOKEY":
		c.WriteString(text)
	default:
		c.WriteBulkString(text)
	}
}
