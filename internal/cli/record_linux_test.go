package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
)

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEventsNobodyReads promises that a pipe without a reader is refused, rather
// than waited for.
func TestEventsNobodyReads(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine(moveLine+" --yes --events "+fifo(t)), exitRefused)
		b.wantErr("--events: ", "nothing was changed")
	})
}

// TestEventsReaderThatStops promises that a reader which has stopped reading
// keeps the work waiting for a moment only.
func TestEventsReaderThatStops(t *testing.T) {
	path := fifo(t)
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	b := newBench(t)
	tk, err := b.app().takeDown(change{options: &changeOptions{events: path}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		tk.observe(apply.Event{Kind: apply.Notice, Text: string(bytes.Repeat([]byte("x"), 100))})
	}
	tk.end(nil)
	b.wantErr("[WARNING] --events cannot be written, and the run goes on without it: ")
	if n := bytes.Count(b.err.Bytes(), []byte("WARNING")); n != 1 {
		t.Errorf("warned %d times", n)
	}
	if tk.events != nil {
		t.Error("it is still written")
	}
}
