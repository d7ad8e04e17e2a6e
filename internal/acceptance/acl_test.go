package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// permissions is what trib acl says that a command takes.
type permissions struct {
	Permissions []string
	Rule        string
	More        string `json:"optional_rule"`
	Source      struct {
		Permissions []string
		Rule        string
	}
	Cases []oneCase
}

type oneCase struct {
	Case        string
	Source      bool
	Permissions []string
	Rule        string
}

// in is what a case takes whose name has the text in it.
func (p permissions) in(text string, source bool) oneCase {
	return p.Cases[slices.IndexFunc(p.Cases, func(c oneCase) bool { return c.Source == source && strings.Contains(c.Case, text) })]
}

func ruleFor(t *testing.T, command string) permissions {
	t.Helper()
	var p permissions
	r := trib(t, "acl", command, "-o", "json").done(t)
	if err := json.Unmarshal([]byte(r.out), &p); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	return p
}

// allow gives the user of the test a rule on every server.
func allow(t *testing.T, l *labtest.Lab, rule string) {
	t.Helper()
	cmd := append([]string{"ACL", "SETUSER", "ops", "reset", "on", ">" + canary}, strings.Fields(rule)...)
	for _, n := range l.Nodes() {
		l.Do(t, n, cmd...)
	}
}

// TestLeastPrivilege runs commands as a user who may do what trib acl prints, and
// nothing else; and takes each permission away in turn: what is missing is named,
// and nothing is changed.
func TestLeastPrivilege(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 7})
			ops := how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary}}
			addrs := l.Addrs()
			create := append([]string{"create", "--replicas", "1", "--yes"}, addrs[:6]...)
			lacking(t, l, ops, create)
			allow(t, l, ruleFor(t, "create").Rule)
			ops.run(t, create...).done(t)
			h := bury(t, l)

			m := look(t, l, l.Nodes()[6]).masters()
			seed, to, replica := m[0].Addr(), m[1].Addr(), replicaOf(look(t, l, l.Nodes()[6]), m[0])
			for _, args := range [][]string{
				{"check", seed},
				{"set-timeout", seed, "2500", "--yes"},
				{"reshard", seed, "--from", m[0].self.id, "--to", to, "--slots", "5", "--yes"},
				{"replicate", seed, replica, to, "--yes"},
				{"failover", seed, replica, "--yes"},
				{"add-node", addrs[6], seed, "--yes"},
				{"del-node", seed, replica, "--yes"},
			} {
				lacking(t, l, ops, args)
			}
			if first := []string{"reshard", seed, "--from", m[0].self.id, "--to", to, "--slots", "5", "--yes", "--finalise", "source"}; name == "redis-7.0" {
				for _, taken := range []string{"multi", "exec"} {
					allow(t, l, without(ruleFor(t, "reshard").Rule, taken))
					before := memory(t, l)
					ops.run(t, first...).refuses(t, taken)
					untouched(t, l, before)
				}
			}
			for _, args := range [][]string{
				{"check", seed},
				{"info", seed},
				{"status", seed},
				{"call", seed, "ping"},
				{"set-timeout", seed, "2500", "--yes"},
				{"reshard", seed, "--from", m[0].self.id, "--to", to, "--slots", "5", "--yes"},
				{"rebalance", seed, "--threshold", "0", "--yes"},
				{"resume", seed, "--yes"},
				{"fix", seed, "--yes"},
				{"failover", seed, replica, "--yes"},
				{"add-node", addrs[6], seed, "--yes"},
				{"replicate", seed, addrs[6], to, "--yes"},
				{"del-node", seed, addrs[6], "--yes"},
			} {
				allow(t, l, ruleFor(t, args[0]).Rule)
				ops.run(t, args...).done(t)
			}
			h.intact(t)
		})
	}
}

func replicaOf(p picture, master server) string {
	for _, s := range p {
		if s.self.master == master.self.id {
			return s.Addr()
		}
	}
	return ""
}

// lacking runs a command without each single permission of its own that it takes.
func lacking(t *testing.T, l *labtest.Lab, ops how, args []string) {
	t.Helper()
	p := ruleFor(t, args[0])
	for _, name := range p.Permissions {
		if !tried(args[0], name) {
			continue
		}
		allow(t, l, without(p.Rule, name))
		before := memory(t, l)
		ops.run(t, args...).refuses(t, name)
		untouched(t, l, before)
	}
}

func without(rule, name string) string { return strings.Replace(rule+" ", "+"+name+" ", "", 1) }

// refuses holds that a run has named what it may not do, and says that it has done
// nothing.
func (r result) refuses(t *testing.T, name string) {
	t.Helper()
	said := strings.ToLower(r.out + r.err)
	if !slices.Contains([]int{1, 3, 4, 7}, r.code) || !strings.Contains(said, name) && !strings.Contains(said, strings.ReplaceAll(name, "|", " ")) {
		t.Errorf("without +%s: %v", name, r)
	}
	secretive(t, r)
}

// tried leaves out what other commands are tried with, and the question itself:
// without it nothing can be known beforehand.
func tried(command, name string) bool {
	common := []string{"ping", "info", "cluster|nodes", "cluster|info"}
	shared := []string{"client|setname", "client|list", "cluster|countkeysinslot"}
	own := map[string][]string{
		"set-timeout": {"config|set", "config|rewrite"},
		"create":      {"cluster|set-config-epoch", "cluster|addslots", "cluster|meet", "cluster|replicate"},
		"replicate":   {"cluster|replicate"},
		"failover":    {"cluster|failover"},
		"add-node":    {"cluster|meet"},
		"del-node":    {"cluster|reset", "cluster|forget"},
	}
	switch {
	case strings.HasPrefix(name, "acl|"):
		return false
	case command == "check":
		return slices.Contains(common, name)
	case command == "reshard", slices.Contains([]string{"import", "backup", "restore"}, command):
		return !slices.Contains(common, name)
	}
	return slices.Contains(own[command], name) || command == "add-node" && slices.Contains(shared, name)
}

// TestLeastPrivilegeAtomic lets servers move slots by themselves for a user who may
// do what trib acl prints for that; and takes each permission away in turn.
func TestLeastPrivilegeAtomic(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3})
	labtest.Form(t, l, 3, 0)
	h := bury(t, l)
	before := look(t, l)
	m := before.masters()
	ops := how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary}}
	p := ruleFor(t, "reshard")
	own := p.in("Valkey 9.0", false)
	args := between(m[0], m[1], 30, "--method", "atomic")
	for _, name := range own.Permissions {
		allow(t, l, without(p.Rule+" "+own.Rule, name))
		was := memory(t, l)
		r := ops.run(t, args...)
		if name == "command|info" { // then trib does not see that they can
			r.exit(t, 4).complains(t, "no atomic move")
			continue
		}
		r.exit(t, 4).refuses(t, name)
		untouched(t, l, was)
	}
	allow(t, l, p.Rule+" "+own.Rule)
	ops.run(t, args...).done(t, "^Method: atomic", `^\[OK\] Moved 30 slots`)
	soonWhole(t, l).exactly(t, before, m[0].self.slots[:30], m[1].Addr())
	// Without the case's rule the other way is taken.
	allow(t, l, p.Rule)
	ops.run(t, between(m[1], m[0], 30)...).done(t, `^\[OK\] Moved 30 slots`)
	h.intact(t)
}

// TestLeastPrivilegeOfKeys brings keys in and out as users who may do what trib acl
// prints, and nothing else; and takes each permission away in turn, on either side.
func TestLeastPrivilegeOfKeys(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 3}), 3, 0)
			a := foreign(t, labtest.Options{Server: name})
			items := append(a.fill(t, 0, 40), a.fill(t, 5, 10)...)
			secret := filepath.Join(t.TempDir(), "source")
			if err := os.WriteFile(secret, []byte(canary+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			ops := how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary, "PATH=" + os.Getenv("PATH")}}
			seed, dir := c.Masters[0].Addr(), filepath.Join(t.TempDir(), "backup")
			take := []string{"import", seed, "--from", a.node.Addr(), "--from-user", "ops", "--from-password-file", secret, "--yes"}

			p := ruleFor(t, "import")
			if name != "redis-7.0" { // which does not know what the rules name
				p.Rule += " " + p.in("fields of hashes expire", false).Rule
				p.Source.Rule += " " + p.in("fields of hashes expire", true).Rule
			}
			allow(t, c.Lab, p.Rule)
			toMove := p.in("--move", true)
			moving := p.Source.Rule + " " + toMove.Rule
			for _, name := range append(p.Source.Permissions, toMove.Permissions...) {
				if strings.HasPrefix(name, "acl|") {
					continue
				}
				allow(t, a.Lab, without(moving, name))
				before := memory(t, c.Lab)
				ops.run(t, append(take, "--move")...).refuses(t, name)
				untouched(t, c.Lab, before)
			}
			allow(t, a.Lab, p.Source.Rule)
			lacking(t, c.Lab, ops, take)
			allow(t, c.Lab, p.Rule)
			secretive(t, ops.run(t, append(take, "--match", "*:1")...).done(t, "Copied 2 keys"))
			allow(t, a.Lab, p.Source.Rule+" +migrate")
			secretive(t, ops.run(t, append(take, "--verify")...).done(t, "Copied 48 keys .* 2 skipped"))
			allow(t, a.Lab, moving)
			secretive(t, ops.run(t, append(take[:len(take):len(take)], "--move")...).done(t, "50 keys deleted at the source"))
			arrived(t, c, items).intact(t)

			keep := []string{"backup", seed, dir}
			lacking(t, c.Lab, ops, keep)
			if _, err := os.Stat(dir); err == nil {
				t.Error("a backup that was refused left something")
			}
			allow(t, c.Lab, ruleFor(t, "backup").Rule)
			secretive(t, ops.run(t, keep...).done(t))
			for _, m := range c.Masters {
				c.Do(t, m.Node, "FLUSHALL")
			}
			back := []string{"restore", dir, seed, "--yes", "--server", c.Masters[0].Server().Path}
			lacking(t, c.Lab, ops, back)
			allow(t, c.Lab, ruleFor(t, "restore").Rule)
			secretive(t, ops.run(t, back...).done(t))
			arrived(t, c, items).intact(t)
		})
	}
}

// TestLeastPrivilegeInDatabases: where there are several databases, keys are counted
// in each, which takes one permission more.
func TestLeastPrivilegeInDatabases(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 4, Config: []string{"cluster-databases 4"}}), 3, 1)
	ops := how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary}}
	seed := c.Masters[0].Addr()
	replies, err := c.Dial(t, c.Masters[0].Node).Pipeline([]string{"SELECT", "2"}, []string{"SET", keyIn(c.Masters[0].First), "v"})
	if err != nil || replies[1] != "OK" {
		t.Fatal(replies, err)
	}
	for _, args := range [][]string{{"check", seed}, {"failover", seed, c.Replicas[0].Addr(), "--yes"}} {
		p := ruleFor(t, args[0])
		allow(t, c.Lab, p.Rule)
		before := memory(t, c.Lab)
		ops.run(t, args...).exit(t, 4, 7).refuses(t, "select")
		untouched(t, c.Lab, before)
		allow(t, c.Lab, p.Rule+" "+p.in("several databases", false).Rule)
		ops.run(t, args...).done(t)
	}
	allow(t, c.Lab, ruleFor(t, "backup").Rule)
	ops.run(t, "backup", seed, filepath.Join(t.TempDir(), "b")).done(t)
}
