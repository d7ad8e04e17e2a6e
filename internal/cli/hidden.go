package cli

import (
	"strings"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/pkg/driver"
)

// hidden are the arguments of a command that must not be shown. Servers repeat
// arguments in their errors.
type hidden []config.Secret

func (h hidden) from(text string) string {
	for _, secret := range h {
		text = secret.Redact(text)
	}
	return text
}

// secretsOf finds passwords by the places where the servers' commands have them.
func secretsOf(c driver.Command) (h hidden) {
	switch c.Name() {
	case "AUTH":
		return hide(c[max(1, len(c)-1):])
	case "CONFIG SET":
		for i := 2; i+1 < len(c); i += 2 {
			if isPassword(c[i]) {
				h = append(h, config.Secret(c[i+1]))
			}
		}
	case "ACL SETUSER":
		for _, rule := range c[min(3, len(c)):] {
			if strings.Trim(rule[:min(1, len(rule))], "<>#!") == "" {
				h = append(h, config.Secret(strings.TrimLeft(rule, "<>#!")))
			}
		}
	case "MIGRATE":
		return migrateSecrets(c)
	}
	return h
}

func hide(words []string) (h hidden) {
	for _, w := range words {
		h = append(h, config.Secret(w))
	}
	return h
}

// isPassword knows requirepass, masterauth, primaryauth, tls-key-file-pass...
func isPassword(parameter string) bool {
	name := strings.ToLower(parameter)
	return strings.HasSuffix(name, "pass") || strings.HasSuffix(name, "password") || strings.HasSuffix(name, "auth")
}

func migrateSecrets(c driver.Command) (h hidden) {
	for i, word := range c {
		switch strings.ToUpper(word) {
		case "AUTH":
			h = append(h, hide(c[min(i+1, len(c)):min(i+2, len(c))])...)
		case "AUTH2":
			h = append(h, hide(c[min(i+2, len(c)):min(i+3, len(c))])...)
		}
	}
	return h
}
