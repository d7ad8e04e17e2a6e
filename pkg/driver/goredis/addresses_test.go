package goredis_test

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// reaching maps what a node announces to where the test serves.
func reaching(t *testing.T, announced string, at cluster.Addr) (cluster.Addr, driver.AddressMap) {
	t.Helper()
	var m driver.AddressMap
	if err := m.Add(announced + "=" + at.String()); err != nil {
		t.Fatal(err)
	}
	addr, err := cluster.ParseAddr(announced)
	if err != nil {
		t.Fatal(err)
	}
	return addr, m
}

// TestAnnouncedElsewhere promises that a node is dialled where the map says, and
// that an error names both addresses.
func TestAnnouncedElsewhere(t *testing.T) {
	srv := serve(t, answering("+OK\r\n"))
	addr, m := reaching(t, "192.0.2.1:7000", srv.addr)
	c, err := goredis.New(goredis.Options{Addresses: m}).Dial(t.Context(), addr, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()

	addr, m = reaching(t, "192.0.2.1:7000", cluster.Addr{Host: "127.0.0.1", Port: 1})
	_, err = goredis.New(goredis.Options{Addresses: m}).Dial(t.Context(), addr, "")
	if !driver.IsTransport(err) || !strings.Contains(err.Error(), "192.0.2.1:7000: reached at 127.0.0.1:1: ") {
		t.Error(err)
	}
}

// TestUnixSocket promises that a path is dialled as a socket, and never over TLS.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, answering("+OK\r\n"), func(tcp net.Listener) net.Listener {
		t.Cleanup(func() { tcp.Close() })
		return named{l, tcp.Addr()}
	})
	for _, config := range []*tls.Config{nil, {}} {
		c, err := goredis.New(goredis.Options{TLS: config}).Dial(t.Context(), cluster.Addr{Host: path}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Call(t.Context(), c, "SET", "k", "v"); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

// named is a listener that says it is elsewhere.
type named struct {
	net.Listener
	addr net.Addr
}

func (n named) Addr() net.Addr { return n.addr }

// TestTLSOfAMappedNode promises that a certificate may be for the address that a
// node announces or for the one at which it is reached, and for no other, and
// that the wish for one name outweighs both.
func TestTLSOfAMappedNode(t *testing.T) {
	for name, good := range map[string]bool{"192.0.2.1": true, "127.0.0.1": true, "192.0.2.2": false} {
		ca := labtest.NewAuthority(t, name)
		srv := encrypted(t, ca, answering("+OK\r\n"))
		addr, m := reaching(t, "192.0.2.1:7000", srv.addr)
		one := trusting(t, ca)
		one.ServerName = "other.example"
		for _, tt := range []struct {
			tls  *tls.Config
			good bool
		}{
			{trusting(t, ca), good},
			{trusting(t, labtest.NewAuthority(t, name)), false},
			{&tls.Config{InsecureSkipVerify: true}, true},
			{one, false},
		} {
			c, err := goredis.New(goredis.Options{TLS: tt.tls, Addresses: m}).Dial(t.Context(), addr, "")
			if err == nil {
				c.Close()
			}
			if _, refused := errors.AsType[*tls.CertificateVerificationError](err); (err == nil) != tt.good || refused == tt.good {
				t.Errorf("a certificate for %s: %v", name, err)
			}
		}
	}
}
