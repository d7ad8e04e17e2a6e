package acceptance

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestTLS takes a cluster that speaks nothing but TLS from empty nodes through
// the commands: servers that know two ports of every node, and one that knows
// only the port of the bus's kind.
func TestTLS(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := labtest.NewAuthority(t, "127.0.0.1")
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6, TLS: ca, Password: canary})
			known := how{env: []string{"TRIB_PASSWORD=" + canary}}
			flags := []string{"--tls", "--cacert", ca.File, "--cert", ca.Certificate, "--key", ca.Key}
			encrypted := func(args ...string) result { return known.run(t, append(args, flags...)...) }

			encrypted(append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)...).
				done(t, `^\[OK\] All 16384 slots covered\.$`)
			h := bury(t, l)
			before := look(t, l)
			m := before.masters()
			seed := m[2].Addr()
			encrypted("reshard", seed, "--from", m[0].self.id, "--to", m[1].Addr(), "--slots", "60", "--yes").
				done(t, `^\[OK\] Moved 60 slots with`)
			if got := whole(t, l).gained(before, m[1].Addr()); got != 60 {
				t.Errorf("%d slots moved", got)
			}
			h.intact(t)
			encrypted("check", seed).done(t)
			encrypted("info", seed).done(t, `keys in 3 masters\.$`)
			known.run(t, "check", "rediss://"+seed, "--cacert", ca.File, "--cert", ca.Certificate, "--key", ca.Key).done(t)
		})
	}
}

// TestTLSIsVerified: nodes prove that somebody trusted vouches for them and for
// the name that they are dialled by. Each refusal says what to do.
func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	ca := labtest.NewAuthority(t, "redis.example")
	l := labtest.Start(t, labtest.Options{Nodes: 1, TLS: ca})
	seed := l.Addrs()[0]
	own := []string{"info", seed, "--tls", "--cert", ca.Certificate, "--key", ca.Key}
	for _, tt := range []struct {
		args []string
		why  string
		hint string
	}{
		{append(own, "--sni", "redis.example"), "unknown authority", "--cacert"},
		{append(own, "--sni", "redis.example", "--cacert", labtest.NewAuthority(t, "redis.example").File), "failed to verify certificate", "--cacert"},
		{append(own, "--cacert", ca.File), "127.0.0.1", "--sni"},
		{append(own, "--cacert", ca.File, "--sni", "other.example"), "other.example", "--sni"},
		{[]string{"info", seed, "--tls", "--cacert", ca.File, "--sni", "redis.example"}, seed, "--cert"},
		{[]string{"info", seed}, seed, "--tls"},
		{[]string{"create", seed, "--yes"}, seed, "--tls"},
	} {
		r := trib(t, tt.args...).exit(t, 7)
		if !strings.Contains(r.err, tt.why) || !strings.Contains(r.err, "hint: ") || !strings.Contains(r.err, tt.hint) {
			t.Errorf("want %q and a hint to %s: %v", tt.why, tt.hint, r)
		}
	}
	trib(t, append(own, "--cacert", ca.File, "--sni", "redis.example")...).done(t)
	trib(t, append(own, "--insecure")...).done(t)

	plain := labtest.Start(t, labtest.Options{Nodes: 1}).Addrs()[0]
	trib(t, "info", plain, "--tls", "--insecure").exit(t, 7).complains(t, "^hint: .*port for TLS")
}

// TestBothPorts: servers have a port for TLS and one without, and speak to each
// other over one kind. trib uses the other kind: keys move to the ports that the
// nodes need. Redis 7.0 tells nobody its ports for TLS where the bus is plain.
func TestBothPorts(t *testing.T) {
	for _, name := range []string{"redis-7.0", "redis-8.0", "valkey-9.1"} {
		for _, bus := range []string{"yes", "no"} {
			silent := name == "redis-7.0" && bus == "no"
			t.Run(name+"/tls-cluster "+bus, func(t *testing.T) {
				t.Parallel()
				ca := labtest.NewAuthority(t, "127.0.0.1")
				o := labtest.Options{Server: name, Nodes: 3}
				other, flags := "port", []string(nil)
				if bus == "yes" {
					o.TLS = ca
				} else {
					o.Config = []string{"tls-ca-cert-file " + ca.File, "tls-cert-file " + ca.Certificate, "tls-key-file " + ca.Key}
					other, flags = "tls-port", []string{"--tls", "--cacert", ca.File, "--cert", ca.Certificate, "--key", ca.Key}
				}
				l := labtest.Start(t, o)
				var addrs []string
				for _, n := range l.Nodes() {
					port := freePort(t)
					listenToo(t, n, other+" "+port)
					addrs = append(addrs, "127.0.0.1:"+port)
				}
				with := func(args ...string) result { return trib(t, append(args, flags...)...) }
				if silent {
					overTLSByMap(t, l, addrs, flags)
					return
				}
				with(append([]string{"create", "--yes"}, addrs...)...).done(t)
				h := bury(t, l)
				before := look(t, l)
				with("reshard", addrs[0], "--from", addrs[1], "--to", addrs[2], "--slots", "20", "--yes").done(t, `^\[OK\] Moved 20 slots`)
				if got := whole(t, l).gained(before, l.Nodes()[2].Addr()); got != 20 {
					t.Errorf("%d slots moved", got)
				}
				with("check", addrs[1]).done(t)
				h.intact(t)
			})
		}
	}
}

// overTLSByMap works over TLS on nodes that announce nothing but their ports
// without it.
func overTLSByMap(t *testing.T, l *labtest.Lab, addrs, flags []string) {
	trib(t, append([]string{"create", "--yes"}, l.Addrs()...)...).done(t)
	trib(t, append([]string{"check", addrs[0]}, flags...)...).exit(t, 3).complains(t, "^hint: .*--address-map")
	for i, n := range l.Nodes() {
		flags = append(flags, "--address-map", n.Addr()+"="+addrs[i])
	}
	trib(t, append([]string{"check", addrs[0]}, flags...)...).done(t)
	h := bury(t, l)
	trib(t, append([]string{"reshard", addrs[0], "--from", addrs[1], "--to", addrs[2], "--slots", "20", "--yes"}, flags...)...).
		done(t, `^\[OK\] Moved 20 slots with [1-9]`)
	h.intact(t)
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// listenToo starts a server again with another port.
func listenToo(t *testing.T, n *lab.Node, line string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(n.Dir(), "server.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(line + "\n")
	if err := errors.Join(err, f.Close(), n.Restart(t.Context())); err != nil {
		t.Fatal(err)
	}
}
