package serve_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/lab/resp"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/sim/serve"
	"github.com/trib-dev/trib/pkg/driver/drivertest"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

func start(t *testing.T, o serve.Options) *serve.Service {
	t.Helper()
	s, err := serve.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestContract runs what the engine takes for granted of real servers on
// simulated ones, with the client that trib uses, on real ports. The rules of the
// other servers pass it in package sim.
func TestContract(t *testing.T) {
	for _, name := range []string{"redis-7.0", "valkey-9.1"} {
		for _, c := range drivertest.Cases() {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel() // most of them wait for nodes that do not answer
				c.Run(t, target(t, name))
			})
		}
	}
}

func target(t *testing.T, name string) drivertest.Target {
	t.Helper()
	server, err := serve.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	const password = "secret"
	s := start(t, serve.Options{Sim: sim.Options{Server: server, Password: password, Databases: 2}, Nodes: 3, Masters: 3})
	out := drivertest.Target{
		Dialer:   goredis.New(goredis.Options{Password: password}),
		Intruder: goredis.New(goredis.Options{Password: "wrong"}),
		Password: password,
	}
	for _, n := range s.Cluster.Nodes() {
		out.Nodes = append(out.Nodes, drivertest.Node{Addr: n.Addr(), Pause: n.Pause, Resume: n.Resume, Kill: n.Crash})
	}
	return out
}

func TestUnknownName(t *testing.T) {
	if server, err := serve.Named("redis-5.0"); err == nil {
		t.Errorf("redis-5.0 is simulated as %s", server)
	}
}

// What an ordinary client says beyond what trib does.
func TestOrdinaryClient(t *testing.T) {
	s := start(t, serve.Options{Nodes: 6, Masters: 3})
	conn, err := resp.Dial(t.Context(), s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies, err := conn.Pipeline(
		[]string{"SET", "{3560}a", "1"}, []string{"EXPIRE", "{3560}a", "100"}, []string{"TTL", "{3560}a"},
		[]string{"PERSIST", "{3560}a"}, []string{"PTTL", "{3560}a"}, []string{"GET", "{3560}b"},
		[]string{"SCAN", "0", "COUNT", "5"}, []string{"NOSUCHCOMMAND"},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{
		"OK", int64(1), int64(100), int64(1), int64(-1), nil,
		[]any{"0", []any{"{3560}a"}},
		resp.Error("ERR unknown command 'NOSUCHCOMMAND', with args beginning with: "),
	}
	if diff := cmp.Diff(want, replies); diff != "" {
		t.Error(diff)
	}
	if slots, err := conn.Do("CLUSTER", "SLOTS"); err != nil || len(slots.([]any)) != 3 || len(slots.([]any)[0].([]any)) != 4 {
		t.Errorf("CLUSTER SLOTS: %v, %v", slots, err)
	}
}

// A node that was shut down takes its connections with it, and no new ones.
func TestShutdown(t *testing.T) {
	s := start(t, serve.Options{Nodes: 3, Masters: 3})
	idle, err := resp.Dial(t.Context(), s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for range 2 {
		conn, err := resp.Dial(t.Context(), s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		if reply, err := conn.Do("SHUTDOWN"); err == nil {
			t.Errorf("SHUTDOWN: %v", reply)
		}
		conn.Close()
	}
	if reply, err := idle.Do("PING"); err == nil {
		t.Errorf("PING after that: %v", reply)
	}
}
