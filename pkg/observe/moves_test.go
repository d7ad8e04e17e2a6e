package observe_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
)

// TestForMoves: jobs and what forbids them are read of masters, and no secret is
// kept.
func TestForMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "9.1.2"}, Password: "sesame"})
		nodes := c.Form(3, 1)
		nodes[1].Config("primaryauth", "")
		conn, err := c.Dialer().Dial(t.Context(), nodes[0].Addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := driver.Call(t.Context(), conn, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", "0", "9", "NODE", string(nodes[2].ID())); err != nil {
			t.Fatal(err)
		}
		nodes[0].LoadModules("search")
		d := driver.ReadOnly(c.Dialer())
		s := see(t, d, nodes[4].Addr())
		observe.ForMoves(t.Context(), d, s)

		if running := s.Running(); len(running) != 1 || running[0].Slots.String() != "0-9" || running[0].To != nodes[2].ID() {
			t.Errorf("running: %+v", running)
		}
		for i, want := range []cluster.Admission{
			{DemandsPassword: true, HasPassword: true, Modules: []string{"search"}},
			{DemandsPassword: true},
			{DemandsPassword: true, HasPassword: true},
			{}, // a replica is not asked
		} {
			got := at(t, s, nodes[i]).Admission
			if got.DemandsPassword != want.DemandsPassword || got.HasPassword != want.HasPassword || !slices.Equal(got.Modules, want.Modules) {
				t.Errorf("%s: %+v, want %+v", nodes[i], got, want)
			}
		}
	})
}
