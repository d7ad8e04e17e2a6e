// Package lab runs local Redis and Valkey servers in cluster mode, as processes
// of this machine: for people who want to learn and try, and for every test on
// real servers. It starts and ends servers; it does not form clusters.
//
// A lab lives in a directory. Each server has its own directory in it, named
// after its port, with its configuration, log and data. The file lab.json
// records the processes, so that another program can Open the lab and end what
// was started, and nothing else.
//
// Beside labs there is a server for a moment: Load lets one read an RDB file.
package lab

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrUnsupported is returned where servers cannot be run and controlled, as on
// Windows.
var ErrUnsupported = errors.New("lab: not supported on this operating system")

// ErrExists says that the directory holds a lab already.
var ErrExists = errors.New("there is a lab here already")

// Options says what to start.
type Options struct {
	Dir       string        // the lab's directory; made when missing
	Servers   []Server      // node i runs Servers[i mod len]; usually there is one
	Nodes     int           // how many servers
	Host      string        // a loopback address; default 127.0.0.1
	FirstPort int           // ports from here on; 0 takes free ports
	Config    []string      // more lines for each configuration file, which win over the lab's own
	Password  string        // of the default user, for clients and replicas
	TLS       *TLS          // nil for plain connections
	Detach    bool          // the servers outlive this program; otherwise they end with it
	Timeout   time.Duration // until every server answers; default 20 s
}

// TLS makes servers speak TLS and nothing else, to clients and to each other.
type TLS struct {
	Authority, Certificate, Key string      // files
	Client                      *tls.Config // how the lab looks whether a server answers
}

// Lab is a set of servers.
type Lab struct {
	dir    string
	host   string
	detach bool
	tls    *TLS
	wait   time.Duration
	nodes  []*Node

	mu sync.Mutex // guards the manifest, and the nodes' ports while they start
}

// Start starts the servers and returns when each of them answers. When one does
// not, the error says which and why, and nothing is left behind.
func Start(ctx context.Context, o Options) (*Lab, error) {
	l, err := create(o)
	if err != nil {
		return nil, err
	}
	if err := l.populate(ctx, o); err != nil {
		return nil, errors.Join(err, l.Close(), l.Remove())
	}
	return l, nil
}

func create(o Options) (*Lab, error) {
	host := cmp.Or(o.Host, "127.0.0.1")
	if err := o.check(host); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("lab in %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lab in %s: %w", dir, err)
	}
	l := &Lab{dir: dir, host: host, detach: o.Detach, tls: o.TLS, wait: cmp.Or(o.Timeout, defaultWait)}
	return l, l.reserve()
}

const defaultWait = 20 * time.Second

func (o Options) check(host string) error {
	ip := net.ParseIP(host)
	switch {
	case !supported:
		return ErrUnsupported
	case o.Dir == "":
		return errors.New("lab: no directory given")
	case o.Nodes < 1:
		return fmt.Errorf("lab: %d nodes: want at least 1", o.Nodes)
	case len(o.Servers) == 0:
		return ErrNoServer
	case ip == nil || !ip.IsLoopback():
		return fmt.Errorf("lab: host %q is not a loopback address", host)
	case o.FirstPort < 0 || o.FirstPort+o.Nodes-1+busOffset > 65535:
		return fmt.Errorf("lab: first port %d: the bus ports, %d higher, must stay below 65536", o.FirstPort, busOffset)
	}
	return nil
}

// populate takes all ports first, so that they are in order and a port that
// somebody else has is found before any server runs.
func (l *Lab) populate(ctx context.Context, o Options) error {
	for i := range o.Nodes {
		n := &Node{lab: l, server: o.Servers[i%len(o.Servers)]}
		if err := n.settle(o, i); err != nil {
			return err
		}
		l.nodes = append(l.nodes, n)
	}
	err := l.firstStart(ctx, o)
	slices.SortFunc(l.nodes, func(a, b *Node) int { return a.port - b.port })
	return err
}

func (l *Lab) firstStart(ctx context.Context, o Options) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range l.nodes {
		group.Go(func() error { return n.firstStart(ctx, o) })
	}
	return group.Wait()
}

func (l *Lab) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.wait, fmt.Errorf("none within %v", l.wait))
}

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

// Nodes are the servers, up or down, by port.
func (l *Lab) Nodes() []*Node { return slices.Clone(l.nodes) }

// Addrs are the addresses of all servers, by port.
func (l *Lab) Addrs() []string {
	addrs := make([]string, len(l.nodes))
	for i, n := range l.nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Up starts again every server that is down.
func (l *Lab) Up(ctx context.Context) error {
	return l.each(func(n *Node) error {
		if n.current().running() {
			return nil
		}
		return n.Restart(ctx)
	})
}

// Down ends every server in the orderly way, and by force the ones that do not
// end in time. Directories and manifest stay, for Up or Remove.
func (l *Lab) Down(ctx context.Context) error {
	return errors.Join(l.each(func(n *Node) error { return n.Stop(ctx) }), l.save())
}

// Close ends every server at once and gives the ports back. It is for the
// program that started the lab and will not use it again.
func (l *Lab) Close() error {
	return l.each(func(n *Node) error {
		err := n.Kill()
		n.claim.release()
		return err
	})
}

// Remove deletes what the lab made in its directory. It refuses while a server
// runs.
func (l *Lab) Remove() error {
	for _, n := range l.nodes {
		if n.current().running() {
			return fmt.Errorf("remove lab %s: %s is still running as process %d", l.dir, n.Addr(), n.Pid())
		}
	}
	err := l.each(func(n *Node) error { return os.RemoveAll(n.Dir()) })
	return errors.Join(err, os.Remove(l.manifestPath()))
}

func (l *Lab) each(do func(*Node) error) error {
	errs := make([]error, len(l.nodes))
	var group sync.WaitGroup
	for i, n := range l.nodes {
		group.Go(func() { errs[i] = do(n) })
	}
	group.Wait()
	return errors.Join(errs...)
}
