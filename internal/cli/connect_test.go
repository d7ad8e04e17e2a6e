package cli

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// How the nodes are reached comes from the command line whole, in redis-cli's
// spelling too.
func TestConnectionOptions(t *testing.T) {
	for _, tt := range []struct {
		line      string
		timeout   time.Duration
		encrypted bool
		name      string
		insecure  bool
	}{
		{"check h:1", 0, false, "", false},
		{"check h:1 -t 3", 3 * time.Second, false, "", false},
		{"-t 0.5 check h:1", 500 * time.Millisecond, false, "", false},
		{"info h:1 --connect-timeout 1m", time.Minute, false, "", false},
		{"call h:1 ping --connect-timeout=250ms", 250 * time.Millisecond, false, "", false},
		{"resume h:1 --tls", 0, true, "", false},
		{"--tls --cluster check h:1 --sni n", 0, true, "n", false},
		{"check h:1 --tls --tls-server-name n", 0, true, "n", false},
		{"check rediss://h:1", 0, true, "", false},
		{"check valkeys://u:p@h:1 --insecure", 0, true, "", true},
		{"check h:1 -u rediss://u:p@x:1", 0, true, "", false},
		{"create rediss://h:1 h:2 h:3", 0, true, "", false},
		{"create redis://h:1 h:2 h:3", 0, false, "", false},
	} {
		for _, tty := range []bool{false, true} {
			b := newBench(t)
			b.dialer = parrot{}
			b.traits.ErrTTY = tty
			b.runLine(tt.line)
			if len(b.connections) != 1 {
				t.Fatalf("%s: %d dialers: %s", tt.line, len(b.connections), &b.err)
			}
			c := b.connections[0]
			if c.Timeout != tt.timeout || (c.Encryption != nil) != tt.encrypted {
				t.Errorf("%s: %+v", tt.line, c)
			}
			if e := c.Encryption; e != nil && (e.ServerName != tt.name || e.InsecureSkipVerify != tt.insecure) {
				t.Errorf("%s: %+v", tt.line, e)
			}
			if warned := strings.Contains(b.err.String(), "[WARNING] --insecure"); warned != (tt.insecure && tty) {
				t.Errorf("%s, terminal %v: warned %v", tt.line, tty, warned)
			}
		}
	}
}

// Keys would not arrive where trib and the nodes speak to different ports.
func TestKeysMoveOverTheSameKindOfPort(t *testing.T) {
	for _, tt := range []struct {
		flag, cluster string
		want          int
		hint          string
	}{
		{"", "no", exitOK, ""},
		{"", "yes", exitStale, "hint: name a port for TLS"},
		{" --tls", "yes", exitOK, ""},
		{" --tls", "no", exitStale, "hint: name a port without TLS"},
	} {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			c.Form(3, 0)
			asked := false
			b.dialer = answers{c.Dialer(), "CONFIG", func(cluster.Addr) (driver.Reply, error) {
				asked = true
				return driver.Reply{Value: []any{"tls-cluster", tt.cluster}}, nil
			}}
			b.want(b.runLine("reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 10 --dry-run"+tt.flag), tt.want)
			b.wantErr(tt.hint)
			if !asked {
				t.Error("nobody was asked")
			}
		})
	}
}

// -4 and -6 choose among the addresses of a name, and keep nobody from a node
// that has only the other kind.
func TestAddressFamily(t *testing.T) {
	for line, want := range map[string]string{
		"check h:1": "", "-4 --cluster check h:1": "tcp4", "check h:1 -6": "tcp6", "info h:1 -4 -6": "", "call h:1 ping --ipv6": "tcp6",
	} {
		b := newBench(t)
		b.dialer = parrot{}
		b.runLine(line)
		if got := b.connections[0].Network; got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, network := range []string{"tcp4", "tcp6"} {
		c, err := preferring(network)(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		c.Close()
	}
}
