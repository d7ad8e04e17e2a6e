package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

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
	app.warnOfPassword(fromSeed)
	c := flags.Or(fromSeed).Or(config.Credentials{User: app.Env.User(), Password: app.Env.Password()})
	return access{redacting{app.NewDialer(c), c.Password}, c}, nil
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
	if o.uri == "" {
		return c, nil
	}
	uri, err := parseSeed(o.uri)
	return c.Or(uri.credentials), err
}

// warnOfPassword warns on a terminal only, where somebody can do better.
func (app *App) warnOfPassword(fromSeed config.Credentials) {
	o := app.global
	given := o.pass != "" || o.uri != "" || fromSeed.Password != ""
	if !given || o.noAuthWarning || !app.Terminal.Traits().ErrTTY {
		return
	}
	app.Terminal.Say(func(p *ui.Page) {
		p.Line("[WARNING] A password on the command line can be seen by other users; TRIB_PASSWORD and --askpass hide it.")
	})
}

// observeCluster reads the whole cluster behind a seed.
func (app *App) observeCluster(ctx context.Context, a access, seeds ...cluster.Addr) (cluster.State, error) {
	app.Terminal.Status("reading the cluster...")
	defer app.Terminal.Status("")
	s, err := observe.Cluster(ctx, a.reader(), seeds...)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	return s, err
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
		lasting := slices.ContainsFunc(blocking, func(f health.Finding) bool { return !mayPass(f) || clings(s, f) })
		if len(blocking) == 0 || lasting || app.Now().After(deadline) {
			return s, nil
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
