package cluster_test

import (
	"net"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
)

func TestParseAddr(t *testing.T) {
	tests := []struct {
		name, text string
		want       cluster.Addr
		printed    string // empty where the text is refused
	}{
		{"IPv4", "10.0.0.1:7000", cluster.Addr{Host: "10.0.0.1", Port: 7000}, "10.0.0.1:7000"},
		{"name", "n1.example.com:7000", cluster.Addr{Host: "n1.example.com", Port: 7000}, "n1.example.com:7000"},
		{"name with underscore", "redis_1:7000", cluster.Addr{Host: "redis_1", Port: 7000}, "redis_1:7000"},
		{"IPv6 in brackets", "[::1]:7000", cluster.Addr{Host: "::1", Port: 7000}, "[::1]:7000"},
		{"IPv6 without brackets", "::1:7000", cluster.Addr{Host: "::1", Port: 7000}, "[::1]:7000"},
		{"IPv6 with zone", "[fe80::1%eth0]:7000", cluster.Addr{Host: "fe80::1%eth0", Port: 7000}, "[fe80::1%eth0]:7000"},
		{"IPv4 in IPv6", "::ffff:10.0.0.1:7000", cluster.Addr{Host: "::ffff:10.0.0.1", Port: 7000}, "[::ffff:10.0.0.1]:7000"},
		{"from CLUSTER NODES", "10.0.0.1:7000@17000", cluster.Addr{Host: "10.0.0.1", Port: 7000}, "10.0.0.1:7000"},
		{"from CLUSTER NODES, with host name", "10.0.0.1:7000@17000,n1", cluster.Addr{Host: "10.0.0.1", Port: 7000}, "10.0.0.1:7000"},
		{"every address", ":::7000", cluster.Addr{Host: "::", Port: 7000}, "[::]:7000"},
		{"highest port", "h:65535", cluster.Addr{Host: "h", Port: 65535}, "h:65535"},
		{"leading zeros", "h:00080", cluster.Addr{Host: "h", Port: 80}, "h:80"},

		{"unix socket", "/run/redis/a b.sock", cluster.Addr{Host: "/run/redis/a b.sock"}, "/run/redis/a b.sock"},
		{"unix socket as a URL", "unix:///run/redis.sock", cluster.Addr{Host: "/run/redis.sock"}, "/run/redis.sock"},
		{"unix socket with a colon", "/run/redis:7000", cluster.Addr{Host: "/run/redis:7000"}, "/run/redis:7000"},

		{name: "no socket", text: "/"},
		{name: "a socket of nowhere", text: "unix://"},
		{name: "relative socket", text: "unix://redis.sock"},
		{name: "socket with a line break", text: "/run/\nredis"},
		{name: "empty", text: ""},
		{name: "no colon", text: "localhost"},
		{name: "no host", text: ":7000"},
		{name: "no host in brackets", text: "[]:7000"},
		{name: "no port", text: "localhost:"},
		{name: "port 0", text: "localhost:0"},
		{name: "port too large", text: "localhost:65536"},
		{name: "port beyond any number", text: "localhost:99999999999999999999"},
		{name: "signed port", text: "localhost:+80"},
		{name: "port with a space", text: "localhost: 80"},
		{name: "hexadecimal port", text: "localhost:0x50"},
		{name: "bracket not closed", text: "[::1:7000"},
		{name: "bracket not opened", text: "::1]:7000"},
		{name: "brackets twice", text: "[[::1]]:7000"},
		{name: "two addresses", text: "10.0.0.1:7000,10.0.0.2:7000"},
		{name: "URL", text: "redis://localhost:7000"},
		{name: "space in the host", text: "local host:7000"},
		{name: "line break", text: "localhost\r\nPING:7000"},
		{name: "NUL", text: "local\x00host:7000"},
		{name: "colons that are no IPv6 address", text: "a:b:7000"},
		{name: "not quite IPv6", text: "::::7000"},
		{name: "only colons", text: "::"},
		{name: "not UTF-8", text: "\xff:7000"},
		{name: "terminal escape", text: "\x1bc:7000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cluster.ParseAddr(tt.text)
			if (err == nil) != (tt.printed != "") || got != tt.want {
				t.Fatalf("%+v, %v; want %+v", got, err, tt.want)
			}
			var unmarshalled cluster.Addr
			if uerr := unmarshalled.UnmarshalText([]byte(tt.text)); unmarshalled != got || (uerr == nil) != (err == nil) {
				t.Errorf("unmarshalled %+v, %v", unmarshalled, uerr)
			}
			if err != nil {
				return
			}
			if marshalled, err := got.MarshalText(); err != nil || string(marshalled) != tt.printed || !got.Known() {
				t.Errorf("printed %q, %v; want %q", marshalled, err, tt.printed)
			}
		})
	}
}

func TestAddrKnown(t *testing.T) {
	for addr, want := range map[cluster.Addr]bool{
		{}:                      false,
		{Port: 7000}:            false,
		{Host: "h"}:             false,
		{Host: "h", Port: 7000}: true,
		{Host: "/s"}:            true,
	} {
		if addr.Known() != want {
			t.Errorf("%+v: known is %v", addr, !want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		"H.Example:1": "h.example:1", "[0:0::1]:1": "[::1]:1", "[FE80::1%eth0]:1": "[fe80::1%eth0]:1", "10.0.0.1:1": "10.0.0.1:1", "/Run/X": "/Run/X",
	} {
		a, err := cluster.ParseAddr(text)
		if got := a.Canonical().String(); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzParseAddr promises that an accepted address can be dialled and pasted
// again.
func FuzzParseAddr(f *testing.F) {
	for _, dir := range serverDirs(f) {
		for line := range strings.Lines(read(f, dir+"/nodes-noaddr.txt") + read(f, dir+"/nodes-ipv6.txt")) {
			f.Add(strings.Fields(line)[1])
		}
	}
	for _, s := range []string{"[::1]:7000", "fe80::1%eth0:1", "h:65536", "[h]:1", "a@b:1", "%:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := cluster.ParseAddr(in)
		if err != nil {
			if a != (cluster.Addr{}) {
				t.Errorf("%+v came with an error", a)
			}
			return
		}
		if !a.Known() || a.Port > 65535 {
			t.Errorf("%q became %+v", in, a)
		}
		if again, err := cluster.ParseAddr(a.String()); err != nil || again != a {
			t.Errorf("%q became %+v and then %+v, %v", in, a, again, err)
		}
		if a.IsSocket() {
			return
		}
		if host, _, err := net.SplitHostPort(a.String()); err != nil || host != a.Host {
			t.Errorf("%q cannot be dialled: host %q, %v", a, host, err)
		}
	})
}
