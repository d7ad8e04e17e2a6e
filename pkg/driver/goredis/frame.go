package goredis

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// Far above what any server sends. go-redis makes room for as much as a reply
// announces, and follows nested lists on its stack: a stray byte in a length
// would end the process.
const (
	maxText  = 1 << 30
	maxItems = 1 << 20
	maxDepth = 32
)

var errNotRESP = errors.New("the reply is not one of a Redis or Valkey server")

// framed watches over what a connection receives. go-redis looks whether an idle
// connection was ended, where it gets at the socket.
func framed(c net.Conn) net.Conn {
	f := &frames{Conn: c}
	if socket, ok := c.(syscall.Conn); ok {
		return struct {
			*frames
			syscall.Conn
		}{f, socket}
	}
	return f
}

type frames struct {
	net.Conn
	header []byte // of the next reply or item, as far as it has come
	text   int    // bytes of a text that are still to come
	lists  []int  // items that are still to come, of every list begun
}

// Read ends the connection where a reply announces more than it may.
func (f *frames) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if !f.follow(p[:n]) {
		return 0, errNotRESP
	}
	return n, err
}

func (f *frames) follow(b []byte) bool {
	for len(b) > 0 {
		if f.text > 0 {
			n := min(f.text, len(b))
			f.text -= n
			b = b[n:]
			continue
		}
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		f.keep(line)
		if !whole {
			return true
		}
		if b = rest; !f.begin() {
			return false
		}
		f.header = f.header[:0]
	}
	return true
}

// keep holds on to as much of a line as a length can have.
func (f *frames) keep(line []byte) {
	const longest = 24
	f.header = append(f.header, line[:min(len(line), longest-len(f.header))]...)
}

func (f *frames) begin() bool {
	if len(f.header) == 0 {
		return false
	}
	limit, perItem := maxItems, 1
	switch f.header[0] {
	case '$', '=', '!':
		limit = maxText
	case '*', '~', '>':
	case '%':
		perItem = 2
	case '|': // attributes, and the reply that has them
		perItem = 2
	case '+', '-', ':', '#', ',', '_', '(':
		f.end()
		return true
	default:
		return false
	}
	n, err := strconv.Atoi(string(bytes.TrimRight(f.header[1:], "\r")))
	if err != nil || n < -1 || n > limit {
		return false
	}
	if limit == maxText {
		f.text = n + 2
		if n < 0 {
			f.text = 0
		}
		f.end()
		return true
	}
	n = max(n, 0) * perItem
	if f.header[0] == '|' {
		n++
	}
	f.lists = append(f.lists, n)
	f.complete()
	return len(f.lists) <= maxDepth
}

// end counts an item of the list that it belongs to.
func (f *frames) end() {
	if i := len(f.lists) - 1; i >= 0 {
		f.lists[i]--
		f.complete()
	}
}

// complete takes away lists that are complete, each an item of the one around it.
func (f *frames) complete() {
	for i := len(f.lists) - 1; i >= 0 && f.lists[i] == 0; i-- {
		f.lists = f.lists[:i]
		if i > 0 {
			f.lists[i-1]--
		}
	}
}
