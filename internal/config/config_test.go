package config

import (
	"encoding/json"
	"fmt"
	"testing"
)

func env(pairs ...string) Env {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestPassword(t *testing.T) {
	tests := []struct {
		env  Env
		want string
	}{
		{env(), ""},
		{env("REDISCLI_AUTH", "r"), "r"},
		{env("REDISCLI_AUTH", "r", "VALKEYCLI_AUTH", "v"), "v"},
		{env("REDISCLI_AUTH", "r", "TRIB_AUTH", "a"), "a"},
		{env("TRIB_AUTH", "a", "TRIB_PASSWORD", "p"), "p"},
		{env("TRIB_PASSWORD", "", "TRIB_AUTH", "a"), "a"},
	}
	for i, tt := range tests {
		if got := tt.env.Password().Reveal(); got != tt.want {
			t.Errorf("%d: %q, want %q", i, got, tt.want)
		}
	}
}

func TestOnlyOneConsents(t *testing.T) {
	for _, name := range consents {
		for value, want := range map[string]bool{"1": true, "": false, "0": false, "no": false, "yes": false, "true": false, " 1": false} {
			if got := env(name, value).Yes(); got != want {
				t.Errorf("%s=%q: %v", name, value, got)
			}
		}
	}
}

func TestTerminalTraits(t *testing.T) {
	for _, tt := range []struct {
		env            Env
		noColor, utf8s bool
	}{
		{env(), false, false},
		{env("NO_COLOR", "1", "LANG", "C.UTF-8"), true, true},
		{env("TERM", "dumb", "LANG", "de_DE.utf8"), true, true},
		{env("LC_ALL", "C", "LANG", "de_DE.UTF-8"), false, false},
	} {
		if got := tt.env.NoColor(); got != tt.noColor {
			t.Errorf("NoColor: %v", got)
		}
		if got := tt.env.Unicode(); got != tt.utf8s {
			t.Errorf("Unicode: %v", got)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c := Credentials{User: "u", Password: "hunter2"}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s %q", c.Password, c.Password), string(data)} {
		if got := c.Password.Redact(text); got != text {
			t.Errorf("shows the secret: %s", text)
		}
	}
	if got := c.Password.Redact("args: 'hunter2' hunter2"); got != "args: '[hidden]' [hidden]" {
		t.Error(got)
	}
	if got := Secret("").Redact("text"); got != "text" {
		t.Error(got)
	}
}

func TestOr(t *testing.T) {
	got := Credentials{User: "a"}.Or(Credentials{User: "b", Password: "p"}).Or(Credentials{Password: "q"})
	if want := (Credentials{User: "a", Password: "p"}); got != want {
		t.Errorf("%s %q", got.User, got.Password.Reveal())
	}
}

func TestOrKeepsTLS(t *testing.T) {
	if !(Credentials{User: "a"}).Or(Credentials{TLS: true}).TLS {
		t.Error("TLS is lost")
	}
}

func TestStateDir(t *testing.T) {
	tests := []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", nil, ""},
		{"linux", map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/trib"},
		{"linux", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/state"}, "/state/trib"},
		{"linux", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "state"}, "/home/a/.local/state/trib"},
		{"linux", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/state", "TRIB_STATE_DIR": "here"}, "here"},
		{"darwin", map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support/trib"},
		{"windows", map[string]string{"HOME": "/x", "LOCALAPPDATA": "/local"}, "/local/trib"},
	}
	for _, tt := range tests {
		env := Env(func(name string) string { return tt.env[name] })
		if got := env.StateDir(tt.goos); got != tt.want {
			t.Errorf("%s, %v: %q, want %q", tt.goos, tt.env, got, tt.want)
		}
	}
}
