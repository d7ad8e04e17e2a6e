package driver_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

func mapOf(t testing.TB, rules ...string) driver.AddressMap {
	t.Helper()
	var m driver.AddressMap
	for _, rule := range rules {
		if err := m.Add(rule); err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
	}
	return m
}

func addr(t testing.TB, text string) cluster.Addr {
	t.Helper()
	a, err := cluster.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressMap(t *testing.T) {
	m := mapOf(t,
		"10.0.0.1:7000=gate.example:17000",
		"10.0.0.1=203.0.113.1",
		"10.0.0.0/24=203.0.113.9",
		"10.0.0.0/8=198.51.0.0/8",
		"10.0.9.0/28=192.0.2.16/28",
		"Redis-1=127.0.0.1",
		"redis-2:6379=[::1]:7002",
		"redis-3:6379=/run/redis.sock",
		"fd00::/16=2001:db8::/16",
		"[fd01::1]:7000=[::1]:7001",
		"fd01::2=::2",
	)
	for from, want := range map[string]string{
		"10.0.0.1:7000":    "gate.example:17000",
		"10.0.0.1:7001":    "203.0.113.1:7001",
		"10.0.0.7:7000":    "203.0.113.9:7000",
		"10.5.6.7:7000":    "198.5.6.7:7000",
		"10.0.9.3:7000":    "192.0.2.19:7000",
		"redis-1:7000":     "127.0.0.1:7000",
		"REDIS-1:7000":     "127.0.0.1:7000",
		"redis-2:6379":     "[::1]:7002",
		"redis-2:6380":     "redis-2:6380",
		"redis-3:6379":     "/run/redis.sock",
		"[fd00::5]:1":      "[2001::5]:1",
		"[fd01:0::1]:7000": "[::1]:7001",
		"[fd01::2]:7":      "[::2]:7",
		"192.0.2.1:7000":   "192.0.2.1:7000",
		"/run/other.sock":  "/run/other.sock",
	} {
		if got := m.Reach(addr(t, from)).String(); got != want {
			t.Errorf("%s is reached at %s, want %s", from, got, want)
		}
	}
	for at, want := range map[string]string{
		"gate.example:17000": "10.0.0.1:7000",
		"203.0.113.1:7001":   "10.0.0.1:7001",
		"203.0.113.9:7000":   "203.0.113.9:7000", // one of many
		"198.5.6.7:7000":     "10.5.6.7:7000",
		"192.0.2.19:7000":    "10.0.9.3:7000",
		"[::1]:7002":         "redis-2:6379",
		"/run/redis.sock":    "redis-3:6379",
		"10.0.0.1:7000":      "10.0.0.1:7000",
		"8.8.8.8:7000":       "8.8.8.8:7000",
	} {
		if got := m.Announced(addr(t, at)).String(); got != want {
			t.Errorf("%s announces %s, want %s", at, got, want)
		}
	}
}

func TestAddressMapTakesTheFirstOfEqualRules(t *testing.T) {
	m := mapOf(t, "a=b").Over(mapOf(t, "a=c", "a:1=d:1"))
	if got := m.Reach(addr(t, "a:2")).String(); got != "b:2" {
		t.Error(got)
	}
	if got := m.Reach(addr(t, "a:1")).String(); got != "d:1" {
		t.Error(got)
	}
	if got := mapOf(t, "a=c", "b=c").Announced(addr(t, "c:1")).String(); got != "c:1" {
		t.Errorf("of two nodes it chose %s", got)
	}
}

func TestAddressMapRefuses(t *testing.T) {
	for rule, why := range map[string]string{
		"10.0.0.1:7000":             "HOST:PORT=HOST:PORT",
		"10.0.0.1:7000=10.0.0.2":    "HOST:PORT=HOST:PORT",
		"10.0.0.1=10.0.0.2:7000":    "HOST:PORT=HOST:PORT",
		"10.0.0.1=/run/redis.sock":  "HOST:PORT=HOST:PORT",
		"/run/redis.sock=a:1":       "HOST:PORT=HOST:PORT",
		"10.0.0.0/8=192.168.0.0/16": "one size",
		"10.0.0.0/8=fd00::/8":       "one size",
		"10.0.0.0/8=h:7000":         "HOST:PORT=HOST:PORT",
		"10.0.0.0/33=h":             "10.0.0.0/33",
		"=a":                        "",
		"a=":                        "",
		"a:0=b:1":                   "port",
		"a:1=b:70000":               "port",
		"a b=c":                     "host",
		"a:b:1=c:1":                 "IPv6",
	} {
		var m driver.AddressMap
		if err := m.Add(rule); err == nil || !strings.Contains(err.Error(), why) || !m.Empty() {
			t.Errorf("%s: %v, want %q", rule, err, why)
		}
	}
	m := mapOf(t, "[0:0::1]=a")
	if err := m.Add("::1=b"); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

// TestNetworksMapBackAndForth promises that a network that is mapped to another
// one of its size loses no address on the way.
func TestNetworksMapBackAndForth(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		bits := rapid.IntRange(1, 32).Draw(r, "bits")
		draw := func(name string) netip.Addr {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(r, name)))
		}
		host := draw("host")
		from, to := netip.PrefixFrom(host, bits).Masked(), netip.PrefixFrom(draw("to"), bits).Masked()
		if from.Overlaps(to) {
			r.Skip("the same network")
		}
		var m driver.AddressMap
		if err := m.Add(from.String() + "=" + to.String()); err != nil {
			r.Fatal(err)
		}
		announced := cluster.Addr{Host: host.String(), Port: 7000}
		reached := m.Reach(announced)
		if !to.Contains(netip.MustParseAddr(reached.Host)) || m.Announced(reached) != announced {
			r.Errorf("%s=%s: %s, %s, %s", from, to, announced, reached, m.Announced(reached))
		}
	})
}
