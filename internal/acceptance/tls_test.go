package acceptance

import (
	"strings"
	"testing"

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
