package acceptance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestManaged: servers that somebody else runs have commands renamed or disabled.
// What is missing is named, before anything is changed, and so is what to do.
func TestManaged(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-6.0", "redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 3, Config: []string{`rename-command MIGRATE ""`, `rename-command CONFIG ""`, `rename-command SYNC ""`}})
			seed := l.Addrs()[0]
			trib(t, append([]string{"create", "--yes"}, l.Addrs()...)...).done(t)
			trib(t, "check", seed).done(t)
			before := look(t, l)
			trib(t, "reshard", seed, "--from", "all", "--to", seed, "--slots", "9", "--yes", "--method", "classic").exit(t, 4).
				complains(t, "the server has no command migrate: it was renamed or disabled", "^hint: ")
			trib(t, "set-timeout", seed, "5000", "--yes").exit(t, 1).prints(t, "(?i)unknown command .?config")
			dir := filepath.Join(t.TempDir(), "backup")
			trib(t, "backup", seed, dir).exit(t, 4).complains(t, "the server has no command sync: it was renamed or disabled")
			if _, err := os.Stat(dir); err == nil {
				t.Error("a backup that was refused left something")
			}
			if got := whole(t, l).gained(before, seed); got != 0 {
				t.Errorf("%d slots moved", got)
			}

			none := labtest.Start(t, labtest.Options{Server: name, Nodes: 1, Config: []string{`rename-command CLUSTER ""`}}).Addrs()[0]
			for _, args := range [][]string{{"check", none}, {"info", none}, {"rebalance", none, "--yes"}} {
				trib(t, args...).exit(t, 7).complains(t, "(?i)unknown command .?cluster", "^hint: the server has this command renamed or disabled")
			}
		})
	}
}
