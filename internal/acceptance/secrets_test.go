package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// canary is a password that appears nowhere by chance.
const canary = `can"ary \5f3a91`

// TestPassword runs every command on servers with a password, which must show
// in no output and in no list of processes.
func TestPassword(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 6, Password: canary})
	create := append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)
	seed := l.Addrs()[0]
	before := memory(t, l)
	for _, wrong := range []how{
		{},
		{env: []string{"REDISCLI_AUTH=wrong" + canary}},
		{env: []string{"REDISCLI_AUTH=" + canary, "TRIB_USER=nobody"}},
	} {
		for _, args := range [][]string{create, {"check", seed}, {"info", seed, "-o", "json"}} {
			r := wrong.run(t, args...).exit(t, 7)
			r.complains(t, seed, "hint.*TRIB_PASSWORD")
			secretive(t, r)
		}
	}
	untouched(t, l, before)

	for _, known := range []how{
		{env: []string{"REDISCLI_AUTH=" + canary}},
		{env: []string{"VALKEYCLI_AUTH=" + canary, "REDISCLI_AUTH=wrong"}},
		{env: []string{"TRIB_PASSWORD=" + canary, "REDISCLI_AUTH=wrong"}},
		{stdin: canary + "\n"},
	} {
		every := func(args ...string) result {
			if known.stdin != "" {
				args = append(args, "--askpass")
			}
			r := known.start(t, args...)
			hidden(t, r)
			return r.wait(t).done(t)
		}
		for _, r := range []result{every(create...), every("check", seed), every("info", seed, "-o", "yaml"), every("resume", seed)} {
			secretive(t, r)
		}
	}
	movesWith(t, l, how{env: []string{"REDISCLI_AUTH=" + canary}})
	for _, flags := range [][]string{{"-a", canary}, {"--pass=" + canary}} {
		secretive(t, trib(t, append(flags, "check", seed)...).done(t))
	}
}

// TestUser moves slots as an ACL user: MIGRATE needs AUTH2 for that, where the
// default user has another password.
func TestUser(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-6.0", "redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6, Password: "of the default user"})
			for _, n := range l.Nodes() {
				l.Do(t, n, "ACL", "SETUSER", "ops", "on", ">"+canary, "allkeys", "allcommands")
			}
			ops := how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary}}
			secretive(t, ops.run(t, append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)...).done(t))
			movesWith(t, l, ops)
			flags := how{env: []string{"REDISCLI_AUTH=" + canary}}
			secretive(t, flags.run(t, "--user", "ops", "check", l.Addrs()[0]).done(t))
		})
	}
}

// movesWith moves slots with keys, and looks for the password in everything
// that trib says and that the servers have seen.
func movesWith(t *testing.T, l *labtest.Lab, h how) {
	t.Helper()
	keys := bury(t, l)
	before := look(t, l)
	m := before.masters()
	r := h.start(t, "reshard", m[2].Addr(), "--from", m[0].Addr(), "--to", m[1].self.id, "--slots", "20", "--yes")
	hidden(t, r)
	secretive(t, r.wait(t).done(t))
	if got := whole(t, l).gained(before, m[1].Addr()); got != 20 {
		t.Errorf("%d slots moved", got)
	}
	keys.intact(t)
}

// hidden holds that the list of processes does not show the password.
func hidden(t *testing.T, r *run) {
	t.Helper()
	shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "5f3a91") {
		t.Errorf("the password is in the list of processes: %q", shown)
	}
}

func secretive(t *testing.T, r result) {
	t.Helper()
	if strings.Contains(r.out+r.err, "5f3a91") {
		t.Errorf("the password was printed: %v", r)
	}
}
