package sim

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Result is what a client knows of a write.
type Result int

const (
	Acked   Result = iota // carried out
	Refused               // not carried out
	Unknown               // no answer: carried out, or not, or later
)

// String is "acked", "refused" or "unknown".
func (r Result) String() string { return [...]string{"acked", "refused", "unknown"}[r] }

// Client is a user's cluster client: it remembers who has which slot, follows
// MOVED and ASK, and asks another node where the one it knew is gone. Its
// commands take no time, and do not wait for a node that does not answer.
type Client struct {
	c     *Cluster
	db    int
	slots map[int]*Node // who had a slot last
}

// Client makes a client that does not know who has what yet.
func (c *Cluster) Client() *Client { return &Client{c: c, slots: make(map[int]*Node)} }

// Select makes the client use another database (Valkey 9).
func (k *Client) Select(db int) { k.db = db }

// maxRedirects is what cluster clients allow by default or less.
const maxRedirects = 16

// Write appends a value to the list at key. Values must be unique: this is how
// loss, doubling and resurrection are told apart afterwards.
func (k *Client) Write(key, value string) (Result, error) {
	_, result, err := k.do(key, driver.Cmd("RPUSH", key, value))
	return result, err
}

// Delete removes a key.
func (k *Client) Delete(key string) (Result, error) {
	_, result, err := k.do(key, driver.Cmd("DEL", key))
	return result, err
}

// Read is the list at key; empty where there is none.
func (k *Client) Read(key string) ([]string, error) {
	reply, _, err := k.do(key, driver.Cmd("LRANGE", key, "0", "-1"))
	if err != nil {
		return nil, err
	}
	return reply.Strings()
}

// Do sends any command on one key and follows redirections.
func (k *Client) Do(key string, args ...string) (driver.Reply, error) {
	reply, _, err := k.do(key, args)
	return reply, err
}

func (k *Client) do(key string, cmd driver.Command) (driver.Reply, Result, error) {
	defer k.c.enter()()
	slot := cluster.KeySlot(key)
	n, asking := k.slots[slot], false
	var last error
	tried := make(map[*Node]bool)
	for range maxRedirects {
		if n == nil || !n.alive {
			if n = k.another(tried); n == nil {
				break
			}
			asking = false
		}
		tried[n] = true
		reply, answered := k.send(n, cmd, asking)
		if !answered {
			delete(k.slots, slot)
			return reply, Unknown, fmt.Errorf("%s: no answer", n)
		}
		if reply.Err == nil {
			return reply, Acked, nil
		}
		last = reply.Err
		next, ask := k.redirection(reply.Err)
		if next == nil {
			return reply, Refused, last
		}
		if !ask {
			k.slots[slot] = next
		}
		n, asking = next, ask
	}
	delete(k.slots, slot)
	return driver.Reply{Err: last}, Refused, fmt.Errorf("gave up: %w", orNobody(last))
}

func orNobody(err error) error {
	if err == nil {
		return fmt.Errorf("no node answers")
	}
	return err
}

// another is a node to begin with: the first one alive that was not tried.
func (k *Client) another(tried map[*Node]bool) *Node {
	for _, n := range k.c.nodes {
		if n.live() && !tried[n] && len(n.peers) > 1 {
			return n
		}
	}
	return nil
}

// send reports false where the node does not answer now. The command is then in
// its socket, and will be carried out when it runs again.
func (k *Client) send(n *Node, cmd driver.Command, asking bool) (driver.Reply, bool) {
	s := &session{n: n, authed: true, asking: asking, db: k.db, since: k.c.now}
	call := n.submit(s, cmd)
	return call.reply, call.done
}

// redirection reads MOVED and ASK; a redirection to nowhere is none.
func (k *Client) redirection(err error) (next *Node, ask bool) {
	ask = driver.HasCode(err, "ASK")
	if !ask && !driver.HasCode(err, "MOVED") {
		return nil, false
	}
	fields := strings.Fields(err.Error())
	addr, parseErr := cluster.ParseAddr(fields[len(fields)-1])
	if parseErr != nil {
		return nil, false
	}
	return k.c.nodeAt(addr), ask
}
