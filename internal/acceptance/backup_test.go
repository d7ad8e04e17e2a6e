package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// names are the files in a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// secret holds that nobody else may read a backup.
func secret(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBackup saves masters and replicas, and refuses what it must not overwrite.
// TestRestore saves clusters of the other servers.
func TestBackup(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-8.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 4}), 2, 2)
			bury(t, c.Lab)
			seed, dir := c.Replicas[0].Addr(), filepath.Join(t.TempDir(), "b")
			trib(t, "backup", seed, dir, "--dry-run").done(t, "^>>> Node .* -> Saving RDB", "nothing was written")
			trib(t, "--cluster", "backup", seed, dir).done(t, `^\[OK\] Backup created into: `+dir, "^Saving cluster configuration to: "+dir+"/nodes.json")
			kind, _, _ := strings.Cut(name, "-")
			if got := names(t, dir); len(got) != 4 || got[0] != "manifest.json" || !strings.HasPrefix(got[2], kind+"-node-127.0.0.1-") {
				t.Errorf("the backup has %q", got)
			}
			secret(t, dir)
			described(t, c, dir)
			trib(t, "backup", seed, dir).exit(t, 1).complains(t, "is not empty")
			unlocked(t, c.Lab)

			outgrown(t, seed)
			spared := t.TempDir()
			r := trib(t, "backup", seed, spared, "--replicas", "--parallel", "1", "-o", "json").done(t)
			for _, m := range c.Replicas {
				if !strings.Contains(r.out, fmt.Sprintf(`"addr": %q`, m.Addr())) {
					t.Errorf("%s was not asked: %v", m.Addr(), r)
				}
			}
		})
	}
}

// outgrown lets no file grow beyond a few KiB, as a full disk does.
func outgrown(t testing.TB, seed string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	cmd := exec.Command("/bin/sh", "-c", `ulimit -f 8; exec "$0" "$@"`, os.Args[0], "backup", seed, dir)
	cmd.Env = []string{asTool + "="}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "file too large") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left something: %v", err)
	}
}

// described holds nodes.json against the cluster, as a reader of redis-cli's
// backups reads it.
func described(t testing.TB, c *labtest.Cluster, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "nodes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []struct {
		Name, Host, Flags string
		Port              int
		Replicate         *string
		Slots             [][]int
		Slots_count       int
		Current_epoch     uint64
	}
	if err := json.Unmarshal(text, &nodes); err != nil || len(nodes) != len(c.Members()) {
		t.Fatalf("%v: %s", err, text)
	}
	for _, n := range nodes {
		for _, m := range c.Members() {
			if n.Name != m.ID {
				continue
			}
			master := m.Master == nil
			if n.Port != m.Port() || (n.Replicate == nil) != master || strings.HasPrefix(n.Flags, "master") != master ||
				master && fmt.Sprint(n.Slots) != fmt.Sprintf("[[%d %d]]", m.First, m.Last) {
				t.Errorf("%s is described as %+v", m.Addr(), n)
			}
		}
	}
}

// TestBackupFails lets a node die, kills trib, interrupts it and takes its
// permission away in the middle of a backup, over TLS and with a password.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	ca := labtest.NewAuthority(t, "127.0.0.1")
	c := labtest.Form(t, labtest.Start(t, labtest.Options{
		Nodes: 3, Password: canary, TLS: ca, Config: []string{"repl-diskless-sync yes", "repl-diskless-sync-delay 0"},
	}), 3, 0)
	keys := keysFor(func(slot int) int { return 1 - min(1, slot%32) })
	client := c.Client()
	defer client.Close()
	for _, key := range keys {
		client.Do(t.Context(), key, "SET", key, strings.Repeat(key, 1000))
	}
	slow := func(microseconds string) {
		for _, m := range c.Masters {
			c.Do(t, m.Node, "CONFIG", "SET", "rdb-key-save-delay", microseconds)
		}
	}
	h := how{env: []string{"TRIB_PASSWORD=" + canary}}
	root := t.TempDir()
	args := func(name string, more ...string) []string {
		return append([]string{"backup", c.Masters[0].Addr(), filepath.Join(root, name), "--tls", "--cacert", ca.File, "--cert", ca.Certificate, "--key", ca.Key}, more...)
	}
	secretive(t, h.run(t, args("good")...).done(t))

	for _, m := range c.Masters {
		c.Do(t, m.Node, "ACL", "SETUSER", "bob", "on", ">"+canary, "~*", "+@all", "-sync", "-psync")
	}
	secretive(t, h.run(t, args("denied", "--user", "bob")...).exit(t, 4).complains(t, c.Masters[0].Addr()+": user bob may not sync", c.Masters[2].Addr()+": user bob may not sync"))
	secretive(t, h.run(t, args("denied", "--user", "bob", "--override", "permissions")...).exit(t, 1).
		complains(t, c.Masters[0].Addr()+"|"+c.Masters[1].Addr()+"|"+c.Masters[2].Addr(), "NOPERM", "^hint: the user needs"))

	// begun starts a backup of which every node has sent something.
	begun := func(name string) *run {
		r := h.start(t, args(name)...)
		labtest.Await(t, 20*time.Second, "data come in", func() error {
			files, _ := filepath.Glob(filepath.Join(root, name, "*.rdb.partial"))
			for _, f := range files {
				if info, err := os.Stat(f); err != nil || info.Size() == 0 {
					return fmt.Errorf("%s: %v", f, err)
				}
			}
			if len(files) < 3 {
				return fmt.Errorf("%d files", len(files))
			}
			return nil
		})
		return r
	}
	slow("50000")
	r := begun("killed")
	r.signal(t, os.Kill)
	if !r.wait(t).killed {
		t.Fatal("it ended before it was killed")
	}
	h.run(t, "restore", filepath.Join(root, "killed"), c.Masters[0].Addr()).exit(t, 1).complains(t, "was not completed")
	h.run(t, args("killed")...).exit(t, 1).complains(t, "holds a backup that was not completed")
	unlocked(t, c.Lab)

	r = begun("interrupted")
	r.signal(t, os.Interrupt)
	r.wait(t).exit(t, 130)
	r = begun("died")
	if err := c.Masters[2].Kill(); err != nil {
		t.Fatal(err)
	}
	secretive(t, r.wait(t).exit(t, 1).complains(t, c.Masters[2].Addr()+".*hung up"))
	if got := names(t, root); strings.Join(got, " ") != "good killed" {
		t.Errorf("there is %q", got)
	}
	for _, m := range c.Masters[:2] {
		c.Do(t, m.Node, "CONFIG", "SET", "rdb-key-save-delay", "0")
	}
	labtest.Await(t, 20*time.Second, "the master is missed", func() error {
		if h.run(t, "check", c.Masters[0].Addr(), "--tls", "--insecure", "--cert", ca.Certificate, "--key", ca.Key).code != 3 {
			return fmt.Errorf("healthy")
		}
		return nil
	})
	h.run(t, args("sick")...).exit(t, 4).complains(t, "^hint: .*--override health")
	h.run(t, args("sick", "--override", "health")...).done(t, "No master that answers has slots 10922-16383")
}
