package cli

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/pkg/cluster"
)

// seed is a node as the command line names it.
type seed struct {
	addr        cluster.Addr
	credentials config.Credentials
}

// parseSeed reads an address or a redis:// URL. Its errors never repeat what
// may hold a password.
func parseSeed(text string) (seed, error) {
	if scheme, _, ok := strings.Cut(text, "://"); ok && scheme != "unix" {
		return parseURL(scheme, text)
	}
	if _, bus, ok := strings.Cut(text, "@"); ok && !isSocket(text) && strings.Trim(bus, "0123456789") != "" {
		return seed{}, usage("address with credentials: want redis://user:password@host:port")
	}
	addr, err := cluster.ParseAddr(text)
	if err != nil {
		return seed{}, &usageError{err}
	}
	return seed{addr: addr}, nil
}

func isSocket(text string) bool {
	return strings.HasPrefix(text, "/") || strings.HasPrefix(text, "unix://")
}

func parseURL(scheme, text string) (seed, error) {
	switch scheme {
	case "redis", "valkey", "rediss", "valkeys":
	default:
		return seed{}, usage("address that is a URL: want redis://user:password@host:port")
	}
	u, err := url.Parse(text)
	if err != nil || strings.Trim(u.Path, "/") != "" && u.Path != "/0" || u.RawQuery != "" {
		return seed{}, usage("%s:// address: want redis://user:password@host:port", scheme)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "6379")
	}
	addr, err := cluster.ParseAddr(host)
	if err != nil {
		return seed{}, &usageError{err}
	}
	password, _ := u.User.Password()
	return seed{addr, config.Credentials{User: u.User.Username(), Password: config.Secret(password), TLS: strings.HasSuffix(scheme, "ss") || scheme == "valkeys"}}, nil
}

// seedOf reads the one node that a command works with: one word, or a host and
// a port.
func seedOf(args []string) (seed, error) {
	switch {
	case len(args) == 0:
		return seed{}, usage("no SEED: name any node of the cluster as host:port")
	case len(args) == 2 && isHostAndPort(args[0], args[1]):
		return parseSeed(net.JoinHostPort(strings.Trim(args[0], "[]"), args[1]))
	case len(args) > 1:
		return seed{}, usage("too many arguments: want one SEED, got %d words", len(args))
	}
	return parseSeed(args[0])
}

// seedBefore reads the node that a command works with first, and returns what
// comes after it.
func seedBefore(args []string) (seed, []string, error) {
	n := min(1, len(args))
	if len(args) > 1 && isHostAndPort(args[0], args[1]) {
		n = 2
	}
	s, err := seedOf(args[:n])
	return s, args[n:], err
}

func isHostAndPort(host, port string) bool {
	if _, err := cluster.ParsePort(port); err != nil || isSocket(host) {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || !strings.Contains(host, ":")
}

// seedsOf reads distinct nodes that share their credentials.
func seedsOf(args []string) ([]cluster.Addr, config.Credentials, error) {
	var addrs []cluster.Addr
	var shared config.Credentials
	seen := make(map[cluster.Addr]string)
	for _, arg := range args {
		s, err := parseSeed(arg)
		if err != nil {
			return nil, shared, err
		}
		key := s.addr.Canonical()
		if _, twice := seen[key]; twice {
			return nil, shared, usage("address %s stands twice", s.addr)
		}
		seen[key] = arg
		if s.credentials != (config.Credentials{}) && shared != (config.Credentials{}) && s.credentials != shared {
			return nil, shared, usage("addresses with different credentials, or with and without TLS: all nodes of a cluster have the same")
		}
		shared = s.credentials.Or(shared)
		addrs = append(addrs, s.addr)
	}
	return addrs, shared, nil
}
