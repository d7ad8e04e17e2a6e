package labtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/internal/lab/resp"
)

// Outcome is what is known of a command after it was sent.
type Outcome int

// The outcomes. A model of the data must count a refused write as not done, and
// allow an unknown one to be either.
const (
	Refused      Outcome = iota // no server has executed it
	Acknowledged                // a server has executed it and said so
	Unknown                     // it was sent, and no reply came back
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Refused:
		return "refused"
	case Acknowledged:
		return "acknowledged"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// Result is how a command went.
type Result struct {
	Outcome  Outcome
	Reply    any    // when acknowledged
	Err      error  // otherwise: the last refusal, or why the outcome is unknown
	Addr     string // the server that was asked last
	Attempts int
	Held     bool // by a replica too, where the client waits for that
}

// Client sends commands to the owner of their key, as the users of a cluster do.
// It follows MOVED and ASK and tries again on refusals that pass, but it never
// sends a command again whose outcome is unknown. It is not safe for concurrent
// use: a writer has its own.
type Client struct {
	Patience time.Duration     // how long refusals that pass are retried; default 5 s
	Timeout  time.Duration     // until a missing reply makes the outcome unknown; default 2 s
	Hold     time.Duration     // how long to wait for a replica to have it too; 0 does not ask
	Real     map[string]string // where servers are that announce another address

	access access
	known  map[string]bool
	owners map[int]string
	conns  map[string]*resp.Conn
}

// Client returns a client that knows all servers of the lab.
func (l *Lab) Client() *Client {
	c := &Client{
		Patience: 5 * time.Second,
		Timeout:  2 * time.Second,
		access:   l.access,
		known:    map[string]bool{},
		owners:   map[int]string{},
		conns:    map[string]*resp.Conn{},
	}
	for _, addr := range l.Addrs() {
		c.known[addr] = true
	}
	return c
}

// Close ends all connections.
func (c *Client) Close() {
	for _, conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

// hop is where a command goes next.
type hop struct {
	addr   string
	asking bool
}

// Do sends a command to the owner of the key's slot.
func (c *Client) Do(ctx context.Context, key string, args ...string) Result {
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	slot := Slot(key)
	at := hop{addr: c.owner(slot)}
	for tries := 1; ; tries++ {
		r := c.attempt(ctx, at, args)
		r.Attempts = tries
		if r.Outcome == Acknowledged && !at.asking {
			c.owners[slot] = at.addr
		}
		if r.Outcome != Refused {
			return r
		}
		next, again := c.after(slot, at, r.Err)
		// Two servers can point at each other for a while: only the first
		// redirection is followed at once.
		if !again || (tries > 1 || next == at) && !pause(ctx) {
			return r
		}
		at = next
	}
}

const retryEvery = 20 * time.Millisecond

func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(retryEvery):
		return true
	}
}

// attempt counts as refused what was never sent: a failed connection.
func (c *Client) attempt(ctx context.Context, at hop, args []string) Result {
	conn, err := c.conn(ctx, at.addr)
	if err != nil {
		return Result{Addr: at.addr, Err: unreachable{err}}
	}
	replies, err := conn.Pipeline(c.commands(at, args)...)
	if err != nil {
		delete(c.conns, at.addr)
		return Result{Outcome: Unknown, Addr: at.addr, Err: err}
	}
	if at.asking {
		replies = replies[1:]
	}
	if refusal, ok := replies[0].(resp.Error); ok {
		return Result{Addr: at.addr, Err: refusal}
	}
	held, _ := replies[len(replies)-1].(int64)
	return Result{Outcome: Acknowledged, Reply: replies[0], Addr: at.addr, Held: c.Hold > 0 && held > 0}
}

func (c *Client) commands(at hop, args []string) [][]string {
	commands := [][]string{args}
	if at.asking {
		commands = [][]string{{"ASKING"}, args}
	}
	if c.Hold > 0 {
		commands = append(commands, []string{"WAIT", "1", strconv.FormatInt(c.Hold.Milliseconds(), 10)})
	}
	return commands
}

// unreachable is a server to which nothing could be sent.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// after says where to go after a refusal, and whether to go on at all.
func (c *Client) after(slot int, at hop, err error) (hop, bool) {
	if _, ok := errors.AsType[unreachable](err); ok {
		delete(c.owners, slot)
		return hop{addr: c.other(at.addr)}, true
	}
	refusal, _ := errors.AsType[resp.Error](err)
	switch refusal.Code() {
	case "MOVED":
		c.owners[slot] = c.target(refusal, at)
		return hop{addr: c.owners[slot]}, true
	case "ASK":
		return hop{addr: c.target(refusal, at), asking: true}, true
	case "TRYAGAIN", "LOADING":
		return hop{addr: c.owner(slot)}, true
	case "CLUSTERDOWN", "MASTERDOWN":
		// This server may be cut off; another one may know better.
		delete(c.owners, slot)
		return hop{addr: c.other(at.addr)}, true
	}
	return at, false
}

// target reads the address of a redirection. A server that does not know the
// address of the owner leaves the host empty or says "?": it is on its own host.
func (c *Client) target(refusal resp.Error, at hop) string {
	fields := strings.Fields(string(refusal))
	if len(fields) < 3 {
		return at.addr
	}
	i := strings.LastIndexByte(fields[2], ':')
	if i < 0 {
		return at.addr
	}
	host, port := strings.Trim(fields[2][:i], "[]"), fields[2][i+1:]
	if host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(at.addr)
	}
	addr := net.JoinHostPort(host, port)
	if real, announced := c.Real[addr]; announced {
		addr = real
	}
	c.known[addr] = true
	return addr
}

// owner is the master of the slot as far as this client has heard.
func (c *Client) owner(slot int) string {
	if addr, ok := c.owners[slot]; ok {
		return addr
	}
	return c.other("")
}

func (c *Client) other(than string) string {
	addrs := slices.DeleteFunc(slices.Collect(maps.Keys(c.known)), func(a string) bool { return a == than })
	if len(addrs) == 0 {
		return than
	}
	return addrs[rand.IntN(len(addrs))]
}

func (c *Client) conn(ctx context.Context, addr string) (*resp.Conn, error) {
	if conn, ok := c.conns[addr]; ok {
		return conn, nil
	}
	conn, err := c.access.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	conn.Timeout = c.Timeout
	c.conns[addr] = conn
	return conn, nil
}
