package acceptance

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// createCommands are the commands of a create of six nodes that change
// something: an epoch for each, slots for three, a MEET from each to each other,
// three REPLICATE. A second round of MEET only adds to them.
const createCommands = 6 + 3 + 6*5 + 3

// TestCreateKilledAnywhere kills create at every command that changes
// something, before it is sent, after it was sent and after its reply: the same
// command again finishes the cluster, and once more finds nothing left to do.
func TestCreateKilledAnywhere(t *testing.T) {
	var points, resumed atomic.Int32
	t.Run("kill", func(t *testing.T) {
		trial := 0
		for _, name := range labtest.Names() {
			for at := 1; at <= createCommands; at++ {
				for _, phase := range chaos.Phases() {
					if trial++; trial%*every != 0 {
						continue
					}
					points.Add(1)
					t.Run(fmt.Sprintf("%s %d %s", name, at, phase), func(t *testing.T) {
						t.Parallel()
						killCreate(t, name, &chaos.Fuse{At: at, Phase: phase})
						if !t.Failed() {
							resumed.Add(1)
						}
					})
				}
			}
		}
	})
	t.Logf("%d of %d kill points of create resumed", resumed.Load(), points.Load())
}

func killCreate(t *testing.T, name string, fuse *chaos.Fuse) {
	l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6})
	create := append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)
	last := fuse.At == createCommands && fuse.Phase == chaos.Replied
	if r := (how{fuse: fuse}).run(t, create...); !r.killed && !last {
		t.Fatalf("it was not killed: %v", r)
	}
	trib(t, create...).done(t)
	whole(t, l).shaped(t, 3, 1)
	again := how{fuse: &chaos.Fuse{Phase: chaos.Before}}.run(t, create...).exit(t, 0)
	again.prints(t, "done already").complains(t, `\Amutations:0$`)
	trib(t, "check", l.Addrs()[5]).done(t)
}

// TestCreateSpellings makes the same cluster from the command lines of
// redis-cli and from words apart.
func TestCreateSpellings(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3})
	create := append([]string{"--cluster", "create"}, l.Addrs()...)
	create = append(create, "--cluster-replicas", "0", "--cluster-yes")
	trib(t, create...).done(t)
	whole(t, l).shaped(t, 3, 0)
	n := l.Nodes()[1]
	port := strconv.Itoa(n.Port())
	trib(t, "check", n.Host(), port).done(t)
	trib(t, "--cluster", "info", n.Host(), port).done(t)
	m := look(t, l).masters()
	trib(t, "--cluster", "reshard", n.Addr(), "--cluster-from", m[0].self.id, "--cluster-to", m[1].self.id,
		"--cluster-slots", "3", "--cluster-yes", "--cluster-pipeline", "5", "--cluster-timeout", "500").done(t)
	reshardEnv := how{env: []string{"REDISCLI_CLUSTER_YES=1"}}
	reshardEnv.run(t, "--cluster", "reshard", n.Host(), port, "--from", m[0].self.id[:12], "--to", m[1].Addr(), "--slots", "2").done(t)
	if got := whole(t, l).gained(m, m[1].Addr()); got != 5 {
		t.Errorf("%d slots moved", got)
	}
}
