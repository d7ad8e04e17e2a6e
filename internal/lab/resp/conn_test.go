package resp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/lab/resp"
)

// serve answers whatever comes with the given bytes and returns a connection
// to itself, and what it was sent.
func serve(t *testing.T, answer string) (*resp.Conn, <-chan string) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	got := make(chan string, 1)
	go func() {
		buf := make([]byte, 4096)
		n, _ := server.Read(buf)
		got <- string(buf[:n])
		io.WriteString(server, answer)
	}()
	return resp.NewConn(client), got
}

func TestReplies(t *testing.T) {
	tests := []struct {
		name, wire string
		want       any
		refusal    string
	}{
		{name: "simple", wire: "+OK\r\n", want: "OK"},
		{name: "error", wire: "-MOVED 42 127.0.0.1:7001\r\n", refusal: "MOVED"},
		{name: "number", wire: ":-7\r\n", want: int64(-7)},
		{name: "bulk is binary safe", wire: "$6\r\na\r\nb\x00c\r\n", want: "a\r\nb\x00c"},
		{name: "empty bulk", wire: "$0\r\n\r\n", want: ""},
		{name: "null bulk", wire: "$-1\r\n", want: nil},
		{name: "null array", wire: "*-1\r\n", want: nil},
		{name: "empty array", wire: "*0\r\n", want: []any{}},
		{
			name: "nested", wire: "*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n-ERR no\r\n",
			want: []any{int64(1), []any{"a", nil}, resp.Error("ERR no")},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, _ := serve(t, test.wire)
			got, err := conn.Do("PING")
			var refusal resp.Error
			errors.As(err, &refusal)
			if refusal.Code() != test.refusal || (err != nil) != (test.refusal != "") {
				t.Fatalf("error %v, want refusal %q", err, test.refusal)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestIsBinarySafe(t *testing.T) {
	conn, got := serve(t, "+OK\r\n")
	if _, err := conn.Do("SET", "k\r\n", "\x00\xff"); err != nil {
		t.Fatal(err)
	}
	want := "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n\x00\xff\r\n"
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenReplies(t *testing.T) {
	for _, wire := range []string{
		"hello\r\n", "\r\n", "+OK\n", "$5\r\nabc", "$3\r\nabcd\r\n", "$999999999999\r\n",
		"$-2\r\n", ":x\r\n", "*99999999\r\n", strings.Repeat("*1\r\n", 40) + ":1\r\n",
	} {
		conn, _ := serve(t, wire)
		conn.Timeout = 50 * time.Millisecond
		if got, err := conn.Do("PING"); err == nil {
			t.Errorf("%.30q was read as %v", wire, got)
		}
	}
}

// The reply to the first command comes too late: it must not be taken for the
// reply to the second one.
func TestNothingAfterTimeout(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go io.Copy(io.Discard, bufio.NewReader(server))
	conn := resp.NewConn(client)
	conn.Timeout = 20 * time.Millisecond
	_, first := conn.Do("GET", "a")
	if !errors.Is(first, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", first)
	}
	go io.WriteString(server, "$1\r\nx\r\n")
	if reply, err := conn.Do("GET", "b"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("second command: %v, %v; want the first error again", reply, err)
	}
}

func TestDialNamesTheAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	if _, err := resp.Dial(context.Background(), addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v does not name %s", err, addr)
	}
}
