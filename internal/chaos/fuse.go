package chaos

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/trib-dev/trib/pkg/driver"
)

// Phase is when, around a command, the fuse blows.
type Phase string

// The phases of a command at which a process can die, as its peers see it.
const (
	Before  Phase = "not sent"
	Sent    Phase = "sent and reply lost"
	Replied Phase = "replied"
)

// Phases are all of them.
func Phases() []Phase { return []Phase{Before, Sent, Replied} }

// Fuse counts the commands that change something, over all connections that it
// dials, and blows at one of them. Where Blow returns, everything goes on as if
// nothing had been.
type Fuse struct {
	At    int // 1 for the first; 0 never blows
	Phase Phase
	Only  string // counts only commands of this name; empty for all that change something
	Blow  func()

	mu    sync.Mutex
	count int
	lit   bool // the command was sent, and dies with the next one
}

// Count is the number of commands that change something so far.
func (f *Fuse) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// DialContext dials and puts the fuse into the connection.
func (f *Fuse) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &fusedConn{Conn: c, fuse: f}, nil
}

// fusedConn sees what is written as commands, one by one.
type fusedConn struct {
	net.Conn
	fuse *Fuse
	held []byte // the beginning of a command whose end was not written yet
}

// Write passes on whole commands.
func (c *fusedConn) Write(p []byte) (int, error) {
	c.fuse.mu.Lock()
	defer c.fuse.mu.Unlock()
	if c.fuse.lit {
		c.fuse.lit = false
		c.fuse.Blow()
	}
	c.held = append(c.held, p...)
	var out []byte
	for {
		cmd, size := parse(c.held)
		if size == 0 {
			break
		}
		whole := c.held[:size]
		c.held = c.held[size:]
		if !c.fuse.counts(cmd) {
			out = append(out, whole...)
			continue
		}
		if err := c.burn(out, whole); err != nil {
			return 0, err
		}
		out = nil
	}
	if err := c.pass(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// burn blows the fuse around a command; in the last phase it is only lit, and
// what follows in the same write is let through.
func (c *fusedConn) burn(earlier, hit []byte) error {
	if err := c.pass(earlier); err != nil {
		return err
	}
	if c.fuse.Phase == Before {
		c.fuse.Blow()
	}
	if err := c.pass(hit); err != nil {
		return err
	}
	switch c.fuse.Phase {
	case Sent:
		c.fuse.Blow()
	case Replied:
		c.fuse.lit = true
	}
	return nil
}

func (c *fusedConn) pass(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := c.Conn.Write(data)
	return err
}

// counts counts a command and reports whether it is the one.
func (f *Fuse) counts(cmd driver.Command) bool {
	name := cmd.Name()
	if !driver.Mutates(cmd) || name == "HELLO" || name == "AUTH" || f.Only != "" && name != f.Only {
		return false
	}
	f.count++
	return f.count == f.At
}

// parse reads one command in the form that clients send: an array of bulk
// strings. Its size is 0 while it is not complete.
func parse(data []byte) (driver.Command, int) {
	n, at, ok := header(data, '*')
	if !ok {
		return nil, 0
	}
	cmd := make(driver.Command, 0, n)
	for range n {
		size, skip, ok := header(data[at:], '$')
		end := at + skip + size + len("\r\n")
		if !ok || end > len(data) {
			return nil, 0
		}
		cmd = append(cmd, string(data[at+skip:at+skip+size]))
		at = end
	}
	return cmd, at
}

func header(data []byte, kind byte) (n, size int, ok bool) {
	i := bytes.Index(data, []byte("\r\n"))
	if i < 1 || data[0] != kind {
		return 0, 0, false
	}
	n, err := strconv.Atoi(string(data[1:i]))
	return n, i + 2, err == nil
}

// Setting is a fuse as an environment variable carries it to the process.
func (f *Fuse) Setting() string { return fmt.Sprintf("%d:%s:%s", f.At, f.Phase, f.Only) }

// ParseFuse reads a Setting.
func ParseFuse(s string) (*Fuse, error) {
	at, rest, _ := strings.Cut(s, ":")
	phase, only, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(at)
	if err != nil || !slices.Contains(Phases(), Phase(phase)) {
		return nil, fmt.Errorf("fuse %q", s)
	}
	return &Fuse{At: n, Phase: Phase(phase), Only: only}, nil
}
