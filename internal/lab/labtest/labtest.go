// Package labtest puts tests on real servers: it starts labs, forms clusters
// with raw commands, and reads and writes through a routing client of its own.
// Nothing here uses the engine, so a test can judge the engine by it.
package labtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/resp"
)

// Default is the server that a test gets when it names none.
const Default = "redis-7.0"

// Names are the servers of the test matrix, as scripts/servers.sh calls them.
func Names() []string {
	return []string{"redis-6.0", "redis-7.0", "redis-8.0", "valkey-8.1", "valkey-9.1"}
}

// Options says what servers a test needs.
type Options struct {
	Server   string   // one of Names; default Default
	Mix      []string // instead of Server: node i runs Mix[i mod len]
	Nodes    int
	Config   []string // lines that win over the defaults, which are for speed
	Password string
	Host     string // default 127.0.0.1
	TLS      *Authority
}

// Lab is a lab that ends with the test.
type Lab struct {
	*lab.Lab
	access access
}

// access is how clients get in.
type access struct {
	password string
	tls      *tls.Config // nil for plain connections
}

// Start starts the servers. They end with the test, however it ends; when it
// failed, the end of each log is shown. A missing server fails the test.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), lab.Options{
		Dir:      filepath.Join(t.TempDir(), "lab"),
		Servers:  o.servers(t),
		Nodes:    o.Nodes,
		Host:     o.Host,
		Password: o.Password,
		Config:   append(quick(), o.Config...),
		TLS:      o.TLS.server(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, l) })
	return &Lab{Lab: l, access: access{o.Password, o.TLS.client()}}
}

// quick makes servers notice failures in two seconds instead of fifteen and
// begin a full resync at once instead of after five.
func quick() []string {
	return []string{"cluster-node-timeout 2000", "repl-diskless-sync-delay 0"}
}

func end(t testing.TB, l *lab.Lab) {
	if err := l.Close(); err != nil {
		t.Errorf("end the lab: %v", err)
	}
	if !t.Failed() {
		return
	}
	for _, n := range l.Nodes() {
		t.Logf("the end of the log of %s:\n%s", n.Addr(), n.LogTail(10))
	}
}

func (o Options) servers(t testing.TB) []lab.Server {
	t.Helper()
	names := o.Mix
	if len(names) == 0 && o.Server != "" {
		names = []string{o.Server}
	} else if len(names) == 0 {
		names = []string{Default}
	}
	servers := make([]lab.Server, len(names))
	for i, name := range names {
		servers[i] = Server(t, name)
	}
	return servers
}

// Server finds the server with the given name, one of Names, or fails the test.
func Server(t testing.TB, name string) lab.Server {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	server, err := find(t.Context(), filepath.Join(root, ".servers"), name)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// find prefers the unpacked server. One on PATH serves as well when it is of
// the wanted version.
func find(ctx context.Context, dir, name string) (lab.Server, error) {
	kind, _, _ := strings.Cut(name, "-")
	unpacked := filepath.Join(dir, name, "bin", kind+"-server")
	server, err := lab.FindServer(ctx, unpacked)
	if errors.Is(err, lab.ErrNoServer) {
		server, err = lab.FindServer(ctx, "")
	}
	if err == nil && server.Name() != name {
		err = fmt.Errorf("%s is %s", server.Path, server.Name())
	}
	if err != nil {
		return lab.Server{}, fmt.Errorf("test server %s is not in %s (%w); to get it, run: make servers", name, dir, err)
	}
	return server, nil
}

// repository is the nearest directory upwards that holds go.mod: tests run in
// the directory of their package.
func repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %s or above", start)
		}
	}
}

// Dial connects to the server, with the lab's password, until the test ends.
func (l *Lab) Dial(t testing.TB, n *lab.Node) *resp.Conn {
	t.Helper()
	conn, err := l.access.dial(t.Context(), n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Open is Dial for those who deal with a server that may be down themselves.
func (l *Lab) Open(ctx context.Context, n *lab.Node) (*resp.Conn, error) {
	return l.access.dial(ctx, n.Addr())
}

func (a access) dial(ctx context.Context, addr string) (conn *resp.Conn, err error) {
	if a.tls == nil {
		conn, err = resp.Dial(ctx, addr)
	} else {
		conn, err = resp.DialTLS(ctx, addr, a.tls)
	}
	if err != nil || a.password == "" {
		return conn, err
	}
	if _, err := conn.Do("AUTH", a.password); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: AUTH: %w", addr, err)
	}
	return conn, nil
}

// Do sends one command to one server, on a connection of its own. Anything but
// a good reply fails the test.
func (l *Lab) Do(t testing.TB, n *lab.Node, args ...string) any {
	t.Helper()
	conn, err := l.access.dial(t.Context(), n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Do(args...)
	if err != nil {
		t.Fatalf("%s: %.60q: %v", n.Addr(), args, err)
	}
	return reply
}

// Text is Do for a command that answers with text.
func (l *Lab) Text(t testing.TB, n *lab.Node, args ...string) string {
	t.Helper()
	text, ok := l.Do(t, n, args...).(string)
	if !ok {
		t.Fatalf("%s: %.60q does not answer with text", n.Addr(), args)
	}
	return text
}

// Await calls the condition until it returns nil, and fails the test with its
// last error when that takes too long.
func Await(t testing.TB, limit time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-t.Context().Done():
			t.Fatalf("%s: %v: %v", what, t.Context().Err(), err)
		}
	}
}
