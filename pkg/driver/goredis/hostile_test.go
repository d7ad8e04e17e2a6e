package goredis_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// hostile dials a server that gives the same bytes to everything, and asks it
// two things. Where it is polite it answers the greeting first; where it is
// stubborn it does not hang up afterwards. The clock is virtual, and the wire a
// pipe.
func hostile(t *testing.T, reply []byte, polite, stubborn bool) (replies []driver.Reply, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { replies, err = askHostile(t, reply, polite, stubborn) })
	return replies, err
}

func askHostile(t *testing.T, reply []byte, polite, stubborn bool) ([]driver.Reply, error) {
	const deadline = time.Second
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		misbehave(theirs, reply, polite, stubborn)
	}()
	defer func() { <-done }()
	defer ours.Close()
	d := goredis.New(goredis.Options{DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > deadline {
			t.Errorf("it took %v", took)
		}
	}()
	c, err := d.Dial(ctx, cluster.Addr{Host: "hostile", Port: 1}, "")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	replies, err := c.Do(ctx, driver.Cmd("GET", "a"), driver.Cmd("GET", "b"))
	checkReplies(t, replies, err)
	if err != nil {
		if again, err := c.Do(context.Background(), driver.Cmd("GET", "c")); err == nil || len(again) > 0 {
			t.Errorf("a broken connection answers %v", again)
		}
	}
	return replies, err
}

func misbehave(c net.Conn, reply []byte, polite, stubborn bool) {
	in := bufio.NewReader(c)
	for greeting := polite; ; {
		cmd, err := readCommand(in)
		if err != nil {
			return
		}
		switch {
		case greeting && cmd[0] == "hello":
			io.WriteString(c, "-ERR unknown command\r\n")
			continue
		case greeting:
			io.WriteString(c, "+PONG\r\n")
			greeting = false
			continue
		}
		go io.Copy(io.Discard, in)
		if _, err := c.Write(reply); err != nil || !stubborn {
			return
		}
		time.Sleep(time.Hour) // longer than anybody waits
		return
	}
}

func checkReplies(t *testing.T, replies []driver.Reply, err error) {
	t.Helper()
	if len(replies) > 2 || err == nil && len(replies) != 2 {
		t.Errorf("%d replies to 2 commands, %v", len(replies), err)
	}
	for _, r := range replies {
		if !known(r.Value) || r.Err != nil && r.Value != nil {
			t.Errorf("reply %#v", r)
		}
	}
}

// known reports whether a value is one of those that the port promises.
func known(v any) bool {
	switch v := v.(type) {
	case nil, string, int64, *driver.ServerError:
		return true
	case []any:
		for _, item := range v {
			if !known(item) {
				return false
			}
		}
		return true
	}
	return false
}

// hostileReplies are what no server sends. All of them must end in an error.
var hostileReplies = []struct{ name, wire string }{
	{"nothing", ""},
	{"HTTP", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"},
	{"SSH", "SSH-2.0-OpenSSH_9.2\r\n"},
	{"TLS", "\x15\x03\x01\x00\x02\x02\x46"},
	{"an empty line", "\r\n"},
	{"a line without CR", "+OK\n+OK\n"},
	{"a line without end", "+" + strings.Repeat("x", 100_000)},
	{"a number that is none", ":x\r\n"},
	{"a number that is too large", ":9223372036854775808\r\n"},
	{"a text longer than memory", "$9223372036854775806\r\n"},
	{"a text of 200 GB", "$200000000000\r\nabc"},
	{"a text of negative length", "$-2\r\n"},
	{"a text whose length is no number", "$x\r\n"},
	{"a text longer than it says", "$1\r\nabc\r\n+OK\r\n"},
	{"a list longer than memory", "*9223372036854775807\r\n"},
	{"a list of a billion", "*1000000000\r\n+OK\r\n"},
	{"a list of negative length", "*-2\r\n"},
	{"a list that is not complete", "*3\r\n+OK\r\n"},
	{"lists in lists without end", strings.Repeat("*1\r\n", 100_000)},
	{"lists in lists, with items between", strings.Repeat("*2\r\n:1\r\n", 100_000)},
	{"a map longer than memory", "%4611686018427387904\r\n"},
	{"maps in maps", strings.Repeat("%1\r\n", 100_000)},
	{"a set longer than memory", "~9223372036854775807\r\n"},
	{"a push longer than memory", ">9223372036854775807\r\n"},
	{"an error longer than memory", "!9223372036854775807\r\n"},
	{"a verbatim text longer than memory", "=9223372036854775807\r\n"},
	{"attributes without end", strings.Repeat("|1\r\n+a\r\n+b\r\n", 100_000)},
	{"RESP3 map", "%1\r\n+a\r\n+b\r\n%1\r\n+a\r\n+b\r\n"},
	{"RESP3 boolean", "#t\r\n#t\r\n"},
	{"RESP3 float", ",1.5\r\n,inf\r\n"},
	{"RESP3 null", "_\r\n_\r\n"},
	{"RESP3 push", ">2\r\n+invalidate\r\n*0\r\n+OK\r\n"},
	{"streamed text", "$?\r\n;4\r\nabcd\r\n;0\r\n"},
}

// TestHostileServer promises an error, and neither a panic nor a wait, for what
// no server sends, before and after the greeting.
func TestHostileServer(t *testing.T) {
	for _, tt := range hostileReplies {
		t.Run(tt.name, func(t *testing.T) {
			for _, polite := range []bool{false, true} {
				if replies, err := hostile(t, []byte(tt.wire), polite, false); err == nil {
					t.Errorf("polite %v: replies %v", polite, replies)
				}
			}
		})
	}
}

// FuzzHostileServer promises the same for any bytes: replies that are what they
// may be, or an error, in time.
func FuzzHostileServer(f *testing.F) {
	for _, tt := range hostileReplies {
		f.Add([]byte(tt.wire[:min(len(tt.wire), 1000)]), true, false)
		f.Add([]byte(tt.wire[:min(len(tt.wire), 1000)]), false, false)
	}
	for _, wire := range []string{
		"+OK\r\n$3\r\nabc\r\n", "-MOVED 1 a:1\r\n*2\r\n-CLUSTERDOWN x\r\n:1\r\n", "*2\r\n$-1\r\n*1\r\n*0\r\n:7\r\n",
		"*7\r\n$6\r\nserver\r\n$5\r\nredis\r\n+OK\r\n", "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n+PONG\r\n+OK\r\n+OK\r\n",
	} {
		f.Add([]byte(wire), true, false)
		f.Add([]byte(wire), false, false)
	}
	f.Add([]byte("*2\r\n+OK\r\n"), true, true)
	f.Fuzz(func(t *testing.T, reply []byte, polite, stubborn bool) {
		hostile(t, reply, polite, stubborn)
	})
}
