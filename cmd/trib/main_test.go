package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"trib": main})
}

// TestScripts runs whole sessions, on real servers where a script starts a lab.
func TestScripts(t *testing.T) {
	server := labtest.Server(t, "redis-7.0")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("SERVER", server.Path)
			e.Defer(func() { endLab(t, filepath.Join(e.WorkDir, ".lab")) })
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"nodes": setNodes, "json": isJSON},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// endLab ends the servers that a script has left behind: they outlive trib.
func endLab(t *testing.T, dir string) {
	l, err := lab.Open(dir)
	if err != nil {
		return
	}
	if err := l.Down(context.Background()); err != nil {
		t.Error(err)
	}
}

// setNodes puts the addresses of the lab into $NODE1, $NODE2, ...
func setNodes(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := lab.Open(ts.MkAbs(".lab"))
	ts.Check(err)
	for i, addr := range l.Addrs() {
		ts.Setenv("NODE"+string(rune('1'+i)), addr)
	}
}

// isJSON checks that a file holds one JSON value.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &v); (err == nil) == neg {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func TestMainIsShort(t *testing.T) {
	data, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 500 {
		t.Errorf("main.go has %d bytes: commands belong into internal/cli", len(data))
	}
}
