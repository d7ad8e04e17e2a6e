package acceptance

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// hardOfHearing is a wreck whose nodes can be made deaf to the cluster bus: what
// servers mend among themselves as soon as they hear of it stays until then. Redis
// can be told to drop one kind of message only.
func hardOfHearing(t *testing.T) *wreck {
	t.Helper()
	l := labtest.Start(t, labtest.Options{Server: "valkey-8.1", Nodes: 3, Config: []string{"enable-debug-command yes"}})
	w := &wreck{Cluster: labtest.Form(t, l, 3, 0), keys: make(map[int][]string)}
	for _, m := range w.Members() { // nobody is to be called failed
		w.tell(t, m, "CONFIG", "SET", "cluster-node-timeout", "60000")
	}
	return w
}

// deafen lets a node drop all that it hears on the bus, or not any more.
func (w *wreck) deafen(t *testing.T, m *labtest.Member, deaf bool) {
	t.Helper()
	all := "-1"
	if deaf {
		all = "-2"
	}
	w.tell(t, m, "DEBUG", "DROP-CLUSTER-PACKET-FILTER", all)
}

// TestFixEpochCollision: two masters have one config epoch, and the one that would
// take another hears nobody.
func TestFixEpochCollision(t *testing.T) {
	t.Parallel()
	w := hardOfHearing(t)
	twins := slices.Clone(w.Masters[:2])
	slices.SortFunc(twins, func(a, b *labtest.Member) int { return strings.Compare(a.ID, b.ID) })
	for _, m := range twins {
		w.deafen(t, m, true)
	}
	for _, m := range twins {
		w.tell(t, m, "CLUSTER", "BUMPEPOCH")
	}
	w.deafen(t, twins[1], false)
	epoch := func(m *labtest.Member) string { return look(t, w.Lab).at(m.Addr()).self.epoch }
	if a, b := epoch(twins[0]), epoch(twins[1]); a != b {
		t.Fatalf("the epochs are %s and %s", a, b)
	}
	seed := w.Masters[2].Addr()
	trib(t, "check", seed).exit(t, 3).prints(t, "epoch")
	trib(t, "fix", seed, "--yes").done(t, "a newer epoch is safe")
	if a, b := epoch(twins[0]), epoch(twins[1]); a == b {
		t.Errorf("both have epoch %s", a)
	}
	w.deafen(t, twins[0], false)
	soonWhole(t, w.Lab)
	accept(t, seed)
}

// TestFixTwoClaimants: a node claims a slot of another one, has keys of it, and
// does not hear that the owner has the higher epoch: it would delete them. When it
// hears again it holds on to them, and they come to the owner.
func TestFixTwoClaimants(t *testing.T) {
	t.Parallel()
	w := hardOfHearing(t)
	loser, owner, seed := w.Masters[0], w.Masters[1], w.Masters[2].Addr()
	slot := owner.First
	number := strconv.Itoa(slot)
	client := w.Client()
	defer client.Close()
	for i := range perSlot {
		key := fmt.Sprintf("{%s}%d", keyOf(slot), i)
		w.keys[slot] = append(w.keys[slot], key)
		client.Do(t.Context(), key, "SET", key, "value of "+key)
	}
	w.tell(t, loser, "CLUSTER", "SETSLOT", number, "IMPORTING", owner.ID)
	for _, key := range w.keys[slot][:10] {
		w.tell(t, owner, "MIGRATE", loser.Host(), strconv.Itoa(loser.Port()), key, "0", "5000")
	}
	w.deafen(t, loser, true)
	w.tell(t, loser, "CLUSTER", "SETSLOT", number, "STABLE")
	w.tell(t, loser, "CLUSTER", "DELSLOTS", number)
	w.tell(t, loser, "CLUSTER", "ADDSLOTS", number)

	run := how{}.start(t, "fix", seed, "--yes")
	labtest.Await(t, 30*time.Second, "the loser holds on to its keys", func() error {
		if self := look(t, w.Lab).at(loser.Addr()).self; self.open == nil {
			return errors.New("it claims " + number)
		}
		return nil
	})
	w.deafen(t, loser, false)
	run.wait(t).done(t, "pinning is safe", "bring the keys of slots "+number)
	soonWhole(t, w.Lab)
	w.intact(t)
	if n := w.held(t, loser, slot); n != 0 {
		t.Errorf("%d keys are left on the loser", n)
	}
	accept(t, seed)
}

// TestFixReplicas: a replica of a replica, one whose master is gone for good and
// that has keys of it, and a handshake with nobody.
func TestFixReplicas(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 6})
	w := &wreck{Cluster: labtest.Form(t, l, 3, 2), keys: make(map[int][]string)}
	seed, chained, spare := w.Masters[2].Addr(), w.Replicas[0], l.Nodes()[5]
	for _, m := range w.Members() {
		w.tell(t, m, "CLUSTER", "MEET", spare.Host(), strconv.Itoa(spare.Port()))
		w.tell(t, m, "CONFIG", "SET", "cluster-replica-no-failover", "yes")
	}
	acquainted(t, l, 6)
	id := l.Text(t, spare, "CLUSTER", "MYID")
	lead := func() {
		labtest.Await(t, 10*time.Second, "the spare node has a replica", func() error {
			_, err := w.Dial(t, chained.Node).Do("CLUSTER", "REPLICATE", id)
			return err
		})
	}
	lead()
	l.Do(t, spare, "CLUSTER", "REPLICATE", w.Masters[1].ID)
	trib(t, "fix", seed, "--yes", "--only", "replica-of-replica").done(t, "make "+chained.Addr()+" a replica of "+w.Masters[1].Addr())
	soonWhole(t, l)
	w.tell(t, w.Masters[0], "CLUSTER", "MEET", "127.0.0.1", "1")
	trib(t, "fix", seed, "--yes").exit(t, 0).prints(t, "nothing to fix")

	l.Do(t, spare, "CLUSTER", "RESET")
	for _, m := range w.Members() {
		w.tell(t, m, "CLUSTER", "MEET", spare.Host(), strconv.Itoa(spare.Port()))
	}
	acquainted(t, l, 6)
	lead()
	conn := w.Dial(t, spare)
	slot := strconv.Itoa(w.Masters[0].First)
	labtest.Await(t, 15*time.Second, "the replica has a key", func() error {
		replies, err := conn.Pipeline([]string{"CLUSTER", "SETSLOT", slot, "IMPORTING", w.Masters[0].ID}, []string{"ASKING"},
			[]string{"SET", "{" + keyOf(w.Masters[0].First) + "}stray", "v"}, []string{"CLUSTER", "SETSLOT", slot, "STABLE"})
		if n := dbSize(t, l, chained.Node); n != 1 {
			return fmt.Errorf("it has %d: %v, %v", n, replies, err)
		}
		return nil
	})
	must(t, spare.Kill())
	called(t, l, id, spare)
	trib(t, "fix", seed, "--yes").exit(t, 0).prints(t, chained.Addr()+" is a replica of "+spare.Addr()+" .*, which is gone, and has 1 key", "look for what is missing")
	trib(t, "fix", seed, "--yes", "--orphans", "reuse").done(t, "the 1 key that "+chained.Addr()+" has are replaced")
	accept(t, seed)
}
