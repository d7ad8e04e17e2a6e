package sim_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/internal/lab/resp"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/sim/serve"
	"github.com/trib-dev/trib/pkg/driver"
)

var (
	minutes = flag.Int("minutes", 0, "replay further random scripts for so many minutes; see make differential")
	seed    = flag.Int("seed", 1, "the first random script")
	against = flag.String("servers", "redis-7.0,valkey-9.1", "on which servers, of labtest.Names")
)

// TestDifferential replays random scripts of commands in the simulator and on
// real servers: every reply, and what every node thinks and holds after every
// command, has to be the same. Where they differ the server is right.
func TestDifferential(t *testing.T) {
	for server := range strings.SplitSeq(*against, ",") {
		for replicas := range 2 {
			t.Run(fmt.Sprintf("%s with %d replicas", server, replicas), func(t *testing.T) { replay(t, server, replicas) })
		}
	}
}

// replay replays scripts for as long as was asked, on masters with so many
// replicas each. Who follows whom changes only where there are any.
func replay(t *testing.T, server string, replicas int) {
	t.Parallel() // most of the time gossip is waited for
	l := labtest.Start(t, labtest.Options{Server: server, Nodes: scriptMasters * (1 + replicas), Config: []string{
		"cluster-node-timeout 1000", "cluster-require-full-coverage no",
	}})
	scripts, commands := 0, 0
	for end := time.Now().Add(time.Duration(*minutes) * time.Minute); scripts < 1 || time.Now().Before(end); scripts++ {
		s := newScript(*seed+scripts, server, replicas)
		commands += len(s.steps)
		if s.compare(t, l); t.Failed() {
			break
		}
	}
	t.Logf("%d scripts, %d commands", scripts, commands)
}

// compare replays the script on both sides. Who hears of something first is up to
// chance: the servers may go any of the ways on which the simulator goes with
// several orders of gossip. And real time has its accidents on a busy machine: a
// difference counts where it shows twice.
func (s *script) compare(t *testing.T, l *labtest.Lab) {
	t.Helper()
	const orders = 6
	var ways [][]moment
	for order := range orders {
		synctest.Test(t, func(t *testing.T) { ways = append(ways, s.replay(simulated(t, s, order), nil)) })
	}
	var diff string
	for range 2 {
		if diff = s.difference(ways, s.replay(real(t, l, s), ways)); diff == "" {
			return
		}
	}
	t.Errorf("script %d, simulator (-) and server (+):\n%s", s.seed, diff)
}

// moment is what is seen of a step.
type moment struct{ reply, state string }

// replay stops at the first moment that is on none of the ways, where there are
// any to follow.
func (s *script) replay(w *world, ways [][]moment) []moment {
	w.dumps = make(map[string]string)
	var got []moment
	for _, st := range s.steps {
		m := moment{reply: s.plain(w.do(st), w)}
		w.pass(st.pause)
		m.state = w.settled(func(state string) bool { return len(following(ways, append(got, moment{m.reply, state}))) > 0 })
		got = append(got, m)
		if ways != nil && len(following(ways, got)) == 0 {
			break
		}
	}
	return got
}

// following are the ways that begin like this.
func following(ways [][]moment, got []moment) [][]moment {
	return slices.DeleteFunc(slices.Clone(ways), func(way []moment) bool { return !slices.Equal(way[:len(got)], got) })
}

// difference tells the story up to the moment that differs; "" for none.
func (s *script) difference(ways [][]moment, got []moment) string {
	if len(following(ways, got)) > 0 {
		return ""
	}
	last := len(got) - 1
	want := following(ways, got[:last])[0][last]
	var story strings.Builder
	for i := range got {
		fmt.Fprintf(&story, "step %d %s -> %s\n", i, s.steps[i], got[i].reply)
	}
	lines := func(m moment) []string { return strings.Split(m.reply+"\n"+m.state, "\n") }
	return story.String() + cmp.Diff(lines(want), lines(got[last]))
}

// world is a cluster on which a script can be replayed.
type world struct {
	send    []func(words ...string) any // to each node: a reply, or an error
	look    []func(words ...string) any // the same on connections of their own, that disturb no ASKING
	names   *strings.Replacer           // of nodes, for their ids and addresses
	meant   *strings.Replacer           // and back
	dumps   map[string]string           // the last payload of each key
	pass    func(time.Duration)
	settled func(enough func(string) bool) string // the state once it is so, or nothing is on its way any more
}

// named makes names of nodes for ids and ports.
func (w *world) named(ids []string, ports []int) {
	var names, meant []string
	for i, id := range ids {
		name, port := nodeName(i), strconv.Itoa(ports[i])
		names = append(names, id, name, "127.0.0.1:"+port, "address of "+name)
		meant = append(meant, "@"+name, id, "#"+name, port)
	}
	w.names, w.meant = strings.NewReplacer(names...), strings.NewReplacer(meant...)
}

// do sends what a step means on this side.
func (w *world) do(st step) any {
	words := make([]string, len(st.words))
	for i, word := range st.words {
		words[i] = w.meant.Replace(word)
		if key, ok := strings.CutPrefix(word, "dump of "); ok {
			words[i] = w.dumps[key]
		}
	}
	reply := w.send[st.node](words...)
	if payload, ok := reply.(string); ok && st.words[0] == "DUMP" {
		w.dumps[st.words[1]] = payload
	}
	return reply
}

// simulated is the simulator's side.
func simulated(t *testing.T, s *script, order int) *world {
	t.Helper()
	server, err := serve.Named(s.server)
	if err != nil {
		t.Fatal(err)
	}
	c := sim.New(sim.Options{
		Server: server, PartialCoverage: true, NodeTimeout: time.Second, Untold: true,
		Seed: order, GossipJitter: time.Duration(min(order, 1)) * 300 * time.Millisecond,
	})
	connect := func(n *sim.Node) func(...string) any {
		conn, err := c.Dialer().Socket(n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return func(words ...string) any {
			reply, err := driver.Call(context.Background(), conn, words...)
			return errorOr(reply.Value, err)
		}
	}
	w := &world{pass: c.Advance}
	var ids []string
	var ports []int
	for _, n := range c.Form(scriptMasters, s.replicas) {
		ids, ports = append(ids, string(n.ID())), append(ports, n.Addr().Port)
		w.send, w.look = append(w.send, connect(n)), append(w.look, connect(n))
	}
	w.named(ids, ports)
	w.settled = func(func(string) bool) string { c.Settle(); return w.state() }
	return w
}

// real is the servers' side. They begin anew, as new processes: no reset makes
// Redis 7.0 forget whose slots it believed to be given up.
func real(t *testing.T, l *labtest.Lab, s *script) *world {
	t.Helper()
	for _, n := range l.Nodes() {
		conn := l.Dial(t, n)
		conn.Do("FLUSHALL") // a replica refuses it, and resets with data
		conn.Close()
		l.Do(t, n, "CLUSTER", "RESET", "HARD")
		if err := n.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(n *lab.Node) func(...string) any {
		conn := l.Dial(t, n)
		return func(words ...string) any {
			reply, err := conn.Do(words...)
			if err != nil && !errors.As(err, new(resp.Error)) {
				t.Fatal(err)
			}
			return errorOr(reply, err)
		}
	}
	w := &world{pass: time.Sleep}
	var ids []string
	var ports []int
	for _, m := range labtest.Form(t, l, scriptMasters, scriptMasters*s.replicas).Members() {
		ids, ports = append(ids, m.ID), append(ports, m.Port())
		w.send, w.look = append(w.send, connect(m.Node)), append(w.look, connect(m.Node))
	}
	w.named(ids, ports)
	w.settled = w.await
	return w
}

func errorOr(reply any, err error) any {
	if err != nil {
		return err
	}
	return reply
}

// await looks until the state is good enough, for as long as gossip may take.
func (w *world) await(enough func(string) bool) string {
	const limit = 4 * time.Second
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if state := w.state(); enough(state) || time.Now().After(end) {
			return state
		}
	}
}
