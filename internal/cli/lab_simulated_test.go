package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/ui"
)

// onSockets is a bench whose commands reach real ports.
func onSockets(t *testing.T) *bench {
	b := newBench(t)
	b.env["TRIB_STATE_DIR"] = t.TempDir()
	b.real = true
	return b
}

// notes is what a command that runs on has written so far.
type notes struct {
	sync.Mutex
	bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.Lock()
	defer n.Unlock()
	return n.Buffer.Write(p)
}

func (n *notes) lab() (lab ui.Lab, ok bool) {
	n.Lock()
	defer n.Unlock()
	return lab, json.Unmarshal(n.Bytes(), &lab) == nil
}

// play runs lab up --simulated until the test ends, and returns the addresses.
func play(t *testing.T, args ...string) []string {
	t.Helper()
	var out notes
	signals := make(chan os.Signal, 1)
	app := onSockets(t).app()
	app.Terminal, app.Signals = ui.NewTerminal(&out, &out, ui.Traits{}), signals
	ended := make(chan int, 1)
	go func() {
		ended <- Main(t.Context(), app, append([]string{"lab", "up", "--simulated", "-o", "json"}, args...))
	}()
	t.Cleanup(func() {
		signals <- os.Interrupt
		if code := <-ended; code != exitOK {
			t.Errorf("lab up --simulated ends with exit %d", code)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if lab, ok := out.lab(); ok {
			var addrs []string
			for _, n := range lab.Nodes {
				addrs = append(addrs, n.Addr)
			}
			return addrs
		}
	}
	t.Fatal("lab up --simulated is not up")
	return nil
}

// TestSimulatedLab runs commands, as they are built, against simulated nodes on
// real ports: from empty servers to a cluster that grows and shrinks.
func TestSimulatedLab(t *testing.T) {
	for _, server := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel() // both wait for slots to settle
			addrs := play(t, "--no-create", "--masters", "4", "--replicas", "1", "--server", server)
			b := onSockets(t)
			b.want(b.run(append([]string{"create", "--replicas", "1", "--yes"}, addrs[:6]...)...), exitOK)
			b.wantSilentErr()
			for i := range 20 {
				b.want(b.run("call", addrs[0], "--only-masters", "SET", "key:"+strconv.Itoa(i), "v"), exitPartial)
			}
			b.want(b.run("reshard", addrs[0], "--from", addrs[0], "--to", addrs[1], "--slots", "40", "--yes"), exitOK)
			b.want(b.run("check", addrs[2]), exitOK)
			b.wantOut("[OK] All 16384 slots covered.")
			b.want(b.run("info", addrs[0]), exitOK)
			b.wantOut("5421 slots", "20 keys in 3 masters")
			b.want(b.run("call", addrs[0], "--only-masters", "PING"), exitOK)
			b.wantOut(addrs[0]+": PONG", addrs[2]+": PONG")
			b.want(b.run("add-node", addrs[6], addrs[0], "--yes"), exitOK)
			b.want(b.run("rebalance", addrs[0], "--use-empty-masters", "--yes"), exitOK)
			b.want(b.run("failover", addrs[0], addrs[3], "--yes"), exitOK)
			b.want(b.run("del-node", addrs[0], addrs[6], "--drain", "--yes"), exitOK)
			b.want(b.run("check", addrs[0]), exitOK)
			b.want(b.run("info", addrs[0]), exitOK)
			b.wantOut("20 keys in 3 masters")
		})
	}
}

// TestSimulatedLabFormed is the default: the cluster is there when it is up.
func TestSimulatedLabFormed(t *testing.T) {
	addrs := play(t, "--masters", "3", "--replicas", "0")
	b := onSockets(t)
	b.want(b.run("check", addrs[0]), exitOK)
	b.wantOut("[OK] All 16384 slots covered.")
}

func TestSimulatedLabRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"lab up somewhere --simulated":                                 {exitUsage, "takes no DIR"},
		"lab up --simulated --server redis-1.0":                        {exitUsage, "valkey-9.1"},
		"lab up --simulated --tls":                                     {exitUsage, "no TLS"},
		"lab up --simulated --ports " + strconv.Itoa(min(port, 55535)): {exitRefused, "address already in use"},
	} {
		if strings.Contains(line, "--ports") && port > 55535 {
			continue // the kernel chose one that the flag refuses
		}
		b := onSockets(t)
		b.want(b.runLine(line), want.code)
		b.wantErr(want.text)
	}
}
