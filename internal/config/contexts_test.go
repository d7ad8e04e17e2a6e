package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
)

const twoContexts = `# my clusters
current: prod # by day
contexts:
  # the big one
  prod:
    seeds: [10.0.0.1:7000, "[fd00::1]:7000"]
    user: ops
    password-file: secrets/prod
    tls: true
    cacert: ~/ca.pem
    cert: /etc/trib/cert.pem
    key: /etc/trib/key.pem
    address-map:
      10.0.0.1:7000: 203.0.113.1:17000
      10.1.0.0/16: 192.168.0.0/16
    zones: {10.0.0.1: a}
    cluster-id: [AAAAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]
  lab:
    seeds: ["127.0.0.1:7001"]
    password-env: LAB_PASSWORD
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContexts(t *testing.T) {
	path := write(t, twoContexts)
	c, err := ReadContexts(path, env("HOME", "/home/a"))
	if err != nil {
		t.Fatal(err)
	}
	prod, err := c.Get(c.Current)
	if err != nil {
		t.Fatal(err)
	}
	if prod.Name != "prod" || prod.Seeds[1].Host != "fd00::1" || prod.User != "ops" || prod.Zones["10.0.0.1"] != "a" {
		t.Errorf("%+v", prod)
	}
	if want := (PasswordSource{File: filepath.Join(filepath.Dir(path), "secrets/prod")}); prod.Source() != want {
		t.Errorf("password: %+v, want %+v", prod.Source(), want)
	}
	if want := (TLS{CACert: "/home/a/ca.pem", Cert: "/etc/trib/cert.pem", Key: "/etc/trib/key.pem"}); prod.TLSFiles() != want {
		t.Errorf("TLS: %+v, want %+v", prod.TLSFiles(), want)
	}
	m, err := prod.Addresses()
	if got := m.Reach(prod.Seeds[0]).String(); err != nil || got != "203.0.113.1:17000" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := c.Get("test"); err == nil || !strings.Contains(err.Error(), "but lab, prod") {
		t.Error(err)
	}
}

func TestContextsThatAreNotThere(t *testing.T) {
	c, err := ReadContexts(filepath.Join(t.TempDir(), "none"), env())
	if err != nil || len(c.Contexts) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := c.Get("a"); err == nil || !strings.Contains(err.Error(), "none at all") {
		t.Error(err)
	}
}

func TestContextsAreReadStrictly(t *testing.T) {
	const begin = "contexts:\n  a:\n    seeds: [h:1]\n"
	for text, why := range map[string]string{
		"contexts:\n  a:\n    sed: [h:1]\n":                 "line 3: there is no setting sed",
		begin + "    password: hunter2\n":                   "line 4: there is no setting password; say where",
		begin + "    tls: perhaps\n":                        "line 4: ",
		begin + "    seeds: [i:1]\n":                        "line 4: ",
		begin + "---\ncurrent: b\n":                         "more than one document",
		"contexts:\n  a:\n    seeds: []\n":                  "context a: no seeds",
		"contexts:\n  a:\n    seeds: [h]\n":                 "host:port",
		begin + "    cacert: x\n":                           "context a: cacert",
		begin + "    password-env: X\n    password-file: Y": "want one of them",
		begin + "    cluster-id: [abc]\n":                   "context a: cluster-id: ",
		begin + "    address-map: {h: 'i:1'}\n":             "context a: address-map: h: want",
		"current: b\n" + begin:                              `there is no context "b", but a`,
		"contexts: [a]\n":                                   "line 1: ",
		"contexts:\n\ta: b\n":                               "line 2: ",
	} {
		_, err := ReadContexts(write(t, text), env())
		if err == nil || !strings.Contains(err.Error(), "config.yaml: ") || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "config.Context")) {
			t.Error(err)
		}
	}
}

// The file belongs to a person: an edit changes what it is for, and nothing else.
func TestContextsAreEdited(t *testing.T) {
	path := write(t, twoContexts)
	c, err := ReadContexts(path, env())
	if err != nil {
		t.Fatal(err)
	}
	id := cluster.NodeID(strings.Repeat("b", 40))
	if err := c.Use("lab"); err != nil {
		t.Fatal(err)
	}
	if err := c.Pin("lab", []cluster.NodeID{id}); err != nil {
		t.Fatal(err)
	}
	after, err := ReadContexts(path, env())
	if err != nil {
		t.Fatal(err)
	}
	if after.Current != "lab" || len(after.Contexts["lab"].ClusterID) != 1 || after.Contexts["lab"].ClusterID[0] != id {
		t.Errorf("%+v", after)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"# my clusters\n", "current: lab # by day\n", "  # the big one\n", "10.1.0.0/16: 192.168.0.0/16\n"} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("lacks %q:\n%s", kept, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := c.Use("test"); err == nil {
		t.Error("an unknown context is used")
	}
}

func TestConfigFile(t *testing.T) {
	for _, tt := range []struct {
		goos string
		env  Env
		want string
	}{
		{"linux", env(), ""},
		{"linux", env("HOME", "/home/a"), "/home/a/.config/trib/config.yaml"},
		{"linux", env("HOME", "/home/a", "XDG_CONFIG_HOME", "/c"), "/c/trib/config.yaml"},
		{"linux", env("HOME", "/home/a", "XDG_CONFIG_HOME", "c"), "/home/a/.config/trib/config.yaml"},
		{"linux", env("HOME", "/home/a", "XDG_CONFIG_HOME", "/c", "TRIB_CONFIG", "here"), "here"},
		{"darwin", env("HOME", "/Users/a", "XDG_CONFIG_HOME", "/c"), "/Users/a/Library/Application Support/trib/config.yaml"},
		{"windows", env("HOME", "/x", "AppData", "/roaming"), "/roaming/trib/config.yaml"},
	} {
		if got := tt.env.ConfigFile(tt.goos); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.goos, got, tt.want)
		}
	}
}
