package acceptance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestUnixSocket: the path of a socket is a SEED, in every spelling; the rest of
// the cluster is found from there. Nobody can be told to meet it.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "trib") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := labtest.Start(t, labtest.Options{Nodes: 3, Config: []string{"unixsocket redis.sock"}, Password: canary})
	c := labtest.Form(t, l, 3, 0)
	path := filepath.Join(dir, "s")
	if err := os.Symlink(filepath.Join(c.Masters[0].Dir(), "redis.sock"), path); err != nil {
		t.Fatal(err)
	}
	known := how{env: []string{"TRIB_PASSWORD=" + canary}}
	for _, seed := range []string{path, "unix://" + path} {
		known.run(t, "check", seed).done(t)
		known.run(t, "info", seed).done(t, "in 3 masters")
		known.run(t, "call", seed, "ping").done(t, c.Masters[2].Addr())
	}
	known.run(t, "reshard", path, "--from", c.Masters[1].ID, "--to", c.Masters[0].Addr(), "--slots", "5", "--yes").done(t)
	known.run(t, "create", path, c.Masters[1].Addr(), "--yes").exit(t, 2).complains(t, path+" is a unix socket")
	trib(t, "check", path).exit(t, 7).complains(t, path, "hint.*TRIB_PASSWORD")
	trib(t, "check", path+"x").exit(t, 7).complains(t, path+"x: .*no such file")
}

// TestIPv6Spellings takes a cluster on an IPv6 address through the commands that move
// addresses around, in every spelling of the address.
func TestIPv6Spellings(t *testing.T) {
	t.Parallel()
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		probe.Close()
	}
	l := labtest.Start(t, labtest.Options{Nodes: 4, Host: "::1"})
	var loose []string
	for _, n := range l.Nodes() {
		loose = append(loose, fmt.Sprintf("::1:%d", n.Port()))
	}
	trib(t, append([]string{"create", "--yes"}, loose[:3]...)...).done(t, `^\[OK\] All 16384 slots covered`)
	port := strings.TrimPrefix(loose[0], "::1:")
	for _, seed := range [][]string{
		{"[::1]:" + port},
		{loose[0]},
		{"::1", port},
		{"[::1]", port},
		{"0:0:0::1:" + port},
		{"redis://[::1]:" + port},
	} {
		trib(t, append([]string{"check"}, seed...)...).done(t)
	}
	trib(t, "add-node", loose[3], "0::1:"+port, "--yes").done(t)
	trib(t, "reshard", loose[0], "--from", "0:0::1:"+port, "--to", loose[3], "--slots", "50", "--yes").done(t, `^\[OK\] Moved 50 slots`)
	trib(t, "del-node", loose[0], loose[3], "--drain", "--yes").done(t)
	trib(t, "check", loose[1]).done(t)
}

// TestHostnames: nodes may announce names beside their addresses, and answer to
// both.
func TestHostnames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		for _, endpoint := range []string{"hostname", "unknown-endpoint"} {
			t.Run(name+"/"+endpoint, func(t *testing.T) {
				t.Parallel()
				l := labtest.Start(t, labtest.Options{Server: name, Nodes: 3, Config: []string{"cluster-announce-hostname one.example", "cluster-preferred-endpoint-type " + endpoint}})
				trib(t, append([]string{"create", "--yes"}, l.Addrs()...)...).done(t)
				m := look(t, l).masters()
				trib(t, "reshard", m[0].Addr(), "--from", fmt.Sprint("one.example:", m[0].Port()), "--to", fmt.Sprint("ONE.example:", m[1].Port()), "--slots", "7", "--yes").done(t)
				trib(t, "check", m[2].Addr()).done(t)
			})
		}
	}
}

// TestPublishedPorts: nodes announce ports that others forward to theirs, as those
// of containers do. Nothing has to be said about it.
func TestPublishedPorts(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 4})
			var addrs []string
			for _, n := range l.Nodes() {
				gate, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { gate.Close() })
				go keepGate(gate, n.Addr())
				_, port, _ := net.SplitHostPort(gate.Addr().String())
				l.Do(t, n, "CONFIG", "SET", "cluster-announce-ip", "127.0.0.1", "cluster-announce-port", port,
					"cluster-announce-bus-port", fmt.Sprint(n.Port()+10000))
				addrs = append(addrs, gate.Addr().String())
			}
			trib(t, append([]string{"create", "--yes"}, addrs[:3]...)...).done(t, `^\[OK\] All 16384 slots covered`)
			trib(t, "reshard", addrs[0], "--from", addrs[1], "--to", addrs[2], "--slots", "50", "--yes").done(t, `^\[OK\] Moved 50 slots`)
			trib(t, "add-node", addrs[3], addrs[0], "--yes").done(t)
			trib(t, "rebalance", addrs[0], "--use-empty-masters", "--max-slots", "60", "--yes").done(t, `^\[OK\] Moved 60 slots`)
			trib(t, "check", addrs[3]).done(t, addrs[1])
		})
	}
}

// TestStringsOfServers: what keys are called and hold does nothing to a terminal.
func TestStringsOfServers(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 1}), 1, 0)
	a := foreign(t, labtest.Options{})
	seed := c.Masters[0].Addr()
	const wild = "\x1b]0;title\x07\x1b[2J\r\n[OK] all is well\u202e\x9b1m"
	a.do(t, 0, "SET", wild, "here")
	c.Do(t, c.Masters[0].Node, "SET", wild, "there")
	c.Do(t, c.Masters[0].Node, "SET", "k", wild)
	for _, r := range []result{
		trib(t, "import", seed, "--from", a.node.Addr(), "--yes").exit(t, 6).prints(t, "1 existing", `title`),
		trib(t, "call", seed, "get", "k").exit(t, 0).prints(t, "title"),
		trib(t, "call", seed, "--", "eval", "return redis.error_reply(ARGV[1])", "0", wild).exit(t, 1).prints(t, "title"),
	} {
		if strings.ContainsAny(r.out+r.err, "\x1b\x07\r\u202e") || !utf8.ValidString(r.out+r.err) || strings.Contains(r.out+r.err, "\n[OK] all is well") {
			t.Errorf("%q", r.out+r.err)
		}
	}
}
