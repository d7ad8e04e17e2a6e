package goredis_test

import (
	"testing"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver/drivertest"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

const password = "sesame"

// TestContract runs what the engine takes for granted on real servers: on all of
// them, and in short mode on the oldest and the newest kind of rules.
func TestContract(t *testing.T) {
	names := labtest.Names()
	if testing.Short() {
		names = []string{labtest.Default, names[len(names)-1]}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Target { return target(t, name, nil) })
		})
	}
}

// TestContractUnderTLS promises the same of encrypted connections.
func TestContractUnderTLS(t *testing.T) {
	ca := labtest.NewAuthority(t, "127.0.0.1")
	drivertest.Run(t, func(t *testing.T) drivertest.Target { return target(t, labtest.Default, ca) })
}

func target(t *testing.T, server string, ca *labtest.Authority) drivertest.Target {
	t.Helper()
	o := labtest.Options{Server: server, Nodes: 3, Password: password, TLS: ca}
	if server == "valkey-9.1" {
		o.Config = append(o.Config, "cluster-databases 2")
	}
	c := labtest.Form(t, labtest.Start(t, o), 3, 0)
	target := drivertest.Target{
		Dialer:   goredis.New(goredis.Options{Password: password, TLS: encryption(t, ca)}),
		Intruder: goredis.New(goredis.Options{Password: "wrong", TLS: encryption(t, ca)}),
		Password: password,
	}
	for _, m := range c.Masters {
		// A test that has ended cannot be failed, and resuming may come that late.
		check := func(do func() error) func() {
			return func() {
				if err := do(); err != nil {
					t.Logf("%s: %v", m.Addr(), err)
				}
			}
		}
		target.Nodes = append(target.Nodes, drivertest.Node{
			Addr:   cluster.Addr{Host: m.Host(), Port: m.Port()},
			Pause:  check(m.Pause),
			Resume: check(m.Resume),
			Kill:   check(m.Kill),
		})
	}
	return target
}
