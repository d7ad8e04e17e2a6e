package sim

import "github.com/trib-dev/trib/pkg/driver"

// Event is a command that a tool is about to send.
type Event struct {
	Index    int     // 1 for the first command of all tools
	Mutation int     // 1 for the first that may change anything; 0 for one that only reads
	Dialer   *Dialer // whose command it is
	Node     *Node   // to which node
	Client   string  // the connection's client name
	Cmd      driver.Command
}

// Outcome is what becomes of an intercepted command.
type Outcome int

const (
	Deliver    Outcome = iota // it arrives, and so does its reply
	DropBefore                // it never arrives; the connection fails
	DropReply                 // it is carried out; the connection fails before the reply
)

// Action is a hook's answer. Before and After run without any lock held, right
// before the command arrives and right after it was carried out: they may fail
// nodes over, write through a Client, kill the tool, or sleep.
type Action struct {
	Outcome Outcome
	Before  func()
	After   func()
}

// Intercept calls hook for every command of every tool, but not for those that
// a dial sends itself. There is one hook; nil removes it, counting starts anew.
func (c *Cluster) Intercept(hook func(Event) Action) {
	defer c.enter()()
	c.hook, c.events, c.mutations = hook, 0, 0
}

func (c *conn) intercept(cmd driver.Command) Action {
	hook, e := c.event(cmd)
	if hook == nil {
		return Action{}
	}
	return hook(e)
}

func (c *conn) event(cmd driver.Command) (func(Event) Action, Event) {
	cl := c.s.n.c
	defer cl.enter()()
	if cl.hook == nil {
		return nil, Event{}
	}
	cl.events++
	e := Event{Index: cl.events, Dialer: c.s.dialer, Node: c.s.n, Client: c.s.name, Cmd: cmd}
	if driver.Mutates(cmd) {
		cl.mutations++
		e.Mutation = cl.mutations
	}
	return cl.hook, e
}
