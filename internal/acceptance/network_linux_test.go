package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/internal/lab/resp"
)

const (
	// inside, where it is set, makes the test binary the network of the servers,
	// and names the server to run.
	inside = "TRIB_ACCEPTANCE_INSIDE"
	// privateHost is an address that only they have.
	privateHost = "10.77.0.1"
	gates       = 7
)

// fenced are servers in a network of their own, with a gate to each.
type fenced struct {
	announced []string // as they see each other
	gates     []string // where they are reached from here
}

// fence starts servers in a network namespace. They end with the test.
func fence(t *testing.T, server string) fenced {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip to set a network up")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestInside$")
	cmd.Env = append(os.Environ(), inside+"="+server)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	f := fenced{}
	for range gates {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f.gates = append(f.gates, l.Addr().String())
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	news, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer news.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, tell)
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Start()
	tell.Close()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("network namespaces are not permitted here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the servers' network: %v\n%s", err, &said)
		}
	})
	if err := json.NewDecoder(news).Decode(&f.announced); err != nil {
		t.Fatalf("the servers' network: %v\n%s", err, &said)
	}
	return f
}

// TestInside is no test, but the network of the servers.
func TestInside(t *testing.T) {
	server, ok := os.LookupEnv(inside)
	if !ok {
		t.Skip("the other tests start it")
	}
	for _, args := range []string{"link set lo up", "addr add " + privateHost + "/32 dev lo"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	l := labtest.Start(t, labtest.Options{Server: server, Nodes: gates, Config: []string{"bind 127.0.0.1 " + privateHost, "protected-mode no"}})
	var announced []string
	for i, n := range l.Nodes() {
		announced = append(announced, fmt.Sprintf("%s:%d", privateHost, n.Port()))
		gate, err := net.FileListener(os.NewFile(uintptr(3+i), "gate"))
		if err != nil {
			t.Fatal(err)
		}
		defer gate.Close()
		go keepGate(gate, announced[i])
	}
	if err := json.NewEncoder(os.NewFile(3+gates, "news")).Encode(announced); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, os.Stdin)
}

// keepGate lets connections through, as a published port does.
func keepGate(gate net.Listener, to string) {
	for {
		from, err := gate.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			behind, err := net.DialTimeout("tcp", to, 5*time.Second)
			if err != nil {
				return
			}
			defer behind.Close()
			go func() {
				io.Copy(behind, from)
				behind.Close()
			}()
			io.Copy(from, behind)
		}()
	}
}

// config is a configuration file with a context for the cluster.
func (f fenced) config(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "current: fenced\ncontexts:\n  fenced:\n    seeds: [%q, %q]\n    address-map:\n", f.announced[0], f.announced[1])
	for i, a := range f.announced {
		fmt.Fprintf(&b, "      %q: %q\n", a, f.gates[i])
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// each asks every server but the last one.
func (f fenced) each(t *testing.T, do func(addr string, c *resp.Conn)) {
	t.Helper()
	for i, gate := range f.gates {
		c, err := resp.Dial(context.Background(), gate)
		if err != nil {
			t.Fatal(err)
		}
		do(f.announced[i], c)
		c.Close()
	}
}

// holds says how many of the test's keys are found by asking everybody.
func (f fenced) holds(t *testing.T, keys int) (found int) {
	t.Helper()
	f.each(t, func(_ string, c *resp.Conn) {
		for i := range keys {
			if got, err := c.Do("GET", fmt.Sprint("key:", i)); err == nil && got == fmt.Sprint("value:", i) {
				found++
			}
		}
	})
	return found
}

// TestBehindAnotherNetwork works on servers whose addresses only they reach: trib
// goes by the address map, MEET and MIGRATE go by what the servers see. Without
// the map it says what is the matter, and which map would help.
func TestBehindAnotherNetwork(t *testing.T) {
	for _, server := range []string{"redis-7.0", "valkey-9.1"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			f := fence(t, server)
			known := how{env: []string{"TRIB_CONFIG=" + f.config(t)}}
			// Created by where the servers are reached, and told what they announce.
			create := append([]string{"create", "--context", "fenced", "--replicas", "1", "--yes"}, f.gates[:6]...)
			known.run(t, create...).done(t, `^\[OK\] All 16384 slots covered`)
			known.run(t, create...).done(t, "done already")
			const keys = 400
			f.each(t, func(_ string, c *resp.Conn) {
				for i := range keys {
					c.Do("SET", fmt.Sprint("key:", i), fmt.Sprint("value:", i)) // the owner takes it
				}
			})

			blind := trib(t, "check", f.gates[0]).exit(t, 3)
			blind.complains(t, "^hint: the nodes announce addresses that this host does not reach: "+f.announced[0]+" is reached at "+f.gates[0],
				"--address-map "+f.announced[0]+"="+f.gates[0])
			trib(t, "reshard", f.gates[0], "--from", "all", "--to", f.announced[1], "--slots", "9", "--yes").exit(t, 4).complains(t, "--address-map")

			known.run(t, "check").done(t, f.announced[0])
			known.run(t, "reshard", "--from", f.gates[0], "--to", f.announced[1], "--slots", "300", "--yes").done(t, `^\[OK\] Moved 300 slots`)
			known.run(t, "add-node", f.gates[6], "--yes").done(t)
			known.run(t, "rebalance", "--use-empty-masters", "--max-slots", "200", "--yes").done(t, `^\[OK\] Moved 200 slots`)
			known.run(t, "del-node", f.gates[3], "--yes").done(t)
			known.run(t, "check").done(t, f.announced[6])
			if got := f.holds(t, keys); got != keys {
				t.Errorf("%d of %d keys are found", got, keys)
			}
		})
	}
}
