package goredis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

var _ driver.Snapshotter = dialer{}

// Snapshot asks for a full synchronisation and hangs up after its first part.
func (d dialer) Snapshot(ctx context.Context, addr cluster.Addr, name string, o driver.SnapshotOptions, w io.Writer) error {
	c, err := d.dial(ctx, addr, name)
	if err != nil {
		return err
	}
	defer c.Close()
	last, err := c.enlist(ctx, o.Version)
	if err != nil {
		return err
	}
	// From here on go-redis has no part in it: the answer is not one of RESP.
	stop := context.AfterFunc(ctx, func() { c.wire.Close() })
	defer stop()
	in := bufio.NewReaderSize(idle{c.spoken, o.Idle}, 64<<10)
	if err = c.receive(in, w, o); err == nil && last {
		c.goodbye()
	}
	var refused *driver.ServerError
	var full *writeError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &full):
		return full.err
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %w", addr, err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("it hung up in the middle of its snapshot: %w", io.ErrUnexpectedEOF)
	}
	return &driver.TransportError{Addr: addr, Err: dialCause(err)}
}

// enlist says what this replica can take: a snapshot of which the length is not
// known beforehand and, from Redis 7.0 on, that it wants nothing after it.
// Servers that do not know an option send more than is needed; last says that
// this one will hang up.
func (c *conn) enlist(ctx context.Context, version string) (last bool, err error) {
	cmds := []driver.Command{driver.Cmd("REPLCONF", "capa", "eof"), driver.Cmd("REPLCONF", "rdb-only", "1")}
	if version != "" {
		cmds = append(cmds, driver.Cmd("REPLCONF", "version", version))
	}
	replies, err := c.Do(ctx, cmds...)
	return err == nil && replies[1].OK() == nil, err
}

// farewell is enough for a server to see that its child has sent everything.
const farewell = time.Second

// goodbye lets the server hang up: it would kill a child that still winds up, and
// log that as a failure.
func (c *conn) goodbye() {
	if c.spoken.SetDeadline(time.Now().Add(farewell)) == nil {
		io.Copy(io.Discard, c.spoken)
	}
}

func (c *conn) receive(in *bufio.Reader, w io.Writer, o driver.SnapshotOptions) error {
	if err := c.spoken.SetDeadline(time.Now().Add(o.Idle)); err != nil { // go-redis has left its own
		return err
	}
	if _, err := io.WriteString(c.spoken, "*1\r\n$4\r\nSYNC\r\n"); err != nil {
		return err
	}
	head, err := c.announcement(in, time.Now().Add(o.Begin))
	if err != nil {
		return err
	}
	w = &failing{w}
	if mark, ok := strings.CutPrefix(head, "$EOF:"); ok && len(mark) == markLength {
		return copyUntil(w, in, []byte(mark))
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(head, "$"), 10, 64)
	if head[0] != '$' || err != nil || n < 0 {
		return errNotRESP
	}
	_, err = io.CopyN(w, in, n)
	return err
}

// announcement is the line before the snapshot. While a node prepares it, it sends
// empty lines.
func (c *conn) announcement(in *bufio.Reader, deadline time.Time) (string, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		text := string(bytes.TrimSpace(line))
		switch {
		case strings.HasPrefix(text, "-"):
			return "", &driver.ServerError{Text: c.clean(text[1:])}
		case text != "":
			return text, nil
		case time.Now().After(deadline):
			return "", fmt.Errorf("it did not begin to send a snapshot: %w", os.ErrDeadlineExceeded)
		}
	}
}

// markLength is that of the mark behind a snapshot of unknown length.
const markLength = 40

// copyUntil copies until the mark has come, which is random: a node sends nothing
// behind it until it is acknowledged.
func copyUntil(w io.Writer, in io.Reader, mark []byte) error {
	buf := make([]byte, 0, 64<<10)
	for {
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if data, ok := bytes.CutSuffix(buf, mark); ok {
			_, err := w.Write(data)
			return err
		}
		if err != nil {
			return err
		}
		if ready := len(buf) - len(mark); ready > 0 {
			if _, err := w.Write(buf[:ready]); err != nil {
				return err
			}
			buf = buf[:copy(buf, buf[ready:])]
		}
	}
}

// idle bounds every read by itself.
type idle struct {
	net.Conn
	limit time.Duration
}

func (c idle) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// failing tells errors of the writer from those of the connection.
type failing struct{ w io.Writer }

type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}
