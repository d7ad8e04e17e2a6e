package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// Connection is what a dialer is made from.
type Connection struct {
	Credentials
	Encryption *tls.Config   // nil for none
	Timeout    time.Duration // until a node has answered the greeting; 0 for the driver's own
	Addresses  driver.AddressMap
	Network    string // "tcp4" or "tcp6" where a name has both kinds of address; "" for either
}

// TLS is what the command line says of encryption.
type TLS struct {
	CACert    string // file with the authorities to trust
	CACertDir string // directory of such files
	Cert, Key string // files of the client's own certificate
	Name      string // that every node proves to have, and is asked for
	Ciphers   string // OpenSSL's names of those to offer up to TLS 1.2; empty for all
	Suites    string // the names of those to accept in TLS 1.3; empty for all
	Insecure  bool   // believe everybody
}

// Or fills what t lacks from what matters less.
func (t TLS) Or(less TLS) TLS {
	return TLS{
		CACert: cmp.Or(t.CACert, less.CACert), CACertDir: cmp.Or(t.CACertDir, less.CACertDir),
		Cert: cmp.Or(t.Cert, less.Cert), Key: cmp.Or(t.Key, less.Key), Name: cmp.Or(t.Name, less.Name),
		Ciphers: cmp.Or(t.Ciphers, less.Ciphers), Suites: cmp.Or(t.Suites, less.Suites), Insecure: t.Insecure || less.Insecure,
	}
}

// minTLS is the oldest version that is still thought safe.
const minTLS = tls.VersionTLS12

// Config reads the files. Its errors name the flag.
func (t TLS) Config() (*tls.Config, error) {
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("--cert and --key are the two halves of one certificate: want both or neither")
	}
	c := &tls.Config{MinVersion: minTLS, ServerName: t.Name, InsecureSkipVerify: t.Insecure}
	var err error
	if c.RootCAs, err = t.authorities(); err != nil {
		return nil, err
	}
	if err := t.ciphers(c); err != nil {
		return nil, err
	}
	if t.Cert == "" {
		return c, nil
	}
	certificate, err := os.ReadFile(t.Cert)
	if err != nil {
		return nil, fmt.Errorf("--cert: %w", err)
	}
	key, err := os.ReadFile(t.Key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	own, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("--cert %s and --key %s: %w", t.Cert, t.Key, err)
	}
	c.Certificates = []tls.Certificate{own}
	return c, nil
}

// authorities are nil for those of the system.
func (t TLS) authorities() (*x509.CertPool, error) {
	if t.CACert == "" && t.CACertDir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if t.CACert != "" {
		pem, err := os.ReadFile(t.CACert)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert %s: no certificate in PEM form in it", t.CACert)
		}
	}
	if t.CACertDir != "" {
		return pool, addDir(pool, t.CACertDir)
	}
	return pool, nil
}

// addDir takes every certificate of a directory, whatever its file is called:
// OpenSSL's names are hashes.
func addDir(pool *x509.CertPool, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("--cacertdir: %w", err)
	}
	found := false
	for _, e := range entries {
		if pem, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil && pool.AppendCertsFromPEM(pem) {
			found = true
		}
	}
	if !found {
		return fmt.Errorf("--cacertdir %s: no certificate in PEM form in it", dir)
	}
	return nil
}
