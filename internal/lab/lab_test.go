package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/internal/lab/resp"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "lab")
	o.Servers = []lab.Server{labtest.Server(t, labtest.Default)}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func do(t *testing.T, n *lab.Node, args ...string) any {
	t.Helper()
	conn, err := resp.Dial(t.Context(), n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Timeout = 500 * time.Millisecond
	reply, err := conn.Do(args...)
	if err != nil {
		return err
	}
	return reply
}

func conditions(t *testing.T, l *lab.Lab) []lab.Condition {
	t.Helper()
	var all []lab.Condition
	for _, s := range l.Status(t.Context()) {
		all = append(all, s.Condition)
	}
	return all
}

func TestVerbs(t *testing.T) {
	l := start(t, lab.Options{Nodes: 2})
	n := l.Nodes()[0]
	id := do(t, n, "CLUSTER", "MYID")
	first := n.Pid()

	steps := []struct {
		name string
		do   func() error
		want lab.Condition
	}{
		{"pause", n.Pause, lab.Silent},
		{"resume", n.Resume, lab.Up},
		{"kill", n.Kill, lab.Down},
		{"kill again", n.Kill, lab.Down},
		{"restart", func() error { return n.Restart(t.Context()) }, lab.Up},
		{"restart while up", func() error { return n.Restart(t.Context()) }, lab.Up},
		{"stop", func() error { return n.Stop(t.Context()) }, lab.Down},
		{"stop again", func() error { return n.Stop(t.Context()) }, lab.Down},
		{"up", func() error { return l.Up(t.Context()) }, lab.Up},
		{"pause before stop", n.Pause, lab.Silent},
		{"stop while paused", func() error { return n.Stop(t.Context()) }, lab.Down},
		{"up again", func() error { return l.Up(t.Context()) }, lab.Up},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := conditions(t, l); got[0] != step.want || got[1] != lab.Up {
			t.Fatalf("after %s: %v, want %v and up", step.name, got, step.want)
		}
	}
	if got := do(t, n, "CLUSTER", "MYID"); got != id {
		t.Errorf("the server came back as %v, was %v", got, id)
	}
	if n.Pid() == first || n.Pid() == 0 {
		t.Errorf("pid %d after restarts, was %d", n.Pid(), first)
	}
}

func TestVerbsOnDeadServer(t *testing.T) {
	l := start(t, lab.Options{Nodes: 1})
	n := l.Nodes()[0]
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, verb := range map[string]func() error{"pause": n.Pause, "resume": n.Resume} {
		if err := verb(); err == nil || !strings.Contains(err.Error(), n.Addr()) {
			t.Errorf("%s of a dead server: %v, want an error that names it", name, err)
		}
	}
}

func TestPorts(t *testing.T) {
	l := start(t, lab.Options{Nodes: 3})
	ports := []int{}
	for _, n := range l.Nodes() {
		ports = append(ports, n.Port())
		if n.Port() >= 22768 || filepath.Base(n.Dir()) != strconv.Itoa(n.Port()) {
			t.Errorf("port %d in %s", n.Port(), n.Dir())
		}
	}
	if !slices.IsSorted(ports) {
		t.Errorf("nodes are not in the order of their ports: %v", ports)
	}
	again := lab.Options{
		Dir: t.TempDir(), Nodes: 1, FirstPort: ports[0],
		Servers: []lab.Server{l.Nodes()[0].Server()},
	}
	if _, err := lab.Start(t.Context(), again); err == nil || !strings.Contains(err.Error(), strconv.Itoa(ports[0])) {
		t.Errorf("start on a taken port: %v, want an error that names it", err)
	}
	if entries, _ := os.ReadDir(again.Dir); len(entries) > 0 {
		t.Errorf("the failed start left %v behind", entries)
	}
}

func TestTakenBusPort(t *testing.T) {
	l := start(t, lab.Options{Nodes: 1})
	n := l.Nodes()[0]
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	bus, err := net.Listen("tcp", net.JoinHostPort(n.Host(), strconv.Itoa(n.Port()+10000)))
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	o := lab.Options{Dir: t.TempDir(), Nodes: 1, FirstPort: n.Port(), Servers: []lab.Server{n.Server()}}
	if _, err := lab.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), strconv.Itoa(n.Port()+10000)) {
		t.Errorf("got %v, want an error that names the bus port", err)
	}
}

// Somebody who takes no claims can be faster on a port that was free a moment
// ago. The stand-in for the server says so the first time.
func TestLostRaceForPort(t *testing.T) {
	real := labtest.Server(t, labtest.Default)
	late := filepath.Join(t.TempDir(), "late")
	script := "#!/bin/sh\n[ -e '" + late + ".lost' ] && exec '" + real.Path + "' \"$@\"\n" +
		"touch '" + late + ".lost'\necho bind: Address already in use\nexit 1\n"
	if err := os.WriteFile(late, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	o := lab.Options{Dir: filepath.Join(t.TempDir(), "lab"), Nodes: 1, Servers: []lab.Server{{Path: late}}}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := conditions(t, l); got[0] != lab.Up {
		t.Errorf("the server is %s", got[0])
	}
	if entries, _ := os.ReadDir(o.Dir); len(entries) != 2 {
		t.Errorf("want one server directory and the manifest, got %v", entries)
	}
}

// A server that is down keeps its port: another lab must not settle there before
// it is restarted.
func TestPortOfDeadServerIsKept(t *testing.T) {
	l := start(t, lab.Options{Nodes: 1})
	n := l.Nodes()[0]
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	other := lab.Options{Dir: t.TempDir(), Nodes: 1, FirstPort: n.Port(), Servers: []lab.Server{n.Server()}}
	if got, err := lab.Start(t.Context(), other); err == nil {
		t.Errorf("another lab took port %d", n.Port())
		_ = got.Close()
	}
}

func TestPasswordStaysOutOfSight(t *testing.T) {
	const secret = "s3cret \"quoted\" \xff\n"
	l := start(t, lab.Options{Nodes: 1, Password: secret})
	n := l.Nodes()[0]
	if err, _ := do(t, n, "PING").(resp.Error); err.Code() != "NOAUTH" {
		t.Errorf("PING without password: %v", err)
	}
	if got := do(t, n, "AUTH", secret); got != "OK" {
		t.Errorf("AUTH: %v", got)
	}
	args, err := os.ReadFile("/proc/" + strconv.Itoa(n.Pid()) + "/cmdline")
	if err == nil && strings.Contains(string(args), "s3cret") {
		t.Errorf("the argument list shows the password: %q", args)
	}
	for _, file := range []string{filepath.Join(l.Dir(), "lab.json"), filepath.Join(n.Dir(), "server.log")} {
		if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "s3cret") {
			t.Errorf("%s shows the password, or %v", file, err)
		}
	}
}

func TestFailedStart(t *testing.T) {
	server := labtest.Server(t, labtest.Default)
	silent := filepath.Join(t.TempDir(), "silent")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\necho starting slowly\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		o    lab.Options
		want []string
	}{
		{"bad directive", lab.Options{Nodes: 2, Config: []string{"no-such-thing yes"}}, []string{"127.0.0.1:", "ended", "no-such-thing"}},
		{
			"silent server",
			lab.Options{Nodes: 1, Servers: []lab.Server{{Path: silent}}, Timeout: 300 * time.Millisecond},
			[]string{"127.0.0.1:", "none within 300ms", "starting slowly"},
		},
		{"no nodes", lab.Options{}, []string{"0 nodes"}},
		{"not local", lab.Options{Nodes: 1, Host: "0.0.0.0"}, []string{"loopback"}},
		{"port too high", lab.Options{Nodes: 1, FirstPort: 60000}, []string{"bus port"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.o
			o.Dir = filepath.Join(t.TempDir(), "lab")
			if o.Servers == nil {
				o.Servers = []lab.Server{server}
			}
			_, err := lab.Start(t.Context(), o)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if entries, _ := os.ReadDir(o.Dir); len(entries) > 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

func TestStartRespectsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("changed my mind"))
	o := lab.Options{Dir: t.TempDir(), Nodes: 1, Servers: []lab.Server{labtest.Server(t, labtest.Default)}}
	if _, err := lab.Start(ctx, o); err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("got %v", err)
	}
}

func TestIPv6(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	probe.Close()
	l := start(t, lab.Options{Nodes: 1, Host: "::1"})
	if addr := l.Nodes()[0].Addr(); !strings.HasPrefix(addr, "[::1]:") {
		t.Errorf("address %s", addr)
	}
}
