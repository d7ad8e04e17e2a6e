package goredis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a scripted server on TCP: it answers every command with what its
// script says, and remembers what it was sent.
type server struct {
	addr   cluster.Addr
	script func(s *session, cmd []string)

	mu    sync.Mutex
	sent  [][]string
	conns int
}

// session is one connection to the server.
type session struct {
	net.Conn
	number int // 1 for the first
}

// say sends bytes as they are.
func (s *session) say(text string) { io.WriteString(s, text) }

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// serve runs a server until the test ends. What the handshake needs is
// answered, unless the script wants to: it sees everything first.
func serve(t testing.TB, script func(s *session, cmd []string), wrap ...func(net.Listener) net.Listener) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrap {
		l = w(l)
	}
	addr, err := cluster.ParseAddr(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	srv := &server{addr: addr, script: script}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			srv.mu.Lock()
			srv.conns++
			s := &session{c, srv.conns}
			srv.mu.Unlock()
			t.Cleanup(func() { c.Close() })
			wg.Go(func() { srv.attend(s) })
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { l.Close() })
	return srv
}

func (srv *server) attend(s *session) {
	defer s.Close()
	in := bufio.NewReader(s)
	for {
		cmd, err := readCommand(in)
		if err != nil {
			return
		}
		srv.mu.Lock()
		srv.sent = append(srv.sent, cmd)
		srv.mu.Unlock()
		srv.script(s, cmd)
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readLength(in, '*')
	if err != nil {
		return nil, err
	}
	cmd := make([]string, n)
	for i := range cmd {
		size, err := readLength(in, '$')
		if err != nil {
			return nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return nil, err
		}
		cmd[i] = string(arg[:size])
	}
	return cmd, nil
}

func readLength(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, errors.New("not a command")
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// commands are what was sent, without the handshake, one to a string.
func (srv *server) commands() []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var out []string
	for _, cmd := range srv.sent {
		if cmd[0] != "hello" && cmd[0] != "auth" {
			out = append(out, strings.Join(cmd, " "))
		}
	}
	return out
}

func (srv *server) connections() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.conns
}

// obliging answers the greeting and leaves the rest to next.
func obliging(next func(s *session, cmd []string)) func(s *session, cmd []string) {
	return func(s *session, cmd []string) {
		switch strings.ToUpper(cmd[0]) {
		case "HELLO":
			s.say("-ERR unknown command 'HELLO'\r\n")
		case "AUTH", "CLIENT":
			s.say("+OK\r\n")
		case "PING":
			s.say("+PONG\r\n")
		default:
			next(s, cmd)
		}
	}
}

// answering gives the same bytes to every command but the greeting.
func answering(reply string) func(s *session, cmd []string) {
	return obliging(func(s *session, _ []string) { s.say(reply) })
}

func dial(t testing.TB, srv *server) driver.Conn {
	t.Helper()
	return dialWith(t, srv, goredis.Options{})
}

func dialWith(t testing.TB, srv *server, o goredis.Options) driver.Conn {
	t.Helper()
	c, err := goredis.New(o).Dial(t.Context(), srv.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within fails the test where something took longer than it may.
func within(t testing.TB, limit time.Duration, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > limit {
		t.Errorf("it took %v, want at most %v", took, limit)
	}
}

// isTransport checks for an error that leaves the outcome unknown and names the
// node.
func isTransport(t testing.TB, srv *server, err error) {
	t.Helper()
	var te *driver.TransportError
	if !errors.As(err, &te) || te.Addr != srv.addr || !strings.HasPrefix(err.Error(), srv.addr.String()+": ") {
		t.Errorf("error %v (%T), want a *driver.TransportError of %s", err, err, srv.addr)
	}
}

// isBroken checks that a connection sends nothing any more.
func isBroken(t testing.TB, srv *server, c driver.Conn) {
	t.Helper()
	for range 2 {
		replies, err := c.Do(t.Context(), driver.Cmd("AFTERWARDS"))
		if !errors.Is(err, driver.ErrBroken) || len(replies) != 0 {
			t.Errorf("a broken connection: %v, %v; want ErrBroken", replies, err)
		}
		isTransport(t, srv, err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing it: %v", err)
	}
	if sent := srv.commands(); slices.Contains(sent, "AFTERWARDS") || srv.connections() != 1 {
		t.Errorf("sent %q over %d connections", sent, srv.connections())
	}
}
