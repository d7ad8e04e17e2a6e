package goredis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// TestSendsWhatItIsTold promises that commands reach the server as they are,
// once and in their order, and that nothing else does but the greeting.
func TestSendsWhatItIsTold(t *testing.T) {
	srv := serve(t, answering("+OK\r\n"))
	c, err := goredis.New(goredis.Options{}).Dial(t.Context(), srv.addr, "trib:held:x")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmds := []driver.Command{{"SET", "k\r\n\x00", ""}, {"MULTI"}, {"HIMPORT", "SET", "x"}, {"GET", "k"}, {"CLUSTER", "SETSLOT", "1", "NODE", "x"}, {"EXEC"}}
	if _, err := c.Do(t.Context(), cmds...); err != nil {
		t.Fatal(err)
	}
	want := []string{"CLIENT SETNAME trib:held:x"}
	for _, cmd := range cmds {
		want = append(want, strings.Join(cmd, " "))
	}
	if diff := cmp.Diff(want, srv.commands()); diff != "" || srv.connections() != 1 {
		t.Errorf("over %d connections (-want +sent):\n%s", srv.connections(), diff)
	}
}

// TestReplies promises what each kind of reply becomes, and that none disturbs
// the ones that follow it in the pipeline.
func TestReplies(t *testing.T) {
	deep := strings.Repeat("*1\r\n", 10) + ":1\r\n"
	tests := []struct {
		name, wire string
		want       any
		err        string
	}{
		{"status", "+OK\r\n", "OK", ""},
		{"empty status", "+\r\n", "", ""},
		{"text", bulk("a\r\nb\x00"), "a\r\nb\x00", ""},
		{"empty text", bulk(""), "", ""},
		{"much text", bulk(strings.Repeat("x", 100_000)), strings.Repeat("x", 100_000), ""},
		{"a number", ":-9223372036854775808\r\n", int64(-1 << 63), ""},
		{"nil", "$-1\r\n", nil, ""},
		{"nil list", "*-1\r\n", nil, ""},
		{"empty list", "*0\r\n", []any{}, ""},
		{"a list of all", "*6\r\n+OK\r\n" + bulk("x") + ":7\r\n$-1\r\n*0\r\n*1\r\n:1\r\n", []any{"OK", "x", int64(7), nil, []any{}, []any{int64(1)}}, ""},
		{"deep lists", deep, []any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{[]any{int64(1)}}}}}}}}}}, ""},
		{"an error", "-ERR no\r\n", nil, "ERR no"},
		{"MOVED", "-MOVED 1 10.0.0.1:7000\r\n", nil, "MOVED 1 10.0.0.1:7000"},
		{"ASK", "-ASK 1 10.0.0.1:7000\r\n", nil, "ASK 1 10.0.0.1:7000"},
		{"LOADING", "-LOADING Redis is loading the dataset in memory\r\n", nil, "LOADING Redis is loading the dataset in memory"},
		{"CLUSTERDOWN", "-CLUSTERDOWN Hash slot not served\r\n", nil, "CLUSTERDOWN Hash slot not served"},
		{"NOREPLICAS", "-NOREPLICAS Not enough good replicas to write.\r\n", nil, "NOREPLICAS Not enough good replicas to write."},
		{"IOERR", "-IOERR error or timeout writing to target instance\r\n", nil, "IOERR error or timeout writing to target instance"},
		{"NOAUTH later on", "-NOAUTH Authentication required.\r\n", nil, "NOAUTH Authentication required."},
		{"READONLY", "-READONLY You can't write against a read only replica.\r\n", nil, "READONLY You can't write against a read only replica."},
		{"NOPERM", "-NOPERM no\r\n", nil, "NOPERM no"},
		{"too many clients", "-ERR max number of clients reached\r\n", nil, "ERR max number of clients reached"},
		{"an error without text", "-\r\n", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			srv := serve(t, obliging(func(s *session, cmd []string) {
				if n++; n%2 == 1 {
					s.say(tt.wire)
				} else {
					s.say(bulk(cmd[1]))
				}
			}))
			c := dial(t, srv)
			for i := range 2 {
				marker := fmt.Sprint("marker ", i)
				replies, err := c.Do(t.Context(), driver.Cmd("GET", "k"), driver.Cmd("ECHO", marker))
				if err != nil || len(replies) != 2 {
					t.Fatalf("%d replies, %v", len(replies), err)
				}
				if diff := cmp.Diff(tt.want, replies[0].Value); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				checkRefusal(t, replies[0].Err, tt.wire, tt.err)
				if got, _ := replies[1].Text(); got != marker {
					t.Errorf("the next reply is %q, %v", replies[1].Value, replies[1].Err)
				}
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, wire, want string) {
	t.Helper()
	if wire[0] != '-' {
		if err != nil {
			t.Errorf("error %v", err)
		}
		return
	}
	var se *driver.ServerError
	if !errors.As(err, &se) || se.Text != want || driver.IsTransport(err) {
		t.Errorf("error %v (%T), want the server's %q", err, err, want)
	}
}

// TestErrorsInsideLists promises that a refused command of a transaction stands
// in its place, whatever its code, and shifts nothing: a reply that is taken for
// another command's would be believed.
func TestErrorsInsideLists(t *testing.T) {
	for _, text := range []string{
		"ERR no", "WRONGTYPE no", "MOVED 1 a:1", "ASK 1 a:1", "CLUSTERDOWN no", "TRYAGAIN no", "LOADING no", "MASTERDOWN no",
		"READONLY no", "NOREPLICAS no", "NOPERM no", "NOAUTH no", "OOM no", "EXECABORT no",
	} {
		t.Run(text, func(t *testing.T) {
			srv := serve(t, obliging(func(s *session, cmd []string) {
				if cmd[0] == "EXEC" {
					s.say("*3\r\n-" + text + "\r\n+OK\r\n:7\r\n")
					return
				}
				s.say(bulk(cmd[1]))
			}))
			c := dial(t, srv)
			replies, err := c.Do(t.Context(), driver.Cmd("EXEC"), driver.Cmd("ECHO", "one"), driver.Cmd("ECHO", "two"))
			if err != nil || len(replies) != 3 {
				t.Fatalf("%d replies, %v", len(replies), err)
			}
			want := []driver.Reply{{Value: []any{&driver.ServerError{Text: text}, "OK", int64(7)}}, {Value: "one"}, {Value: "two"}}
			if diff := cmp.Diff(want, replies); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if reply, err := driver.Call(t.Context(), c, "ECHO", "three"); err != nil || reply.Value != "three" {
				t.Errorf("the next call: %v, %v", reply.Value, err)
			}
		})
	}
}

// TestLateReply promises that a command whose reply is late has an unknown
// outcome, that it is never sent again, and that its reply is never taken for
// another's.
func TestLateReply(t *testing.T) {
	for _, cmds := range [][]driver.Command{
		{driver.Cmd("MIGRATE", "h", "1", "k", "0", "1000")},
		{driver.Cmd("ECHO", "first"), driver.Cmd("MIGRATE", "h", "1", "k", "0", "1000"), driver.Cmd("ECHO", "last")},
	} {
		t.Run(fmt.Sprintf("%d commands", len(cmds)), func(t *testing.T) {
			answer := make(chan struct{})
			srv := serve(t, obliging(func(s *session, cmd []string) {
				if cmd[0] == "MIGRATE" {
					<-answer
					s.say("+NOKEY\r\n")
					return
				}
				s.say(bulk(cmd[1]))
			}))
			c := dial(t, srv)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			replies, err := c.Do(ctx, cmds...)
			within(t, time.Second, began)
			isTransport(t, srv, err)
			var timeout interface{ Timeout() bool }
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%v does not say that time was up", err)
			}
			if len(replies) != len(cmds)/2 || len(replies) == 1 && replies[0].Value != "first" {
				t.Errorf("replies %v", replies)
			}
			close(answer)
			isBroken(t, srv, c)
			migrates := 0
			for _, cmd := range srv.commands() {
				if strings.HasPrefix(cmd, "MIGRATE") {
					migrates++
				}
			}
			if migrates != 1 {
				t.Errorf("MIGRATE was sent %d times", migrates)
			}
		})
	}
}

// TestServerHangsUp promises that a connection which the server ends is broken:
// nothing is dialled behind the caller's back, and nothing sent twice.
func TestServerHangsUp(t *testing.T) {
	tests := []struct {
		name   string
		script func(s *session, cmd []string)
		sent   int
	}{
		{"instead of a reply", func(s *session, _ []string) { s.Close() }, 1},
		{"in the middle of a line", func(s *session, _ []string) { s.say("+O"); s.Close() }, 1},
		{"in the middle of a text", func(s *session, _ []string) { s.say("$10\r\nabc"); s.Close() }, 1},
		{"in the middle of a list", func(s *session, _ []string) { s.say("*2\r\n+OK\r\n"); s.Close() }, 1},
		{"with a reset", func(s *session, _ []string) { s.Conn.(*net.TCPConn).SetLinger(0); s.Close() }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, obliging(tt.script))
			c := dial(t, srv)
			replies, err := c.Do(t.Context(), driver.Cmd("INCR", "k"))
			isTransport(t, srv, err)
			if len(replies) != 0 {
				t.Errorf("replies %v", replies)
			}
			isBroken(t, srv, c)
			if sent := srv.commands(); len(sent) != 1+tt.sent {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

// TestIdleConnectionEnded promises the same for a server that hangs up between
// two commands, as its timeout setting makes it.
func TestIdleConnectionEnded(t *testing.T) {
	closed := make(chan struct{})
	srv := serve(t, obliging(func(s *session, _ []string) {
		s.say("+OK\r\n")
		s.Close()
		close(closed)
	}))
	c := dial(t, srv)
	if _, err := driver.Call(t.Context(), c, "SET", "k", "v"); err != nil {
		t.Fatal(err)
	}
	<-closed
	_, err := c.Do(t.Context(), driver.Cmd("INCR", "k"))
	isTransport(t, srv, err)
	isBroken(t, srv, c)
}

// TestSurplusReply promises that a reply which nobody asked for is not taken
// for the next command's.
func TestSurplusReply(t *testing.T) {
	srv := serve(t, obliging(func(s *session, cmd []string) { s.say(bulk(cmd[1]) + bulk("surplus")) }))
	c := dial(t, srv)
	reply, err := driver.Call(t.Context(), c, "ECHO", "one")
	if err == nil && reply.Value != "one" {
		t.Errorf("first: %v", reply.Value)
	}
	if reply, err := driver.Call(t.Context(), c, "ECHO", "two"); err == nil || reply.Value != nil {
		t.Errorf("second: %v, %v", reply.Value, err)
	}
}

// TestCancelCutsShort promises that a cancelled context ends a command that is
// under way, says so, and breaks the connection.
func TestCancelCutsShort(t *testing.T) {
	arrived := make(chan struct{})
	srv := serve(t, obliging(func(*session, []string) { close(arrived) }))
	c := dial(t, srv)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(enough)
	}()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	began := time.Now()
	_, err := c.Do(ctx, driver.Cmd("MIGRATE", "h", "1", "k", "0", "60000"))
	within(t, 2*time.Second, began)
	isTransport(t, srv, err)
	if !errors.Is(err, enough) {
		t.Errorf("%v does not say why", err)
	}
	isBroken(t, srv, c)
}

// TestCancelAtTheWorstMoment promises the same where the context is cancelled
// after the command was written and before its reply is waited for: go-redis
// sets its own deadline in between.
func TestCancelAtTheWorstMoment(t *testing.T) {
	srv := serve(t, obliging(func(*session, []string) {}))
	var conn *trap
	d := goredis.New(goredis.Options{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		conn = &trap{Conn: c, cut: make(chan struct{}, 1)}
		return conn, err
	}})
	c, err := d.Dial(t.Context(), srv.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn.written.Store(&cancel)
	began := time.Now()
	_, err = c.Do(ctx, driver.Cmd("MIGRATE", "h", "1", "k", "0", "60000"))
	within(t, 5*time.Second, began)
	isTransport(t, srv, err)
	isBroken(t, srv, c)
}

// trap cancels a context from within a write, and lets the write return only
// after the driver has reacted.
type trap struct {
	net.Conn
	written atomic.Pointer[context.CancelFunc]
	cut     chan struct{}
}

func (c *trap) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if cancel := c.written.Swap(nil); cancel != nil {
		select {
		case <-c.cut: // go-redis has set deadlines before
		default:
		}
		(*cancel)()
		<-c.cut
	}
	return n, err
}

func (c *trap) noteCut() {
	select {
	case c.cut <- struct{}{}:
	default:
	}
}

func (c *trap) SetDeadline(t time.Time) error {
	defer c.noteCut()
	return c.Conn.SetDeadline(t)
}

func (c *trap) Close() error {
	defer c.noteCut()
	return c.Conn.Close()
}

// TestDoneContext promises that a context which is done beforehand sends
// nothing and breaks nothing.
func TestDoneContext(t *testing.T) {
	srv := serve(t, answering("+OK\r\n"))
	c := dial(t, srv)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if replies, err := c.Do(ctx, driver.Cmd("SET", "k", "v")); !errors.Is(err, context.Canceled) || driver.IsTransport(err) || replies != nil {
		t.Errorf("%v, %v", replies, err)
	}
	if _, err := driver.Call(t.Context(), c, "SET", "k", "v"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"PING", "SET k v"}, srv.commands()); diff != "" {
		t.Errorf("(-want +sent):\n%s", diff)
	}
	if _, err := goredis.New(goredis.Options{}).Dial(ctx, srv.addr, ""); err == nil {
		t.Error("dialled with a context that is done")
	}
}

// TestDialFailures promises an error that names the node, in time, and no
// connection left behind.
func TestDialFailures(t *testing.T) {
	silent := serve(t, func(*session, []string) {})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := goredis.New(goredis.Options{}).Dial(ctx, silent.addr, "")
	within(t, time.Second, began)
	isTransport(t, silent, err)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	nobody := &server{}
	nobody.addr, _ = cluster.ParseAddr(l.Addr().String())
	_, err = goredis.New(goredis.Options{}).Dial(t.Context(), nobody.addr, "")
	isTransport(t, nobody, err)
	if strings.Count(err.Error(), nobody.addr.String()) != 1 {
		t.Errorf("%v names the node twice", err)
	}

	hostile := serve(t, func(s *session, _ []string) { s.say("HTTP/1.1 400 Bad Request\r\n\r\n") })
	_, err = goredis.New(goredis.Options{}).Dial(t.Context(), hostile.addr, "")
	isTransport(t, hostile, err)
	if want := "the reply is not one of a Redis or Valkey server"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}

	full := serve(t, func(s *session, _ []string) { s.say("-ERR max number of clients reached\r\n"); s.Close() })
	_, err = goredis.New(goredis.Options{}).Dial(t.Context(), full.addr, "")
	if err == nil || !strings.HasPrefix(err.Error(), full.addr.String()+": ") {
		t.Errorf("a full server: %v", err)
	}
}

const canary = "cANARY-7f3a"

// TestRefusedCredentials promises an *AuthError that says what the server said
// and names the node, whatever the servers of all ages answer.
func TestRefusedCredentials(t *testing.T) {
	refuse := func(hello, auth, ping string) func(*session, []string) {
		return func(s *session, cmd []string) {
			s.say(map[string]string{"hello": hello, "auth": auth, "ping": ping}[strings.ToLower(cmd[0])])
		}
	}
	const noAuth = "-NOAUTH Authentication required.\r\n"
	tests := []struct {
		name    string
		options goredis.Options
		script  func(*session, []string)
		says    string
	}{
		{"no password given", goredis.Options{}, refuse("-NOAUTH HELLO must be called with the client already authenticated\r\n", "", noAuth), "NOAUTH"},
		{"wrong password", goredis.Options{Password: canary}, refuse("-WRONGPASS invalid username-password pair\r\n", "-WRONGPASS invalid username-password pair\r\n", noAuth), "WRONGPASS"},
		{"wrong password, before Redis 6", goredis.Options{Password: canary}, refuse("-ERR unknown command\r\n", "-ERR invalid password\r\n", noAuth), "invalid password"},
		{"wrong user", goredis.Options{Username: "u", Password: canary}, refuse("-WRONGPASS invalid\r\n", "-WRONGPASS invalid\r\n", noAuth), "WRONGPASS"},
		{"no password wanted", goredis.Options{Password: canary}, refuse("-ERR unknown\r\n", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n", "+PONG\r\n"), "without any password configured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.script)
			c, err := goredis.New(tt.options).Dial(t.Context(), srv.addr, "")
			var ae *driver.AuthError
			if !errors.As(err, &ae) || ae.Addr != srv.addr || c != nil {
				t.Fatalf("%v, error %v (%T), want an *driver.AuthError", c, err, err)
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), srv.addr.String()+": ") || strings.Contains(err.Error(), canary) {
				t.Errorf("error %v", err)
			}
			if driver.IsTransport(err) {
				t.Error("it looks as though the outcome were unknown")
			}
		})
	}
}

// TestPasswordInNoError is promise P8: whatever a server or the network does,
// the password stands in no error, even where the server repeats its
// arguments, as real ones do with commands that they do not know.
func TestPasswordInNoError(t *testing.T) {
	echo := func(s *session, cmd []string) {
		s.say(fmt.Sprintf("-ERR unknown command '%s', with args beginning with: '%s'\r\n", cmd[0], strings.Join(cmd[1:], "' '")))
	}
	tests := []struct {
		name   string
		script func(*session, []string)
		cmd    driver.Command
	}{
		{"AUTH was renamed", echo, driver.Cmd("PING")},
		{"MIGRATE was renamed", obliging(echo), driver.Cmd("MIGRATE", "h", "1", "", "0", "1000", "AUTH", canary, "KEYS", "k")},
		{"in a transaction", obliging(func(s *session, cmd []string) {
			s.say("*1\r\n-ERR unknown command 'x', with args beginning with: '" + canary + "'\r\n")
		}), driver.Cmd("EXEC")},
		{"the server hangs up", obliging(func(s *session, _ []string) { s.Close() }), driver.Cmd("AUTH2", canary)},
		{"garbage", obliging(func(s *session, _ []string) { s.say("?" + canary + "\r\n") }), driver.Cmd("GET", "k")},
		{"garbage in a number", obliging(func(s *session, _ []string) { s.say(":" + canary + "\r\n") }), driver.Cmd("GET", "k")},
		{"garbage in the greeting", func(s *session, cmd []string) { s.say("%" + canary + "\r\n") }, driver.Cmd("PING")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := serve(t, tt.script)
			c, err := goredis.New(goredis.Options{Password: canary}).Dial(t.Context(), srv.addr, "trib:held:x:1:h")
			var replies []driver.Reply
			if err == nil {
				replies, err = c.Do(t.Context(), tt.cmd)
				c.Close()
			}
			text := fmt.Sprintf("%v %+v", err, err)
			for _, r := range replies {
				text += fmt.Sprintf("%v %v", r.Err, r.Value)
			}
			if err == nil && len(replies) == 0 {
				t.Error("no error and no reply")
			}
			if strings.Contains(text, canary) {
				t.Errorf("the password stands in %s", text)
			}
		})
	}
}

// TestTwoConnections promises that connections of one dialer have nothing to do
// with each other.
func TestTwoConnections(t *testing.T) {
	srv := serve(t, obliging(func(s *session, cmd []string) {
		if cmd[0] == "DIE" {
			s.Close()
			return
		}
		s.say(bulk(fmt.Sprint(s.number)))
	}))
	d := goredis.New(goredis.Options{})
	var conns []driver.Conn
	for range 2 {
		c, err := d.Dial(t.Context(), srv.addr, "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	if _, err := conns[0].Do(t.Context(), driver.Cmd("DIE")); err == nil {
		t.Error("no error")
	}
	if reply, err := driver.Call(t.Context(), conns[1], "WHO"); err != nil || reply.Value != "2" {
		t.Errorf("the other one: %v, %v", reply.Value, err)
	}
}
