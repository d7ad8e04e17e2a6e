package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// abroad is a server without cluster mode, with keys to bring in.
type abroad struct {
	*labtest.Lab
	node *lab.Node
}

func foreign(t testing.TB, o labtest.Options) abroad {
	t.Helper()
	o.Nodes, o.Config = 1, append(o.Config, "cluster-enabled no")
	l := labtest.Start(t, o)
	return abroad{l, l.Nodes()[0]}
}

// fill writes keys of every type, every third with a time to live, and returns
// them as they are.
func (a abroad) fill(t testing.TB, db, n int) []item {
	t.Helper()
	conn := a.Dial(t, a.node)
	do := func(args ...string) any {
		reply, err := conn.Do(args...)
		if err != nil {
			t.Fatalf("%.60q: %v", args, err)
		}
		return reply
	}
	do("SELECT", fmt.Sprint(db))
	var items []item
	for i := range n {
		it := item{key: fmt.Sprintf("db%d:\x00\xff:%d", db, i), kind: i % len(kinds)}
		if it.kind == len(kinds)-1 && i > 50 {
			it.kind = 0
		}
		do(kinds[it.kind].write(it.key)...)
		if i%3 == 0 {
			it.expires = time.Now().Add(time.Duration(1000+i) * time.Second)
			do("PEXPIREAT", it.key, fmt.Sprint(it.expires.UnixMilli()))
		}
		it.value = readBy(it, do)
		items = append(items, it)
	}
	return items
}

func readBy(it item, do func(...string) any) string {
	kind := kinds[it.kind]
	reply := do(append([]string{kind.read[0], it.key}, kind.read[1:]...)...)
	return sorted(reply, kind.loose)
}

func (a abroad) do(t testing.TB, db int, args ...string) any {
	t.Helper()
	conn := a.Dial(t, a.node)
	defer conn.Close()
	replies, err := conn.Pipeline([]string{"SELECT", fmt.Sprint(db)}, args)
	if err != nil {
		t.Fatal(err)
	}
	return replies[1]
}

// arrived is the treasure that the items are in the cluster.
func arrived(t testing.TB, c *labtest.Cluster, items []item) *treasure {
	t.Helper()
	h := &treasure{client: c.Client(), items: items}
	t.Cleanup(h.client.Close)
	return h
}

// TestImport brings every database of a server into a cluster, killed on the way,
// and again; then by filters, with clashing keys, with --replace and with --move.
func TestImport(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 3}), 3, 0)
			a := foreign(t, labtest.Options{Server: name})
			seed, from := c.Masters[0].Addr(), a.node.Addr()
			trib(t, "import", seed, "--from", from, "--yes").done(t, `^\[OK\] The source has no keys`)

			items := append(a.fill(t, 0, 3000), a.fill(t, 5, 300)...)
			trib(t, "import", seed, "--from", from, "--dry-run").done(t, `3,000 keys from DB 0 of `+from, "300 keys from DB 5", "nothing was changed")
			trib(t, "import", seed, "--from", from).exit(t, 1).complains(t, "nothing was changed", "^hint: --yes")

			r := how{}.start(t, "import", seed, "--cluster-from", from, "--cluster-copy", "--yes", "--max-keys/s", "3000", "--pipeline", "50")
			labtest.Await(t, 20*time.Second, "some keys come over", func() error { return atLeast(t, c, 300) })
			r.signal(t, os.Kill)
			if !r.wait(t).killed {
				t.Fatal("it ended before it was killed")
			}
			unlocked(t, c.Lab)
			trib(t, "import", seed, "--from", from, "--yes", "--verify").done(t, `^\[OK\] Copied .* 0 existing, 0 failed`, `3,300 equal, 0 with another value, 0 missing`)
			arrived(t, c, items).intact(t)
			trib(t, "import", seed, "--from", from, "--yes").done(t, `Copied 0 keys .* 3,300 skipped`)
			clash(t, c, a, items)
			handOver(t, c, a, items)
		})
	}
}

func atLeast(t testing.TB, c *labtest.Cluster, n int64) error {
	var have int64
	for _, m := range c.Masters {
		have += c.Do(t, m.Node, "DBSIZE").(int64)
	}
	if have < n {
		return fmt.Errorf("%d keys", have)
	}
	return nil
}

// clash lets values differ: both sides keep theirs until --replace says otherwise.
func clash(t *testing.T, c *labtest.Cluster, a abroad, items []item) {
	t.Helper()
	seed, from, key := c.Masters[0].Addr(), a.node.Addr(), items[0].key
	h := arrived(t, c, items)
	h.do(t, key, "SET", key, "other")
	trib(t, "import", seed, "--from", from, "--yes").exit(t, 6).
		prints(t, "1 existing, 0 failed", "the cluster has another value").complains(t, "^hint: .*--replace")
	if got := h.do(t, key, "GET", key); got != "other" {
		t.Errorf("the cluster's value became %q", got)
	}
	if got := a.do(t, 0, "GET", key); sorted(got, false) != items[0].value {
		t.Errorf("the source's value became %q", got)
	}
	// A time to live is a part of the value.
	h.do(t, items[1].key, "PEXPIRE", items[1].key, "500000")
	trib(t, "import", seed, "--from", from, "--yes").exit(t, 6).prints(t, "2 existing, 0 failed")
	if a.do(t, 0, "EXISTS", key) != int64(1) {
		t.Fatal("the source lost a key")
	}
	only := c.Masters[0].Addr()
	trib(t, "import", only, "--from", from, "--yes", "--replace").exit(t, 4).complains(t, "overwrite each other", "^hint: .*--from-db")
	trib(t, "import", only, "--from", from, "--yes", "--cluster-replace", "--from-db", "0").done(t, "Copied 3,000 keys")
	h.intact(t)
}

// handOver moves the keys by and by; one that differs stays.
func handOver(t *testing.T, c *labtest.Cluster, a abroad, items []item) {
	t.Helper()
	seed, from := c.Masters[0].Addr(), a.node.Addr()
	h := arrived(t, c, items)
	trib(t, "import", seed, "--from", from, "--yes", "--move", "--from-db", "5", "--match", "*:1?").done(t, `^10 keys deleted at the source`)
	if got := a.do(t, 5, "DBSIZE"); got != int64(290) {
		t.Errorf("the source has %v keys in database 5, want 290", got)
	}
	for _, m := range c.Masters {
		c.Do(t, m.Node, "FLUSHALL")
	}
	h.items = items[:3000]
	h.do(t, items[7].key, "SET", items[7].key, "other")
	trib(t, "import", seed, "--from", from, "--yes", "--move", "--from-db", "0").exit(t, 6).prints(t, "Moved 2,999 keys", "^2,999 keys deleted at the source", "1 existing")
	if got := a.do(t, 0, "DBSIZE"); got != int64(1) {
		t.Errorf("the source has %v keys, want the one that differs", got)
	}
	h.items = append(append([]item{}, items[:7]...), items[8:3000]...)
	h.intact(t)
}

// TestImportRefused promises a clear error and an untouched cluster.
func TestImportRefused(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 4}), 3, 1)
	a := foreign(t, labtest.Options{Password: canary, Config: []string{`rename-command MIGRATE ""`}})
	seed, from := c.Masters[0].Addr(), a.node.Addr()
	a.fill(t, 0, 20)
	tests := []struct {
		name string
		args []string
		exit int
		says string
	}{
		{"no password", nil, 7, "NOAUTH"},
		{"a wrong one", []string{"--from-pass", "wrong"}, 7, "WRONGPASS"},
		{"a source that is not there", []string{"--from", "127.0.0.1:1"}, 7, "127.0.0.1:1"},
		{"itself", []string{"--from", c.Replicas[0].Addr()}, 4, "belongs to the cluster itself"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"import", seed, "--from", from, "--yes"}, tt.args...)
			secretive(t, trib(t, args...).exit(t, tt.exit).complains(t, tt.says))
		})
	}
	slot := fmt.Sprint(c.Masters[0].First)
	c.Do(t, c.Masters[1].Node, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.Masters[0].ID)
	trib(t, "import", seed, "--from", from, "--from-pass", canary, "--yes").exit(t, 4).complains(t, "are open on", "^hint: trib resume")
	c.Do(t, c.Masters[1].Node, "CLUSTER", "SETSLOT", slot, "STABLE")
	if err := atLeast(t, c, 1); err == nil {
		t.Error("keys came over")
	}
	secretive(t, trib(t, "import", seed, "--from", from, "--from-pass", canary, "--yes", "-o", "json").done(t, `"copied": 20`, `"through": true`))

	// Of a name that two databases have, one value comes over and both stay.
	a.do(t, 0, "SET", "name", "0")
	a.do(t, 7, "SET", "name", "7")
	trib(t, "import", seed, "--from", from, "--from-pass", canary, "--yes", "--move").exit(t, 6).prints(t, "1 existing, 0 failed")
	h := arrived(t, c, nil)
	if got := fmt.Sprint(h.do(t, "name", "GET", "name"), a.do(t, 0, "GET", "name"), a.do(t, 7, "GET", "name")); got != "0<nil>7" && got != "70<nil>" {
		t.Errorf("cluster and databases have %s", got)
	}
}

// TestImportSourceDies ends the source in the middle, and lets a target fail over.
func TestImportSourceDies(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	a := foreign(t, labtest.Options{Config: []string{"appendonly yes"}})
	seed, from := c.Masters[0].Addr(), a.node.Addr()
	items := a.fill(t, 0, 3000)
	slowly := []string{"import", seed, "--from", from, "--yes", "--max-keys/s", "2000", "--pipeline", "50"}

	r := how{}.start(t, slowly...)
	labtest.Await(t, 20*time.Second, "some keys come over", func() error { return atLeast(t, c, 200) })
	if err := a.node.Kill(); err != nil {
		t.Fatal(err)
	}
	r.wait(t).exit(t, 5).complains(t, "the source does not answer any more", "^hint: the same command again")
	if err := a.node.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = how{}.start(t, slowly...)
	labtest.Await(t, 20*time.Second, "more keys come over", func() error { return atLeast(t, c, 1200) })
	if err := c.Masters[1].Kill(); err != nil {
		t.Fatal(err)
	}
	r.wait(t).exit(t, 0)
	a.do(t, 0, "SET", "another", "v")
	r = how{}.start(t, append(slowly, "--max-keys/s", "500")...)
	labtest.Await(t, 20*time.Second, "it begins", func() error {
		if !strings.Contains(r.out.String(), "Importing") {
			return fmt.Errorf("%s", r.out.String())
		}
		return nil
	})
	r.signal(t, os.Interrupt)
	r.wait(t).exit(t, 5, 130)
	trib(t, "import", c.Masters[0].Addr(), "--from", from, "--yes").exit(t, 0, 4)
	arrived(t, c, items).intact(t)
}

// TestImportBetweenVersions copies by what values hold, where the cluster cannot
// read the source's serialised form.
func TestImportBetweenVersions(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "redis-7.0", Nodes: 3}), 3, 0)
	a := foreign(t, labtest.Options{Server: "valkey-9.1"})
	seed, from := c.Masters[0].Addr(), a.node.Addr()
	items := a.fill(t, 0, 210)
	many := []string{"HSET", "many"}
	for i := range 3000 {
		many = append(many, fmt.Sprint(i), "v")
	}
	a.do(t, 0, many...)
	a.do(t, 0, "XADD", "read", "5-1", "f", "v")
	a.do(t, 0, "XGROUP", "CREATE", "read", "g", "5-1")
	trib(t, "import", seed, "--from", from, "--yes", "--verify").done(t, "Copied 212 keys", "212 equal, 0 with another value, 0 missing")
	arrived(t, c, items).intact(t)
	trib(t, "import", seed, "--from", from, "--yes").done(t, "Copied 0 keys .* 212 skipped")

	a.do(t, 0, "HSET", "fleeting", "f", "v", "g", "w")
	a.do(t, 0, "HEXPIRE", "fleeting", "1000", "FIELDS", "1", "f")
	trib(t, "import", seed, "--from", from, "--yes", "--move").exit(t, 5).
		prints(t, "1 failed", "times to live of their own", "^212 keys deleted at the source")
	if got := a.do(t, 0, "DBSIZE"); got != int64(1) {
		t.Errorf("the source has %v keys, want the one that failed", got)
	}
}

// TestImportFromCluster takes every master of another cluster, and leaves both
// whole.
func TestImportFromCluster(t *testing.T) {
	t.Parallel()
	source := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "redis-7.0", Nodes: 3}), 3, 0)
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "redis-7.0", Nodes: 2, Password: canary}), 2, 0)
	h := bury(t, source.Lab)
	args := []string{"import", c.Masters[0].Addr(), "-a", canary, "--no-auth-warning", "--from", source.Masters[1].Addr(), "--yes"}
	n := len(h.items)
	secretive(t, trib(t, append(args, "--verify", "-o", "json")...).done(t, fmt.Sprintf(`"copied": %d`, n), `"complete": true`))
	h.intact(t)
	arrived(t, c, h.items).intact(t)
	trib(t, append(args, "--move")...).done(t, "Moved 0 keys")
	if err := atLeast(t, source, 1); err == nil {
		t.Error("keys were left at the source")
	}
	arrived(t, c, h.items).intact(t)
}

// TestImportByTLS reads a source that speaks nothing but TLS, for a cluster that
// does not.
func TestImportByTLS(t *testing.T) {
	t.Parallel()
	ca := labtest.NewAuthority(t, "127.0.0.1")
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 2}), 2, 0)
	a := foreign(t, labtest.Options{TLS: ca})
	items := a.fill(t, 0, 30)
	args := []string{"import", c.Masters[0].Addr(), "--yes", "--from", "rediss://" + a.node.Addr(), "--cert", ca.Certificate, "--key", ca.Key}
	trib(t, args...).exit(t, 7).complains(t, "certificate", "^hint: --cacert")
	trib(t, append(args, "--cacert", ca.File)...).done(t, "Copied 30 keys")
	arrived(t, c, items).intact(t)
}
