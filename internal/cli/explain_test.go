package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/health"
)

// TestExplain promises an answer without any connection: the bench has nobody to
// connect to.
func TestExplain(t *testing.T) {
	b := newBench(t)
	if code := b.run("explain"); code != exitOK {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	for _, s := range health.Stories() {
		if !strings.Contains(b.out.String(), string(s.Code)+" ") || !strings.Contains(b.out.String(), s.Title) {
			t.Errorf("%s is not listed", s.Code)
		}
	}
	if code := b.run("explain", "epoch-collision"); code != exitOK || !strings.HasPrefix(b.out.String(), ">>> epoch-collision (error or warning)\n") {
		t.Errorf("exit %d: %s", code, b.out.String())
	}
	var got ui.Explanation
	code := b.run("explain", "epoch-collision", "-o", "json")
	if err := json.Unmarshal(b.out.Bytes(), &got); err != nil || code != exitOK {
		t.Fatalf("exit %d: %v", code, err)
	}
	if len(got.Stories) != 1 || got.Stories[0].Code != health.EpochCollision || got.Schema != ui.Schema {
		t.Errorf("%+v", got)
	}
	if code := b.run("__complete", "explain", "epoch"); code != exitOK || !strings.Contains(b.out.String(), "epoch-collision\tMasters") {
		t.Errorf("exit %d, completed: %s", code, b.out.String())
	}
}

// TestCheckZones promises that --zone is heard, with --strict, and that advice
// alone fails nothing without it.
func TestCheckZones(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		seed := c.Form(3, 1)[0].Addr().String()
		if code := b.run("check", seed, "--zone", "127.0.0.1=east"); code != exitOK || !strings.Contains(b.out.String(), "zone east has 3 of the 3 masters") {
			t.Errorf("exit %d: %s", code, b.out.String())
		}
		if code := b.run("check", seed, "--strict"); code != exitUnhealthy || !strings.Contains(b.err.String(), "0 errors, 2 warnings") {
			t.Errorf("exit %d: %s", code, b.err.String())
		}
	})
}
