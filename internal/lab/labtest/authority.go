package labtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
)

// Authority is a certificate authority of a test, with one certificate for
// servers and clients alike. They are files.
type Authority struct {
	File, Certificate, Key string

	pool *x509.CertPool
	own  tls.Certificate
}

// NewAuthority makes one, whose certificate is good for these hosts: addresses
// or names.
func NewAuthority(t testing.TB, hosts ...string) *Authority {
	t.Helper()
	root, rootKey := issue(t, template(1), nil, nil)
	leaf, leafKey := issue(t, template(2, hosts...), root, rootKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &Authority{
		File:        write(t, dir, "ca.pem", "CERTIFICATE", root.Raw),
		Certificate: write(t, dir, "node.pem", "CERTIFICATE", leaf.Raw),
		Key:         write(t, dir, "node.key", "PRIVATE KEY", keyDER),
		pool:        x509.NewCertPool(),
		own:         tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey},
	}
	a.pool.AddCert(root)
	return a
}

// Server is how a server of the test speaks TLS.
func (a *Authority) Server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.own}, ClientCAs: a.pool}
}

// server is nil, as is client, where there is no authority.
func (a *Authority) server() *lab.TLS {
	if a == nil {
		return nil
	}
	return &lab.TLS{Authority: a.File, Certificate: a.Certificate, Key: a.Key, Client: a.client()}
}

// client trusts everybody whom the authority vouches for, whatever they are
// called: it is the test that starts the servers.
func (a *Authority) client() *tls.Config {
	if a == nil {
		return nil
	}
	return &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.own}, InsecureSkipVerify: true}
}

// template is an authority where there are no hosts.
func template(serial int64, hosts ...string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "trib test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if len(hosts) == 0 {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		c.Subject.CommonName = "trib test authority" // OpenSSL takes equal names for a self-signed certificate
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return c
}

// issue signs with the parent's key, or with the certificate's own.
func issue(t testing.TB, c, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued, key
}

func write(t testing.TB, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
