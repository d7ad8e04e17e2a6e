package sim_test

import (
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver/drivertest"
)

// servers are the kinds of server whose rules differ.
var servers = []cluster.Server{
	{Flavor: "redis", Version: "6.0.16"},
	{Flavor: "redis", Version: "7.0.15"},
	{Flavor: "redis", Version: "8.0.2"},
	{Flavor: "valkey", Version: "8.1.1"},
	{Flavor: "valkey", Version: "9.1.2"},
}

// TestContract runs what real servers have to pass on simulated ones.
func TestContract(t *testing.T) {
	for _, server := range servers {
		t.Run(server.String(), func(t *testing.T) {
			for _, c := range drivertest.Cases() {
				t.Run(c.Name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { c.Run(t, target(server)) })
				})
			}
		})
	}
}

func target(server cluster.Server) drivertest.Target {
	c := sim.New(sim.Options{Server: server, Password: "secret", Databases: 2})
	t := drivertest.Target{Dialer: c.Dialer(), Intruder: c.DialerWith("wrong"), Password: "secret"}
	for _, n := range c.Form(3, 0) {
		t.Nodes = append(t.Nodes, drivertest.Node{Addr: n.Addr(), Pause: n.Pause, Resume: n.Resume, Kill: n.Crash})
	}
	return t
}
