package cli

import (
	"testing"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/driver"
)

func TestFix(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		fill(t, c, 30)
		b.want(b.runLine("fix 127.0.0.1:7001"), exitOK)
		b.wantOut("[OK] nothing to fix")
		for _, n := range nodes {
			conn, err := c.Dialer().Dial(t.Context(), n.Addr(), "")
			if err != nil {
				t.Fatal(err)
			}
			conn.Do(t.Context(), driver.Cmd("CLUSTER", "DELSLOTS", "7", "8", "9000"))
			conn.Close()
		}
		b.want(b.runLine("check 127.0.0.1:7001"), exitUnhealthy)
		b.want(b.runLine("fix 127.0.0.1:7001 --dry-run"), exitOK)
		b.wantOut("give ", "claiming is safe: ", "nothing was changed")
		b.want(b.runLine("fix 127.0.0.1:7001 --cluster-search-multiple-owners --cluster-fix-with-unreachable-masters --yes"), exitOK)
		b.want(b.runLine("check 127.0.0.1:7001"), exitOK)
		b.want(b.runLine("fix 127.0.0.1:7001 --yes"), exitOK)
		b.wantOut("[OK] nothing to fix")
	})
}
