package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

const contextsFile = `current: near
contexts:
  near:
    seeds: [near:1, near:2]
    user: ned
    password-env: NEAR
    zones: {h: a}
  far:
    seeds: [far:1]
    user: fay
    password-command: echo secret
    tls: true
    sni: far.example
    address-map: {10.0.0.1: far}
`

// configured is a bench with a configuration file.
func configured(t *testing.T, text string) *bench {
	b := newBench(t)
	b.dialer = parrot{}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b.env["TRIB_CONFIG"] = path
	b.env["NEAR"] = "n"
	return b
}

// Where SEED is left out the context has it, wherever a command takes it; and a
// context's credentials go to no cluster but its own.
func TestContextHolds(t *testing.T) {
	dir := t.TempDir()
	a, z := cluster.NodeID(strings.Repeat("a", 40)), cluster.NodeID(strings.Repeat("b", 40))
	for _, host := range []string{"near", "far"} {
		p := plan.Plan{
			Version: plan.Version, Kind: plan.KindReshard,
			Nodes: []plan.Node{{ID: a, Addr: cluster.Addr{Host: "h", Port: 1}}, {ID: z, Addr: cluster.Addr{Host: host, Port: 1}}},
			Steps: []plan.Step{{Action: plan.MoveSlots, From: a, To: z, Slots: cluster.SlotsOf(1)}},
		}
		text, err := json.Marshal(p)
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, host), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		line     string
		user     string
		password string
		tls      bool
	}{
		{"check", "ned", "n", false},
		{"info --context far", "fay", "secret", true},
		{"--context far --cluster check far:1", "fay", "secret", true},
		{"check far:1", "", "", false},
		{"check near:2", "ned", "n", false},
		{"check NEAR 2", "", "", false}, // two words are not looked for
		{"check --user x", "x", "n", false},
		{"check -a p", "ned", "p", false},
		{"drain a", "ned", "n", false},
		{"drain near:1 a", "ned", "n", false},
		{"drain h:1 a", "", "", false},
		{"replicate a b", "ned", "n", false},
		{"replicate h:1 a b", "", "", false},
		{"set-timeout 5000 --yes", "ned", "n", false},
		{"call ping", "ned", "n", false},
		{"call set k 5", "ned", "n", false},
		{"call h:1 ping", "", "", false},
		{"call 10.0.0.1 7000 ping", "", "", false},
		{"call near:1 ping", "ned", "n", false},
		{"add-node h:1", "ned", "n", false},
		{"add-node h:1 near:2", "ned", "n", false},
		{"add-node h:1 h:2", "", "", false},
		{"add-node h:1 h:2 --context near", "ned", "n", false},
		{"reshard --from a --to b --slots 1", "ned", "n", false},
		{"create h:1 h:2 h:3", "", "", false},
		{"create h:1 near:2 h:3", "ned", "n", false},
		{"apply @near", "ned", "n", false},
		{"apply @far", "", "", false},
		{"undo @far --context far", "fay", "secret", true},
		{"create h:1 h:2 h:3 --context far", "fay", "secret", true},
	} {
		b := configured(t, contextsFile)
		b.runLine(strings.ReplaceAll(tt.line, "@", dir+"/"))
		if len(b.connections) != 1 {
			t.Fatalf("%s: %d dialers: %s", tt.line, len(b.connections), &b.err)
		}
		c := b.connections[0]
		if c.User != tt.user || c.Password.Reveal() != tt.password || (c.Encryption != nil) != tt.tls {
			t.Errorf("%s: user %q, password %q, %+v", tt.line, c.User, c.Password.Reveal(), c)
		}
		if tt.tls && (c.Encryption.ServerName != "far.example" || c.Addresses.Reach(cluster.Addr{Host: "10.0.0.1", Port: 1}).Host != "far") {
			t.Errorf("%s: %+v", tt.line, c)
		}
	}
}

// On a terminal a change says by which context it goes, if the line does not.
func TestContextIsTold(t *testing.T) {
	for line, told := range map[string]bool{
		"drain a":                true,
		"drain near:1 a":         true,
		"create near:1 h:2 h:3":  true,
		"drain a --context near": false,
		"drain h:1 a":            false,
		"check":                  false,
		"restore /none":          true,
		"restore /none h:1":      false,
		"drain a --config /nonexistent/no-config": false,
	} {
		b := configured(t, contextsFile)
		b.traits.ErrTTY = true
		b.runLine(line)
		if got := strings.Contains(b.err.String(), "By the context near."); got != told {
			t.Errorf("%s: %s", line, &b.err)
		}
		if strings.Contains(line, "restore") && !strings.Contains(b.err.String(), "/none: there is no such directory") {
			t.Errorf("%s: %s", line, &b.err)
		}
	}
}

func TestEnvironmentOutweighsTheContext(t *testing.T) {
	b := configured(t, contextsFile)
	b.env["TRIB_CONTEXT"], b.env["TRIB_USER"], b.env["REDISCLI_AUTH"] = "far", "u", "p"
	b.runLine("check --sni s --address-map 10.0.0.1=other")
	c := b.connections[0]
	if c.User != "u" || c.Password.Reveal() != "p" || c.Encryption.ServerName != "s" {
		t.Errorf("%+v", c)
	}
	if got := c.Addresses.Reach(cluster.Addr{Host: "10.0.0.1", Port: 1}); got.Host != "other" {
		t.Error(got)
	}
}

func TestContextsThatDoNotHold(t *testing.T) {
	for line, why := range map[string]string{
		"check --context none":                        `--context: there is no context "none", but far, near`,
		"check h:1 --context none":                    "none",
		"context show none":                           "none",
		"context use none":                            "none",
		"context use":                                 "NAME",
		"context list x":                              "list",
		"context show a b":                            "one NAME",
		"check h:1 --config /nonexistent --context a": "none at all",
	} {
		b := configured(t, contextsFile)
		b.want(b.runLine(line), exitUsage)
		b.wantErr(why)
	}
	b := configured(t, "contexts:\n  a:\n    sed: [h:1]\n")
	b.want(b.runLine("check h:1"), exitUsage)
	b.wantErr("line 3: there is no setting sed")
	b.want(b.runLine("keyslot a"), exitOK)
	b = configured(t, contextsFile)
	delete(b.env, "NEAR")
	b.want(b.runLine("check"), exitUsage)
	b.wantErr("context near: password-env: NEAR is not set")
	b.env["TRIB_CONFIG"] = "/nonexistent"
	b.want(b.runLine("check"), exitUsage)
	b.wantErr("no SEED")
}

func TestContextCommands(t *testing.T) {
	b := configured(t, contextsFile)
	b.want(b.runLine("context list"), exitOK)
	b.wantOut("*  near     near:1, near:2  ned   no   no\n", "far      far:1           fay   yes  no\n")
	b.want(b.runLine("context show far"), exitOK)
	b.wantOut("  password     command\n", "  sni          far.example\n", "  address-map  10.0.0.1=far\n")
	b.want(b.runLine("context use far"), exitOK)
	b.wantOut("[OK] The current context is far.")
	b.want(b.runLine("context show -o json"), exitOK)
	b.wantOut(`"name": "far"`, `"current": true`, `"password": "command"`)
	if strings.Contains(b.out.String(), "secret") {
		t.Errorf("it shows a password:\n%s", &b.out)
	}
	if diff := cmp.Diff([]string{"far", "near"}, completions(b, "check", "--context", "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"far", "near"}, completions(b, "context", "use", "")); diff != "" {
		t.Error(diff)
	}
}

// A context that is pinned refuses any other cluster before it is touched.
func TestPin(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		path := filepath.Join(t.TempDir(), "config.yaml")
		text := "current: here\ncontexts:\n  here:\n    seeds: ['127.0.0.1:7001']\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.env["TRIB_CONFIG"] = path
		b.want(b.runLine("check"), exitOK)
		b.want(b.runLine("context pin"), exitOK)
		b.wantOut("[OK] The context here is pinned to this cluster.")
		b.want(b.runLine("check"), exitOK)
		b.want(b.runLine("reshard --from all --to 127.0.0.1:7003 --slots 10 --yes --no-journal"), exitOK)

		other := text + "    cluster-id: [" + strings.Repeat("a", 40) + ", " + strings.Repeat("b", 40) + "]\n"
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := "create 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003 --yes"
		b.want(b.runLine(fresh), exitStale)
		b.wantErr("this is not the cluster of the context here", "hint: a new cluster needs a context without cluster-id")
		for _, line := range []string{"check", "info", "call ping", "reshard --from all --to 127.0.0.1:7003 --slots 10 --yes", "set-timeout 5000 --yes"} {
			b.want(b.runLine(line), exitStale)
			b.wantErr("this is not the cluster of the context here: of its 2 pinned nodes", "hint: trib context pin here")
		}
	})
}

// Nodes answer to where they are reached, and new ones are told what they
// announce.
func TestNamesOfMappedNodes(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine("reshard 127.0.0.1:7001 --address-map 127.0.0.1=gate --from gate:7001 --to gate:7003 --slots 10 --yes --no-journal"), exitOK)
		b.want(b.runLine("call 127.0.0.1:7001 --address-map 127.0.0.1:7002=gate:1 --node gate:1 ping"), exitOK)
		b.wantOut("127.0.0.1:7002:")
	})
	b := newBench(t)
	b.dialer = parrot{}
	b.runLine("create gate:1 gate:2 --address-map 10.0.0.1:7000=gate:1 --address-map 10.0.0.2:7000=gate:2")
	b.wantErr("10.0.0.1:7000 ", "10.0.0.2:7000 ")
}

func TestAddressMapFile(t *testing.T) {
	b := newBench(t)
	b.dialer = parrot{}
	path := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(path, []byte("# gate\n10.0.0.1=a # first\n\n10.0.0.2:7000=b:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.runLine("check h:1 --address-map 10.0.0.1=c --address-map-file " + path)
	m := b.connections[0].Addresses
	for from, want := range map[int]string{1: "c:7000", 2: "b:1"} {
		if got := m.Reach(cluster.Addr{Host: "10.0.0." + string(rune('0'+from)), Port: 7000}).String(); got != want {
			t.Errorf("%d: %s, want %s", from, got, want)
		}
	}
	for line, why := range map[string]string{
		"check h:1 --address-map 10.0.0.1":         "--address-map",
		"check h:1 --address-map 10.0.0.1=h:1":     "HOST=HOST",
		"check h:1 --address-map-file /none":       "--address-map-file: open /none",
		"check h:1 --address-map-file /etc/passwd": "/etc/passwd, line 1: want",
	} {
		b.want(b.runLine(line), exitUsage)
		b.wantErr(why)
	}
}

func TestDetour(t *testing.T) {
	member := func(addr string, unreachable string) cluster.Member {
		a, err := cluster.ParseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		return cluster.Member{ID: cluster.NodeID(addr), Addr: a, Unreachable: unreachable}
	}
	for _, tt := range []struct {
		name, typed string
		members     []cluster.Member
		rule        string // empty for none
	}{
		{"all silent but the seed", "gate:7000", []cluster.Member{member("10.0.0.1:7000", ""), member("10.0.0.2:7000", "refused")}, "--address-map 10.0.0.1=gate says"},
		{"other ports", "gate:1", []cluster.Member{member("10.0.0.1:7000", ""), member("10.0.0.2:7000", "refused")}, "--address-map 10.0.0.1:7000=gate:1 says"},
		{"as announced", "10.0.0.1:7000", []cluster.Member{member("10.0.0.1:7000", ""), member("10.0.0.2:7000", "refused")}, ""},
		{"another one answers", "gate:7000", []cluster.Member{member("10.0.0.1:7000", ""), member("10.0.0.2:7000", ""), member("10.0.0.3:7000", "refused")}, ""},
		{"alone", "gate:7000", []cluster.Member{member("10.0.0.1:7000", "")}, ""},
	} {
		typed, err := cluster.ParseAddr(tt.typed)
		if err != nil {
			t.Fatal(err)
		}
		hint, _, found := detour(typed, cluster.State{Members: tt.members})
		if found != (tt.rule != "") || !strings.Contains(hint, tt.rule) {
			t.Errorf("%s: %q", tt.name, hint)
		}
	}
}

func TestPasswordOptions(t *testing.T) {
	b := newBench(t)
	b.dialer = parrot{}
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.env["TRIB_PASSWORD"] = "less"
	for _, args := range [][]string{
		{"check", "h:1", "--password-file", path},
		{"check", "h:1", "--password-command", "cat " + path},
	} {
		b.run(args...)
		if got := b.credentials[len(b.credentials)-1].Password.Reveal(); got != "hunter2" {
			t.Errorf("%v: %q", args, got)
		}
	}
	for _, args := range [][]string{
		{"import", "h:1", "--from", "i:1", "--from-password-file", path},
		{"import", "h:1", "--from", "i:1", "--from-password-command", "cat " + path},
	} {
		b.credentials = nil
		b.run(args...)
		if len(b.credentials) != 2 || b.credentials[0].Password.Reveal() != "less" || b.credentials[1].Password.Reveal() != "hunter2" {
			t.Errorf("%v: %+v", args, b.credentials)
		}
	}
	for line, why := range map[string]string{
		"check h:1 --password-file /none":                            "--password-file /none: ",
		"check h:1 --password-command false":                         "--password-command: exit status 1",
		"check h:1 --password-file " + path + " -a x":                "want one of them",
		"check h:1 --password-file " + path + " --askpass":           "want one of them",
		"check h:1 --password-file x --password-command y":           "want one of them",
		"check h:1 --tls --tls-ciphers HIGH":                         "--tls-ciphers: \"HIGH\" is not supported",
		"check h:1 --tls --tls-ciphersuites AES256-SHA":              "--tls-ciphersuites: ",
		"check h:1 --tls --tls-ciphers :":                            "--tls-ciphers: the list is empty",
		"check h:1 --tls-ciphers ECDHE-RSA-AES128-GCM-SHA256":        "--tls-ciphers",
		"create /run/a.sock h:1":                                     "/run/a.sock is a unix socket",
		"import h:1 --from i:1 --from-password-file /none":           "--from-password-file /none: ",
		"import h:1 --from i:1 --from-password-command false":        "--from-password-command: exit status 1",
		"import h:1 --from i:1 --from-pass x --from-password-file y": "want one of them",
		"add-node unix:///run/a.sock h:1":                            "/run/a.sock is a unix socket",
	} {
		b.want(b.runLine(line), exitUsage)
		b.wantErr(why)
	}
}
