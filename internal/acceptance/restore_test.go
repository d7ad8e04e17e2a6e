package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// contents are all keys of a cluster, as its masters have them: with the database,
// the type and the value, and when they expire.
func contents(t testing.TB, c *labtest.Cluster, databases int) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, m := range c.Masters {
		conn := c.Dial(t, m.Node)
		conn.Timeout = 20 * time.Second
		do := func(args ...string) any {
			reply, err := conn.Do(args...)
			if err != nil {
				t.Fatalf("%s: %.60q: %v", m.Addr(), args, err)
			}
			return reply
		}
		for db := range databases {
			if databases > 1 {
				do("SELECT", fmt.Sprint(db))
			}
			for _, key := range do("KEYS", "*").([]any) {
				all[fmt.Sprint(db, " ", key)] = content(key.(string), do)
			}
		}
		conn.Close()
	}
	return all
}

func content(key string, do func(...string) any) string {
	kind := do("TYPE", key).(string)
	value := ""
	switch kind {
	case "string":
		value = sorted(do("GET", key), false)
	case "list":
		value = sorted(do("LRANGE", key, "0", "-1"), false)
	case "set":
		value = sorted(do("SMEMBERS", key), true)
	case "hash":
		value = sorted(do("HGETALL", key), true)
	case "zset":
		value = sorted(do("ZRANGE", key, "0", "-1", "WITHSCORES"), false)
	case "stream":
		value = sorted(do("XRANGE", key, "-", "+"), false) + groups(key, do)
	}
	expires := "never"
	if ttl := do("PTTL", key).(int64); ttl >= 0 {
		expires = time.Now().Add(time.Duration(ttl) * time.Millisecond).Round(4 * time.Second).String()[:19]
	}
	return kind + " " + value + " expires " + expires
}

// groups are what versions tell alike of a stream's groups.
func groups(key string, do func(...string) any) (text string) {
	for _, g := range do("XINFO", "GROUPS", key).([]any) {
		facts := g.([]any)
		text += fmt.Sprintf(" %q waits for %q", facts[1], do("XPENDING", key, facts[1].(string)))
	}
	return text
}

// same holds that two clusters have the same keys; times may be rounded apart.
func same(t testing.TB, want, got map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	for key, value := range want {
		if v, _, _ := strings.Cut(got[key], " expires "); !strings.HasPrefix(value, v+" expires ") {
			t.Fatalf("%q is %.100s, want %.100s", key, got[key], value)
		}
		if expiry(t, got[key]).Sub(expiry(t, value)).Abs() > 5*time.Second {
			t.Fatalf("%q is %.100q, want %.100q", key, got[key], value)
		}
	}
}

func expiry(t testing.TB, content string) time.Time {
	t.Helper()
	_, text, _ := strings.Cut(content[max(0, len(content)-30):], " expires ")
	if text == "never" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// hoard is every type of value, large and small, with what else a backup must
// keep: times to live, groups of streams and functions.
func hoard(t testing.TB, c *labtest.Cluster, functions bool) {
	t.Helper()
	h := bury(t, c.Lab)
	many := func(n int, args ...string) []string {
		for i := range n {
			args = append(args, fmt.Sprint("m", i), fmt.Sprint(i))
		}
		return args
	}
	h.do(t, "\x00\xff\r\n{binary}", "SET", "\x00\xff\r\n{binary}", "\x00\xff\r\n")
	h.do(t, "", "SET", "", "of the empty key")
	h.do(t, "hash", many(5000, "HSET", "hash")...)
	h.do(t, "list", many(5000, "RPUSH", "list")...)
	h.do(t, "set", many(5000, "SADD", "set")...)
	h.do(t, "numbers", "SADD", "numbers", "1", "2", "-70000")
	zset := []string{"ZADD", "zset", "-inf", "low", "inf", "high"}
	for i := range 2000 {
		zset = append(zset, fmt.Sprint(float64(i)/4), fmt.Sprint("m", i))
	}
	h.do(t, "zset", zset...)
	h.do(t, "big", "SET", "big", strings.Repeat("0123456789abcdef", 1<<18))
	for i := range 300 {
		h.do(t, "stream", "XADD", "stream", fmt.Sprintf("%d-1", i+1), "field", fmt.Sprint(i))
	}
	h.do(t, "stream", "XGROUP", "CREATE", "stream", "readers", "0")
	h.do(t, "stream", "XREADGROUP", "GROUP", "readers", "me", "COUNT", "7", "STREAMS", "stream", ">")
	h.do(t, "brief", "SET", "brief", "gone soon", "PX", "300")
	for _, m := range c.Masters {
		if functions {
			c.Do(t, m.Node, "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(keys, args) return 42 end)")
		}
	}
}

// TestRestore brings backups into clusters of other shapes and versions.
func TestRestore(t *testing.T) {
	tests := []struct {
		from, to, by string
		masters      int
	}{
		{"redis-7.0", "valkey-9.1", "redis-7.0", 4},
		{"valkey-9.1", "redis-8.0", "valkey-9.1", 2},
		{"valkey-9.1", "valkey-9.1", "", 4},
		{"redis-8.0", "redis-8.0", "", 2},
		{"redis-6.0", "redis-7.0", "", 3},
	}
	for _, tt := range tests {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			t.Parallel()
			source := labtest.Form(t, labtest.Start(t, labtest.Options{Server: tt.from, Nodes: 3}), 3, 0)
			functions := tt.from != "redis-6.0"
			hoard(t, source, functions)
			fleeting := tt.from == tt.to
			if fleeting {
				h := arrived(t, source, nil)
				h.do(t, "fleeting", "HSET", "fleeting", "f", "v", "g", "w")
				h.do(t, "fleeting", "HEXPIRE", "fleeting", "1000", "FIELDS", "1", "f")
			}
			want := contents(t, source, 1)
			dir := filepath.Join(t.TempDir(), "b")
			trib(t, "backup", source.Masters[1].Addr(), dir).done(t)
			delete(want, "0 brief")
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: tt.to, Nodes: tt.masters}), tt.masters, 0)
			seed := c.Masters[0].Addr()
			args, loader := []string{"restore", dir, seed}, how{}
			if tt.by != "" {
				args, loader = append(args, "--server", labtest.Server(t, tt.by).Path, "--verify"), matrix
			}
			loader.run(t, append(args, "--dry-run")...).done(t, "All checksums are right", "nothing was changed")
			loader.run(t, args...).exit(t, 1).complains(t, "nothing was changed", "^hint: --yes")
			loader.run(t, append(args, "--yes")...).done(t, fmt.Sprintf(`^\[OK\] Restored %s keys .* 0 existing, 0 failed`, grouped(len(want))))
			same(t, want, contents(t, c, 1))
			for _, m := range c.Masters {
				if functions && c.Do(t, m.Node, "FCALL", "f", "0") != int64(42) {
					t.Error("the function does not answer")
				}
			}
			if fleeting {
				if ttl := fmt.Sprint(arrived(t, c, nil).do(t, "fleeting", "HTTL", "fleeting", "FIELDS", "2", "f", "g")); !strings.HasPrefix(ttl, "[9") || !strings.HasSuffix(ttl, " -1]") {
					t.Errorf("its fields live for %s", ttl)
				}
			}
			unlocked(t, c.Lab)
			loader.run(t, append(args, "--yes")...).exit(t, 4).complains(t, "has .* keys already", "^hint: --merge")
			again := loader.run(t, append(args, "--yes", "--merge")...).prints(t, "Restored 0 keys .* 0 failed")
			if tt.by != "" {
				again.done(t, " 0 existing, 0 failed", " 0 with another value, 0 missing")
			}
			if functions {
				c.Do(t, c.Masters[1].Node, "FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nredis.register_function('f', function(keys, args) return 43 end)")
				loader.run(t, append(args, "--yes", "--merge")...).exit(t, 5, 6).prints(t, `"lib" on `+c.Masters[1].Addr()+": the cluster has it with other code")
			}
		})
	}
}

// matrix is a trib that can start the servers of the test matrix, which are
// scripts.
var matrix = how{env: []string{"PATH=/usr/bin:/bin"}}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// stray are the processes that work in a directory or below.
func stray(t testing.TB, dir string) (found []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir) {
			found = append(found, link)
		}
	}
	return found
}

// TestRestoreInterrupted kills and interrupts it, and lets it go on; the temporary
// server ends with it. Then values clash.
func TestRestoreInterrupted(t *testing.T) {
	t.Parallel()
	source := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 2}), 2, 0)
	hoard(t, source, false)
	dir := filepath.Join(t.TempDir(), "b")
	trib(t, "backup", source.Masters[0].Addr(), dir).done(t)
	want := contents(t, source, 1)
	delete(want, "0 brief")
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0)
	temp := t.TempDir()
	h := how{env: append(matrix.env, "TMPDIR="+temp)}
	args := []string{"restore", dir, c.Masters[0].Addr(), "--server", labtest.Server(t, "redis-7.0").Path, "--yes"}
	slowly := append(args, "--merge", "--max-keys/s", "1500", "--pipeline", "50")

	for i, sig := range []os.Signal{os.Kill, os.Interrupt} {
		r := h.start(t, slowly...)
		labtest.Await(t, 20*time.Second, "some keys come over", func() error { return atLeast(t, c, int64(200+700*i)) })
		if len(stray(t, temp)) == 0 {
			t.Error("no temporary server is at work")
		}
		r.signal(t, sig)
		if got := r.wait(t); sig == os.Interrupt {
			got.exit(t, 5).complains(t, "interrupted", "^hint: .*--merge")
			if left := names(t, temp); len(left) != 1 { // what the kill left
				t.Errorf("it left %q", left)
			}
		} else if !got.killed {
			t.Fatal("it ended before it was killed")
		}
		labtest.Await(t, 10*time.Second, "the temporary server ends", func() error {
			if left := stray(t, temp); len(left) > 0 {
				return fmt.Errorf("%q", left)
			}
			return nil
		})
		unlocked(t, c.Lab)
		h.run(t, args...).exit(t, 4).complains(t, "keys already")
	}
	h.run(t, append(args, "--merge", "--verify")...).done(t, `^\[OK\] Restored`, "0 with another value, 0 missing")
	same(t, want, contents(t, c, 1))

	arrived(t, c, nil).do(t, "big", "SET", "big", "other")
	h.run(t, append(args, "--merge")...).exit(t, 6).prints(t, "1 existing, 0 failed", `"big" of database 0`).complains(t, "^hint: .*--replace")
	h.run(t, append(args, "--replace", "-o", "json")...).done(t, `"complete": true`)
	same(t, want, contents(t, c, 1))
}

// TestRestoreRefused promises a clear error and an untouched cluster.
func TestRestoreRefused(t *testing.T) {
	t.Parallel()
	source := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 2, Config: []string{"cluster-databases 4"}}), 2, 0)
	for i, m := range source.Masters {
		conn := source.Dial(t, m.Node)
		for _, db := range []string{"0", "3"} {
			if _, err := conn.Pipeline([]string{"SELECT", db}, []string{"SET", []string{"{b}", "{a}"}[i], "in " + db}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := contents(t, source, 4)
	if len(want) != 4 {
		t.Fatalf("wrong masters for the keys: %v", want)
	}
	root := t.TempDir()
	good := filepath.Join(root, "good")
	trib(t, "backup", source.Masters[0].Addr(), good).done(t)
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 1, Config: []string{"cluster-databases 4"}}), 1, 0)
	seed, server := c.Masters[0].Addr(), labtest.Server(t, "valkey-9.1").Path

	// spoilt is a copy of the good one with something done to a file.
	spoilt := func(name string, spoil func(path string, data []byte) []byte) string {
		dir := filepath.Join(root, name)
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, names(t, good)[2])
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, spoil(path, data), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	flip := func(_ string, data []byte) []byte { data[len(data)-20] ^= 1; return data }
	drop := func(name string) func(string, []byte) []byte {
		return func(path string, data []byte) []byte {
			if err := os.Remove(filepath.Join(filepath.Dir(path), name)); err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
	tests := []struct {
		name, dir string
		exit      int
		says      string
	}{
		{"nothing", filepath.Join(root, "none"), 1, "no such directory"},
		{"no backup", t.TempDir(), 1, "holds no backup"},
		{"a changed byte", spoilt("flipped", flip), 1, "SHA-256.*it was changed"},
		{"half a file", spoilt("short", func(_ string, d []byte) []byte { return d[:len(d)/2] }), 1, "bytes, and the manifest says"},
		{"a missing file", spoilt("missing", func(p string, d []byte) []byte { drop(filepath.Base(p))(p, d); return nil }), 1, "bytes, and the manifest says"},
		{"changed, and no manifest", spoilt("bare", func(p string, d []byte) []byte { return flip(p, drop("manifest.json")(p, d)) }), 1, "its own checksum"},
		{"not complete", spoilt("partial", func(p string, d []byte) []byte {
			os.Rename(filepath.Join(filepath.Dir(p), "manifest.json"), filepath.Join(filepath.Dir(p), "manifest.json.partial"))
			return d
		}), 1, "was not completed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			matrix.run(t, "restore", tt.dir, seed, "--server", server, "--yes").exit(t, tt.exit).complains(t, tt.says)
		})
	}
	if err := atLeast(t, c, 1); err == nil {
		t.Error("keys came over")
	}
	matrix.run(t, "restore", spoilt("whole", func(p string, d []byte) []byte { return drop("manifest.json")(p, d) }), seed, "--server", server, "--yes").done(t, "Restored 4 keys")
	same(t, want, contents(t, c, 4))

	old := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 1}), 1, 0)
	seed = old.Masters[0].Addr()
	matrix.run(t, "restore", good, seed, "--server", labtest.Server(t, "redis-7.0").Path, "--yes").exit(t, 4).complains(t, "RDB version 80, written by valkey 9.1", "redis 7.0.* is too old", "^hint: --server")
	matrix.run(t, "restore", good, seed, "--server", server, "--replace", "--yes").exit(t, 4).complains(t, "several databases come into one")
	matrix.run(t, "restore", good, seed, "--server", server, "--yes").exit(t, 6).prints(t, "All databases come into database 0", "Restored 2 keys", "2 existing")
}

// TestRestoreFromRedisCli takes what redis-cli has saved, into a cluster with TLS
// and a password.
func TestRestoreFromRedisCli(t *testing.T) {
	t.Parallel()
	source := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 4}), 3, 1)
	hoard(t, source, true)
	want := contents(t, source, 1)
	delete(want, "0 brief")
	server, dir := labtest.Server(t, labtest.Default).Path, t.TempDir()
	cmd := exec.Command(filepath.Join(filepath.Dir(server), "redis-cli"), "--cluster", "backup", source.Masters[0].Addr(), dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	own := filepath.Join(t.TempDir(), "b")
	trib(t, "backup", source.Masters[0].Addr(), own).done(t)
	if diff := cmp.Diff(nodesIn(t, dir), nodesIn(t, own)); diff != "" {
		t.Errorf("nodes.json, redis-cli's - and trib's +:\n%s", diff)
	}
	ca := labtest.NewAuthority(t, "127.0.0.1")
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 2, Password: canary, TLS: ca}), 2, 0)
	h := how{env: append(matrix.env, "TRIB_PASSWORD="+canary)}
	r := h.run(t, "restore", dir, c.Masters[0].Addr(), "--server", server, "--yes", "--verify", "-o", "json",
		"--tls", "--cacert", ca.File, "--cert", ca.Certificate, "--key", ca.Key)
	secretive(t, r.done(t, `"complete": true`, fmt.Sprintf(`"copied": %d`, len(want))))
	same(t, want, contents(t, c, 1))
}

// nodesIn are the nodes that a backup describes, by their names.
func nodesIn(t testing.TB, dir string) map[any]map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "nodes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []map[string]any
	if err := json.Unmarshal(text, &nodes); err != nil {
		t.Fatal(err)
	}
	all := make(map[any]map[string]any)
	for _, n := range nodes {
		all[n["name"]] = n
	}
	return all
}

// TestRestoreNothing: a master without a key has a backup, too.
func TestRestoreNothing(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0)
	dir := filepath.Join(t.TempDir(), "backup")
	trib(t, "backup", c.Masters[0].Addr(), dir).done(t)
	server := labtest.Server(t, labtest.Default).Path
	matrix.run(t, "restore", dir, c.Masters[0].Addr(), "--server", server, "--yes", "--verify").done(t, "Restored 0 keys")
}
