package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// BusPortOffset is what a server adds to its client port to get its cluster
// bus port, unless cluster-port says otherwise.
const BusPortOffset = 10000

// Addr is where clients reach a node. Host is an IP address without brackets
// or a host name; it is empty where a node does not know its own address yet.
// The path of a unix socket is a Host without a Port.
type Addr struct {
	Host string
	Port int
}

// ParseAddr reads host:port, [v6]:port, and v6:port without brackets, where the
// last colon separates the port. A bus port behind '@' is accepted and ignored,
// as redis-cli does, so that addresses can be pasted from CLUSTER NODES. A text
// that begins with / or unix:// is the path of a unix socket.
func ParseAddr(s string) (Addr, error) {
	if path := strings.TrimPrefix(s, "unix://"); strings.HasPrefix(path, "/") {
		return parseSocket(path)
	}
	text, _, _ := strings.Cut(s, "@")
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return Addr{}, fmt.Errorf("address %q: want host:port", clip(s))
	}
	host, err := parseHost(text[:i])
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", clip(s), err)
	}
	port, err := ParsePort(text[i+1:])
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: %w", clip(s), err)
	}
	return Addr{Host: host, Port: port}, nil
}

func parseSocket(path string) (Addr, error) {
	unprintable := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if path == "/" || strings.ContainsFunc(path, unprintable) {
		return Addr{}, fmt.Errorf("address %q: want the path of a unix socket", clip(path))
	}
	return Addr{Host: path}, nil
}

// ParsePort reads a TCP port, 1 to 65535, in plain decimal digits.
func ParsePort(s string) (int, error) {
	port, err := parseNumber(s, 65535)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q: want a number from 1 to 65535", clip(s))
	}
	return port, nil
}

func parseHost(host string) (string, error) {
	if strings.HasPrefix(host, "[") != strings.HasSuffix(host, "]") {
		return "", fmt.Errorf("unbalanced brackets")
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if bare == "" {
		return "", fmt.Errorf("no host")
	}
	if strings.ContainsFunc(bare, neverInHost) {
		return "", fmt.Errorf("host has a character that no host name has")
	}
	if strings.Contains(bare, ":") && net.ParseIP(strings.SplitN(bare, "%", 2)[0]) == nil {
		return "", fmt.Errorf("host %q is neither a name nor an IPv6 address", clip(bare))
	}
	return bare, nil
}

func neverInHost(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(` [],/"'`, r)
}

// parseNumber reads plain decimal digits from 0 to limit: no sign, no spaces,
// no leading '+', nothing that strconv would forgive.
func parseNumber(s string, limit int) (int, error) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a number", clip(s))
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > limit {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", clip(s), limit)
	}
	return n, nil
}

// String is the address in the form that net.Dial takes; IPv6 is bracketed. A
// unix socket is its path.
func (a Addr) String() string {
	if a.IsSocket() {
		return a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// Known reports whether the address can be dialled at all.
func (a Addr) Known() bool { return a.Host != "" && a.Port != 0 || a.IsSocket() }

// IsSocket reports whether the address is the path of a unix socket, which no
// node can tell another one.
func (a Addr) IsSocket() bool { return strings.HasPrefix(a.Host, "/") && a.Port == 0 }

// Canonical makes spellings of one address equal: of names the case, of IP
// addresses the zeros.
func (a Addr) Canonical() Addr {
	if a.IsSocket() {
		return a
	}
	a.Host = strings.ToLower(a.Host)
	if ip, err := netip.ParseAddr(a.Host); err == nil {
		a.Host = ip.String()
	}
	return a
}

// MarshalText writes the address as String does.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseAddr reads.
func (a *Addr) UnmarshalText(text []byte) error {
	addr, err := ParseAddr(string(text))
	if err != nil {
		return err
	}
	*a = addr
	return nil
}
