package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
)

// raw sends commands to one node.
func raw(t *testing.T, c *sim.Cluster, n *sim.Node, cmds ...driver.Command) {
	t.Helper()
	conn, err := c.Dialer().Dial(t.Context(), n.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Do(t.Context(), cmds...)
	for _, r := range replies {
		if r.Err != nil {
			err = r.Err
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// brokenTwice is a cluster with a dead master, and a slot that moves between others.
func brokenTwice(t *testing.T, c *sim.Cluster) []*sim.Node {
	t.Helper()
	nodes := c.Form(3, 1)
	fill(t, c, 30)
	raw(t, c, nodes[2], driver.Cmd("CLUSTER", "SETSLOT", "0", "IMPORTING", string(nodes[0].ID())))
	raw(t, c, nodes[0], driver.Cmd("CLUSTER", "SETSLOT", "0", "MIGRATING", string(nodes[2].ID())))
	nodes[1].Crash()
	time.Sleep(5 * time.Second)
	return nodes
}

// TestFixStages: what follows from an earlier stage is planned after it, and asked
// for again.
func TestFixStages(t *testing.T) {
	onSim(t, sim.Options{NoAutoFailover: true}, func(t *testing.T, b *bench, c *sim.Cluster) {
		brokenTwice(t, c)
		b.want(b.runLine("fix 127.0.0.1:7001 --dry-run"), exitOK)
		b.wantOut("make 127.0.0.1:7005 the master in place of 127.0.0.1:7002", "Dry run: nothing was changed")
		if strings.Contains(b.out.String(), "move 1 slot") {
			t.Errorf("a later stage is shown before it can be planned:\n%s", &b.out)
		}
		b.want(b.runLine("fix 127.0.0.1:7001 --yes -o json"), exitOK)
		var outcome ui.Outcome
		if err := json.Unmarshal(b.out.Bytes(), &outcome); err != nil {
			t.Fatalf("%v\n%s", err, &b.out)
		}
		if len(outcome.Plan.Steps) != 2 || outcome.Slots != 1 || !*outcome.Healthy {
			t.Errorf("%+v", outcome)
		}
		b.want(b.runLine("fix 127.0.0.1:7001 --yes"), exitOK)
		b.wantOut("[OK] nothing to fix")
	})
}

// TestFixDeclinedMidway: a no to a later stage leaves what an earlier one has done.
func TestFixDeclinedMidway(t *testing.T) {
	onSim(t, sim.Options{NoAutoFailover: true}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := brokenTwice(t, c)
		b.prompt = &prompt.Script{Answers: []string{"yes", "no"}}
		b.want(b.runLine("fix 127.0.0.1:7001"), exitPartial)
		b.wantErr("stopped with 1 steps done and 1 left: the next stage: declined", "hint: trib fix 127.0.0.1:7001")
		if nodes[4].Slots().Empty() || len(nodes[0].Open()) != 1 {
			t.Errorf("slots %s, open %v", nodes[4].Slots(), nodes[0].Open())
		}
	})
}

// TestFixUndecided: what may cost data is named with its flag, and a decision for
// one thing is none for another.
func TestFixUndecided(t *testing.T) {
	onSim(t, sim.Options{NoAutoFailover: true}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		for _, i := range []int{0, 1, 4} {
			nodes[i].Crash()
		}
		time.Sleep(5 * time.Second)
		b.want(b.runLine("fix 127.0.0.1:7003 --yes"), exitConflict)
		b.wantErr("hint: trib fix with --takeover and --fix-with-unreachable-masters")
		b.want(b.runLine("fix 127.0.0.1:7003 --yes --fix-with-unreachable-masters"), exitConflict)
		b.wantErr("--takeover")
		b.want(b.runLine("fix 127.0.0.1:7003 --yes --takeover"), exitConflict)
		b.wantErr("hint: trib fix with --fix-with-unreachable-masters")
		b.want(b.runLine("fix 127.0.0.1:7003 --yes --fix-with-unreachable-masters"), exitOK)
		b.want(b.runLine("fix 127.0.0.1:7003 --yes"), exitOK)
		b.wantOut("[OK] nothing to fix")
	})
}

// TestUnsettled: what follows from what lasts is not waited for.
func TestUnsettled(t *testing.T) {
	down := health.Finding{Code: health.ClusterDown, Severity: health.Error}
	for _, tt := range []struct {
		with health.Code
		want bool
	}{{health.ForeignKeys, true}, {health.Uncovered, false}, {health.QuorumLost, false}} {
		found := []health.Finding{down, {Code: tt.with, Severity: health.Error}}
		if got := unsettled(found); got != tt.want {
			t.Errorf("cluster-down with %s: %v", tt.with, got)
		}
		if !unsettled(append(found, health.Finding{Code: health.Disagreement, Severity: health.Error})) {
			t.Errorf("a disagreement with %s is not waited for", tt.with)
		}
	}
}
