package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// addressRules is a flag with where nodes announce to be and where they are
// reached, FROM=TO; it may be given several times.
type addressRules struct {
	rules driver.AddressMap
	texts []string
}

// Set adds a rule.
func (a *addressRules) Set(s string) error {
	a.texts = append(a.texts, s)
	return a.rules.Add(s)
}

func (a *addressRules) String() string { return strings.Join(a.texts, " ") }

// Type is the form of a rule.
func (a *addressRules) Type() string { return "FROM=TO" }

// addressMap is what the command line says of addresses.
func (o *connectOptions) addressMap() (driver.AddressMap, error) {
	var more driver.AddressMap
	if o.addressFile == "" {
		return o.addresses.rules, nil
	}
	text, err := os.ReadFile(o.addressFile)
	if err != nil {
		return more, usage("--address-map-file: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		rule, _, _ := strings.Cut(line, "#")
		if rule = strings.TrimSpace(rule); rule == "" {
			continue
		}
		if err := more.Add(rule); err != nil {
			return more, usage("--address-map-file %s, line %d: %w", o.addressFile, number, err)
		}
	}
	return o.addresses.rules.Over(more), nil
}

// announced puts for every address the one that its node announces, where the
// address map knows it. Nodes are told the latter.
func (app *App) announced(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		if addr, err := cluster.ParseAddr(arg); err == nil && app.known.addresses.Announced(addr) != addr {
			out[i] = app.known.addresses.Announced(addr).String()
		}
	}
	return out
}

// noSocket refuses unix sockets where nodes are to hear of an address.
func noSocket(addrs []cluster.Addr) error {
	for _, a := range addrs {
		if a.IsSocket() {
			return usage("%s is a unix socket: other nodes must be told a host and a port", a)
		}
	}
	return nil
}

// detour is what to do where only the seed is reached, and under another address
// than it announces: the others announce such addresses, too.
func detour(typed cluster.Addr, s cluster.State) (hint string, seed cluster.Member, found bool) {
	for _, m := range s.Members {
		switch {
		case m.Reachable() && found:
			return "", m, false
		case m.Reachable():
			seed, found = m, true
		}
	}
	if !found || len(s.Members) < 2 || seed.Addr.Canonical() == typed.Canonical() {
		return "", seed, false
	}
	rule := fmt.Sprintf("%s=%s", seed.Addr, typed)
	if seed.Addr.Port == typed.Port {
		rule = fmt.Sprintf("%s=%s", seed.Addr.Host, typed.Host)
	}
	return fmt.Sprintf("the nodes announce addresses that this host does not reach: %s is reached at %s. --address-map %s says so, and one such rule for every other node or network",
		seed.Addr, typed, rule), seed, true
}
