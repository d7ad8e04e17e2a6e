package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// PasswordSource is where a password is that stands neither on the command line
// nor in the environment: the first line of a file, or of what a command prints.
type PasswordSource struct {
	File    string
	Command string // for the shell
}

const (
	// passwordWithin is long enough for somebody to unlock their keyring.
	passwordWithin = time.Minute
	longestSource  = 64 << 10
)

// Given reports whether there is a source at all.
func (s PasswordSource) Given() bool { return s != (PasswordSource{}) }

// Read takes the password out of its source. Its errors say which source, and
// never what is in it.
func (s PasswordSource) Read(ctx context.Context) (Secret, error) {
	name, read := "password-file "+s.File, s.fromFile
	if s.Command != "" {
		name, read = "password-command", s.fromCommand
	}
	ctx, cancel := context.WithTimeoutCause(ctx, passwordWithin, fmt.Errorf("no password within %v", passwordWithin))
	defer cancel()
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() { // a pipe that nobody writes to keeps nobody waiting
		text, err := read(ctx)
		done <- answer{text, err}
	}()
	var got answer
	select {
	case got = <-done:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		got.err = context.Cause(ctx)
	}
	first, _, _ := strings.Cut(got.text, "\n")
	first = strings.TrimSuffix(first, "\r")
	if got.err == nil && first == "" {
		got.err = errors.New("its first line is empty")
	}
	if got.err != nil {
		return "", fmt.Errorf("%s: %w", name, got.err)
	}
	return Secret(first), nil
}

func (s PasswordSource) fromFile(context.Context) (string, error) {
	f, err := os.Open(s.File)
	if pathErr, ok := errors.AsType[*os.PathError](err); ok {
		return "", pathErr.Err
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestSource))
	return string(text), err
}

// fromCommand keeps what the command complains of: nothing may come between
// trib's own lines, and it is wanted only where the command fails.
func (s PasswordSource) fromCommand(ctx context.Context) (string, error) {
	shell := []string{"/bin/sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], s.Command)
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		last := strings.TrimSpace(string(failed.Stderr))
		return "", fmt.Errorf("%w: %s", err, last[strings.LastIndexByte(last, '\n')+1:])
	}
	return string(text), err
}
