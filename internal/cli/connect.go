package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/observe"
)

// access is how a command reaches the nodes of a cluster.
type access struct {
	dialer      driver.Dialer
	credentials config.Credentials
	encrypted   bool
}

// connectOptions say how nodes are reached.
type connectOptions struct {
	tls     bool
	files   config.TLS
	timeout time.Duration
	ipv4    bool
	ipv6    bool

	addresses   addressRules
	addressFile string
}

// connectLimit is far more than anybody waits for one node.
const connectLimit = 10 * time.Minute

func (o *connectOptions) addFlags(f *pflag.FlagSet) {
	f.VarP(span{&o.timeout, time.Second}, "connect-timeout", "t", "until a node has answered the greeting (default 2s)")
	f.BoolVarP(&o.ipv4, "ipv4", "4", false, "take the IPv4 address of a name that has both kinds")
	f.BoolVarP(&o.ipv6, "ipv6", "6", false, "take the IPv6 address")
	f.Var(&o.addresses, "address-map", "reach at TO what announces FROM: host:port both, or hosts or networks; may be given several times")
	f.StringVar(&o.addressFile, "address-map-file", "", "more such rules, one on each line of `FILE`")
	f.BoolVar(&o.tls, "tls", false, "encrypt every connection (also: rediss://)")
	f.StringVar(&o.files.CACert, "cacert", "", "trust the authorities in `FILE`, instead of the system's")
	f.StringVar(&o.files.CACertDir, "cacertdir", "", "trust those in the files of `DIR`")
	f.StringVar(&o.files.Cert, "cert", "", "show nodes the certificate in `FILE`")
	f.StringVar(&o.files.Key, "key", "", "the key of --cert is in `FILE`")
	f.StringVar(&o.files.Name, "sni", "", "every node proves to be `NAME`, instead of the host it is dialled by")
	f.StringVar(&o.files.Ciphers, "tls-ciphers", "", "up to TLS 1.2, use only those of the `LIST` of OpenSSL's names")
	f.StringVar(&o.files.Suites, "tls-ciphersuites", "", "in TLS 1.3, accept only those of the `LIST`")
	f.BoolVar(&o.files.Insecure, "insecure", false, "believe any certificate: whoever stands between reads and changes everything")
}

// network is the kind of address to prefer; none where both are asked for.
func (o *connectOptions) network() string {
	switch {
	case o.ipv4 == o.ipv6:
		return ""
	case o.ipv4:
		return "tcp4"
	}
	return "tcp6"
}

// encryption is nil where connections are plain. wanted says that an address
// demands TLS.
func (o *connectOptions) encryption(wanted bool) (*tls.Config, error) {
	if !o.tls && !wanted {
		if o.files != (config.TLS{}) {
			return nil, usage("--cacert, --cacertdir, --cert, --key, --sni, --tls-ciphers, --tls-ciphersuites and --insecure need --tls, or an address that begins with rediss://")
		}
		return nil, nil
	}
	c, err := o.files.Config()
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

// reader is access for looking only.
func (a access) reader() driver.Dialer { return driver.ReadOnly(a.dialer) }

// connect finds the credentials; it connects to nothing. fromSeed are those in
// the addresses of the command line.
func (app *App) connect(ctx context.Context, fromSeed config.Credentials) (access, error) {
	flags, err := app.flagCredentials(ctx)
	if err != nil {
		return access{}, err
	}
	a, err := app.access(ctx, flags.Or(fromSeed))
	if err == nil {
		app.warnOfPassword(fromSeed)
		app.warnOfInsecure()
	}
	return a, err
}

// access takes from the environment what the command line does not say, and from
// the context what neither does.
func (app *App) access(ctx context.Context, given config.Credentials) (access, error) {
	c := given.Or(config.Credentials{User: app.Env.User(), Password: app.Env.Password()})
	c, err := app.contextCredentials(ctx, c)
	if err != nil {
		return access{}, err
	}
	o := app.global.connect
	encryption, err := o.encryption(c.TLS)
	if err != nil {
		return access{}, err
	}
	dialer := app.NewDialer(config.Connection{
		Credentials: c, Encryption: encryption, Timeout: o.timeout, Network: o.network(), Addresses: app.known.addresses,
	})
	return access{redacting{dialer, c.Password}, c, encryption != nil}, nil
}

func (app *App) flagCredentials(ctx context.Context) (config.Credentials, error) {
	o := app.global
	c := config.Credentials{User: o.user, Password: config.Secret(o.pass)}
	if o.askPass {
		password, err := app.Prompter.Password(ctx, "Please input password: ")
		if err != nil {
			return c, err
		}
		c.Password = config.Secret(password)
	}
	if o.source.Given() {
		var err error
		if c.Password, err = o.source.Read(ctx); err != nil {
			return c, flagSourceError(ctx, err)
		}
	}
	if o.uri == "" {
		return c, nil
	}
	uri, err := parseSeed(o.uri)
	return c.Or(uri.credentials), err
}

// flagSourceError is of a password that an option says where to find.
func flagSourceError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return usage("--%w", err)
}

// onePassword refuses two of the options that give one. --askpass beside -a is
// understood, as redis-cli does.
func (o *globalOptions) onePassword() error {
	given := 0
	for _, is := range []bool{o.source.File != "", o.source.Command != "", o.pass != "" || o.askPass} {
		if is {
			given++
		}
	}
	if o.source.Given() && given > 1 {
		return usage("--password-file, --password-command, --askpass and --pass: want one of them")
	}
	return nil
}

// warnOfPassword warns on a terminal only, where somebody can do better.
func (app *App) warnOfPassword(fromSeed config.Credentials) {
	o := app.global
	given := o.pass != "" || o.uri != "" || fromSeed.Password != ""
	if !given || o.noAuthWarning || !app.Terminal.Traits().ErrTTY {
		return
	}
	app.Terminal.Say(func(p *ui.Page) {
		p.Line("[WARNING] A password on the command line can be seen by other users; TRIB_PASSWORD, --password-file and --askpass hide it.")
	})
}

// warnOfInsecure warns on a terminal only, as the other warnings do: a script
// has written the word on purpose.
func (app *App) warnOfInsecure() {
	if app.global.connect.files.Insecure && app.Terminal.Traits().ErrTTY {
		app.Terminal.Say(func(p *ui.Page) {
			p.Line("[WARNING] --insecure: nodes are not asked to prove who they are; anybody on the way can read the password and change everything.")
		})
	}
}

// observeCluster reads the whole cluster behind a seed.
func (app *App) observeCluster(ctx context.Context, a access, seeds ...cluster.Addr) (cluster.State, error) {
	app.Terminal.Status("reading the cluster...")
	defer app.Terminal.Status("")
	s, err := observe.Cluster(ctx, a.reader(), app.seeds(seeds)...)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if err != nil {
		return s, a.explain(err)
	}
	return s, app.recognise(ctx, a, seeds, s)
}

const hintTLS = "a port for TLS hangs up on a plain connection: --tls, if it is one"

// explain adds what a connection may have lacked that broke before anything was
// said. Neither side can tell the other: a port for TLS hangs up on a plain
// connection, a plain port waits for more, and a node that wants to see a
// certificate often hangs up without the alert that says so.
func (a access) explain(err error) error {
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case err == nil:
		return nil
	case !a.encrypted && hungUp:
		return &hintError{err, hintTLS}
	case a.encrypted && (hungUp || strings.Contains(err.Error(), "tls: certificate required")):
		return &hintError{err, "--cert and --key show the node a certificate of trib's own, where it wants to see one"}
	case errors.As(err, new(tls.RecordHeaderError)), strings.Contains(err.Error(), "TLS handshake: "+os.ErrDeadlineExceeded.Error()):
		return &hintError{err, "see whether this is the node's port for TLS: something else may answer there"}
	}
	return err
}

// observeSettled gives the nodes of a cluster a moment where nothing but their
// disagreement forbids to move slots: somebody has changed it just now, or was
// killed in the middle of that.
func (app *App) observeSettled(ctx context.Context, a access, seeds ...cluster.Addr) (cluster.State, error) {
	deadline := app.Now().Add(settling)
	for {
		s, err := app.observeCluster(ctx, a, seeds...)
		if err != nil {
			return s, err
		}
		blocking := health.Blocking(health.Check(s))
		lasting := slices.ContainsFunc(blocking, func(f health.Finding) bool { return !health.MayPass(f) || clings(s, f) })
		if len(blocking) == 0 || lasting || app.Now().After(deadline) {
			observe.ForMoves(ctx, a.reader(), s)
			return s, context.Cause(ctx)
		}
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-time.After(settlingPoll):
		}
	}
}

// clings reports whether nodes disagree about nothing but slots that they import.
// An importing node believes nobody else about a slot: no time ends that, and to
// finish the move does.
func clings(s cluster.State, f health.Finding) bool {
	var importing cluster.SlotSet
	for _, m := range s.Members {
		if slices.Contains(f.Nodes, m.ID) {
			importing = importing.Union(cluster.SlotsOf(slices.Collect(maps.Keys(m.View.Self().Importing))...))
		}
	}
	return f.Code == health.Disagreement && f.Slots.Minus(importing).Empty()
}

// sameEncryption finds out to which ports keys move. Nodes announce the port of
// the kind that they are asked over; MIGRATE connects as tls-cluster says, to
// whatever port it is given, and blocks its source until it gives up. Where trib
// speaks TLS and the nodes among each other do not, or the other way round, the
// nodes are asked for their other ports, and it is refused if they do not say.
func (app *App) sameEncryption(ctx context.Context, a access, s cluster.State) error {
	masters := s.Masters()
	if len(masters) == 0 || app.known.ports != nil {
		return nil
	}
	conn, err := a.reader().Dial(ctx, masters[0].Addr, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	setting, err := driver.Call(ctx, conn, "CONFIG", "GET", "tls-cluster")
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case driver.IsTransport(err):
		return err
	}
	app.known.ports = make(map[cluster.NodeID]int)
	// Servers without TLS do not know the setting, and some forbid the question.
	pair, _ := setting.Strings()
	if len(pair) != 2 || (pair[1] == "yes") == a.encrypted {
		return nil
	}
	shards, err := driver.Call(ctx, conn, "CLUSTER", "SHARDS")
	if driver.IsTransport(err) {
		return err
	}
	ports := cluster.PortsIn(shards.Value, pair[1] == "yes")
	for _, m := range masters {
		if app.known.ports[m.ID] = ports[m.ID]; ports[m.ID] == 0 {
			return otherEncryption(a)
		}
	}
	return nil
}

func otherEncryption(a access) error {
	if a.encrypted {
		return &hintError{&unfitError{[]string{"keys move from node to node without TLS (tls-cluster no), and not to the ports that trib uses"}}, "name a port without TLS, and leave --tls away"}
	}
	return &hintError{&unfitError{[]string{"keys move from node to node over TLS (tls-cluster yes), and not to the ports that trib uses"}}, "name a port for TLS, and add --tls"}
}

// countForCheck adds the key counts that health needs.
func (app *App) countForCheck(ctx context.Context, a access, s cluster.State) error {
	app.Terminal.Status("counting keys...")
	defer app.Terminal.Status("")
	observe.ForCheck(ctx, a.reader(), s)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// redacting takes the password out of what servers and the network say: an old
// server that does not know HELLO or AUTH repeats their arguments.
type redacting struct {
	next   driver.Dialer
	secret config.Secret
}

// Dial dials the next dialer.
func (r redacting) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := r.next.Dial(ctx, addr, name)
	if err != nil {
		return nil, r.clean(addr, err)
	}
	return redactingConn{c, addr, r}, nil
}

// Snapshot receives one through the next dialer.
func (r redacting) Snapshot(ctx context.Context, addr cluster.Addr, name string, o driver.SnapshotOptions, w io.Writer) error {
	err := driver.Snapshot(ctx, r.next, addr, name, o, w)
	if err != nil {
		err = r.clean(addr, err)
	}
	return err
}

// clean keeps an error's class and loses its chain where that holds the secret.
func (r redacting) clean(addr cluster.Addr, err error) error {
	text := r.secret.Redact(err.Error())
	if text == err.Error() {
		return err
	}
	var refused *driver.AuthError
	if errors.As(err, &refused) {
		return &driver.AuthError{Addr: addr, Err: errors.New(r.secret.Redact(refused.Err.Error()))}
	}
	var broken *driver.TransportError
	if errors.As(err, &broken) {
		return &driver.TransportError{Addr: addr, Err: errors.New(r.secret.Redact(broken.Err.Error()))}
	}
	return &driver.ServerError{Text: text}
}

type redactingConn struct {
	driver.Conn
	addr cluster.Addr
	r    redacting
}

// Do cleans the errors of the replies.
func (c redactingConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	replies, err := c.Conn.Do(ctx, cmds...)
	for i := range replies {
		if e := replies[i].Err; e != nil {
			replies[i].Err = c.r.clean(c.addr, e)
		}
	}
	if err != nil {
		err = c.r.clean(c.addr, err)
	}
	return replies, err
}
