package chaos

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// Mischief is what a relay does around a command or to its reply.
type Mischief struct {
	Command string        // a word of the command, as it is sent
	Skip    int           // so many of these commands pass first
	Call    func()        // is called before the command passes
	Hold    time.Duration // the reply comes so much later
	Lose    bool          // the reply does not come, and the connection ends after it
}

// Relay stands in front of a server, passes on what is said, and does mischief
// when it is told to.
type Relay struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	next  *Mischief
	done  bool // the mischief was done
	pairs map[net.Conn]net.Conn
}

// NewRelay listens on a free port of host until it is closed.
func NewRelay(host, server string) (*Relay, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: l, server: server, pairs: make(map[net.Conn]net.Conn)}
	go r.serve()
	return r, nil
}

// Port is where clients find the server.
func (r *Relay) Port() int { return r.listener.Addr().(*net.TCPAddr).Port }

// Addr is the port with its host.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Arm lets the relay do mischief once, to the next command that it is for.
func (r *Relay) Arm(m Mischief) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.done = &m, false
}

// Done reports whether the mischief was done.
func (r *Relay) Done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// Disarm takes back what was not done. It reports whether it was done.
func (r *Relay) Disarm() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = nil
	return r.done
}

// Close ends the relay and all connections.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for client, server := range r.pairs {
		client.Close()
		server.Close()
	}
	return err
}

func (r *Relay) serve() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		go r.join(client)
	}
}

// join ends a client's connection where the server's cannot be had: the client
// sees a server that is not there.
func (r *Relay) join(client net.Conn) {
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		client.(*net.TCPConn).SetLinger(0)
		client.Close()
		return
	}
	r.mu.Lock()
	r.pairs[client] = server
	r.mu.Unlock()
	p := &pair{client: client, server: server}
	go func() {
		p.replies()
		p.close()
		r.mu.Lock()
		delete(r.pairs, client)
		r.mu.Unlock()
	}()
	p.requests(r.afflicts)
	p.close()
}

// afflicts is the mischief that is for what is being sent.
func (r *Relay) afflicts(request []byte) *Mischief {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil || !bytes.Contains(request, []byte(r.next.Command)) {
		return nil
	}
	if r.next.Skip > 0 {
		r.next.Skip--
		return nil
	}
	m := r.next
	r.next, r.done = nil, true
	return m
}

// pair is a client's connection and the one to the server behind it.
type pair struct {
	client, server net.Conn

	mu   sync.Mutex
	todo *Mischief
}

func (p *pair) close() {
	p.client.Close()
	p.server.Close()
}

// requests passes on what the client sends. A command is told by its name in
// what was read at once: the commands in question are short of that.
func (p *pair) requests(afflicts func([]byte) *Mischief) {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.client.Read(buf)
		if err != nil {
			return
		}
		if m := afflicts(buf[:n]); m != nil {
			if m.Call != nil {
				m.Call()
			}
			p.mu.Lock()
			p.todo = m
			p.mu.Unlock()
		}
		if _, err := p.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *pair) replies() {
	buf := make([]byte, 64<<10)
	for {
		n, err := p.server.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		m := p.todo
		p.todo = nil
		p.mu.Unlock()
		switch {
		case m != nil && m.Lose:
			return
		case m != nil:
			time.Sleep(m.Hold)
		}
		if _, err := p.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
