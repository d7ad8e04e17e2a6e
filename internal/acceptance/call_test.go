package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestCall calls every kind of server: replies of every type, nodes by role and
// by name, arguments with a dash, and what every node refuses.
func TestCall(t *testing.T) {
	for _, name := range labtest.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := labtest.Form(t, labtest.Start(t, labtest.Options{Server: name, Nodes: 4}), 3, 1)
			seed, replica := c.Replicas[0].Addr(), c.Replicas[0].ID
			trib(t, "call", seed, "config", "set", "maxmemory", "77mb").done(t, `^>>> Calling config set maxmemory 77mb$`, `^`+seed+`: OK$`)
			r := trib(t, "call", seed, "config", "get", "maxmemory").done(t, `^  1\) "maxmemory"$`)
			if got := strings.Count(r.out, `2) "80740352"`); got != 4 {
				t.Errorf("%d nodes have it: %v", got, r)
			}
			for args, nodes := range map[string]int{
				"": 4, "--cluster-only-masters": 3, "--only-primaries": 3, "--cluster-only-replicas": 1,
				"--node " + replica[:12]: 1, "--node " + seed + " --node " + c.Masters[0].ID: 2,
			} {
				r := trib(t, append([]string{"--cluster", "call", seed, "ping"}, strings.Fields(args)...)...).done(t)
				if got := strings.Count(r.out, ": PONG\n"); got != nodes {
					t.Errorf("%q calls %d nodes, want %d", args, got, nodes)
				}
			}
			owner := c.Owner(labtest.Slot("k")).Addr()
			trib(t, "call", seed, "--node", owner, "--", "rpush", "k", "-1", "--node").done(t, `: 2$`)
			trib(t, "call", seed, "--node", owner, "lrange", "k", "0", "-1").done(t, `1\) "-1"$`, `2\) "--node"$`)
			trib(t, "call", seed, "llen", "k").exit(t, 5).prints(t, `^`+owner+`: 2$`, `\(error\) MOVED `).complains(t, `^trib: 3 of 4 nodes failed: `)
			trib(t, "call", seed, "nosuchcommand").exit(t, 1).prints(t, `\(error\) ERR unknown command`)
			secretive(t, trib(t, "call", seed, "config", "set", "requirepass", canary, "no-such-parameter", canary).exit(t, 1, 5))
			for _, key := range []string{"k", "{user:1}.name", "a{}b", "", "\xff\n"} {
				want := fmt.Sprint(c.Do(t, c.Masters[0].Node, "CLUSTER", "KEYSLOT", key))
				if got := trib(t, "keyslot", "--", key).done(t).out; got != want+"\n" {
					t.Errorf("keyslot %q is %q, the server says %s", key, got, want)
				}
			}
			completes(t, c)
			bounded(t, seed)
			typed(t, seed)
		})
	}
}

// completes asks as a shell does when the tabulator key is pressed.
func completes(t *testing.T, c *labtest.Cluster) {
	t.Helper()
	seed, m := c.Masters[1].Addr(), c.Masters[2]
	for begun, want := range map[string]string{
		m.Addr(): m.Addr() + "\tmaster, 5462 slots, " + m.ID[:8], m.ID[:10]: m.ID + "\tmaster, 5462 slots, " + m.Addr(),
		"all," + c.Replicas[0].Addr(): "all," + c.Replicas[0].Addr() + "\treplica " + c.Replicas[0].ID[:8],
	} {
		r := trib(t, "__complete", "reshard", seed, "--from", begun).exit(t, 0)
		if !strings.HasPrefix(r.out, want+"\n:") {
			t.Errorf("%s is not completed to %q: %v", begun, want, r)
		}
	}
	r := trib(t, "__complete", "reshard", "127.0.0.1:1", "--to", "").exit(t, 0)
	if !strings.HasPrefix(r.out, ":") || strings.Contains(r.err, "refused") || r.took > 3*time.Second {
		t.Errorf("a dead seed is not silent: %v", r)
	}
}

// bounded holds that a command that blocks is given up.
func bounded(t *testing.T, seed string) {
	t.Helper()
	r := trib(t, "call", seed, "--only-masters", "--timeout", "300", "blpop", "nothing", "0").exit(t, 5)
	r.prints(t, `Failed! no reply within 300ms; it may have been carried out$`, `\(error\) MOVED `)
	if r.took > 5*time.Second {
		t.Errorf("it took %v", r.took)
	}
}

func typed(t *testing.T, seed string) {
	t.Helper()
	r := trib(t, "call", seed, "--only-masters", "-o", "json", "eval", `return {1, 'a', false, {'b'}, '\255'}`, "0").done(t)
	var got struct {
		Nodes []struct{ Reply json.RawMessage }
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.Nodes) != 3 {
		t.Fatalf("%v: %v", err, r)
	}
	for _, n := range got.Nodes {
		var compact []any
		if err := json.Unmarshal(n.Reply, &compact); err != nil {
			t.Fatal(err)
		}
		if text, _ := json.Marshal(compact); string(text) != `[1,"a",null,["b"],{"base64":"/w=="}]` {
			t.Errorf("reply is %s", text)
		}
	}
}

// TestCallNamesTheDead: a paused node and a killed one are named in time, and
// keep nobody waiting.
func TestCallNamesTheDead(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 4}), 3, 1)
	paused, dead := c.Masters[1], c.Replicas[0]
	if err := paused.Pause(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { paused.Resume() })
	if err := dead.Kill(); err != nil {
		t.Fatal(err)
	}
	r := trib(t, "call", c.Masters[0].Addr(), "ping").exit(t, 5)
	r.prints(t, `^`+c.Masters[0].Addr()+`: PONG$`, `^`+paused.Addr()+`: Failed! `, `^`+dead.Addr()+`: Failed! `)
	if r.took > 5*time.Second {
		t.Errorf("it took %v", r.took)
	}
}
