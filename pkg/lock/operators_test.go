package lock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
)

// TestOperators promises that whoever looks sees the holder on every node, and
// takes nothing.
func TestOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c := sim.New(sim.Options{})
		addrs := masters(c, 3)
		look := func() []lock.Operator {
			t.Helper()
			ops, err := lock.Operators(ctx, driver.ReadOnly(c.Dialer()), addrs)
			if err != nil {
				t.Fatal(err)
			}
			return ops
		}
		if ops := look(); ops != nil {
			t.Errorf("nobody is there: %+v", ops)
		}
		l, err := lock.Acquire(ctx, c.Dialer(), addrs, options("host a:7"))
		if err != nil {
			t.Fatal(err)
		}
		ops := look()
		if len(ops) != 1 || !ops[0].Holds || !ops[0].Is("host a:7") || ops[0].Operation != "reshard" || len(ops[0].Nodes) != 3 {
			t.Errorf("%+v", ops)
		}
		l.Release()
		if ops := look(); ops != nil {
			t.Errorf("released: %+v", ops)
		}
	})
}

func TestOperatorsOfOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		c := sim.New(sim.Options{})
		addrs := masters(c, 3)
		l, err := lock.Acquire(ctx, c.Dialer(), addrs, options("a"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		down := gate{c.Dialer(), func(addr cluster.Addr, what string) error {
			if addr == addrs[0] {
				return errors.New("away")
			}
			return nil
		}}
		ops, err := lock.Operators(ctx, down, addrs)
		if err == nil || len(ops) != 1 || len(ops[0].Nodes) != 2 {
			t.Errorf("%+v, %v", ops, err)
		}
	})
}
