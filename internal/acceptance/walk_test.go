package acceptance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestWalk is an operator's day: a cluster grows by a master and a replica of
// it, gives the master its share, loses a node and is balanced again. Every key
// stays where clients find it.
func TestWalk(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-8.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assemble(t, name, 2)
			kept := bury(t, c.Lab)
			seed, master, replica := c.Masters[0].Addr(), c.fresh[0], c.fresh[1]
			leaver := c.Masters[1]

			trib(t, "add-node", master.Addr(), replica.Addr(), seed, "--yes").done(t, `^\[OK\] 2 new nodes added correctly`)
			trib(t, "reshard", seed, "--from", "all", "--to", master.Addr(), "--slots", "4096", "--yes").done(t, `^\[OK\] Moved 4,096 slots`)
			trib(t, "replicate", seed, replica.Addr(), master.Addr(), "--yes").done(t)
			trib(t, "drain", seed, leaver.Addr(), "--yes").done(t)
			trib(t, "del-node", seed, leaver.Addr(), "--yes").done(t)
			trib(t, "rebalance", seed, "--yes").done(t)
			trib(t, "check", seed).done(t, `^\[OK\] All 16384 slots covered`)
			// Who replicates whom, nodes hear a moment later than who owns what.
			labtest.Await(t, 5*time.Second, "the cluster is whole", func() error {
				if faults := look(t, c.Lab, leaver.Node).faults(); faults != nil {
					return errors.New(strings.Join(faults, "\n"))
				}
				return nil
			})
			kept.intact(t)
			unlocked(t, c.Lab)
		})
	}
}

// TestLab makes a local cluster and ends it.
func TestLab(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	server := labtest.Server(t, "redis-7.0").Path
	withPath := how{env: []string{"PATH=" + os.Getenv("PATH")}} // unpacked servers start through a script
	r := withPath.run(t, "lab", "up", dir, "--masters", "3", "--replicas", "0", "--server", server)
	defer func() { withPath.run(t, "lab", "down", dir, "--remove").done(t) }()
	r.done(t, `^\[OK\] All 16384 slots covered`)
	withPath.run(t, "lab", "status", dir).exit(t, 0)
}
