package acceptance

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// day is a run of commands on servers with a password, and what is written on
// the way.
type day struct {
	*labtest.Lab
	t     *testing.T
	home  string // of the journals, plans and events
	how   how
	tried map[string]bool // commands
}

func (d day) run(args ...string) result {
	d.t.Helper()
	d.tried[args[0]] = true
	r := d.how.run(d.t, args...)
	secretive(d.t, r)
	return r.exit(d.t, 0)
}

func (d day) file(name string) string { return filepath.Join(d.home, name) }

// sealed looks for the password in every file that was written, and in every
// option that could have been recorded.
func (d day) sealed() {
	d.t.Helper()
	files, bytes := 0, 0
	err := filepath.WalkDir(d.home, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path == d.file("password") {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		bytes += len(text)
		if strings.Contains(string(text), "5f3a91") {
			d.t.Errorf("the password stands in %s", path)
		}
		return err
	})
	if err != nil || files < 20 {
		d.t.Errorf("%d files, %v", files, err)
	}
	d.t.Logf("no password in %d files, %d bytes", files, bytes)
}

// TestWalk is an operator's day with every command there is, on every server: a
// cluster is formed, grows, is shared out anew, fails over and shrinks. Every key
// stays where clients find it, and the password shows nowhere.
func TestWalk(t *testing.T) {
	for _, name := range labtest.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 8, Password: canary})
			d := day{Lab: l, t: t, home: t.TempDir(), tried: make(map[string]bool)}
			if err := os.WriteFile(d.file("password"), []byte(canary+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d.how = how{env: []string{"HOME=" + d.home, "TRIB_PASSWORD=" + canary}}
			d.form()
			kept := bury(t, l)
			d.read()
			d.move()
			d.grow()
			d.shrink()
			d.take()
			d.keep()
			d.run("check", d.seed()).prints(t, `^\[OK\] All 16384 slots covered`)
			kept.intact(t)
			d.sealed()
			d.complete()
		})
	}
}
func (d day) seed() string { return d.Addrs()[0] }

func (d day) form() {
	create := append([]string{"create", "--replicas", "1", "--yes", "--plan-out", d.file("create.json"), "--events", d.file("events")}, d.Addrs()[:6]...)
	d.run(create...).prints(d.t, `^\[OK\] All 16384 slots covered`)
	d.run("plan", "show", d.file("create.json"))
	d.run("apply", d.file("create.json"), "--yes").prints(d.t, "done already")
}

func (d *day) read() {
	for _, args := range [][]string{
		{"check", d.seed(), "-o", "json"},
		{"info", d.seed()},
		{"status", d.seed()},
		{"explain", "open-slots"},
		{"keyslot", "a"},
		{"version"},
		{"call", d.seed(), "config", "get", "maxmemory"},
		{"set-timeout", d.seed(), "2500", "--yes"},
		{"acl", "reshard"},
		{"context", "list"},
	} {
		d.run(args...)
	}
	d.how.env = d.how.env[:1] // from here on other places have the password
	d.run("check", d.seed(), "--password-file", d.file("password"))
	d.run("check", d.seed(), "--password-command", "/bin/cat "+d.file("password"))
	config := fmt.Sprintf("current: here\ncontexts:\n  here:\n    seeds: [%q]\n    password-file: password\n", d.seed())
	if err := os.WriteFile(d.file("config.yaml"), []byte(config), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *day) move() {
	d.how.env = append(d.how.env, "TRIB_CONFIG="+d.file("config.yaml"))
	m := look(d.t, d.Lab, d.Nodes()[6:]...).masters()
	d.run("context", "pin").prints(d.t, `^\[OK\] The context here is pinned`)
	d.run("reshard", "--from", m[0].self.id, "--to", m[1].Addr(), "--slots", "30", "--yes", "--plan-out", d.file("move.json"), "--events", d.file("events")).
		prints(d.t, `^\[OK\] Moved 30 slots`)
	d.run("undo", d.file("move.json"), "--yes").prints(d.t, `^\[OK\] Moved 30 slots`)
	d.run("reshard", "--slots-list", "5,7", "--to", m[2].Addr(), "--yes", "--password-command", "/bin/cat "+d.file("password"))
	d.run("rebalance", "--threshold", "0", "--yes").prints(d.t, `^\[OK\] Moved 2 slots`)
	d.run("resume", "--yes")
	d.run("fix", "--yes")
}

// grow adds a master and a replica, and lets the replica take over.
func (d day) grow() {
	master, replica := d.Addrs()[6], d.Addrs()[7]
	d.run("add-node", master, "--yes")
	d.run("add-node", replica, d.seed(), "--replica", "--yes")
	d.run("rebalance", "--use-empty-masters", "--max-slots", "300", "--yes").prints(d.t, `^\[OK\] Moved 300 slots`)
	d.run("replicate", replica, master, "--yes")
	d.run("failover", replica, "--yes")
}

// shrink lets them leave again, one of them dead.
func (d day) shrink() {
	master, replica := d.Nodes()[7], d.Nodes()[6]
	if err := replica.Kill(); err != nil {
		d.t.Fatal(err)
	}
	d.run("forget", replica.Addr(), "--yes")
	d.run("drain", master.Addr(), "--yes")
	d.run("del-node", master.Addr(), "--yes")
}

// take brings keys in from a server with another password.
func (d *day) take() {
	from := foreign(d.t, labtest.Options{Server: d.Nodes()[0].Server().Name(), Password: canary})
	from.fill(d.t, 0, 30)
	d.how.stdin = canary + "\n"
	d.run("import", "--from", from.node.Addr(), "--from-askpass", "--yes").prints(d.t, "30")
	d.run("import", "--from", from.node.Addr(), "--from-askpass", "--verify", "--yes")
}

// keep saves everything, and brings back what is there.
func (d *day) keep() {
	d.how.env = append(d.how.env, "PATH="+os.Getenv("PATH"))
	d.run("backup", d.file("saved")).prints(d.t, `^\[OK\] Backup created into`)
	d.run("restore", d.file("saved"), "--merge", "--verify", "--yes", "--server", d.Nodes()[0].Server().Path).prints(d.t, "Restored 0 keys in .* 0 existing, 0 failed", " equal, 0 with another value, 0 missing")
}

// complete holds that no command was left out but those that do not work with
// clusters.
func (d day) complete() {
	d.t.Helper()
	help := trib(d.t, "help").done(d.t).out
	for _, match := range regexp.MustCompile(`(?m)^  ([a-z-]+)  +[A-Z]`).FindAllStringSubmatch(help, -1) {
		if name := match[1]; !d.tried[name] && !slices.Contains([]string{"lab", "completion", "help"}, name) {
			d.t.Errorf("%s was not tried", name)
		}
	}
}

// TestLab makes a local cluster and ends it.
func TestLab(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	server := labtest.Server(t, "redis-7.0").Path
	withPath := how{env: []string{"PATH=" + os.Getenv("PATH")}} // unpacked servers start through a script
	r := withPath.run(t, "lab", "up", dir, "--masters", "3", "--replicas", "0", "--server", server)
	defer func() { withPath.run(t, "lab", "down", dir, "--remove").done(t) }()
	r.done(t, `^\[OK\] All 16384 slots covered`)
	withPath.run(t, "lab", "status", dir).exit(t, 0)
}
