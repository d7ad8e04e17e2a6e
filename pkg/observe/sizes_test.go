package observe_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
)

// weighing answers MEMORY USAGE with what a key's name says, and counts what is
// asked.
func weighing(d driver.Dialer, asked *int) driver.Dialer {
	return liar{d, func(_ cluster.Addr, cmd driver.Command, r driver.Reply) driver.Reply {
		if cmd.Name() != "MEMORY USAGE" {
			return r
		}
		*asked++
		return driver.Reply{Value: int64(100 * len(cmd[2]))}
	}}
}

func everything(m cluster.Member) cluster.SlotSet { return m.Slots() }

// TestSizes promises an average for each node that has keys, the biggest keys
// with their place, and few questions however many keys there are.
func TestSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 0)
		client := c.Client()
		for slot := range 12 {
			tag := keyIn(slot)
			for i := range 20 {
				client.Write(fmt.Sprintf("{%s}%d", tag, i), "v")
			}
		}
		long := fmt.Sprintf("{%s}%s", keyIn(6000), strings.Repeat("x", 50))
		client.Write(long, "v")
		asked := 0
		d := driver.ReadOnly(weighing(c.Dialer(), &asked))
		s := see(t, d, nodes[0].Addr())
		observe.ForCheck(t.Context(), d, s)
		got := observe.Sizes(t.Context(), d, s, everything)
		if len(got.Average) != 2 || got.Average[nodes[1].ID()] != int64(100*len(long)) {
			t.Errorf("averages %v", got.Average)
		}
		want := observe.Key{Node: nodes[1].ID(), Slot: 6000, Name: long, Bytes: int64(100 * len(long))}
		if len(got.Biggest) != 10 {
			t.Fatalf("%d biggest keys", len(got.Biggest))
		}
		if diff := cmp.Diff(want, got.Biggest[0]); diff != "" {
			t.Errorf("biggest key (-want +got):\n%s", diff)
		}
		if asked > 8*8+1 {
			t.Errorf("%d keys were asked for", asked)
		}
		if diff := cmp.Diff(got, observe.Sizes(t.Context(), d, s, everything)); diff != "" {
			t.Errorf("another sample of the same:\n%s", diff)
		}
	})
}

// TestSizesUnknown promises that what cannot be sampled is absent: a server
// that refuses, one without keys, one that is silent, within the deadline.
func TestSizesUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{})
		nodes := c.Form(3, 0)
		for slot := range 10 {
			c.Client().Write(keyIn(slot), "v")
		}
		s := see(t, c.Dialer(), nodes[0].Addr())
		refused := refusing(c.Dialer(), "MEMORY USAGE", "NOPERM this user has no permissions")
		if got := observe.Sizes(t.Context(), refused, s, everything); len(got.Average) != 0 || len(got.Biggest) != 0 {
			t.Errorf("refused: %+v", got)
		}
		nodes[0].Pause()
		begun := time.Now()
		asked := 0
		if got := observe.Sizes(t.Context(), weighing(c.Dialer(), &asked), s, everything); len(got.Average) != 0 {
			t.Errorf("silent: %+v", got)
		}
		if took := time.Since(begun); took > driver.ProbeTimeout+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestSizesInEveryDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(sim.Options{Server: cluster.Server{Flavor: "valkey", Version: "9.1.2"}, Databases: 3})
		nodes := c.Form(1, 0)
		conn, err := c.Dialer().Dial(t.Context(), nodes[0].Addr(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Do(t.Context(), driver.Cmd("SELECT", "2"), driver.Cmd("SET", "key", "v")); err != nil {
			t.Fatal(err)
		}
		asked := 0
		got := observe.Sizes(t.Context(), weighing(c.Dialer(), &asked), see(t, c.Dialer(), nodes[0].Addr()), func(cluster.Member) cluster.SlotSet {
			return cluster.SlotsOf(cluster.KeySlot("key"))
		})
		want := []observe.Key{{Node: nodes[0].ID(), DB: 2, Slot: cluster.KeySlot("key"), Name: "key", Bytes: 300}}
		if diff := cmp.Diff(want, got.Biggest); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
