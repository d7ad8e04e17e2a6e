package acceptance

import (
	"fmt"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestSetTimeout sets it everywhere, for after a restart too; a node that cannot
// be reached is named, and keeps nobody else from having it.
func TestSetTimeout(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 4}), 3, 1)
			seed := c.Masters[0].Addr()
			has := func(m *labtest.Member, ms string) {
				t.Helper()
				if got := fmt.Sprint(c.Do(t, m.Node, "CONFIG", "GET", "cluster-node-timeout")); got != "[cluster-node-timeout "+ms+"]" {
					t.Errorf("%s has %s, want %s", m.Addr(), got, ms)
				}
			}
			trib(t, "set-timeout", seed, "3000", "--dry-run").done(t, seed+": 3000 ms, now 2000 ms")
			trib(t, "set-timeout", seed, "3000").exit(t, 1).complains(t, "nothing was changed")
			has(c.Masters[1], "2000")
			trib(t, "--cluster", "set-timeout", seed, "3000", "--cluster-yes").done(t, `^\*\*\* New timeout set for `+seed, `^>>> New node timeout set\. 4 OK, 0 ERR\.$`)
			for _, m := range c.Members() {
				has(m, "3000")
			}
			if err := c.Replicas[0].Kill(); err != nil {
				t.Fatal(err)
			}
			trib(t, "set-timeout", seed, "2500", "--yes").exit(t, 5).
				prints(t, "3 OK, 1 ERR", "^ERR setting node-timeout for "+c.Replicas[0].Addr()).complains(t, "1 of 4 nodes failed")
			has(c.Masters[2], "2500")
			if err := c.Masters[2].Kill(); err != nil {
				t.Fatal(err)
			}
			if err := c.Masters[2].Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			has(c.Masters[2], "2500")
		})
	}
}
