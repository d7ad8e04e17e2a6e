package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
)

// retold is a dialer whose nodes see the cluster otherwise than they do.
type retold struct {
	driver.Dialer
	view func(addr cluster.Addr, nodes string) string // what CLUSTER NODES says
}

func (r retold) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := r.Dialer.Dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return retoldConn{c, addr, r.view}, nil
}

type retoldConn struct {
	driver.Conn
	addr cluster.Addr
	view func(cluster.Addr, string) string
}

func (c retoldConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	replies, err := c.Conn.Do(ctx, cmds...)
	for i := range replies {
		if text, ok := replies[i].Value.(string); ok && cmds[i].Name() == "CLUSTER NODES" {
			replies[i].Value = c.view(c.addr, text)
		}
	}
	return replies, err
}

// TestDiagnosisOfWhatDoesNotLast provokes what real servers mend before anybody
// can look: they find together, and give themselves new epochs.
func TestDiagnosisOfWhatDoesNotLast(t *testing.T) {
	tests := []struct {
		name string
		view func(nodes []*sim.Node, addr cluster.Addr, text string) string
		want health.Code
	}{
		{"a split", halves, health.Split},
		{"an epoch collision", sameEpochs, health.EpochCollision},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
				nodes := c.Form(4, 1)
				c.Settle()
				b.dialer = retold{c.Dialer(), func(addr cluster.Addr, text string) string { return tt.view(nodes, addr, text) }}
				code := b.run("check", nodes[0].Addr().String(), "-o", "json")
				var got ui.Check
				if err := json.Unmarshal(b.out.Bytes(), &got); err != nil {
					t.Fatalf("exit %d: %v", code, err)
				}
				var found []health.Code
				for _, f := range got.Findings {
					if f.Severity == health.Error {
						found = append(found, f.Code)
					}
				}
				if diff := cmp.Diff([]health.Code{tt.want}, found); diff != "" || code != exitUnhealthy || got.Healthy {
					t.Errorf("exit %d (-want +got):\n%s", code, diff)
				}
				// And nobody moves slots in that state.
				code = b.run("reshard", nodes[0].Addr().String(), "--from", "all", "--to", nodes[1].Addr().String(), "--slots", "1", "--yes")
				if code != exitStale || !strings.Contains(b.err.String(), string(tt.want)) {
					t.Errorf("reshard: exit %d, %s", code, b.err.String())
				}
			})
		})
	}
}

// halves: the first four nodes suspect the last four, and the other way round.
func halves(nodes []*sim.Node, addr cluster.Addr, text string) string {
	half := func(a cluster.Addr) bool { return a.Port < nodes[4].Addr().Port }
	for _, n := range nodes {
		if half(n.Addr()) != half(addr) {
			for _, role := range []string{"master", "slave"} {
				head := fmt.Sprintf("%s %s@%d", n.ID(), n.Addr(), n.Addr().Port+cluster.BusPortOffset)
				text = strings.Replace(text, head+" "+role, head+" "+role+",fail?", 1)
			}
		}
	}
	return text
}

// sameEpochs: the first two masters say of themselves that their epoch is 7.
func sameEpochs(nodes []*sim.Node, addr cluster.Addr, text string) string {
	if addr != nodes[0].Addr() && addr != nodes[1].Addr() {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if strings.HasPrefix(fields[2], "myself") {
			fields[6] = "7"
		}
		out.WriteString(strings.Join(fields, " ") + "\n")
	}
	return out.String()
}
