// Package resp is a small RESP2 client on one connection. It knows nothing of
// clusters: tests and the lab use it beside the engine, so that the engine is
// never the judge of its own work.
package resp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"
)

// DefaultTimeout bounds a command unless Conn.Timeout is changed.
const DefaultTimeout = 5 * time.Second

// Conn is one connection to one server. It never reconnects and never sends a
// command twice. It is not safe for concurrent use.
type Conn struct {
	// Timeout bounds the sending of a command and the wait for its reply.
	Timeout time.Duration

	addr   string
	net    net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	broken error
}

// Dial connects to host:port. The context bounds the connecting only, and so
// does DefaultTimeout.
func Dial(ctx context.Context, addr string) (*Conn, error) {
	dialer := net.Dialer{Timeout: DefaultTimeout}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return NewConn(c), nil
}

// DialTLS is Dial for a server that speaks TLS.
func DialTLS(ctx context.Context, addr string, config *tls.Config) (*Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: DefaultTimeout}, Config: config}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return NewConn(c), nil
}

// NewConn speaks RESP on a connection that is already there.
func NewConn(c net.Conn) *Conn {
	return &Conn{
		Timeout: DefaultTimeout,
		addr:    c.RemoteAddr().String(),
		net:     c,
		in:      bufio.NewReader(c),
		out:     bufio.NewWriter(c),
	}
}

// Close ends the connection.
func (c *Conn) Close() error {
	return c.net.Close()
}

// Do sends one command and returns its reply: a string (simple or bulk), an
// int64, nil, or a []any of these. A reply that is an error comes back as an
// error of type Error. Any other error means that the outcome is not known, and
// the connection answers nothing more: the next reply on it would be a stale one.
func (c *Conn) Do(args ...string) (any, error) {
	replies, err := c.Pipeline(args)
	if err != nil {
		return nil, err
	}
	if refusal, ok := replies[0].(Error); ok {
		return nil, refusal
	}
	return replies[0], nil
}

// Pipeline sends the commands together and returns one reply for each. Here an
// error reply stands among the others, as an Error value.
func (c *Conn) Pipeline(commands ...[]string) ([]any, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	replies, err := c.exchange(commands)
	if err != nil {
		c.broken = fmt.Errorf("%s: %s: %w", c.addr, label(commands), err)
		_ = c.net.Close()
		return nil, c.broken
	}
	return replies, nil
}

func (c *Conn) exchange(commands [][]string) ([]any, error) {
	if err := c.net.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return nil, err
	}
	for _, command := range commands {
		c.write(command)
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	replies := make([]any, 0, len(commands))
	for range commands {
		reply, err := readReply(c.in, 0)
		if err != nil {
			return nil, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// write leaves its errors to the Flush that follows: a bufio.Writer keeps the
// first one.
func (c *Conn) write(args []string) {
	c.out.WriteString("*" + strconv.Itoa(len(args)) + "\r\n")
	for _, arg := range args {
		c.out.WriteString("$" + strconv.Itoa(len(arg)) + "\r\n")
		c.out.WriteString(arg)
		c.out.WriteString("\r\n")
	}
}

// label names a command without its arguments, which may be secrets.
func label(commands [][]string) string {
	if len(commands) == 1 && len(commands[0]) > 0 {
		return commands[0][0]
	}
	return strconv.Itoa(len(commands)) + " commands"
}
