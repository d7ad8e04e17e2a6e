package goredis_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// encrypted puts TLS before a scripted server.
func encrypted(t *testing.T, ca *labtest.Authority, script func(*session, []string)) *server {
	return serve(t, script, func(l net.Listener) net.Listener {
		return tls.NewListener(l, ca.Server())
	})
}

func trusting(t *testing.T, ca *labtest.Authority) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool}
}

// encryption is what a client of the test's own servers needs: they ask it for a
// certificate.
func encryption(t *testing.T, ca *labtest.Authority) *tls.Config {
	t.Helper()
	if ca == nil {
		return nil
	}
	own, err := tls.LoadX509KeyPair(ca.Certificate, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	config := trusting(t, ca)
	config.Certificates = []tls.Certificate{own}
	return config
}

// TestTLSVerifiesTheHost promises that a node proves the host that it is
// dialled by, or the one name that was given for all, and that nothing is sent
// to a node that cannot.
func TestTLSVerifiesTheHost(t *testing.T) {
	ca := labtest.NewAuthority(t, "127.0.0.1", "redis.example")
	srv := encrypted(t, ca, answering("+OK\r\n"))
	named := trusting(t, ca)
	named.ServerName = "redis.example"
	for _, config := range []*tls.Config{trusting(t, ca), named} {
		c := dialWith(t, srv, goredis.Options{TLS: config})
		if _, err := driver.Call(t.Context(), c, "SET", "k", "v"); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	sent := len(srv.commands())
	other := trusting(t, ca)
	other.ServerName = "other.example"
	for _, config := range []*tls.Config{other, trusting(t, labtest.NewAuthority(t, "127.0.0.1")), {}} {
		_, err := goredis.New(goredis.Options{TLS: config}).Dial(t.Context(), srv.addr, "")
		isTransport(t, srv, err)
		var refused *tls.CertificateVerificationError
		if !errors.As(err, &refused) {
			t.Errorf("%v", err)
		}
	}
	if len(srv.commands()) != sent {
		t.Errorf("sent %q", srv.commands()[sent:])
	}
}

// TestDialIsBounded promises that a connection takes no longer than it may,
// whether the node is silent before the encryption or after it, and whatever
// deadline the caller has.
func TestDialIsBounded(t *testing.T) {
	ca := labtest.NewAuthority(t, "127.0.0.1")
	silent := func(*session, []string) {}
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	addr, err := cluster.ParseAddr(deaf.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]struct {
		addr cluster.Addr
		tls  *tls.Config
	}{
		"plain":             {serve(t, silent).addr, nil},
		"after encryption":  {encrypted(t, ca, silent).addr, trusting(t, ca)},
		"before encryption": {addr, trusting(t, ca)},
	} {
		began := time.Now()
		_, err := goredis.New(goredis.Options{TLS: at.tls, ConnectTimeout: 100 * time.Millisecond}).Dial(t.Context(), at.addr, "")
		if !driver.IsTransport(err) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		within(t, time.Second, began)
	}
}

// TestPausedUnderTLS promises that a node that falls silent is given up in time
// over TLS too, and that giving up does not wait for it.
func TestPausedUnderTLS(t *testing.T) {
	ca := labtest.NewAuthority(t, "127.0.0.1")
	srv := encrypted(t, ca, obliging(func(*session, []string) {}))
	c := dialWith(t, srv, goredis.Options{TLS: trusting(t, ca)})
	began := time.Now()
	_, err := driver.Call(t.Context(), c, "GET", "k")
	isTransport(t, srv, err)
	within(t, driver.ProbeTimeout+time.Second, began)
	isBroken(t, srv, c)
}
