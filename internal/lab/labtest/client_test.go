package labtest

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/resp"
)

// threeMasters is one cluster for the cases below: each puts right what it did.
func threeMasters(t *testing.T) (*Cluster, *Client) {
	t.Helper()
	c := Form(t, Start(t, Options{Nodes: 3}), 3, 0)
	client := c.Client()
	t.Cleanup(client.Close)
	return c, client
}

func TestClient(t *testing.T) {
	c, client := threeMasters(t)
	t.Run("follows ASK", func(t *testing.T) { followsAsk(t, c, client) })
	t.Run("a definite error is refused", func(t *testing.T) { definiteError(t, client) })
	t.Run("a passing refusal is retried for a bounded time", func(t *testing.T) { uncovered(t, c, client) })
	t.Run("a silent server leaves the outcome unknown", func(t *testing.T) { silent(t, c, client) })
	t.Run("a dead server refuses", func(t *testing.T) { dead(t, c, client) })
}

func followsAsk(t *testing.T, c *Cluster, client *Client) {
	slot := Slot("{tag}")
	source, target := c.Owner(slot), c.Masters[0]
	if source == target {
		target = c.Masters[1]
	}
	acknowledged(t, client, "{tag}old", "SET", "{tag}old", "1")
	number := strconv.Itoa(slot)
	c.Do(t, target.Node, "CLUSTER", "SETSLOT", number, "IMPORTING", source.ID)
	c.Do(t, source.Node, "CLUSTER", "SETSLOT", number, "MIGRATING", target.ID)
	defer c.Do(t, source.Node, "CLUSTER", "SETSLOT", number, "STABLE")

	r := acknowledged(t, client, "{tag}new", "SET", "{tag}new", "2")
	if r.Addr != target.Addr() || r.Attempts != 2 {
		t.Errorf("the new key went to %s in %d attempts, want %s in 2", r.Addr, r.Attempts, target.Addr())
	}
	if r := client.Do(t.Context(), "{tag}old", "GET", "{tag}old"); r.Addr != source.Addr() {
		t.Errorf("the old key was read from %s, want %s", r.Addr, source.Addr())
	}
	client.Patience = 200 * time.Millisecond
	r = client.Do(t.Context(), "{tag}old", "MGET", "{tag}old", "{tag}new")
	wantRefusal(t, r, "TRYAGAIN")
	if r.Attempts < 2 {
		t.Errorf("TRYAGAIN was not tried again")
	}
	client.Patience = 5 * time.Second
}

func definiteError(t *testing.T, client *Client) {
	acknowledged(t, client, "list", "RPUSH", "list", "x")
	r := client.Do(t.Context(), "list", "INCR", "list")
	wantRefusal(t, r, "WRONGTYPE")
}

func uncovered(t *testing.T, c *Cluster, client *Client) {
	slot := Slot("gone")
	owner := c.Owner(slot)
	c.Do(t, owner.Node, "CLUSTER", "DELSLOTS", strconv.Itoa(slot))
	client.Patience = 300 * time.Millisecond
	// The owner says CLUSTERDOWN, the others still send clients to it by MOVED.
	if r := client.Do(t.Context(), "gone", "SET", "gone", "1"); r.Outcome != Refused || r.Attempts < 2 {
		t.Errorf("SET in a slot without owner: %v in %d attempts (%v)", r.Outcome, r.Attempts, r.Err)
	}
	client.Patience = 5 * time.Second
	c.Do(t, owner.Node, "CLUSTER", "ADDSLOTS", strconv.Itoa(slot))
	acknowledged(t, client, "gone", "SET", "gone", "1")
}

func silent(t *testing.T, c *Cluster, client *Client) {
	acknowledged(t, client, "k", "SET", "k", "0")
	owner := c.Owner(Slot("k"))
	if err := owner.Pause(); err != nil {
		t.Fatal(err)
	}
	client.Timeout = 300 * time.Millisecond
	client.Close() // the timeout is of new connections
	r := client.Do(t.Context(), "k", "SET", "k", "1")
	if r.Outcome != Unknown || r.Attempts != 1 {
		t.Errorf("SET at a paused server: %v in %d attempts (%v), want unknown in 1", r.Outcome, r.Attempts, r.Err)
	}
	client.Timeout = 2 * time.Second
	if err := owner.Resume(); err != nil {
		t.Fatal(err)
	}
	acknowledged(t, client, "k", "GET", "k")
}

func dead(t *testing.T, c *Cluster, client *Client) {
	owner := c.Owner(Slot("k"))
	if err := owner.Kill(); err != nil {
		t.Fatal(err)
	}
	client.Close()
	client.Patience = 300 * time.Millisecond
	if r := client.Do(t.Context(), "k", "SET", "k", "2"); r.Outcome != Refused {
		t.Errorf("SET at a dead server: %v (%v), want refused", r.Outcome, r.Err)
	}
	if err := owner.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.Patience = 10 * time.Second
	acknowledged(t, client, "k", "SET", "k", "3")
}

func acknowledged(t *testing.T, client *Client, key string, args ...string) Result {
	t.Helper()
	r := client.Do(t.Context(), key, args...)
	if r.Outcome != Acknowledged {
		t.Fatalf("%q: %v: %v", args, r.Outcome, r.Err)
	}
	return r
}

func wantRefusal(t *testing.T, r Result, code string) {
	t.Helper()
	refusal, _ := errors.AsType[resp.Error](r.Err)
	if r.Outcome != Refused || refusal.Code() != code {
		t.Errorf("%v: %v; want refused with %s", r.Outcome, r.Err, code)
	}
}

func TestRedirections(t *testing.T) {
	c := &Client{known: map[string]bool{"a:1": true}, owners: map[int]string{}}
	tests := []struct {
		name, refusal string
		want          hop
	}{
		{"moved", "MOVED 7 10.0.0.1:6379", hop{addr: "10.0.0.1:6379"}},
		{"moved to v6", "MOVED 7 ::1:6379", hop{addr: "[::1]:6379"}},
		{"moved to the same host", "MOVED 7 :6379", hop{addr: "a:6379"}},
		{"moved to an unknown host", "MOVED 7 ?:6379", hop{addr: "a:6379"}},
		{"ask", "ASK 7 10.0.0.1:6379", hop{addr: "10.0.0.1:6379", asking: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, again := c.after(7, hop{addr: "a:1"}, resp.Error(test.refusal))
			if got != test.want || !again {
				t.Errorf("got %+v, %v; want %+v", got, again, test.want)
			}
		})
	}
}
