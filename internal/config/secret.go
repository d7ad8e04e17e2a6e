package config

import (
	"cmp"
	"strings"
)

// Secret is a password. Printing it in any way shows that there is one.
type Secret string

const hidden = "[hidden]"

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides it from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Redact takes the secret out of a text of somebody else's making. Some servers
// repeat the arguments of a command that they do not know.
func (s Secret) Redact(text string) string {
	if s == "" {
		return text
	}
	return strings.ReplaceAll(text, string(s), hidden)
}

// Credentials are what a connection authenticates with.
type Credentials struct {
	User     string
	Password Secret
	TLS      bool // they are for an encrypted connection: rediss://
}

// Or fills what c lacks from less important credentials.
func (c Credentials) Or(less Credentials) Credentials {
	return Credentials{User: cmp.Or(c.User, less.User), Password: cmp.Or(c.Password, less.Password), TLS: c.TLS || less.TLS}
}
