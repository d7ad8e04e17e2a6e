package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Backup is a backup on disk.
type Backup struct {
	Dir      string
	Manifest Manifest // of one that another tool made, what its files say
	Foreign  bool     // it has no manifest, and so no checksums but its files' own
}

// DamagedError is a file that is not what it was, or never was what it should be.
type DamagedError struct {
	Path string
	Err  error
}

func (e *DamagedError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Open reads what a directory says of itself: one that Take made, or that
// redis-cli or valkey-cli made. Check looks at the data.
func Open(dir string) (Backup, error) {
	b := Backup{Dir: dir}
	if _, err := os.Lstat(filepath.Join(dir, manifestFile+partial)); err == nil {
		return b, fmt.Errorf("%s: this backup was not completed", dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b.foreign()
	}
	if err != nil {
		return b, err
	}
	if b.Manifest, err = parseManifest(data); err != nil {
		return b, fmt.Errorf("%s: %w", dir, err)
	}
	return b, nil
}

// foreign lists the RDB files of a directory.
func (b Backup) foreign() (Backup, error) {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return b, err
	}
	b.Foreign = true
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".rdb") && !e.IsDir() {
			b.Manifest.Files = append(b.Manifest.Files, File{Sum: Sum{Name: e.Name()}})
		}
	}
	if len(b.Manifest.Files) == 0 {
		return b, fmt.Errorf("%s holds no backup: it has no %s and no files that end with .rdb", b.Dir, manifestFile)
	}
	return b, nil
}

// Path is where a file is.
func (b Backup) Path(f File) string { return filepath.Join(b.Dir, f.Name) }

// Check reads every file and compares it with its checksums: the manifest's, and
// the one in the file. Its error is a *DamagedError. report hears how much has
// been read. What a foreign backup's files say of themselves is added to its
// manifest.
func (b *Backup) Check(ctx context.Context, report func(bytes int64)) error {
	read := &reading{ctx: ctx, report: report}
	for i := range b.Manifest.Files {
		f := &b.Manifest.Files[i]
		if err := b.checkFile(f, read); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &DamagedError{b.Path(*f), err}
		}
	}
	if b.Foreign {
		return nil
	}
	return b.checkNodes()
}

func (b *Backup) checkFile(f *File, read *reading) error {
	in, err := os.Open(b.Path(*f))
	if err != nil {
		return err
	}
	defer in.Close()
	s := newSieve()
	if _, err := io.CopyBuffer(io.MultiWriter(s, read), struct{ io.Reader }{in}, make([]byte, 1<<20)); err != nil {
		return err
	}
	got := s.total(f.Name)
	switch {
	case b.Foreign:
		f.Sum = got
	case f.Bytes != got.Bytes:
		return fmt.Errorf("it has %d bytes, and the manifest says %d", got.Bytes, f.Bytes)
	case f.SHA256 != got.SHA256:
		return fmt.Errorf("its SHA-256 is %.16s..., and the manifest says %.16s...: it was changed", got.SHA256, f.SHA256)
	}
	version, err := s.Whole()
	f.RDB = version
	return err
}

func (b *Backup) checkNodes() error {
	data, err := os.ReadFile(filepath.Join(b.Dir, nodesFile))
	if err == nil && sumOf(nodesFile, data) != b.Manifest.Nodes {
		err = errors.New("it was changed: its checksum is not the manifest's")
	}
	if err != nil {
		return &DamagedError{filepath.Join(b.Dir, nodesFile), err}
	}
	return nil
}

func sumOf(name string, data []byte) Sum {
	s := newSieve()
	s.Write(data)
	return s.total(name)
}

// reading counts what was read, and ends it with its context.
type reading struct {
	ctx    context.Context
	bytes  int64
	report func(int64)
}

func (r *reading) Write(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	r.bytes += int64(len(p))
	r.report(r.bytes)
	return len(p), nil
}

// Databases is one more than the highest number of a database with keys, as far
// as that is known.
func (m Manifest) Databases() int {
	n := 1
	for _, f := range m.Files {
		for _, db := range f.Keys {
			n = max(n, db.DB+1)
		}
	}
	return n
}

// Servers are the servers that wrote the files.
func (m Manifest) Servers() []cluster.Server {
	var all []cluster.Server
	seen := make(map[cluster.Server]bool)
	for _, f := range m.Files {
		if f.Server != (cluster.Server{}) && !seen[f.Server] {
			seen[f.Server] = true
			all = append(all, f.Server)
		}
	}
	return all
}
