package sim_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// must sends one command that has to succeed.
func must(t *testing.T, c driver.Conn, args ...string) driver.Reply {
	t.Helper()
	reply, err := driver.Call(context.Background(), c, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return reply
}

func dial(t *testing.T, d driver.Dialer, n *sim.Node) driver.Conn {
	t.Helper()
	c, err := d.Dial(context.Background(), n.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyOf is the i-th key of slot 0.
func keyOf(i int) string { return fmt.Sprintf("{3560}%d", i) }

func TestKeyOf(t *testing.T) {
	if slot := cluster.KeySlot(keyOf(1)); slot != 0 {
		t.Fatalf("slot %d", slot)
	}
}

func TestMoveSlotByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 1)
		a, b := nodes[0], nodes[1]
		model, client := sim.NewModel(), c.Client()
		for i := range 5 {
			if r := model.Write(client, keyOf(i), fmt.Sprint("v", i)); r != sim.Acked {
				t.Fatal(r)
			}
		}
		d := c.Dialer()
		ca, cb := dial(t, d, a), dial(t, d, b)
		must(t, cb, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(a.ID()))
		must(t, ca, "CLUSTER", "SETSLOT", "0", "MIGRATING", string(b.ID()))
		for i := range 5 {
			must(t, ca, "MIGRATE", b.Addr().Host, fmt.Sprint(b.Addr().Port), keyOf(i), "0", "1000")
			model.Write(client, keyOf(4-i), fmt.Sprint("w", i))
			model.Write(client, keyOf(10+i), fmt.Sprint("w", i))
		}
		must(t, cb, "CLUSTER", "SETSLOT", "0", "NODE", string(b.ID()))
		must(t, ca, "CLUSTER", "SETSLOT", "0", "NODE", string(b.ID()))
		c.Settle()
		for _, n := range nodes {
			if n.Owner(0) != b.ID() {
				t.Errorf("%s: owner %s", n, n.Owner(0))
			}
			if _, err := cluster.ParseNodes(n.View()); err != nil {
				t.Error(err)
			}
		}
		for _, l := range model.Check(c) {
			t.Error(l)
		}
		for _, v := range c.Violations() {
			t.Error(v)
		}
		for _, line := range c.Trace() {
			t.Log(line)
		}
	})
}
