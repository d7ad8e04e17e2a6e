package acceptance

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestCreateStops: a node whose bus port nobody reaches is named with that port
// when the time is up, and the hint knows what usually is the cause; an
// interrupt ends the waiting. Both leave a cluster that the same command
// finishes when the node can be met.
func TestCreateStops(t *testing.T) {
	for _, name := range []string{"redis-6.0", "redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6})
			lost := l.Nodes()[4]
			l.Do(t, lost, "CONFIG", "SET", "cluster-announce-bus-port", "1")
			create := append([]string{"create", "--replicas", "1", "--yes"}, l.Addrs()...)

			r := trib(t, append(create, "--wait-timeout", "3s")...).exit(t, 5)
			r.complains(t, fmt.Sprintf(`gave up waiting for the .*; held up by .*no other node reaches %s on its bus port 1\b`, lost.Addr()),
				"^hint: let every node reach every other one's bus port .*; then run the same create again")
			if r.took > 10*time.Second {
				t.Errorf("it took %v", r.took)
			}

			// On Redis 6.0 the nodes count as met, and there is nothing left to do.
			if name != "redis-6.0" {
				interrupted(t, append(create, "--progress", "plain"), "no other node reaches "+lost.Addr())
			}

			l.Do(t, lost, "CONFIG", "SET", "cluster-announce-bus-port", "0")
			trib(t, create...).done(t)
			// That all have heard of a replica's master may take a moment longer.
			soonWhole(t, l).shaped(t, 3, 1)
		})
	}
}

// interrupted ends a create while it says for whom it waits.
func interrupted(t *testing.T, create []string, says string) {
	waiting := how{}.start(t, create...)
	labtest.Await(t, 10*time.Second, "it says for whom it waits", func() error {
		if text := waiting.err.String(); !strings.Contains(text, says) {
			return errors.New(text)
		}
		return nil
	})
	waiting.signal(t, os.Interrupt)
	waiting.wait(t).exit(t, 5).complains(t, "interrupted", "^hint: run the same create again")
}

// TestIPv6 names nodes with and without brackets.
func TestIPv6(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 3, Host: "::1"})
	trib(t, append([]string{"create", "--wait=joined", "--yes"}, l.Addrs()...)...).done(t)
	p := soonWhole(t, l)
	bare := strings.NewReplacer("[", "", "]", "").Replace
	to := p[2]
	trib(t, "reshard", bare(p[0].Addr()), "--from", p[1].Addr(), "--to", bare(to.Addr()), "--slots", "7", "--yes").done(t)
	if got := whole(t, l).gained(p, to.Addr()); got != 7 {
		t.Errorf("%d slots moved", got)
	}
}
