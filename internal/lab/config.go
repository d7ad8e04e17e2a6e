package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const configFile = "server.conf"

// furnish makes the node's directory with the configuration in it. A directory
// that is there already is somebody else's, and not touched.
func (n *Node) furnish(o Options) error {
	if err := os.Mkdir(n.Dir(), 0o700); err != nil {
		return n.note("prepare", err)
	}
	text := strings.Join(n.config(o), "\n") + "\n"
	return n.note("prepare", os.WriteFile(filepath.Join(n.Dir(), configFile), []byte(text), 0o600))
}

// config is a file and not a list of arguments because arguments, and so the
// password, are shown to every user of the machine.
func (n *Node) config(o Options) []string {
	lines := append(n.listen(o.TLS),
		"bind "+n.lab.host,
		"cluster-enabled yes",
		"cluster-config-file nodes.conf",
		"appendonly no",
		`save ""`,
		"daemonize no",
	)
	if o.Password != "" {
		lines = append(lines, "requirepass "+quote(o.Password), "masterauth "+quote(o.Password))
	}
	return append(lines, o.Config...)
}

func (n *Node) listen(t *TLS) []string {
	if t == nil {
		return []string{fmt.Sprintf("port %d", n.port)}
	}
	return []string{
		"port 0",
		fmt.Sprintf("tls-port %d", n.port),
		"tls-ca-cert-file " + quote(t.Authority),
		"tls-cert-file " + quote(t.Certificate),
		"tls-key-file " + quote(t.Key),
		"tls-cluster yes",
		"tls-replication yes",
	}
}

// quote writes a value so that the server's configuration parser reads back
// every byte of it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
