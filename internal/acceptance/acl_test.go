package acceptance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// permissions is what trib acl says that a command takes.
type permissions struct {
	Permissions []string
	Rule        string
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
		allow(t, l, strings.Replace(p.Rule+" ", "+"+name+" ", "", 1))
		before := memory(t, l)
		r := ops.run(t, args...)
		said := strings.ToLower(r.out + r.err)
		if !slices.Contains([]int{1, 3, 4, 7}, r.code) || !strings.Contains(said, name) && !strings.Contains(said, strings.ReplaceAll(name, "|", " ")) {
			t.Errorf("without +%s: %v", name, r)
		}
		untouched(t, l, before)
	}
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
	case command == "reshard":
		return !slices.Contains(common, name)
	}
	return slices.Contains(own[command], name) || command == "add-node" && slices.Contains(shared, name)
}
