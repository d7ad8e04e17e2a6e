package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	expect "github.com/Netflix/go-expect"
	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

const (
	arrowDown = "\x1b[B"
	enter     = "\r"
	ctrlC     = "\x03"
	ctrlD     = "\x04"
)

// screen is trib on a terminal of its own.
type screen struct {
	t       *testing.T
	console *expect.Console
	vt      vt10x.Terminal
	cmd     *exec.Cmd
}

// onScreen starts trib with a terminal for all its streams. The terminal is a
// real one as far as trib can tell: it answers where its cursor is.
func onScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	keys, screenEnd, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	vt := vt10x.New(vt10x.WithWriter(screenEnd), vt10x.WithSize(120, 40))
	console, err := expect.NewConsole(expect.WithStdin(keys), expect.WithStdout(vt), expect.WithCloser(keys, screenEnd),
		expect.WithDefaultTimeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { console.Close() })
	tty := console.Tty()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, console: console, vt: vt, cmd: exec.Command(os.Args[0], args...)}
	s.cmd.Env = []string{asTool + "=", "HOME=" + t.TempDir(), "PATH=/nonexistent", "TERM=xterm", "NO_COLOR=1"}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill() })
	return s
}

// answer waits for a question, and for the terminal to take single keys.
func (s *screen) answer(question, keys string) {
	s.t.Helper()
	s.see(question)
	labtest.Await(s.t, 10*time.Second, "a raw terminal", func() error {
		mode, err := unix.IoctlGetTermios(int(s.console.Tty().Fd()), unix.TCGETS)
		if err == nil && mode.Lflag&unix.ECHO != 0 {
			err = fmt.Errorf("it echoes; screen:\n%s", s.vt)
		}
		return err
	})
	if _, err := s.console.Send(keys); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) see(text string) {
	s.t.Helper()
	if _, err := s.console.ExpectString(text); err != nil {
		s.t.Fatalf("%q does not come: %v; screen:\n%s", text, err, s.vt)
	}
}

// end waits for trib and returns its exit code. What it still writes must be
// read.
func (s *screen) end() int {
	s.t.Helper()
	go s.console.ExpectEOF()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(runLimit):
		s.t.Fatalf("it does not end; screen:\n%s", s.vt)
		return -1
	}
}

// TestInteractiveReshard drives a reshard through a terminal: the number, the
// target and the sources are chosen, the plan is shown, and a yes is given.
func TestInteractiveReshard(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	before := look(t, c.Lab)
	m := before.masters()
	s := onScreen(t, "reshard", m[2].Addr())
	s.answer("How many slots do you want to move (from 1 to 16384)?", "none"+enter)
	s.see("want a number from 1 to 16384")
	s.answer("How many slots do you want to move (from 1 to 16384)?", "20"+enter)
	s.answer("Which node gets the slots?", m[1].self.id[:8]+enter)
	s.answer("Which nodes give slots?", m[0].self.id[:8]+" "+enter)
	s.see("Ready to move 20 slots.")
	s.answer("proceed with the proposed reshard plan? (y/N)", "yes"+enter)
	if code := s.end(); code != 0 {
		t.Fatalf("exit %d; screen:\n%s", code, s.vt)
	}
	soonWhole(t, c.Lab).exactly(t, before, before.at(m[0].Addr()).self.slots[:20], m[1].Addr())
	h.intact(t)
	for _, shown := range []string{"Resharding plan:", "Moving slots 0-19 from " + m[0].self.id, "[OK] Moved 20 slots", "[OK] All 16384 slots covered."} {
		if !strings.Contains(s.vt.String(), shown) {
			t.Errorf("%q is not on the screen:\n%s", shown, s.vt)
		}
	}
	t.Logf("the screen in the end:\n%s", s.vt)
}

// TestInteractiveReshardGivenUp leaves at every question, and then answers
// nothing to the last one: nothing changes.
func TestInteractiveReshardGivenUp(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3}), 3, 0)
	now := memory(t, c.Lab)
	questions := []struct{ text, right string }{
		{"How many slots", "20" + enter},
		{"Which node gets the slots?", arrowDown + enter},
		{"Which nodes give slots?", " " + enter},
		{"proceed with the proposed reshard plan? (y/N)", ""},
	}
	leave := func(at int, keys string, want int) {
		t.Helper()
		s := onScreen(t, "reshard", c.Masters[0].Addr())
		for _, q := range questions[:at] {
			s.answer(q.text, q.right)
		}
		s.answer(questions[at].text, keys)
		if code := s.end(); code != want {
			t.Errorf("question %d, keys %q: exit %d, want %d; screen:\n%s", at, keys, code, want, s.vt)
		}
	}
	for at := range questions {
		leave(at, ctrlC, 130)
	}
	for _, keys := range []string{ctrlD, enter, "no" + enter} {
		leave(3, keys, 1)
	}
	untouched(t, c.Lab, now)
}

// TestDialogueByLines answers the questions of old through a pipe.
func TestDialogueByLines(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 6}), 3, 3)
	h := bury(t, c.Lab)
	before := look(t, c.Lab)
	m := before.masters()
	lines := fmt.Sprintf("20\n%s\n%s\ndone\n", m[1].self.id, m[0].self.id)
	now := memory(t, c.Lab)
	for stdin, why := range map[string]string{
		"20\n":                          "no input to read an answer from; nothing was changed",
		lines:                           "no input to read an answer from; nothing was changed",
		lines + "no\n":                  "declined; nothing was changed",
		"20\n" + m[1].self.id + "\nx\n": `no node "x".*nothing was changed`,
		"many\n":                        `slots "many": want a number from 1 to 16384; nothing was changed`,
	} {
		how{stdin: stdin}.run(t, "reshard", m[2].Addr()).exit(t, 1).complains(t, why)
	}
	trib(t, "reshard", m[2].Addr(), "--yes").exit(t, 2).complains(t, "--from is missing")
	untouched(t, c.Lab, now)
	how{stdin: lines + "yes\n"}.run(t, "reshard", m[2].Addr()).done(t, "^Ready to move 20 slots")
	soonWhole(t, c.Lab).exactly(t, before, before.at(m[0].Addr()).self.slots[:20], m[1].Addr())
	h.intact(t)
}
