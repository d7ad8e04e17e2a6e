package goredis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
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

	// TLS encrypts every connection; nil is plain TCP. Where it names no server,
	// each node has to prove the host that it is dialled by.
	TLS *tls.Config

	// ConnectTimeout bounds a dial, the greeting included, besides the context's
	// deadline; 0 is driver.ProbeTimeout where the context has none.
	ConnectTimeout time.Duration

	// Addresses are how nodes are reached that announce other addresses. Errors
	// name a node as it announces itself.
	Addresses driver.AddressMap

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
	c, err := d.dial(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d dialer) dial(ctx context.Context, addr cluster.Addr, name string) (*conn, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	at := d.o.Addresses.Reach(addr)
	wire, err := d.o.DialContext(ctx, network(at), at.String())
	if err != nil {
		return nil, &driver.TransportError{Addr: addr, Err: detour(addr, at, dialCause(err))}
	}
	spoken, err := d.encrypt(ctx, addr, at, wire)
	if err != nil {
		wire.Close()
		return nil, &driver.TransportError{Addr: addr, Err: detour(addr, at, dialCause(err))}
	}
	c := &conn{addr: addr, wire: wire, spoken: spoken, secret: d.o.Password, client: redis.NewClient(d.clientOptions(addr, framed(spoken)))}
	if err := c.greet(ctx, name); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func network(at cluster.Addr) string {
	if at.IsSocket() {
		return "unix"
	}
	return "tcp"
}

// detour adds where a node was looked for that announces another address.
func detour(addr, at cluster.Addr, err error) error {
	if at == addr {
		return err
	}
	return fmt.Errorf("reached at %s: %w", at, err)
}

func (d dialer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.o.ConnectTimeout > 0 {
		return context.WithTimeout(ctx, d.o.ConnectTimeout)
	}
	return bounded(ctx)
}

// encrypt shakes hands here and not in go-redis, which would do so under the
// first command's deadline. The connection is cut at the TCP socket: a TLS one
// says goodbye first, and waits for a node that does not listen.
func (d dialer) encrypt(ctx context.Context, addr, at cluster.Addr, wire net.Conn) (net.Conn, error) {
	if d.o.TLS == nil || at.IsSocket() {
		return wire, nil
	}
	config := d.o.TLS.Clone()
	switch {
	case config.ServerName != "":
	case at.Host == addr.Host || config.InsecureSkipVerify:
		config.ServerName = serverName(at)
	default:
		proveEither(config, serverName(at), serverName(addr))
	}
	encrypted := tls.Client(wire, config)
	err := encrypted.HandshakeContext(ctx)
	switch {
	case err == nil:
		return encrypted, nil
	case ctx.Err() == context.Canceled:
		return nil, context.Cause(ctx)
	case ctx.Err() != nil:
		err = os.ErrDeadlineExceeded
	}
	return nil, fmt.Errorf("TLS handshake: %w", err)
}

// serverName leaves an IPv6 zone out, which is this host's own affair.
func serverName(a cluster.Addr) string {
	name, _, _ := strings.Cut(a.Host, "%")
	return name
}

// proveEither lets a node prove the host at which it is reached, or the one that
// it announces: the certificate may be for either.
func proveEither(config *tls.Config, reached, announced string) {
	also := config.VerifyConnection
	config.ServerName = reached
	config.InsecureSkipVerify = true // it is what turns the check below on alone
	config.VerifyConnection = func(s tls.ConnectionState) error {
		err := prove(config, s, reached)
		if err != nil && prove(config, s, announced) != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		if also != nil {
			return also(s)
		}
		return nil
	}
}

// prove is what crypto/tls does for the one name that it knows.
func prove(config *tls.Config, s tls.ConnectionState, name string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the node shows no certificate")
	}
	options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(options)
	return err
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

		// A second connection is never made: it would be a silent reconnect. After
		// PoolSize failed dials go-redis would go on dialling in the background; the
		// first one breaks the connection.
		Dialer:          onlyOnce(wire),
		PoolSize:        2,
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
	spoken net.Conn // wire, or what is encrypted over it
	secret string   // must stand in no error
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
	// go-redis honours a deadline, not a cancellation: cut the wire under it. A
	// deadline in the past would not do, go-redis sets its own after it.
	stop := context.AfterFunc(ctx, func() { c.wire.Close() })
	defer stop()
	return c.exec(ctx, cmds)
}

// exec lets go-redis frame the replies and reads them itself: go-redis loses its
// place in a list that holds a MOVED or a CLUSTERDOWN, so that the rest of the
// list answers the next commands; it drops the replies before a failure; and it
// gives up a connection that said READONLY.
func (c *conn) exec(ctx context.Context, cmds []driver.Command) ([]driver.Reply, error) {
	var received wire
	pipe := c.client.Pipeline()
	words := 0
	for _, cmd := range cmds {
		words += len(cmd)
	}
	// Pipelines have thousands of commands: no word is copied into an interface.
	args := make([]any, 0, words)
	for _, cmd := range cmds {
		begin := len(args)
		for i := range cmd {
			args = append(args, &cmd[i])
		}
		pipe.Process(ctx, redis.NewRawWriteToCmd(ctx, &received, args[begin:len(args):len(args)]...))
	}
	_, err := pipe.Exec(ctx)
	replies := c.read(received.String(), len(cmds))
	if err == nil && len(replies) < len(cmds) {
		err = errors.New("the reply is not one of RESP2")
	}
	if err != nil {
		return replies, c.fail(ctx, err)
	}
	return replies, nil
}

// read is what arrived, as far as it is complete.
func (c *conn) read(wire string, commands int) []driver.Reply {
	r := reader{text: wire, clean: c.clean}
	replies := make([]driver.Reply, 0, commands)
	for len(replies) < commands {
		value, ok := r.value()
		if !ok {
			break
		}
		if refused, ok := value.(*driver.ServerError); ok {
			replies = append(replies, driver.Reply{Err: refused})
			continue
		}
		replies = append(replies, driver.Reply{Value: value})
	}
	return replies
}

// fail ends the connection. The only refusals that reach it are those of
// go-redis's own greeting, before anything else was sent.
func (c *conn) fail(ctx context.Context, err error) error {
	c.broken = true
	c.wire.Close()
	var refused redis.Error
	switch {
	case errors.As(err, &refused):
		return &driver.ServerError{Text: c.clean(refused.Error())}
	case ctx.Err() == context.Canceled:
		err = context.Cause(ctx)
	case ctx.Err() != nil:
		err = os.ErrDeadlineExceeded
	}
	if err = dialCause(err); c.clean(err.Error()) != err.Error() {
		err = errors.New(c.clean(err.Error()))
	}
	return &driver.TransportError{Addr: c.addr, Err: err}
}

// clean takes the password out of a text. Servers repeat the arguments of
// commands that they do not know, and MIGRATE and AUTH are renamed often.
func (c *conn) clean(text string) string {
	if c.secret == "" {
		return text
	}
	return strings.ReplaceAll(text, c.secret, "(password)")
}

// Close ends the connection.
func (c *conn) Close() error {
	c.broken = true
	c.wire.Close()
	if err := c.client.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, driver.ProbeTimeout)
}
