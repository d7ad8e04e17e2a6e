package goredis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Options are what every connection of a dialer has in common.
type Options struct {
	Username string // ACL user; empty for the default user
	Password string

	// DialContext opens the TCP connection; nil is a plain net.Dialer. Tunnels
	// and fault injection come in here.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes a dialer. It silences go-redis's own logger, which would write to
// stderr in the middle of tables; everything that it says comes back as an
// error too.
func New(o Options) driver.Dialer {
	redis.SetLogger(silent{})
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	return dialer{o}
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

type dialer struct{ o Options }

// Dial connects, authenticates and says its name.
func (d dialer) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	wire, err := d.o.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, &driver.TransportError{Addr: addr, Err: dialCause(err)}
	}
	c := &conn{addr: addr, wire: wire, client: redis.NewClient(d.clientOptions(addr, wire))}
	if err := c.greet(ctx, name); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dialCause drops the address from net's error: the driver's error names it.
func dialCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// clientOptions turn go-redis into what the port promises: one connection, used
// once, nothing repeated, nothing sent that was not asked for.
func (d dialer) clientOptions(addr cluster.Addr, wire net.Conn) *redis.Options {
	return &redis.Options{
		Addr:     addr.String(),
		Username: d.o.Username,
		Password: d.o.Password,

		// A second connection is never made: it would be a silent reconnect.
		Dialer:          onlyOnce(wire),
		PoolSize:        1,
		DialerRetries:   1,
		ConnMaxIdleTime: -1,
		// Pipelines have a pool of their own by default: a second connection.
		PipelinePoolSize: -1,

		// The default of 3 sends a MIGRATE again whose reply was late; the second
		// one finds nothing to move and answers NOKEY.
		MaxRetries: -1,

		// The context's deadline alone decides: a MIGRATE may take longer than any
		// fixed read timeout, a probe must not.
		ContextTimeoutEnabled: true,
		ReadTimeout:           -1,
		WriteTimeout:          -1,

		// RESP2: flat lists for every command and every server.
		Protocol: 2,
		// Two CLIENT SETINFO for every connection, which old servers refuse.
		DisableIdentity: true,
		// Resolves host names inside the constructor, and sends a command.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		// A thousand nodes at 32 KiB each way would be 64 MiB of buffers.
		ReadBufferSize:  8 << 10,
		WriteBufferSize: 8 << 10,
	}
}

func onlyOnce(wire net.Conn) func(context.Context, string, string) (net.Conn, error) {
	var mu sync.Mutex
	used := false
	return func(context.Context, string, string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if used {
			return nil, driver.ErrBroken
		}
		used = true
		return wire, nil
	}
}

type conn struct {
	addr   cluster.Addr
	wire   net.Conn
	client *redis.Client
	broken bool
}

// greet makes go-redis shake hands, so that a refused password is the dial's
// error and not the first command's.
func (c *conn) greet(ctx context.Context, name string) error {
	hello := driver.Cmd("PING")
	if name != "" {
		hello = driver.Cmd("CLIENT", "SETNAME", name)
	}
	replies, err := c.Do(ctx, hello)
	if err == nil {
		err = replies[0].Err
	}
	switch {
	case err == nil:
		return nil
	case refusedCredentials(err):
		return &driver.AuthError{Addr: c.addr, Err: err}
	case driver.IsTransport(err):
		return err
	}
	return fmt.Errorf("%s: %w", c.addr, err)
}

func refusedCredentials(err error) bool {
	return driver.HasCode(err, "WRONGPASS") || driver.HasCode(err, "NOAUTH") ||
		driver.Mentions(err, "invalid password") || driver.Mentions(err, "without any password configured")
}

// Do sends one pipeline.
func (c *conn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c.broken {
		return nil, &driver.TransportError{Addr: c.addr, Err: driver.ErrBroken}
	}
	if len(cmds) == 0 {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	// go-redis honours a deadline, not a cancellation: cut the wire under it.
	stop := context.AfterFunc(ctx, func() { c.wire.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return c.exec(ctx, cmds)
}

func (c *conn) exec(ctx context.Context, cmds []driver.Command) ([]driver.Reply, error) {
	pipe := c.client.Pipeline()
	for _, cmd := range cmds {
		args := make([]any, len(cmd))
		for i, a := range cmd {
			args[i] = a
		}
		pipe.Do(ctx, args...)
	}
	results, err := pipe.Exec(ctx)
	return c.collect(results, err)
}

// collect splits what go-redis mixes: refusals by the server, which belong to a
// reply, and the end of the connection, which ends the list of replies. An
// error that no command carries is a handshake that failed: nothing was sent.
func (c *conn) collect(results []redis.Cmder, err error) ([]driver.Reply, error) {
	replies := make([]driver.Reply, 0, len(results))
	carried := err == nil
	for _, r := range results {
		reply, fault := toReply(r.(*redis.Cmd))
		if fault != nil {
			return replies, c.fail(fault)
		}
		carried = carried || r.Err() != nil
		replies = append(replies, reply)
	}
	if !carried {
		return nil, c.fail(err)
	}
	return replies, nil
}

func (c *conn) fail(err error) error {
	c.broken = true
	c.wire.Close()
	var refused redis.Error
	if errors.As(err, &refused) {
		return &driver.ServerError{Text: refused.Error()}
	}
	return &driver.TransportError{Addr: c.addr, Err: dialCause(err)}
}

func toReply(cmd *redis.Cmd) (driver.Reply, error) {
	err := cmd.Err()
	var refused redis.Error
	switch {
	case err == nil:
		return driver.Reply{Value: plain(cmd.Val())}, nil
	case errors.Is(err, redis.Nil):
		return driver.Reply{}, nil
	case errors.As(err, &refused):
		return driver.Reply{Err: &driver.ServerError{Text: refused.Error()}}, nil
	}
	return driver.Reply{}, err
}

func plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case error:
		return &driver.ServerError{Text: v.Error()}
	}
	return v
}

// Close ends the connection.
func (c *conn) Close() error {
	c.broken = true
	c.wire.Close()
	return c.client.Close()
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, driver.ProbeTimeout)
}
