package apply_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// TestLastSlotIsKept: a master that loses its last slot is wiped. One that got a
// key of another slot while it was drained keeps its last slots, and the key.
func TestLastSlotIsKept(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newRiteTrial(sim.Options{Server: server})
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.AddNode(s, plan.AddNodeOptions{New: tr.ids(fresh)})
				}, fresh)
				tr.must(t, func(s cluster.State) (plan.Plan, error) {
					return plan.Reshard(s, plan.ReshardOptions{From: tr.ids(masterA), To: tr.id(fresh), Slots: movedSlots})
				})
				d := tr.c.Dialer()
				s, err := observe.Cluster(t.Context(), d, tr.seed())
				if err != nil {
					t.Fatal(err)
				}
				p, err := plan.Drain(s, plan.DrainOptions{Node: tr.id(fresh)})
				if err != nil {
					t.Fatal(err)
				}
				slot := tr.strayKey(t, fresh)
				err = apply.Run(t.Context(), p, tr.options(d))
				if err == nil || !strings.Contains(err.Error(), "would lose its last slot") {
					t.Errorf("draining ends with %v", err)
				}
				if keys := tr.nodes[fresh].Keys(0, slot); len(keys) != 1 || tr.nodes[fresh].Slots().Empty() {
					t.Errorf("the node has keys %q of slot %d, and slots %s", keys, slot, tr.nodes[fresh].Slots())
				}
			})
		})
	}
}

// strayKey puts a key of a slot that the node does not own on it, once the first
// batch of keys is on its way.
func (tr *trial) strayKey(t *testing.T, node int) (slot int) {
	const key = "astray"
	slot = cluster.KeySlot(key)
	planted := false
	tr.c.Intercept(func(e sim.Event) sim.Action {
		if planted || e.Cmd.Name() != "MIGRATE" {
			return sim.Action{}
		}
		planted = true
		return sim.Action{Before: func() {
			b := &broken{c: tr.c, nodes: tr.nodes}
			number, owner := fmt.Sprint(slot), tr.nodes[masterC].Owner(slot)
			b.raw(t, node, "CLUSTER", "SETSLOT", number, "IMPORTING", string(owner))
			b.raw(t, node, "SET", key, "v")
			b.raw(t, node, "CLUSTER", "SETSLOT", number, "STABLE")
		}}
	})
	return slot
}

// TestSlotTakenByAnother: while keys are moved, somebody gives the slot to a third
// node. On Redis the source goes on to say that it migrates it. Whoever believed
// that alone would take the slot from its new owner, and its keys with it.
func TestSlotTakenByAnother(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(sim.Options{Server: server}, oneLane)
				b := &broken{c: tr.c, nodes: tr.nodes}
				taken := false
				tr.c.Intercept(func(e sim.Event) sim.Action {
					if taken || e.Cmd.Name() != "MIGRATE" {
						return sim.Action{}
					}
					taken = true
					return sim.Action{Before: func() {
						b.raw(t, masterC, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(tr.id(masterA)))
						b.raw(t, masterC, "CLUSTER", "SETSLOT", "0", "NODE", string(tr.id(masterC)))
						tr.c.Advance(heard)
						b.raw(t, masterC, "SET", "{"+tags()[0]+"}theirs", "v")
					}}
				})
				if err := tr.reshard(t.Context(), tr.c.Dialer()); err == nil {
					t.Error("the reshard ends well")
				}
				tr.c.Settle()
				if !tr.nodes[masterC].Slots().Has(0) || len(tr.nodes[masterC].Keys(0, 0)) == 0 {
					t.Errorf("the slot's new owner lost it\n%s", strings.Join(tr.c.Trace(), "\n"))
				}
			})
		})
	}
}

// TestFailedOverWhileGiving: finalising at the source first, the source is failed
// over right before it is to give the slots up. It refuses, and then nobody may
// claim them: make test tries only every fourth command of this way to move.
func TestFailedOverWhileGiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{Server: servers["redis 7.0"]}, strict)
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if e.Cmd.Name() == "MULTI" && !tr.failedOver {
				return sim.Action{Before: func() { tr.failOver(e, tr.nodes[replicaA]) }}
			}
			return sim.Action{Before: func() { tr.between(e) }}
		})
		err := tr.reshard(t.Context(), tr.c.Dialer())
		if tr.isConflict(err); err == nil || !tr.failedOver {
			t.Errorf("the reshard ends with %v", err)
		}
		tr.c.Intercept(nil)
		tr.c.Settle()
		if _, err := tr.resume(t.Context()); err != nil && !tr.isConflict(err) {
			t.Errorf("resume: %v", err)
		}
		for _, p := range tr.problems(t.Context()) {
			t.Error(p)
		}
	})
}
