package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/rdb"
)

// file10 is a file with the right end.
func file10(body string) string {
	text := "REDIS0010" + body + "\xff"
	return string(binary.LittleEndian.AppendUint64([]byte(text), rdb.Checksum([]byte(text))))
}

// fake is nodes that send what they are told to, and answer nothing else.
type fake struct {
	driver.Dialer
	send func(w io.Writer, port int) error
}

func (f fake) Snapshot(_ context.Context, addr cluster.Addr, _ string, _ driver.SnapshotOptions, w io.Writer) error {
	return f.send(w, addr.Port)
}

func (f fake) Dial(_ context.Context, addr cluster.Addr, _ string) (driver.Conn, error) {
	return nil, &driver.TransportError{Addr: addr, Err: io.EOF}
}

// two are two masters.
func two(dir string, send func(w io.Writer, port int) error) Options {
	var sources []Source
	for i := range 2 {
		m := cluster.Member{ID: cluster.NodeID(strings.Repeat(fmt.Sprint(i), 40)), Addr: cluster.Addr{Host: "h/../é", Port: 7000 + i}}
		sources = append(sources, Source{m, m})
	}
	return Options{Dialer: fake{send: send}, Sources: sources, Dir: dir, Lock: lock.Options{Skip: true}, Now: time.Now}
}

// failing is a file that fails at some point.
type failing struct {
	file
	left  int // bytes until the disk is full
	sync  error
	close error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.file.Write(p[:min(len(p), f.left)])
	if f.left -= n; err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *failing) Sync() error  { return errors.Join(f.file.Sync(), f.sync) }
func (f *failing) Close() error { return errors.Join(f.file.Close(), f.close) }

// TestFailureLeavesNothing lets each thing fail in turn.
func TestFailureLeavesNothing(t *testing.T) {
	good := func(w io.Writer, _ int) error { _, err := io.WriteString(w, file10("")); return err }
	second := func(text string, err error) func(io.Writer, int) error {
		return func(w io.Writer, port int) error {
			if port == 7000 {
				return good(w, port)
			}
			_, failure := io.WriteString(w, text)
			return errors.Join(failure, err)
		}
	}
	died := &driver.TransportError{Err: io.ErrUnexpectedEOF}
	tests := []struct {
		name string
		send func(io.Writer, int) error
		file failing
		want string
	}{
		{"a full disk", good, failing{left: 12}, "no space left"},
		{"a disk that is full at the end", good, failing{left: 1 << 20, sync: syscall.ENOSPC}, "no space left"},
		{"a close that fails", good, failing{left: 1 << 20, close: syscall.EIO}, "input/output error"},
		{"a node that dies", second("REDIS0010abc", died), failing{left: 1 << 20}, "unexpected EOF"},
		{"half a file that says it is all", second("REDIS0010abc", nil), failing{left: 1 << 20}, "a part is missing"},
		{"something else", second("HTTP/1.1 400 Bad Request", nil), failing{left: 1 << 20}, "no RDB file"},
		{"nobody to ask afterwards", good, failing{left: 1 << 20}, "EOF"},
	}
	for _, tt := range tests {
		for _, existing := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, existing), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "b")
				if existing {
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				taking := newTaking(two(dir, tt.send))
				taking.dir.create = func(path string) (file, error) {
					f, err := createFile(path)
					broken := tt.file
					broken.file = f
					return &broken, err
				}
				if _, err := taking.take(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v", err)
				}
				entries, err := os.ReadDir(dir)
				if existing && (err != nil || len(entries) > 0) || !existing && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it left %v, %v", entries, err)
				}
				if err := Vacant(dir); err != nil {
					t.Errorf("the same cannot be tried again: %v", err)
				}
			})
		}
	}
}

// TestUnfinished is what a kill leaves.
func TestUnfinished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b")
	f := folder{path: dir, create: createFile}
	if err := f.begin(); err != nil {
		t.Fatal(err)
	}
	out, err := f.open("a.rdb")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, file10("")); finish(out, err) != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not completed") {
		t.Errorf("%v", err)
	}
	if err := f.begin(); err == nil || !strings.Contains(err.Error(), "not completed") {
		t.Errorf("%v", err)
	}
}

// whole is a complete backup of one file.
func whole(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "b")
	f := folder{path: dir, create: createFile}
	data := []byte(file10(""))
	nodes := []byte("[]\n")
	m := Manifest{Version: Version, Files: []File{{Sum: sumOf("a.rdb", data), RDB: 10, Addr: cluster.Addr{Host: "h", Port: 7000}}}, Nodes: sumOf(nodesFile, nodes)}
	if err := errors.Join(f.begin(), f.write("a.rdb", data), f.write(nodesFile, nodes), f.complete(m)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpen(t *testing.T) {
	edit := func(name, old, text string) func(string) error {
		return func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && !bytes.Contains(data, []byte(old)) {
				err = fmt.Errorf("%s has no %q", name, old)
			}
			return errors.Join(err, os.WriteFile(filepath.Join(dir, name), bytes.Replace(data, []byte(old), []byte(text), 1), 0o600))
		}
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	tests := []struct {
		name  string
		spoil func(dir string) error
		says  string
	}{
		{"as it is", func(string) error { return nil }, ""},
		{"made by redis-cli", remove(manifestFile), ""},
		{"nothing", os.RemoveAll, "no such file"},
		{"no files", func(dir string) error { return errors.Join(remove(manifestFile)(dir), remove("a.rdb")(dir)) }, "holds no backup"},
		{"no JSON", edit(manifestFile, "{", "["), "manifest.json"},
		{"a newer version", edit(manifestFile, `"version": 1`, `"version": 2`), "version 2"},
		{"an unknown field", edit(manifestFile, `"slots"`, `"slot"`), "slot"},
		{"a file elsewhere", edit(manifestFile, `"a.rdb"`, `"../a.rdb"`), "no name of a file"},
		{"no checksum", edit(manifestFile, `"sha256": "`, `"sha256": "ab`), "no checksum"},
		{"another size", edit(manifestFile, `"bytes": 18`, `"bytes": 19`), "18 bytes"},
		{"another file", edit("a.rdb", "REDIS0010", "REDIS0011"), "SHA-256"},
		{"other nodes", edit(nodesFile, "[]", "{}"), "nodes.json"},
		{"a missing file", remove("a.rdb"), "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := whole(t)
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			b, err := Open(dir)
			if err == nil {
				err = b.Check(t.Context(), func(int64) {})
			}
			if tt.says == "" && (err != nil || b.Manifest.Files[0].RDB != 10 || b.Manifest.Bytes() != 18) || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}
