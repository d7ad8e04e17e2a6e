package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
	"github.com/trib-dev/trib/internal/lab/resp"
)

// TestLoad loads a file of the default server, and leaves it as it was.
func TestLoad(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	server := labtest.Server(t, labtest.Default)
	path := filepath.Join(t.TempDir(), "a.rdb")
	// A key in database 5, without a checksum.
	file := "REDIS0010\xfe\x05\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	write(file)
	s, err := lab.Load(t.Context(), server, path, 6)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := net.Dial("unix", s.Socket())
	if err != nil {
		t.Fatal(err)
	}
	conn := resp.NewConn(wire)
	if replies, err := conn.Pipeline([]string{"SELECT", "5"}, []string{"GET", "k"}, []string{"SET", "k", "other"}, []string{"SAVE"}); err != nil || replies[1] != "v" {
		t.Errorf("%v, %v", replies, err)
	}
	conn.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != file {
		t.Errorf("the file became %q, %v", data, err)
	}

	os.Remove(path)
	write(strings.Replace(file, "REDIS0010", "REDIS0099", 1))
	_, err = lab.Load(t.Context(), server, path, 6)
	if refused, ok := errors.AsType[*lab.LoadError](err); !ok || !strings.Contains(refused.Error(), "redis "+server.Version+" does not load it: ") || !strings.Contains(refused.Says, "99") {
		t.Errorf("%v", err)
	}
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	if _, err := lab.Load(gone, server, path, 6); err == nil || err.Error() != "no time" && !strings.Contains(err.Error(), "99") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
