package driver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// AddressMap leads from the addresses that nodes announce to those under which
// they are reached from here: by another network, published ports or a tunnel.
// What nodes are told of each other stays as they announce it. The zero value
// changes nothing.
type AddressMap struct{ rules []addressRule }

// addressRule maps one address, all ports of a host, or a network.
type addressRule struct {
	announced, reachable cluster.Addr // a Port of 0 stands for all of them
	network              netip.Prefix // of announced hosts, instead of one
	other                netip.Prefix // the network as it is reached; not valid where that is one host
}

var errAddressRule = errors.New("want HOST:PORT=HOST:PORT, HOST=HOST, NETWORK=NETWORK or NETWORK=HOST")

// Add adds a rule, ANNOUNCED=REACHABLE. Both are host:port, or both a host, whose
// ports stay as they are; or ANNOUNCED is a network such as 10.0.0.0/16 and
// REACHABLE another of the same size, or a host. REACHABLE of host:port may be
// the path of a unix socket.
func (m *AddressMap) Add(rule string) error {
	from, to, ok := strings.Cut(rule, "=")
	if !ok {
		return errAddressRule
	}
	r, err := parseAddressRule(from, to)
	if err != nil {
		return err
	}
	for _, other := range m.rules {
		if other.announced == r.announced && other.network == r.network {
			return fmt.Errorf("%s is mapped twice", from)
		}
	}
	m.rules = append(m.rules, r)
	return nil
}

func parseAddressRule(from, to string) (r addressRule, err error) {
	if network, err := netip.ParsePrefix(from); err == nil {
		return parseNetworkRule(network.Masked(), to)
	}
	if r.announced, err = parseEnd(from); err != nil {
		return r, err
	}
	if r.reachable, err = parseEnd(to); err != nil {
		return r, err
	}
	if r.announced.IsSocket() || (r.announced.Port == 0) != (r.reachable.Port == 0 && !r.reachable.IsSocket()) {
		return r, errAddressRule
	}
	return r, nil
}

func parseNetworkRule(network netip.Prefix, to string) (r addressRule, err error) {
	r.network = network
	if other, err := netip.ParsePrefix(to); err == nil {
		if other.Bits() != network.Bits() || other.Addr().BitLen() != network.Addr().BitLen() {
			return r, fmt.Errorf("%s and %s are not of one size", network, other)
		}
		r.other = other.Masked()
		return r, nil
	}
	r.reachable, err = parseEnd(to)
	if err == nil && (r.reachable.Port != 0 || r.reachable.IsSocket()) {
		err = errAddressRule
	}
	return r, err
}

// parseEnd reads an address, or a host alone. An IPv6 address without brackets
// is a host.
func parseEnd(text string) (cluster.Addr, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil {
		return cluster.Addr{Host: bare}.Canonical(), nil
	}
	if !strings.ContainsAny(text, ":/") {
		a, err := cluster.ParseAddr(text + ":1") // a name: as strict as with a port
		return cluster.Addr{Host: a.Host}.Canonical(), err
	}
	a, err := cluster.ParseAddr(text)
	return a.Canonical(), err
}

// Over adds the rules of a map that matters less: they hold where no rule of m
// that is as exact does.
func (m AddressMap) Over(less AddressMap) AddressMap {
	return AddressMap{append(slices.Clone(m.rules), less.rules...)}
}

// Empty reports whether the map changes nothing.
func (m AddressMap) Empty() bool { return len(m.rules) == 0 }

// Reach is where a node is reached that announces a. The most exact rule decides,
// and among equals the first one.
func (m AddressMap) Reach(a cluster.Addr) cluster.Addr {
	to, best := a, -1
	for _, r := range m.rules {
		if exact := r.matches(a.Canonical()); exact > best {
			to, best = r.apply(a.Canonical()), exact
		}
	}
	return to
}

// matches is how exact the rule is about an address, and -1 where it says nothing
// of it.
func (r addressRule) matches(a cluster.Addr) int {
	const host, address = 1000, 1001
	switch ip, err := netip.ParseAddr(a.Host); {
	case a.IsSocket():
	case r.network.IsValid() && err == nil && r.network.Contains(ip.WithZone("")):
		return r.network.Bits()
	case r.network.IsValid() || r.announced.Host != a.Host:
	case r.announced.Port == 0:
		return host
	case r.announced.Port == a.Port:
		return address
	}
	return -1
}

func (r addressRule) apply(a cluster.Addr) cluster.Addr {
	switch {
	case r.other.IsValid():
		a.Host = transplant(a.Host, r.other).String()
		return a
	case r.reachable.Port != 0 || r.reachable.IsSocket():
		return r.reachable
	}
	a.Host = r.reachable.Host
	return a
}

// transplant gives an address the network of another one.
func transplant(host string, network netip.Prefix) netip.Addr {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return network.Addr()
	}
	own, other := ip.AsSlice(), network.Addr().AsSlice()
	for i := range own {
		kept := byte(0xff) >> min(max(network.Bits()-8*i, 0), 8)
		own[i] = own[i]&kept | other[i]&^kept
	}
	moved, _ := netip.AddrFromSlice(own)
	return moved
}

// Announced is the address that a node announces which is reached at a, where
// exactly one rule leads there; otherwise it is a.
func (m AddressMap) Announced(a cluster.Addr) cluster.Addr {
	found := a
	for _, r := range m.rules {
		from, ok := r.reverse(a.Canonical())
		if !ok || from == found || m.Reach(from) != a.Canonical() {
			continue
		}
		if found != a {
			return a
		}
		found = from
	}
	return found
}

func (r addressRule) reverse(a cluster.Addr) (cluster.Addr, bool) {
	switch ip, err := netip.ParseAddr(a.Host); {
	case r.other.IsValid():
		if err != nil || !r.other.Contains(ip) {
			return a, false
		}
		a.Host = transplant(a.Host, r.network).String()
		return a, true
	case r.network.IsValid() || r.reachable.Host != a.Host:
		return a, false
	case r.announced.Port == 0:
		a.Host = r.announced.Host
		return a, true
	}
	return r.announced, r.reachable.Port == a.Port
}
