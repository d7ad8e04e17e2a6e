// Package acceptance runs trib as its users do, as a process on real servers,
// and holds its exit codes, its streams and the cluster that it leaves against
// what design and help promise. Nothing here trusts the engine: the cluster's
// state and its keys are read by the client of labtest.
package acceptance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/cli"
	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
)

// every is which kill points of create are tried: a few by make test, all of
// them with 1.
var every = flag.Int("every", 47, "try every n-th kill point of create")

// With this variable set the test binary is trib, and its value the fuse that
// kills it.
const asTool = "TRIB_ACCEPTANCE_FUSE"

func TestMain(m *testing.M) {
	if setting, ok := os.LookupEnv(asTool); ok {
		os.Exit(tool(setting))
	}
	os.Exit(m.Run())
}

func tool(setting string) int {
	app := cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	if setting == "" {
		return cli.Main(context.Background(), app, os.Args[1:])
	}
	fuse, err := chaos.ParseFuse(setting)
	if err != nil {
		panic(err)
	}
	fuse.Blow = func() {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	app.NewDialer = func(c config.Connection) driver.Dialer {
		return goredis.New(goredis.Options{Username: c.User, Password: c.Password.Reveal(), TLS: c.Encryption, DialContext: fuse.DialContext})
	}
	code := cli.Main(context.Background(), app, os.Args[1:])
	fmt.Fprintf(os.Stderr, "mutations:%d\n", fuse.Count())
	return code
}

// runLimit is longer than any deadline of trib's own.
const runLimit = 100 * time.Second

// how is what surrounds a run of trib; the zero value has no terminal, nothing
// to read and nothing in its environment.
type how struct {
	stdin string
	in    *os.File // instead of stdin
	env   []string
	fuse  *chaos.Fuse
}

// trib runs the tool with nothing around it.
func trib(t testing.TB, args ...string) result {
	t.Helper()
	return how{}.run(t, args...)
}

func (h how) run(t testing.TB, args ...string) result {
	t.Helper()
	return h.start(t, args...).wait(t)
}

// stream is what was written so far.
type stream struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// run is a trib at work.
type run struct {
	cmd      *exec.Cmd
	args     []string
	out, err stream
	begun    time.Time
	ended    chan struct{}
	failure  error // of the wait
}

func (h how) start(t testing.TB, args ...string) *run {
	t.Helper()
	r := &run{cmd: exec.Command(os.Args[0], args...), args: args, begun: time.Now(), ended: make(chan struct{})}
	setting := ""
	if h.fuse != nil {
		setting = h.fuse.Setting()
	}
	r.cmd.Env = append([]string{asTool + "=" + setting, "HOME=" + t.TempDir(), "PATH=/nonexistent"}, h.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if h.stdin != "" {
		r.cmd.Stdin = strings.NewReader(h.stdin)
	}
	if h.in != nil {
		r.cmd.Stdin = h.in
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.failure = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() { r.cmd.Process.Kill() })
	return r
}

func (r *run) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatalf("trib %q: %v", r.args, err)
	}
}

// over reports whether it has ended.
func (r *run) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// wait returns what is left to see of a run that has ended.
func (r *run) wait(t testing.TB) result {
	t.Helper()
	select {
	case <-r.ended:
		if _, exited := errors.AsType[*exec.ExitError](r.failure); r.failure != nil && !exited {
			t.Fatal(r.failure)
		}
	case <-time.After(runLimit):
		r.cmd.Process.Kill()
		<-r.ended
		t.Fatalf("trib %q did not end within %v\n%s\n%s", r.args, runLimit, &r.out, &r.err)
	}
	state := r.cmd.ProcessState
	status, _ := state.Sys().(syscall.WaitStatus)
	return result{
		args: r.args, out: r.out.String(), err: r.err.String(), took: time.Since(r.begun), code: state.ExitCode(),
		killed: status.Signaled() && status.Signal() == syscall.SIGKILL,
	}
}

// result is a run that has ended.
type result struct {
	args     []string
	out, err string
	code     int
	killed   bool
	took     time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("trib %q: exit %d after %v\n--- stdout\n%s--- stderr\n%s---",
		r.args, r.code, r.took.Round(time.Millisecond), r.out, r.err)
}

// exit holds the exit code; without it the rest is not worth looking at.
func (r result) exit(t testing.TB, codes ...int) result {
	t.Helper()
	for _, code := range codes {
		if r.code == code && !r.killed {
			return r
		}
	}
	t.Fatalf("want exit %v: %v", codes, r)
	return r
}

// done is success as a script wants it: exit 0 and nothing on standard error.
func (r result) done(t testing.TB, stdout ...string) result {
	t.Helper()
	r.exit(t, 0)
	if r.err != "" {
		t.Errorf("standard error is not empty: %v", r)
	}
	return r.prints(t, stdout...)
}

// prints holds standard output against patterns, one line each.
func (r result) prints(t testing.TB, patterns ...string) result {
	t.Helper()
	return r.match(t, "stdout", r.out, patterns)
}

// complains holds standard error against patterns, one line each.
func (r result) complains(t testing.TB, patterns ...string) result {
	t.Helper()
	return r.match(t, "stderr", r.err, patterns)
}

func (r result) match(t testing.TB, stream, text string, patterns []string) result {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
			t.Errorf("%s does not match %q: %v", stream, pattern, r)
		}
	}
	return r
}
