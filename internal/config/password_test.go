package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPasswordSources(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for a POSIX shell")
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		source PasswordSource
		want   string
		err    string // that it contains; empty where there is a password
	}{
		{PasswordSource{File: file("plain", "hunter2")}, "hunter2", ""},
		{PasswordSource{File: file("lines", "hunter2\nnotes\n")}, "hunter2", ""},
		{PasswordSource{File: file("windows", " a b \r\n")}, " a b ", ""},
		{PasswordSource{File: file("empty", "")}, "", "password-file " + dir + "/empty: its first line is empty"},
		{PasswordSource{File: file("late", "\nhunter2\n")}, "", "first line is empty"},
		{PasswordSource{File: dir + "/none"}, "", "password-file " + dir + "/none: no such file"},
		{PasswordSource{File: dir}, "", "directory"},
		{PasswordSource{Command: "echo hunter2; echo more"}, "hunter2", ""},
		{PasswordSource{Command: "printf %s hunter2 | tr 2 3"}, "hunter3", ""},
		{PasswordSource{Command: "true"}, "", "password-command: its first line is empty"},
		{PasswordSource{Command: "echo hunter2; echo no key >&2; exit 3"}, "", "password-command: exit status 3: no key"},
		{PasswordSource{Command: "/nonexistent"}, "", "password-command: exit status 127"},
	}
	for _, tt := range tests {
		got, err := tt.source.Read(t.Context())
		if got.Reveal() != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v: %q, %v", tt.source, got.Reveal(), err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("the error shows it: %v", err)
		}
	}
}

// Ctrl-C ends the wait for a command that does not.
func TestPasswordSourceIsInterrupted(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	began := time.Now()
	if _, err := (PasswordSource{Command: "sleep 20"}).Read(ctx); !errors.Is(err, stop) {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
