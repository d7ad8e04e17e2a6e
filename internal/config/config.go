// Package config knows what the environment says: credentials, consent and
// colour, under trib's names and under those of redis-cli and valkey-cli. It
// holds what connections are made from, and keeps its secrets out of print.
package config

import (
	"path/filepath"
	"strings"
)

// Env looks a variable up; a variable that is not set is empty.
type Env func(name string) string

// passwords and consents are the variables in order of precedence.
var (
	passwords = []string{"TRIB_PASSWORD", "TRIB_AUTH", "VALKEYCLI_AUTH", "REDISCLI_AUTH"}
	consents  = []string{"TRIB_YES", "VALKEYCLI_CLUSTER_YES", "REDISCLI_CLUSTER_YES"}
)

// Password is the password that the environment gives; it may be empty.
func (env Env) Password() Secret {
	for _, name := range passwords {
		if value := env(name); value != "" {
			return Secret(value)
		}
	}
	return ""
}

// User is the user that the environment gives; it may be empty.
func (env Env) User() string { return env("TRIB_USER") }

// Context is the context that the environment names; it may be empty.
func (env Env) Context() string { return env("TRIB_CONTEXT") }

// Yes reports whether the environment consents to changes. Only "1" does, as
// with redis-cli: a variable that somebody set to "no" must not.
func (env Env) Yes() bool {
	for _, name := range consents {
		if env(name) == "1" {
			return true
		}
	}
	return false
}

// NoColor reports whether colour is not wanted.
func (env Env) NoColor() bool { return env("NO_COLOR") != "" || env("TERM") == "dumb" }

// Unicode reports whether the locale has more than ASCII.
func (env Env) Unicode() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := env(name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// StateDir is where trib keeps its journals on an operating system, by the
// name that Go gives it; empty where the environment names no home.
func (env Env) StateDir(goos string) string {
	if dir := env("TRIB_STATE_DIR"); dir != "" {
		return dir
	}
	if dir := env("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "trib")
	}
	home, place := "HOME", ".local/state"
	switch goos {
	case "darwin":
		place = "Library/Application Support"
	case "windows":
		home, place = "LOCALAPPDATA", ""
	}
	if env(home) == "" {
		return ""
	}
	return filepath.Join(env(home), place, "trib")
}
