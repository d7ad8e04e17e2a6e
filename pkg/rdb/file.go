package rdb

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// File is an RDB file that can be read as a server is. It keeps the names of all
// keys in memory.
type File struct {
	in        io.ReaderAt
	close     func() error
	now       func() time.Time
	version   uint16
	valkey    bool
	server    cluster.Server
	databases map[int]*database
	libraries []string
}

type database struct {
	names  []string
	values map[string]place
}

// place is where a value is.
type place struct {
	at, size int64 // without the type
	kind     byte
	expires  int64 // ms since 1970; 0 for never
}

// Open reads a file from its beginning to its end.
func Open(ctx context.Context, path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	file, err := read(ctx, f, time.Now)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.close = f.Close
	return file, nil
}

// Close closes the file.
func (f *File) Close() error { return f.close() }

// readerOf is what is read from its beginning and, later, anywhere.
type readerOf interface {
	io.Reader
	io.ReaderAt
}

func read(ctx context.Context, in readerOf, now func() time.Time) (*File, error) {
	f := &File{in: in, now: now, databases: make(map[int]*database)}
	r := &reader{in: bufio.NewReaderSize(in, 1<<20)}
	if err := f.head(r); err != nil {
		return nil, err
	}
	if err := f.body(ctx, r); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("at byte %d: %w", r.pos, err)
	}
	return f, nil
}

func (f *File) head(r *reader) error {
	head, err := r.bytes(headLength)
	if err != nil {
		return errNoRDB
	}
	version, valkey, err := parseHead(head)
	f.version, f.valkey, f.server.Flavor = uint16(version), valkey, "redis"
	return err
}

// The parts of a file that are no values.
const (
	partSlot      = 244
	partLibrary   = 245
	partModule    = 247
	partIdle      = 248
	partFrequency = 249
	partAux       = 250
	partSizes     = 251
	partExpiresMS = 252
	partExpires   = 253
	partDatabase  = 254
	partEnd       = 255
)

// body lists keys until the end.
func (f *File) body(ctx context.Context, r *reader) error {
	db, expires := f.database(0), int64(0)
	for {
		part, err := r.ReadByte()
		if err != nil {
			return err
		}
		switch part {
		case partEnd:
			return nil
		case partDatabase:
			var n uint64
			n, err = r.length()
			db = f.database(int(n))
		case partExpiresMS:
			var ms uint64
			ms, err = r.word(8, binary.LittleEndian)
			expires = int64(ms)
		case partExpires:
			var s uint64
			s, err = r.word(4, binary.LittleEndian)
			expires = int64(s) * 1000
		case partSlot, partLibrary, partModule, partIdle, partFrequency, partAux, partSizes:
			err = f.aside(r, part)
		default:
			err = f.key(r, db, part, expires)
			expires = 0
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// aside reads what says something of the file, or of the next key.
func (f *File) aside(r *reader, part byte) error {
	switch part {
	case partSlot:
		return r.all(r.skipLength, r.skipLength, r.skipLength)
	case partLibrary:
		code, err := r.text()
		f.libraries = append(f.libraries, code)
		return err
	case partModule:
		return r.all(r.skipLength, r.skipLength, r.skipLength, r.skipModule)
	case partIdle:
		return r.skipLength()
	case partFrequency:
		return r.skip(1)
	case partSizes:
		return r.all(r.skipLength, r.skipLength)
	}
	name, err := r.text()
	if err != nil {
		return err
	}
	value, err := r.text()
	switch name {
	case "redis-ver":
		f.server.Version = value
	case "valkey-ver":
		f.server = cluster.Server{Flavor: "valkey", Version: value}
	}
	return err
}

func (f *File) database(n int) *database {
	if f.databases[n] == nil {
		f.databases[n] = &database{values: make(map[string]place)}
	}
	return f.databases[n]
}

// key lists a key, unless it has expired.
func (f *File) key(r *reader, db *database, kind byte, expires int64) error {
	name, err := r.text()
	if err != nil {
		return err
	}
	begin := r.pos
	if err := r.skipValue(kind, f.valkey); err != nil {
		return fmt.Errorf("key %.80q: %w", name, err)
	}
	if expires != 0 && expires <= f.now().UnixMilli() {
		return nil
	}
	if _, twice := db.values[name]; twice {
		return fmt.Errorf("key %.80q stands twice", name)
	}
	db.names = append(db.names, name)
	db.values[name] = place{begin, r.pos - begin, kind, expires}
	return nil
}

// numbers are those of databases with keys.
func (f *File) numbers() []int {
	var all []int
	for n, db := range f.databases {
		if len(db.names) > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

var _ driver.Dialer = (*File)(nil)

// Dial is a new connection to the file.
func (f *File) Dial(context.Context, cluster.Addr, string) (driver.Conn, error) {
	return &conn{file: f}, nil
}
