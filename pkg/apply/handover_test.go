package apply_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// lastSlot leaves node 0 but slot 0, the rest of its slots to node 2.
func lastSlot(t *testing.T, b *broken) {
	t.Helper()
	client := b.c.Client()
	for i := range keysPerSlot {
		b.model.Delete(client, fmt.Sprintf("{%s}%d", tags()[2], i))
		b.model.Delete(client, fmt.Sprintf("{%s}%d", tags()[1], i))
	}
	for s := range b.nodes[0].Slots().Minus(cluster.SlotsOf(0)).All() {
		for _, i := range []int{2, 0, 1} {
			b.raw(t, i, "CLUSTER", "SETSLOT", fmt.Sprint(s), "NODE", string(b.nodes[2].ID()))
		}
	}
	b.raw(t, 2, "CLUSTER", "BUMPEPOCH")
	b.c.Settle()
}

// strayKey puts a key of a slot on a node that does not own it.
func strayKey(t *testing.T, b *broken, node, owner, slot int, key string) {
	t.Helper()
	b.raw(t, node, "CLUSTER", "SETSLOT", fmt.Sprint(slot), "IMPORTING", string(b.nodes[owner].ID()))
	b.raw(t, node, "RPUSH", key, "stale")
	b.raw(t, node, "CLUSTER", "SETSLOT", fmt.Sprint(slot), "STABLE")
}

func (b *broken) reshard(t *testing.T, slots int) error {
	d := b.c.Dialer()
	s, err := observe.Cluster(t.Context(), d, b.nodes[2].Addr())
	if err != nil {
		return err
	}
	observe.ForCheck(t.Context(), d, s)
	p, err := plan.Reshard(s, plan.ReshardOptions{From: []cluster.NodeID{b.nodes[0].ID()}, To: b.nodes[1].ID(), Slots: slots})
	if err != nil {
		return err
	}
	return apply.Run(t.Context(), p, apply.Options{Dialer: d, Lock: lock.Options{Holder: "test"}, Move: oneLane, Movers: plan.MoverOptions{Method: plan.MethodAuto}})
}

// TestAtomicLastSlot: a source that loses its last slot becomes a replica and is
// wiped, so it must not hold keys of other slots then.
// wholeOf is a cluster in which nothing is broken yet.
func wholeOf(o sim.Options, masters, replicas int) *broken {
	c := sim.New(o)
	b := &broken{c: c, nodes: c.Form(masters, replicas), model: sim.NewModel()}
	client := c.Client()
	for slot := range movedSlots {
		for i := range keysPerSlot {
			b.model.Write(client, fmt.Sprintf("{%s}%d", tags()[slot], i), "seed")
		}
	}
	return b
}

func TestAtomicLastSlot(t *testing.T) {
	for name, server := range dialects {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := wholeOf(sim.Options{Server: server}, 3, 0)
				lastSlot(t, b)
				key := "{" + tags()[1] + "}stray"
				strayKey(t, b, 0, 2, 1, key)
				err := b.reshard(t, 1)
				b.c.Settle()
				b.c.Advance(5e9)
				if copies := b.c.Copies(key); len(copies) == 0 {
					t.Errorf("the stray key is gone; reshard said %v", err)
				}
				if err == nil {
					t.Error("the last slot was taken")
				}
			})
		})
	}
}

// TestAtomicStaleTarget: a key that the target holds of a slot before it moves was
// deleted by clients, and must not come back with it.
func TestAtomicStaleTarget(t *testing.T) {
	for name, server := range dialects {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := wholeOf(sim.Options{Server: server}, 3, 0)
				key := "{" + tags()[0] + "}dead"
				client := b.c.Client()
				b.model.Write(client, key, "v")
				b.model.Delete(client, key)
				strayKey(t, b, 1, 0, 0, key)
				err := b.reshard(t, 1)
				b.c.Settle()
				if err == nil {
					t.Error("the slot was taken")
				}
				for _, l := range b.model.Check(b.c) {
					t.Error(l)
				}
			})
		})
	}
}

// TestTargetPausedPastItsFailover: the target is paused in the middle of a move
// for so long that its replica takes over. When it is back it still takes itself
// for a master, for a moment: what it is sent then is lost, as it is wiped.
func TestTargetPausedPastItsFailover(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			for at := 1; at < 30; at += 9 {
				synctest.Test(t, func(t *testing.T) {
					tr := newTrial(sim.Options{Server: server, Latency: 2 * time.Millisecond, Untold: true}, oneLane)
					before := 0
					tr.c.Intercept(func(e sim.Event) sim.Action {
						pauses := isPoint(e) && tr.reached(fault{at: at})
						return sim.Action{Before: func() {
							tr.between(e)
							if pauses {
								tr.nodes[masterB].Pause()
								time.AfterFunc(6*time.Second, tr.nodes[masterB].Resume)
								before, tr.failedOver = tr.writes, true
							}
						}}
					})
					err := tr.reshard(t.Context(), tr.c.Dialer())
					tr.c.Intercept(nil)
					tr.c.Advance(10 * time.Second)
					_, again := tr.resume(t.Context())
					if lost := tr.lostBefore(before); len(lost) > 0 || before == 0 {
						t.Errorf("paused at %d, after %d writes: lost %.300s; reshard: %v, resume: %v", at, before, lost, err, again)
					}
				})
			}
		})
	}
}

// TestOwnerPausedPastItsFailover: so is the owner of slots to which a repair
// brings keys that only another node has.
func TestOwnerPausedPastItsFailover(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			for at := 1; at < 60; at += 3 {
				synctest.Test(t, func(t *testing.T) {
					b := wholeOf(sim.Options{Server: server, Latency: 2 * time.Millisecond, GossipDelay: 300 * time.Millisecond, Untold: true}, 3, 1)
					b.stray(t, 12)
					b.stable(t, 0, 1)
					seen, owner := 0, b.nodes[0]
					b.c.Intercept(func(e sim.Event) sim.Action {
						return sim.Action{Before: func() {
							if seen > 0 || e.Mutation > 0 {
								seen++
							}
							if seen == at {
								owner.Pause()
								time.AfterFunc(6*time.Second, owner.Resume)
							}
						}}
					})
					_, left, err := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
					b.c.Intercept(nil)
					b.c.Advance(10 * time.Second)
					b.c.Settle()
					for _, v := range b.c.Violations() {
						t.Errorf("paused at %d of %d: %v; %v, %v", at, seen, v, left, err)
					}
					for _, lost := range b.model.Check(b.c) {
						if len(b.c.Copies(lost.Key)) == 0 {
							t.Errorf("paused at %d of %d: %v; %v, %v", at, seen, lost, left, err)
						}
					}
				})
			}
		})
	}
}

// lostBefore are the losses of what was written before a fault: the first writes
// of the trial. A node that was failed over, and has not heard of it, takes later
// ones with it whether slots move or not.
func (tr *trial) lostBefore(writes int) []sim.Loss {
	tr.c.Settle()
	return slices.DeleteFunc(tr.model.Check(tr.c), func(l sim.Loss) bool {
		var n int
		if _, err := fmt.Sscanf(l.Value, "w%d", &n); err != nil {
			_, tail, _ := strings.Cut(l.Key, "}new")
			_, _ = fmt.Sscan(tail, &n)
		}
		return n > writes
	})
}

// TestLastSlotGiven: finalising at the source first, the reply to the source's
// giving its last slots up is lost, or the tool dies then. The source is a replica
// of the target by that time and holds the target's keys, and nobody owns the slots.
func TestLastSlotGiven(t *testing.T) {
	for _, kill := range []bool{true, false} {
		t.Run(fmt.Sprintf("killed %v", kill), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(sim.Options{Server: servers["redis 7.0"]}, strict)
				tr.leave(t, movedSlots)
				d := tr.c.Dialer()
				gifts := 0
				tr.c.Intercept(func(e sim.Event) sim.Action {
					if e.Cmd.Name() != "EXEC" {
						return sim.Action{}
					}
					if gifts++; gifts != 3 { // the first only shows that it takes transactions
						return sim.Action{}
					}
					if kill {
						return sim.Action{Outcome: sim.DropReply, After: d.Kill}
					}
					return sim.Action{Outcome: sim.DropReply, After: func() { tr.c.Advance(time.Second) }}
				})
				if err := tr.reshard(t.Context(), d); (err != nil) != kill {
					t.Errorf("reshard: %v", err)
				}
				tr.c.Intercept(nil)
				tr.c.Settle()
				if _, err := tr.resume(t.Context()); err != nil {
					t.Errorf("resume: %v", err)
				}
				if tr.nodes[masterA].IsMaster() {
					t.Error("the source has not lost its last slot")
				}
				if problems := tr.problems(t.Context()); problems != nil {
					t.Errorf("%.600q", problems)
				}
			})
		})
	}
}

// leave gives all slots of the first master but so many to the third.
func (tr *trial) leave(t *testing.T, slots int) {
	b := &broken{c: tr.c, nodes: tr.nodes}
	rest := tr.nodes[masterA].Slots().Ranges()[0]
	first, last := fmt.Sprint(rest.First+slots), fmt.Sprint(rest.Last)
	for n := range tr.nodes[:masterC+1] {
		b.raw(t, n, "CLUSTER", "DELSLOTSRANGE", first, last)
	}
	b.raw(t, masterC, "CLUSTER", "ADDSLOTSRANGE", first, last)
	b.raw(t, masterC, "CLUSTER", "BUMPEPOCH")
	tr.c.Settle()
}

// TestDecidedMeanwhile: of two differing values the target's is to stay, and a
// client writes to the source's before it is deleted. Nobody has decided about
// that write.
func TestDecidedMeanwhile(t *testing.T) {
	for _, when := range []string{"WATCH", "DEL", "EXEC"} {
		t.Run("before "+when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTrial(sim.Options{}, oneLane)
				key := tr.keys[0]
				tr.differ(t, key)
				var decided string
				tr.move.Decide = func(c move.Conflict) move.Winner {
					if decided == "" {
						decided = c.Values[0].Digest
					}
					if decided != c.Values[0].Digest {
						return move.NoWinner
					}
					return move.TargetWins
				}
				written := false
				tr.c.Intercept(func(e sim.Event) sim.Action {
					if e.Cmd.Name() != when || written {
						return sim.Action{}
					}
					written = true
					return sim.Action{Before: func() { tr.model.Write(tr.writer, key, "late") }}
				})
				if _, err := tr.resume(t.Context()); !tr.isConflict(err) || !tr.conflicts[key] {
					t.Errorf("resume: %v", err)
				}
				if !written || !tr.somewhere(sim.Loss{Key: key, Value: "late"}) {
					t.Errorf("written %v; what was acknowledged is gone", written)
				}
			})
		})
	}
}

// differ leaves slot 0 open, with another value of a key on the target.
func (tr *trial) differ(t *testing.T, key string) {
	b := &broken{c: tr.c, nodes: tr.nodes}
	addr := tr.nodes[masterB].Addr()
	b.raw(t, masterB, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(tr.id(masterA)))
	b.raw(t, masterA, "CLUSTER", "SETSLOT", "0", "MIGRATING", string(tr.id(masterB)))
	b.raw(t, masterA, "MIGRATE", addr.Host, fmt.Sprint(addr.Port), key, "0", "5000")
	b.raw(t, masterA, "CLUSTER", "SETSLOT", "0", "STABLE")
	tr.model.Write(tr.writer, key, "again")
	b.raw(t, masterA, "CLUSTER", "SETSLOT", "0", "MIGRATING", string(tr.id(masterB)))
	tr.c.Settle()
}

// TestKilledWhileRebinding: the source is failed over while keys move, and whoever
// resumes that is killed at one of the commands by which it opens the slots anew.
// What the target holds by then must not pass for stray keys.
func TestKilledWhileRebinding(t *testing.T) {
	for kill := 1; kill <= 6; kill++ {
		synctest.Test(t, func(t *testing.T) {
			tr := newTrial(sim.Options{}, oneLane)
			moved, told := 0, 0
			var d *sim.Dialer
			tr.c.Intercept(func(e sim.Event) sim.Action {
				a := sim.Action{Before: func() { tr.between(e) }}
				switch name := e.Cmd.Name(); {
				case name == "MIGRATE":
					if moved++; moved == 2 {
						a.Before = func() { tr.failOver(e, tr.nodes[replicaA]) }
					}
				case d != nil && name == "CLUSTER SETSLOT":
					if told++; told == kill {
						a.After = d.Kill
					}
				}
				return a
			})
			_ = tr.reshard(t.Context(), tr.c.Dialer()) // it stops at the failover
			tr.c.Settle()
			d = tr.c.Dialer()
			_, err := tr.resumeWith(t.Context(), d)
			tr.c.Intercept(nil)
			tr.c.Settle()
			if _, again := tr.resume(t.Context()); told < kill || again != nil && !tr.isConflict(again) {
				t.Errorf("killed at %d of %d: %v; resume: %v", kill, told, err, again)
			}
			if problems := tr.problems(t.Context()); problems != nil {
				t.Errorf("killed at %d: %.600q", kill, problems)
			}
		})
	}
}

// TestConflictLeavesOthers: a key that needs a decision keeps its slot open, and
// none of those that move beside it.
func TestConflictLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := oneLane
		wide.Window = movedSlots
		tr := newTrial(sim.Options{}, wide)
		tr.differ(t, tr.keys[0])
		if err := tr.reshard(t.Context(), tr.c.Dialer()); !tr.isConflict(err) || len(tr.conflicts) != 1 {
			t.Errorf("reshard: %v", err)
		}
		if open := tr.nodes[masterA].Open(); !slices.Equal(open, []int{0}) {
			t.Errorf("slots %v are open", open)
		}
		if got := tr.nodes[masterB].Slots(); !got.Has(1) || !got.Has(2) {
			t.Errorf("the target has slots %s", got)
		}
	})
}

// TestClosedMeanwhile: a client writes to a slot whose open state was found to
// protect nothing, right before it is cleared.
func TestClosedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{}, oneLane)
		b := &broken{c: tr.c, nodes: tr.nodes, model: tr.model}
		b.open(t, "0")
		b.raw(t, masterC, "CLUSTER", "SETSLOT", "0", "IMPORTING", string(tr.id(masterA)))
		key := "{" + tags()[0] + "}astray"
		counts := 0
		tr.c.Intercept(func(e sim.Event) sim.Action {
			if e.Node != tr.nodes[masterC] || !slices.Equal(e.Cmd, driver.Cmd("CLUSTER", "COUNTKEYSINSLOT", "0")) {
				return sim.Action{}
			}
			if counts++; counts != 3 { // for the plan, and when it begins
				return sim.Action{}
			}
			return sim.Action{Before: func() { b.raw(t, masterC, "SET", key, "v") }}
		})
		_, _, err := b.heal(t.Context(), tr.c.Dialer(), plan.HealOptions{})
		if _, stale := errors.AsType[*apply.StaleError](err); !stale {
			t.Errorf("after %d counts: %v", counts, err)
		}
		if tr.nodes[masterC].Importing(0) == "" {
			t.Error("the slot was closed over a key")
		}
	})
}

// TestFailedOverRightAfterClaim: the source's replica is promoted after the target
// has claimed slots and before it hears of that. Both take the same epoch, and the
// ids of nodes decide who keeps the slots: where it is the replica, the target's
// keys are gone. That is the servers' own; trib must not call the slots moved then.
// Where it has heard of the claim, nothing is lost, whatever the ids.
func TestFailedOverRightAfterClaim(t *testing.T) {
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			for _, late := range []bool{false, true} {
				lossy := 0
				for seed := range 4 {
					synctest.Test(t, func(t *testing.T) {
						tr := newTrial(sim.Options{Server: server, Seed: seed}, oneLane)
						tr.c.Intercept(func(e sim.Event) sim.Action {
							released := e.Node == tr.nodes[masterA] && e.Cmd.Name() == "CLUSTER SETSLOT" && e.Cmd[3] == "NODE"
							if !released || tr.failedOver {
								return sim.Action{Before: func() { tr.between(e) }}
							}
							return sim.Action{Before: func() {
								if late {
									tr.c.Advance(heard)
								}
								tr.failOver(e, tr.nodes[replicaA])
							}}
						})
						err := tr.reshard(t.Context(), tr.c.Dialer())
						tr.c.Intercept(nil)
						tr.c.Settle()
						_, _ = tr.resume(t.Context())
						lost := tr.model.Check(tr.c)
						if len(lost) == 0 {
							return
						}
						lossy++
						if late || err == nil || !strings.Contains(err.Error(), "may be lost") {
							t.Errorf("seed %d, heard %v: lost %.200s; reshard: %v", seed, late, lost, err)
						}
					})
				}
				t.Logf("heard %v: lost with %d of 4 sets of ids", late, lossy)
			}
		})
	}
}

// TestTakenBackLater: Redis 6 does not send a claim to all at once. A replica of the
// source that is promoted while the next slots move may take the last ones back,
// which were called moved; then trib must say so.
func TestTakenBackLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTrial(sim.Options{Server: cluster.Server{Flavor: "redis", Version: "6.0.16"}}, oneLane)
		released := false
		tr.c.Intercept(func(e sim.Event) sim.Action {
			released = released || e.Node == tr.nodes[masterA] && e.Cmd.Name() == "CLUSTER SETSLOT" && e.Cmd[3] == "NODE"
			if !released || tr.failedOver || e.Cmd.Name() != "MIGRATE" {
				return sim.Action{Before: func() { tr.between(e) }}
			}
			return sim.Action{Before: func() { tr.failOver(e, tr.nodes[replicaA]) }}
		})
		err := tr.reshard(t.Context(), tr.c.Dialer())
		if !tr.nodes[replicaA].Slots().Has(0) {
			t.Fatalf("slot 0 was not taken back; reshard: %v", err)
		}
		if err == nil || !strings.Contains(err.Error(), "has taken back slots 0-1") {
			t.Errorf("reshard: %v", err)
		}
	})
}
