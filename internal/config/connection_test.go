package config_test

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

func TestTLSFiles(t *testing.T) {
	ca, other := labtest.NewAuthority(t, "h"), labtest.NewAuthority(t, "h")
	empty := t.TempDir()
	mixed := t.TempDir()
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"note.txt": "no certificate", "3f9a.0": string(pem)} {
		if err := os.WriteFile(filepath.Join(mixed, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		tls  config.TLS
		err  string // empty where it is good
	}{
		{"nothing", config.TLS{}, ""},
		{"all", config.TLS{CACert: ca.File, CACertDir: mixed, Cert: ca.Certificate, Key: ca.Key, Name: "n", Insecure: true}, ""},
		{"no authority", config.TLS{CACert: filepath.Join(empty, "x")}, "--cacert: open "},
		{"not PEM", config.TLS{CACert: filepath.Join(mixed, "note.txt")}, "--cacert "},
		{"no directory", config.TLS{CACertDir: filepath.Join(empty, "x")}, "--cacertdir: open "},
		{"nothing in it", config.TLS{CACertDir: empty}, "--cacertdir "},
		{"half a pair", config.TLS{Cert: ca.Certificate}, "--cert and --key"},
		{"the other half", config.TLS{Key: ca.Key}, "--cert and --key"},
		{"no certificate", config.TLS{Cert: filepath.Join(empty, "x"), Key: ca.Key}, "--cert: open "},
		{"no key", config.TLS{Cert: ca.Certificate, Key: filepath.Join(empty, "x")}, "--key: open "},
		{"of another pair", config.TLS{Cert: ca.Certificate, Key: other.Key}, "--cert "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.tls.Config()
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err)) {
				t.Fatalf("%v, want %q", err, tt.err)
			}
			if err == nil && (c.MinVersion != tls.VersionTLS12 || c.InsecureSkipVerify != tt.tls.Insecure || c.ServerName != tt.tls.Name) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestCiphers: what is chosen is offered, or nothing is sent.
func TestCiphers(t *testing.T) {
	ca := labtest.NewAuthority(t, "h")
	for _, tt := range []struct {
		ciphers, suites string
		version         uint16
		good            bool
	}{
		{"", "", tls.VersionTLS13, true},
		{"ECDHE-ECDSA-AES256-GCM-SHA384:ecdhe-rsa-aes256-gcm-sha384", "", tls.VersionTLS12, true},
		{"ECDHE-RSA-AES256-GCM-SHA384", "", tls.VersionTLS12, false}, // the node's key is another kind
		{"", "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", tls.VersionTLS13, true},
		{"", "TLS_AES_256_GCM_SHA384", tls.VersionTLS13, false}, // Go's server prefers others
		{"", "TLS_AES_256_GCM_SHA384", tls.VersionTLS12, true},
		{"", "", tls.VersionTLS12, true},
		{"", "", tls.VersionTLS11, false},
	} {
		ours, err := config.TLS{CACert: ca.File, Cert: ca.Certificate, Key: ca.Key, Name: "h", Ciphers: tt.ciphers, Suites: tt.suites}.Config()
		if err != nil {
			t.Fatal(err)
		}
		theirs := ca.Server()
		theirs.MinVersion, theirs.MaxVersion = tls.VersionTLS10, tt.version
		l, err := tls.Listen("tcp", "127.0.0.1:0", theirs)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				c.(*tls.Conn).Handshake()
				c.Close()
			}
		}()
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), ours)
		if err == nil {
			c.Close()
		}
		if (err == nil) != tt.good {
			t.Errorf("%+v: %v", tt, err)
		}
		l.Close()
	}
}
