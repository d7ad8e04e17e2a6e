package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// A server listens on its port and, for the cluster bus, 10000 above. Both must
// stay below 32768, where the kernel takes ports for outgoing connections, or
// starts fail at random. The two ranges do not overlap, so that the bus of one
// lab never sits on a client port of another.
const (
	busOffset   = 10000
	lowestPort  = 12768
	highestPort = 22767
)

// claim keeps a port, and its bus port, from other labs of the same user for as
// long as it is held: also while the server on it is down, to be restarted.
type claim struct {
	port int
	lock *os.File
}

// claimFree claims a port that nobody listens on. It starts at a random place,
// because tests of many packages look for ports at the same time.
func claimFree(host string) (*claim, error) {
	const n = highestPort - lowestPort + 1
	offset := rand.IntN(n)
	for i := range n {
		c, err := claimPort(host, lowestPort+(offset+i)%n)
		if err == nil || !errors.Is(err, errPortTaken) {
			return c, err
		}
	}
	return nil, fmt.Errorf("no free port from %d to %d on %s", lowestPort, highestPort, host)
}

var errPortTaken = errors.New("port is taken")

// claimPort claims one port, or says who has it: errPortTaken.
func claimPort(host string, port int) (*claim, error) {
	dir := filepath.Join(os.TempDir(), "trib-lab-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("claim port %d: %w", port, err)
	}
	lock, err := lockFile(filepath.Join(dir, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("claim port %d: %w", port, err)
	}
	if lock == nil {
		return nil, fmt.Errorf("port %d: another lab has it: %w", port, errPortTaken)
	}
	c := &claim{port: port, lock: lock}
	if err := c.listenable(host); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

func (c *claim) listenable(host string) error {
	for _, port := range []int{c.port, c.port + busOffset} {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("port %d: %w: %w", c.port, errPortTaken, err)
		}
		listener.Close()
	}
	return nil
}

// release gives the port back. The file goes while its lock is still held:
// whoever waits for it sees that it is gone and counts the port as taken.
func (c *claim) release() {
	if c == nil || c.lock == nil {
		return
	}
	_ = os.Remove(c.lock.Name())
	_ = c.lock.Close()
	c.lock = nil
}
