package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/internal/lab/resp"
)

// Scratch is a server without cluster mode that has loaded an RDB file. It writes
// nothing, listens on a socket that only this user reaches, and ends with this
// program.
type Scratch struct {
	server Server
	dir    string
	proc   *process
}

// LoadError is a server that does not load a file. Says is what it wrote about it.
type LoadError struct {
	Server Server
	Says   string
}

func (e *LoadError) Error() string {
	return fmt.Sprintf("%s %s does not load it: %s", e.Server.Kind, e.Server.Version, e.Says)
}

// OnPath lists the servers on PATH that run.
func OnPath(ctx context.Context) []Server {
	var all []Server
	for _, program := range []string{"valkey-server", "redis-server"} {
		found, err := exec.LookPath(program)
		if err != nil {
			continue
		}
		// redis-server may be another name of valkey-server.
		if s, err := inspect(ctx, found); err == nil && (len(all) == 0 || all[0].Name() != s.Name()) {
			all = append(all, s)
		}
	}
	return all
}

// Load starts a server on an RDB file and returns when all of it is loaded. The
// server must have so many databases at least.
func Load(ctx context.Context, s Server, rdb string, databases int) (*Scratch, error) {
	if !supported {
		return nil, ErrUnsupported
	}
	dir, err := os.MkdirTemp("", "trib-load-")
	if err != nil {
		return nil, err
	}
	c := &Scratch{server: s, dir: dir}
	if err := c.start(ctx, rdb, databases); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Socket is where the server listens.
func (c *Scratch) Socket() string { return filepath.Join(c.dir, "socket") }

// Pid is the server's process.
func (c *Scratch) Pid() int { return c.proc.pid }

// Close ends the server and removes its directory.
func (c *Scratch) Close() error { return errors.Join(c.proc.kill(), os.RemoveAll(c.dir)) }

func (c *Scratch) start(ctx context.Context, rdb string, databases int) error {
	absolute, err := filepath.Abs(rdb)
	if err != nil {
		return err
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return err
	}
	// Were the server to save, against its configuration, it would replace the link.
	if err := os.Symlink(absolute, filepath.Join(c.dir, "dump.rdb")); err != nil {
		return err
	}
	if err := c.launch(databases); err != nil {
		return err
	}
	return c.await(ctx, loadLimit(info.Size()))
}

// loadLimit is far longer than a server takes that does load.
func loadLimit(bytes int64) time.Duration {
	const perSecond = 5 << 20
	return 2*time.Minute + time.Duration(bytes/perSecond)*time.Second
}

func (c *Scratch) launch(databases int) error {
	config := strings.Join([]string{
		"port 0", "unixsocket socket", "unixsocketperm 700", "dbfilename dump.rdb", `save ""`, "appendonly no",
		"daemonize no", "maxmemory 0", "databases " + strconv.Itoa(databases),
	}, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(c.dir, configFile), []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.server.Path, configFile)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.dir, log, log, aside()
	c.proc, err = spawn(cmd)
	return err
}

func (c *Scratch) await(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &LoadError{c.server, fmt.Sprintf("not within %v", limit)})
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !c.ready(ctx) {
		if !c.proc.running() {
			return &LoadError{c.server, c.complaint()}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *Scratch) ready(ctx context.Context) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", c.Socket())
	if err != nil {
		return false
	}
	client := resp.NewConn(conn)
	defer client.Close()
	client.Timeout = time.Second
	_, err = client.Do("PING")
	return err == nil
}

// complaint is what a server that has ended wrote about the reason, without the
// time and the process that each line begins with.
func (c *Scratch) complaint() string {
	data, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	var said []string
	for line := range strings.Lines(string(data)) {
		if _, text, ok := strings.Cut(line, " # "); ok && !strings.HasPrefix(text, "WARNING") {
			said = append(said, strings.TrimSpace(text))
		}
	}
	const most = 3
	if len(said) == 0 {
		return "it ended without a word"
	}
	return strings.Join(said[max(0, len(said)-most):], "; ")
}
