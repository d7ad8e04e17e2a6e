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
	"sync"
	"time"

	"github.com/trib-dev/trib/internal/lab/resp"
)

// Node is one server of a lab. Its verbs may be called from several goroutines.
type Node struct {
	lab    *Lab
	server Server
	port   int
	claim  *claim

	starting sync.Mutex // one start at a time

	mu   sync.Mutex
	proc *process
}

// Addr is where clients reach the server.
func (n *Node) Addr() string { return net.JoinHostPort(n.lab.host, strconv.Itoa(n.port)) }

// Host is the address that the server listens on.
func (n *Node) Host() string { return n.lab.host }

// Port is the server's client port.
func (n *Node) Port() int { return n.port }

// Server is the program that the node runs.
func (n *Node) Server() Server { return n.server }

// Dir is the directory with the server's configuration, log and data.
func (n *Node) Dir() string { return filepath.Join(n.lab.dir, strconv.Itoa(n.port)) }

// Pid is the server's process, or 0 when it is down.
func (n *Node) Pid() int {
	if p := n.current(); p.running() {
		return p.pid
	}
	return 0
}

// Kill ends the server at once (SIGKILL), paused or not. It returns when the
// process is gone; one that was gone before is no error.
func (n *Node) Kill() error {
	return n.note("kill", n.current().kill())
}

// stopGrace is less than the ten seconds for which a master may wait for its
// replicas at shutdown: a lab does not.
const stopGrace = 5 * time.Second

// Stop asks the server to end (SIGTERM) and kills it when it has not done so
// within 5 s or within the context. It returns when the process is gone.
func (n *Node) Stop(ctx context.Context) error {
	p := n.current()
	err := p.signal(sigTerm)
	if errors.Is(err, errGone) {
		return nil
	}
	// A paused process does not see SIGTERM before it goes on.
	err = errors.Join(err, p.signal(sigContinue))
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err == nil && p.wait(ctx) == nil {
		return nil
	}
	return n.note("stop", p.kill())
}

// Pause freezes the server (SIGSTOP): its connections stay open and silent.
func (n *Node) Pause() error {
	return n.note("pause", n.current().signal(sigStop))
}

// Resume lets a paused server go on (SIGCONT).
func (n *Node) Resume() error {
	return n.note("resume", n.current().signal(sigContinue))
}

// Restart starts the server again, in the same directory and on the same port,
// and returns when it answers. A server that runs is stopped first.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Stop(ctx); err != nil {
		return err
	}
	ctx, cancel := n.lab.deadline(ctx)
	defer cancel()
	return n.start(ctx)
}

// LogTail returns the last lines of the server's log, or why there are none.
func (n *Node) LogTail(lines int) string {
	data, err := os.ReadFile(n.logPath())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (n *Node) logPath() string { return filepath.Join(n.Dir(), "server.log") }

func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

func (n *Node) note(verb string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, n.Addr(), err)
	}
	return nil
}

// settle gives the node a port and an empty directory on it.
func (n *Node) settle(o Options, index int) error {
	var err error
	if o.FirstPort == 0 {
		n.claim, err = claimFree(n.lab.host)
	} else {
		n.claim, err = claimPort(n.lab.host, o.FirstPort+index)
	}
	if err != nil {
		return err
	}
	n.port = n.claim.port
	if err := n.furnish(o); err != nil {
		n.claim.release()
		return err
	}
	return nil
}

// firstStart goes to another port when somebody who takes no claims was faster
// on this one, where the caller left the choice to the lab.
func (n *Node) firstStart(ctx context.Context, o Options) error {
	const moves = 3
	for range moves {
		err := n.start(ctx)
		if err == nil || o.FirstPort != 0 || !strings.Contains(n.LogTail(20), "Address already in use") {
			return err
		}
		if err := n.move(o); err != nil {
			return err
		}
	}
	return n.start(ctx)
}

func (n *Node) move(o Options) error {
	if err := errors.Join(n.Kill(), os.RemoveAll(n.Dir())); err != nil {
		return err
	}
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	n.claim.release()
	return n.settle(o, 0)
}

// start runs the server and records it before it waits: from then on another
// program can end it.
func (n *Node) start(ctx context.Context) error {
	n.starting.Lock()
	defer n.starting.Unlock()
	if err := n.launch(); err != nil {
		return n.note("start", err)
	}
	if err := n.lab.save(); err != nil {
		return errors.Join(err, n.Kill())
	}
	if err := n.awaitAnswer(ctx); err != nil {
		err = fmt.Errorf("start %s: %w; the end of %s:\n%s", n.Addr(), err, n.logPath(), n.LogTail(15))
		return errors.Join(err, n.Kill())
	}
	return nil
}

func (n *Node) launch() error {
	log, err := os.OpenFile(n.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(n.server.Path, configFile)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.Dir(), log, log
	cmd.SysProcAttr = attached()
	if n.lab.detach {
		cmd.SysProcAttr = detached()
	}
	p, err := spawn(cmd)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.proc = p
	n.mu.Unlock()
	return nil
}

func (n *Node) awaitAnswer(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	p := n.current()
	for !n.answers(ctx) {
		if !p.running() {
			return errors.New("the server ended")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", context.Cause(ctx))
		}
	}
	if !p.running() {
		return errors.New("the server ended, and another one answers on its port")
	}
	return nil
}

func (n *Node) dial(ctx context.Context) (*resp.Conn, error) {
	if n.lab.tls == nil {
		return resp.Dial(ctx, n.Addr())
	}
	return resp.DialTLS(ctx, n.Addr(), n.lab.tls.Client)
}

// answers says whether the server is ready for commands. One that wants a
// password is; one that still loads its data is not.
func (n *Node) answers(ctx context.Context) bool {
	conn, err := n.dial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.Timeout = time.Second
	_, err = conn.Do("PING")
	if refusal, ok := errors.AsType[resp.Error](err); ok {
		return refusal.Code() == "NOAUTH" || refusal.Code() == "NOPERM"
	}
	return err == nil
}
