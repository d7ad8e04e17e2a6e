package acceptance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// halfMoved opens a slot and writes on both sides of it, as a move does that
// stopped before it heard what became of its last batch.
func halfMoved(t *testing.T, l *labtest.Lab, slot int, from, to server, source, target [][]string) {
	t.Helper()
	number := strconv.Itoa(slot)
	l.Do(t, to.Node, "CLUSTER", "SETSLOT", number, "IMPORTING", from.self.id)
	for _, command := range source {
		l.Do(t, from.Node, command...)
	}
	l.Do(t, from.Node, "CLUSTER", "SETSLOT", number, "MIGRATING", to.self.id)
	for _, command := range target {
		if reply := asking(t, l, to, command...); reply == nil {
			t.Fatalf("%q: no reply", command)
		}
	}
}

// asking sends a command as a client does that was told to ask.
func asking(t *testing.T, l *labtest.Lab, to server, command ...string) any {
	t.Helper()
	replies, err := l.Dial(t, to.Node).Pipeline([]string{"ASKING"}, command)
	if err != nil {
		t.Fatal(err)
	}
	if refusal, ok := replies[1].(error); ok {
		t.Fatalf("%s: %q: %v", to.Addr(), command, refusal)
	}
	return replies[1]
}

// keyIn makes a key for a slot.
func keyIn(slot int) string {
	return keysFor(func(s int) int {
		if s == slot {
			return 1
		}
		return 0
	})[0]
}

// TestConflict: where a stopped move of somebody else has left two values of one
// key, none is chosen: the key and both nodes are named, both values stay, and
// it goes on when somebody has decided.
func TestConflict(t *testing.T) {
	t.Parallel()
	l := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0).Lab
	m := look(t, l).masters()
	from, to := m[0], m[1]
	key := keyIn(300)
	tag := "{" + key + "}"
	halfMoved(t, l, 300, from, to,
		[][]string{{"SET", key, "of the source"}, {"SADD", tag + "set", "a", "b"}, {"SET", tag + "only here", "1"}},
		[][]string{{"SET", key, "of the target"}, {"SADD", tag + "set", "a", "c"}})

	resume := []string{"resume", m[2].Addr(), "--yes"}
	for range 2 {
		trib(t, resume...).exit(t, 6).complains(t, `key "`+key+`" of slot 300`, from.Addr(), to.Addr(), tag+"set", "^hint: ")
	}
	trib(t, "check", to.Addr()).exit(t, 3).prints(t, `slots are open: \[?300`)
	if got := l.Do(t, from.Node, "GET", key); got != "of the source" {
		t.Errorf("the source has %v", got)
	}
	if got := asking(t, l, to, "GET", key); got != "of the target" {
		t.Errorf("the target has %v", got)
	}

	l.Do(t, from.Node, "DEL", key)
	asking(t, l, to, "DEL", tag+"set")
	trib(t, resume...).done(t)
	soonWhole(t, l)
	for key, want := range map[string]string{key: "of the target", tag + "only here": "1"} {
		if got := l.Do(t, to.Node, "GET", key); got != want {
			t.Errorf("after the decision %s is %v", key, got)
		}
	}
	if got := l.Do(t, to.Node, "SISMEMBER", tag+"set", "b"); got != int64(1) {
		t.Error("the set is not that of the source")
	}
}

// TestEqualOnBothSides: a key that both sides have with the same content is no
// conflict, however each of them stores it.
func TestEqualOnBothSides(t *testing.T) {
	t.Parallel()
	l := labtest.Form(t, labtest.Start(t, labtest.Options{Mix: []string{"redis-7.0", "redis-8.0", "redis-7.0"}, Nodes: 3}), 3, 0).Lab
	m := look(t, l).masters()
	// The newer server comes last, and the first slots belong to one of the others.
	slices.SortStableFunc(m, func(a, b server) int { return strings.Compare(a.Server().Version, b.Server().Version) })
	slot := m[0].self.slots[0]
	tag := "{" + keyIn(slot) + "}"
	write := func(first, second string) [][]string {
		return [][]string{
			{"SET", tag + "string", "value", "EX", "5000"},
			{"RPUSH", tag + "list", "1", "2", "1"},
			{"SADD", tag + "set", first, second, "x"},
			{"HSET", tag + "hash", first, first, second, second},
			{"ZADD", tag + "zset", "1.5", first, "1.5", second},
		}
	}
	for i, ends := range [][2]server{{m[0], m[1]}, {m[1], m[2]}} {
		source, target := write("a", "b"), write("b", "a")
		if i == 1 {
			source = nil // it has them from the last move
		}
		halfMoved(t, l, slot, ends[0], ends[1], source, target)
		trib(t, "resume", m[0].Addr(), "--yes").done(t)
		soonWhole(t, l)
		var sizes []any
		for _, command := range [][]string{
			{"GET", tag + "string"},
			{"LLEN", tag + "list"},
			{"SCARD", tag + "set"},
			{"HLEN", tag + "hash"},
			{"ZCARD", tag + "zset"},
		} {
			sizes = append(sizes, l.Do(t, ends[1].Node, command...))
		}
		if got := fmt.Sprint(sizes); got != "[value 3 3 2 2]" || dbSize(t, l, ends[0].Node) != 0 {
			t.Errorf("%s has %s, and %s has %d keys left", ends[1].Addr(), got, ends[0].Addr(), dbSize(t, l, ends[0].Node))
		}
	}
}
