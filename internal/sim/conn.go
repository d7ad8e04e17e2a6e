package sim

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// ErrKilled is the cause of every failure after Dialer.Kill.
var ErrKilled = errors.New("the tool was killed")

// errDropped is the cause where an Action withheld a command or its reply.
var errDropped = errors.New("connection reset by peer")

// Dialer connects a tool to the cluster. Every tool has one of its own.
type Dialer struct {
	c        *Cluster
	password string
	killed   bool
}

// Dialer makes a dialer with the right password.
func (c *Cluster) Dialer() *Dialer { return c.DialerWith(c.o.Password) }

// DialerWith makes a dialer with any password.
func (c *Cluster) DialerWith(password string) *Dialer { return &Dialer{c: c, password: password} }

// Kill ends the tool as kill -9 does: its connections are gone, and with them
// its client names; what it does from now on fails.
func (d *Dialer) Kill() {
	defer d.c.enter()()
	if d.killed {
		return
	}
	d.c.note("the tool is killed")
	d.killed = true
	for _, n := range d.c.nodes {
		for _, s := range append([]*session(nil), n.sessions...) {
			if s.dialer == d {
				s.close()
			}
		}
	}
}

// Dial implements driver.Dialer. A node that is paused takes the connection and
// keeps the greeting waiting, as a real one does.
func (d *Dialer) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if ctx.Err() != nil {
		return nil, &driver.TransportError{Addr: addr, Err: context.Cause(ctx)}
	}
	s, err := d.connect(addr)
	if err != nil {
		return nil, &driver.TransportError{Addr: addr, Err: err}
	}
	c := &conn{addr: addr, s: s}
	if err := c.greet(ctx, name); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (d *Dialer) connect(addr cluster.Addr) (*session, error) {
	defer d.c.enter()()
	if d.killed {
		return nil, ErrKilled
	}
	n := d.c.nodeAt(addr)
	if n == nil || !n.alive {
		return nil, syscall.ECONNREFUSED
	}
	s := n.connect(d, "")
	s.authed = d.c.o.Password == ""
	return s, nil
}

// Socket is a connection on which nothing was said yet: whoever uses it has to
// send the password. It is for servers that carry RESP.
func (d *Dialer) Socket(addr cluster.Addr) (driver.Conn, error) {
	s, err := d.connect(addr)
	if err != nil {
		return nil, &driver.TransportError{Addr: addr, Err: err}
	}
	return &conn{addr: addr, s: s}, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, driver.ProbeTimeout)
}

// conn implements driver.Conn.
type conn struct {
	addr   cluster.Addr
	s      *session
	broken bool
}

// greet authenticates and names the connection; it is not an Event.
func (c *conn) greet(ctx context.Context, name string) error {
	var cmds []driver.Command
	if c.s.dialer.password != "" {
		cmds = append(cmds, driver.Cmd("AUTH", c.s.dialer.password))
	}
	if name != "" {
		cmds = append(cmds, driver.Cmd("CLIENT", "SETNAME", name))
	} else {
		cmds = append(cmds, driver.Cmd("PING"))
	}
	for _, cmd := range cmds {
		p := &sending{}
		err := c.send(p, cmd)
		if err == nil {
			err = p.finish(ctx, c)
		}
		if err != nil {
			return c.fail(err)
		}
		if err := p.call.reply.Err; driver.HasCode(err, "NOAUTH") || driver.HasCode(err, "WRONGPASS") || err != nil && cmd[0] == "AUTH" {
			return &driver.AuthError{Addr: c.addr, Err: err}
		} else if err != nil {
			return &driver.TransportError{Addr: c.addr, Err: err}
		}
	}
	return nil
}

// Do implements driver.Conn.
func (c *conn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if c.broken {
		return nil, driver.ErrBroken
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	c.travel()
	defer c.travel()
	return c.pipeline(ctx, cmds)
}

// travel is half a round trip. Nodes are not equally far away, so that commands
// sent to several at once arrive in a fixed order.
func (c *conn) travel() {
	if l := c.s.n.c.o.Latency; l > 0 {
		time.Sleep(l/2 + time.Duration(c.s.n.index)*time.Microsecond)
	}
}

// pipeline sends all commands, and waits for a reply only where the node would
// not read on before it has given it.
func (c *conn) pipeline(ctx context.Context, cmds []driver.Command) ([]driver.Reply, error) {
	var sent []*sending
	for _, cmd := range cmds {
		p, err := c.deliver(ctx, cmd)
		if p != nil {
			sent = append(sent, p)
		}
		if err != nil {
			return answered(sent), c.fail(err)
		}
	}
	for _, p := range sent {
		if err := p.finish(ctx, c); err != nil {
			return answered(sent), c.fail(err)
		}
	}
	return answered(sent), nil
}

// sending is a command on its way, with what the hook wants done about it.
type sending struct {
	call     *call
	action   Action
	queued   bool // it waits in the node's socket
	done     bool // it was carried out at once
	finished bool
}

func (c *conn) deliver(ctx context.Context, cmd driver.Command) (*sending, error) {
	p := &sending{action: c.intercept(cmd)}
	if p.action.Before != nil {
		p.action.Before()
	}
	if p.action.Outcome == DropBefore {
		return nil, errDropped
	}
	if err := c.send(p, cmd); err != nil {
		return nil, err
	}
	if p.queued {
		return p, nil // the next one can follow it
	}
	return p, p.finish(ctx, c)
}

// finish waits for the reply, and for what the hook does after it.
func (p *sending) finish(ctx context.Context, c *conn) error {
	if p.finished {
		return nil
	}
	if !p.done {
		if err := c.await(ctx, p.call); err != nil {
			return err
		}
	}
	if p.action.After != nil {
		p.action.After()
		if err := c.lost(); err != nil {
			return err
		}
	}
	if p.action.Outcome == DropReply {
		return errDropped
	}
	p.finished = true
	return nil
}

func answered(sent []*sending) []driver.Reply {
	replies := []driver.Reply{}
	for _, p := range sent {
		if !p.finished {
			break
		}
		replies = append(replies, p.call.reply)
	}
	return replies
}

func (c *conn) send(p *sending, cmd driver.Command) error {
	defer c.s.n.c.enter()()
	if err := c.closedBecause(); err != nil {
		return err
	}
	p.call = c.s.n.submit(c.s, append(driver.Command(nil), cmd...))
	p.queued, p.done = !p.call.started, p.call.done
	return nil
}

// await waits until a call is done, the connection has gone, or ctx is done.
func (c *conn) await(ctx context.Context, k *call) error {
	cl := c.s.n.c
	defer cl.enter()()
	for !k.done {
		if err := c.closedBecause(); err != nil {
			return err
		}
		if err := cl.wait(ctx); err != nil {
			if k.done {
				return nil
			}
			return err
		}
	}
	return nil
}

// lost is why the connection is gone; nil while it is there.
func (c *conn) lost() error {
	defer c.s.n.c.enter()()
	return c.closedBecause()
}

func (c *conn) closedBecause() error {
	switch {
	case c.s.dialer.killed:
		return ErrKilled
	case c.s.closed:
		return io.EOF
	}
	return nil
}

// fail breaks the connection for good.
func (c *conn) fail(err error) error {
	c.Close()
	return &driver.TransportError{Addr: c.addr, Err: err}
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.broken = true
	defer c.s.n.c.enter()()
	c.s.close()
	return nil
}
