package acceptance

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// fillHash writes so many fields, a part at a time so that no server is called
// failed meanwhile.
func fillHash(t *testing.T, l *labtest.Lab, s server, key string, members int) {
	t.Helper()
	const part = 30_000
	for first := 0; first < members; first += part {
		l.Do(t, s.Node, "EVAL", "for i = ARGV[1], ARGV[2] do redis.call('HSET', KEYS[1], i, i) end",
			"1", key, strconv.Itoa(first), strconv.Itoa(min(members, first+part)-1))
	}
}

// TestBigKeys: what is big is told, left or moved, as the operator wants it.
func TestBigKeys(t *testing.T) {
	t.Parallel()
	l := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0).Lab
	m := look(t, l).masters()
	hash, text, small := keyIn(1), keyIn(3), keyIn(4)
	const members = 120_000
	fillHash(t, l, m[0], hash, members)
	l.Do(t, m[0].Node, "SET", text, strings.Repeat("x", 20<<20))
	l.Do(t, m[0].Node, "SET", small, "1")
	there := func(s server) {
		t.Helper()
		for _, want := range []struct {
			key  string
			read []string
			n    int64
		}{{hash, []string{"HLEN", hash}, members}, {text, []string{"STRLEN", text}, 20 << 20}} {
			if got := l.Do(t, s.Node, want.read...); got != want.n {
				t.Errorf("%q at %s: %v", want.read, s.Addr(), got)
			}
		}
	}

	before := look(t, l)
	r := trib(t, between(m[0], m[1], 6, "--big-keys", "skip")...).exit(t, 5)
	r.complains(t, "slots 1,3 were left where they are: key \""+hash+"\" of slot 1 .*120000 members.*key \""+text+"\" of slot 3", "^hint: .*--big-keys move.* --slots 2 ")
	soonWhole(t, l).exactly(t, before, []int{0, 2, 4, 5}, m[1].Addr())
	there(m[0])
	trib(t, "check", m[0].Addr()).done(t)

	// With nothing but these left, nothing is changed.
	trib(t, between(m[0], m[1], 1, "--big-keys", "skip")...).exit(t, 1).complains(t, "slots 1 were left where they are", "^hint: .*--big-keys move")

	// By default it is said and done.
	trib(t, between(m[0], m[1], 2)...).done(t, `key "`+hash+`" of slot 1 .*blocks both nodes`, `key "`+text+`" of slot 3`)
	there(m[1])
	dangerous(t, l, m[1], m[2], hash)
	soonWhole(t, l)
}

// dangerous: a key that would block a node for half of its node timeout stays,
// unless it is moved whatever it takes.
func dangerous(t *testing.T, l *labtest.Lab, from, to server, key string) {
	t.Helper()
	const members = 400_000
	fillHash(t, l, from, key, members)
	// What the source says of its own timeout counts. It is put back at once, so that
	// nobody is called failed in earnest.
	l.Do(t, from.Node, "CONFIG", "SET", "cluster-node-timeout", "700")
	r := trib(t, between(from, to, 2)...)
	l.Do(t, from.Node, "CONFIG", "SET", "cluster-node-timeout", "5000")
	r.exit(t, 5).complains(t, `slots 1 were left where they are: key "`+key+`"`, "^hint: .*--big-keys move.* --slots 1 ")
	soonWhole(t, l)
	trib(t, between(from, to, 1, "--big-keys", "move", "--timeout", "5s")...).done(t)
	if got := l.Do(t, to.Node, "HLEN", key); fmt.Sprint(got) != strconv.Itoa(members) {
		t.Errorf("%v members arrived", got)
	}
}
