package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// wishServers are enough of the matrix: what differs between them is how slots
// are assigned and nodes are met.
func wishServers() []string { return []string{"redis-6.0", "redis-7.0", "valkey-9.1"} }

// onHosts starts servers that answer on several loopback addresses, and gives
// each a host of its own.
func onHosts(t *testing.T, server string, nodes int) (l *labtest.Lab, addrs []string) {
	t.Helper()
	bind := "bind"
	for i := range nodes {
		bind += fmt.Sprintf(" 127.0.0.%d", i+1)
	}
	l = labtest.Start(t, labtest.Options{Server: server, Nodes: nodes, Config: []string{bind}})
	for i, n := range l.Nodes() {
		addrs = append(addrs, fmt.Sprintf("127.0.0.%d:%d", i+1, n.Port()))
	}
	return l, addrs
}

// TestCreateInZones: no master shares its zone with another one, and no replica
// with its master.
func TestCreateInZones(t *testing.T) {
	for _, name := range wishServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, addrs := onHosts(t, name, 6)
			create := append([]string{"create", "--replicas", "1", "--yes"}, addrs...)
			for i := range addrs {
				create = append(create, "--zone", fmt.Sprintf("127.0.0.%d=zone%d", i+1, i/2))
			}
			trib(t, create...).done(t, "^3 masters over 3 zones and 6 hosts, each with 1 replica$", "^no replica shares a zone with")
			p := whole(t, l).shaped(t, 3, 1)
			zones := make(map[string]int) // by id
			for i, s := range p {
				zones[s.self.id] = i / 2
			}
			masters := make(map[int]bool)
			for _, s := range p {
				if s.self.is("master") {
					masters[zones[s.self.id]] = true
				} else if zones[s.self.id] == zones[s.self.master] {
					t.Errorf("%s is in the zone of its master", s.Addr())
				}
			}
			if len(masters) != 3 {
				t.Errorf("masters in zones %v", masters)
			}
			trib(t, create...).done(t, "done already")
		})
	}
}

// TestCreateAsWished: pairs, slots and weights are had exactly, also where a
// create is killed and run again. With other wishes it is not gone on with.
func TestCreateAsWished(t *testing.T) {
	for i, name := range wishServers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := labtest.Start(t, labtest.Options{Server: name, Nodes: 6})
			a := l.Addrs()
			create := append([]string{"create", "--yes", "--wait=joined"}, a...)
			create = append(create, "--replica-of", a[0]+"="+a[5], "--replica-of", a[1]+"="+a[5],
				"--slots", a[4]+"=0-999,2000-2999,16383", "--weight", a[3]+"=3")
			// Epochs for six, slots for four; then MEETs.
			how{fuse: &chaos.Fuse{At: []int{8, 14, 30}[i], Phase: chaos.Replied}}.run(t, create...)
			trib(t, append(create, "--weight", a[2]+"=7")...).exit(t, 4).complains(t, "already has slots", "^hint: .*with the nodes and options that it was begun with")
			trib(t, create...).done(t)
			p := soonWhole(t, l)
			if got := ranges(p.at(a[4]).self.slots); got != " 0-999 2000-2999 16383" {
				t.Errorf("%s has slots %s", a[4], got)
			}
			light, heavy, other := len(p.at(a[2]).self.slots), len(p.at(a[3]).self.slots), len(p.at(a[5]).self.slots)
			if light+heavy+other != labtest.Slots-2001 || max(light-other, other-light) > 1 || max(heavy-3*light, 3*light-heavy) > 3 {
				t.Errorf("%d, %d and %d slots by weights 1, 3 and 1", light, heavy, other)
			}
			for _, replica := range a[:2] {
				if s := p.at(replica).self; s.master != p.at(a[5]).self.id {
					t.Errorf("%s is %s of %s", replica, s.flags, s.master)
				}
			}
			trib(t, create...).done(t, "done already")
		})
	}
}

// TestCreateFewMasters: one master or two make a cluster that works, with a
// warning of what it cannot do.
func TestCreateFewMasters(t *testing.T) {
	for _, name := range wishServers() {
		for masters := 1; masters <= 2; masters++ {
			t.Run(fmt.Sprint(name, " ", masters), func(t *testing.T) {
				t.Parallel()
				l := labtest.Start(t, labtest.Options{Server: name, Nodes: 2 * masters})
				create := append([]string{"create", "--replicas", "1"}, l.Addrs()...)
				var got struct {
					Plan struct{ Warnings []string }
				}
				dry := trib(t, append(create, "--dry-run", "-o", "json")...).done(t)
				if err := json.Unmarshal([]byte(dry.out), &got); err != nil || !strings.Contains(fmt.Sprint(got), "no replica takes over by itself") {
					t.Errorf("%v: %v", err, dry)
				}
				trib(t, append(create, "--yes")...).done(t, `^\[WARNING\] with \d masters? no replica takes over by itself`)
				whole(t, l).shaped(t, masters, 1)
				bury(t, l).intact(t)
			})
		}
	}
}

// TestCreateAlone makes a cluster of one node.
func TestCreateAlone(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 1})
	create := []string{"create", "--yes", l.Addrs()[0]}
	trib(t, create...).done(t, `^\[WARNING\] with 1 master no replica`)
	whole(t, l)
	trib(t, create...).done(t, "done already")
}

// TestCreateMixed: servers that cannot live together are refused before
// anything is touched; those that can are joined with a warning.
func TestCreateMixed(t *testing.T) {
	t.Run("apart", func(t *testing.T) {
		t.Parallel()
		l := labtest.Start(t, labtest.Options{Mix: []string{"redis-8.0", "valkey-9.1"}, Nodes: 3})
		before := memory(t, l)
		trib(t, append([]string{"create", "--yes"}, l.Addrs()...)...).exit(t, 4).complains(t, "cannot read each other's data", "^hint: run the same version")
		untouched(t, l, before)
	})
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		l := labtest.Start(t, labtest.Options{Mix: []string{"redis-7.0", "redis-6.0", "valkey-8.1"}, Nodes: 3})
		create := append([]string{"create"}, l.Addrs()...)
		for _, n := range l.Nodes() {
			if n.Server().Name() == "redis-6.0" {
				create = append(create, "--slots", n.Addr()+"=0-99")
			}
		}
		trib(t, append(create, "--yes")...).done(t, `^\[WARNING\] the nodes run .*redis 6\.0\.`)
		whole(t, l).shaped(t, 3, 0)
	})
}
