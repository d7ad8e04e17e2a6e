package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// A test that needs another program runs itself again with these set.
const (
	childDir    = "TRIB_LAB_TEST_DIR"
	childServer = "TRIB_LAB_TEST_SERVER"
	childDetach = "TRIB_LAB_TEST_DETACH"
)

// child starts a lab of two servers and waits to be killed.
func child(dir string) int {
	server, err := lab.FindServer(context.Background(), os.Getenv(childServer))
	if err == nil {
		_, err = lab.Start(context.Background(), lab.Options{
			Dir: dir, Servers: []lab.Server{server}, Nodes: 2, Detach: os.Getenv(childDetach) != "",
		})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	return 0
}

// killedChild returns the lab of a program that was killed with kill -9.
func killedChild(t *testing.T, detach string) *lab.Lab {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDetach+"="+detach,
		childServer+"="+labtest.Server(t, labtest.Default).Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 6)
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("the other program says %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l, err := lab.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestDetachedServersOutliveTheirProgram(t *testing.T) {
	l := killedChild(t, "yes")
	for _, s := range l.Status(t.Context()) {
		if s.Condition != lab.Up || s.Pid == 0 || s.Version == "" || s.Server != "redis" {
			t.Errorf("%+v, want a server that is up", s)
		}
	}
	n := l.Nodes()[0]
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := lab.Open(l.Dir())
	if err != nil || again.Nodes()[0].Pid() != n.Pid() {
		t.Fatalf("the restarted server is not in the manifest: %v", err)
	}
	if err := again.Remove(); err == nil {
		t.Fatal("removed a lab that runs")
	}
	if err := again.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := conditions(t, again); got[0] != lab.Down || got[1] != lab.Down {
		t.Errorf("after down: %v", got)
	}
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(l.Dir()); len(entries) > 0 {
		t.Errorf("remove left %v", entries)
	}
}

// The manifest names the pid of a living process that the lab did not start:
// only the mark of its start tells them apart.
func TestStrangerWithRecordedPidIsSpared(t *testing.T) {
	l := start(t, lab.Options{Nodes: 1})
	stranger := exec.CommandContext(t.Context(), "sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	manifest := filepath.Join(l.Dir(), "lab.json")
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	mine, theirs := strconv.Itoa(l.Nodes()[0].Pid()), strconv.Itoa(stranger.Process.Pid)
	data = bytes.Replace(data, []byte(`"pid": `+mine), []byte(`"pid": `+theirs), 1)
	if err := os.WriteFile(manifest, data, 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := lab.Open(l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(opened.Down(t.Context()), opened.Close()); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.ReadFile("/proc/" + theirs + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
		t.Error("the stranger was ended")
	}
	if conditions(t, opened)[0] != lab.Down {
		t.Error("the stranger counts as the lab's server")
	}
}

func TestOpen(t *testing.T) {
	if _, err := lab.Open(t.TempDir()); !errors.Is(err, lab.ErrNone) {
		t.Errorf("empty directory: %v", err)
	}
	l := start(t, lab.Options{Nodes: 1})
	again := lab.Options{Dir: l.Dir(), Nodes: 1, Servers: []lab.Server{l.Nodes()[0].Server()}}
	if _, err := lab.Start(t.Context(), again); !errors.Is(err, lab.ErrExists) {
		t.Errorf("second start: %v", err)
	}
	for name, text := range map[string]string{
		"cut off":        `{"version":1,"host":"127`,
		"newer":          `{"version":9,"host":"127.0.0.1"}`,
		"foreign host":   `{"version":1,"host":"10.0.0.1"}`,
		"dir leads away": `{"version":1,"host":"127.0.0.1","nodes":[{"port":7000,"dir":"../7000"}]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := lab.Open(dir); err == nil {
			t.Errorf("%s: was opened", name)
		}
	}
}

func TestUnpacked(t *testing.T) {
	path := labtest.Server(t, labtest.Default).Path
	dir := filepath.Dir(filepath.Dir(filepath.Dir(path)))
	servers, err := lab.Unpacked(t.Context(), dir)
	if err != nil || len(servers) == 0 {
		t.Fatalf("%v, %v", servers, err)
	}
	for _, s := range servers {
		if !strings.HasPrefix(s.Path, filepath.Join(dir, s.Name())) {
			t.Errorf("%s is %s", s.Path, s.Name())
		}
	}
}

func TestFindServer(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "redis-server")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := lab.Server{Path: fake, Kind: "valkey", Version: "9.1.2"}
	if got, err := lab.FindServer(t.Context(), fake); err != nil || got != want || got.Name() != "valkey-9.1" {
		t.Errorf("explicit: %+v, %v", got, err)
	}
	t.Setenv("PATH", filepath.Dir(fake))
	if got, err := lab.FindServer(t.Context(), ""); err != nil || got != want {
		t.Errorf("on PATH: %+v, %v", got, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := lab.FindServer(t.Context(), ""); !errors.Is(err, lab.ErrNoServer) {
		t.Errorf("nothing on PATH: %v", err)
	}
	if _, err := lab.FindServer(t.Context(), "/bin/sh"); err == nil || !strings.Contains(err.Error(), "/bin/sh") {
		t.Errorf("not a server: %v", err)
	}
}
