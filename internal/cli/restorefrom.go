package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/driver/goredis"
	"github.com/trib-dev/trib/pkg/rdb"
)

// chooseReaders finds the servers that can load the files, or refuses.
func (r *restoring) chooseReaders(ctx context.Context) error {
	found, err := r.o.servers(ctx)
	if err != nil {
		return err
	}
	for _, s := range found {
		if r.reads(s) {
			r.readers = append(r.readers, s)
		}
	}
	slices.SortStableFunc(r.readers, func(a, b lab.Server) int { return cmp.Compare(r.foreign(a), r.foreign(b)) })
	switch {
	case len(r.readers) > 0:
		return nil
	case r.o.server != "" || !r.takesRaw():
		return r.unreadable(found)
	case r.o.verify:
		return &hintError{r.unreadable(found), "leave --verify away, or name a server with --server: without one, values cannot be looked into"}
	}
	r.direct = true
	return r.parse(ctx)
}

// takesRaw reports whether every master takes values as they are in the files.
func (r *restoring) takesRaw() bool {
	for _, m := range r.cluster.Masters() {
		for _, f := range r.backup.Manifest.Files {
			if !m.Server.Reads(f.RDB) {
				return false
			}
		}
	}
	return true
}

// parse reads every file to its end, so that one that cannot be read changes
// nothing.
func (r *restoring) parse(ctx context.Context) error {
	for _, f := range r.backup.Manifest.Files {
		file, err := rdb.Open(ctx, r.backup.Path(f))
		if err != nil {
			return err
		}
		file.Close()
	}
	return nil
}

// servers are the one that was named, or all on PATH.
func (o *restoreOptions) servers(ctx context.Context) ([]lab.Server, error) {
	if o.server == "" {
		return lab.OnPath(ctx), nil
	}
	s, err := lab.FindServer(ctx, o.server)
	if err != nil {
		return nil, fmt.Errorf("--server: %w", err)
	}
	return []lab.Server{s}, nil
}

func (r *restoring) reads(s lab.Server) bool {
	return !slices.ContainsFunc(r.backup.Manifest.Files, func(f backup.File) bool { return !serverOf(s).Reads(f.RDB) })
}

func serverOf(s lab.Server) cluster.Server { return cluster.Server{Flavor: s.Kind, Version: s.Version} }

// foreign is how many masters cannot take a server's values as they are.
func (r *restoring) foreign(s lab.Server) (n int) {
	for _, m := range r.cluster.Masters() {
		if !m.Server.Restores(serverOf(s)) {
			n++
		}
	}
	return n
}

func (r *restoring) unreadable(found []lab.Server) error {
	var versions []int
	for _, f := range r.backup.Manifest.Files {
		versions = append(versions, f.RDB)
	}
	what := fmt.Sprintf("RDB version %d", slices.Max(versions))
	for _, s := range r.backup.Manifest.Servers() {
		what += ", written by " + s.String()
	}
	why := "no valkey-server or redis-server is on the PATH to read it"
	if len(found) > 0 {
		why = fmt.Sprintf("%s %s (%s) is too old for it, or of the other kind", found[0].Kind, found[0].Version, found[0].Path)
	}
	return &hintError{&unfitError{[]string{"the backup has " + what + ", and " + why}}, "--server names a server program of the kind and version that wrote it, or newer"}
}

// through is what reads the files, for people.
func (r *restoring) through() string {
	if r.direct {
		return "trib itself, since no server on the PATH can"
	}
	s := r.readers[0]
	return fmt.Sprintf("a temporary server, %s %s", s.Kind, s.Version)
}

// source is a file that can be read as a server.
type source struct {
	dialer driver.Dialer
	addr   cluster.Addr
	close  func() error
}

// load lets one server after the other try to read a file.
func (r *restoring) load(ctx context.Context, f backup.File) (source, error) {
	r.app.Terminal.Status("loading " + f.Name + "...")
	defer r.app.Terminal.Status("")
	if r.direct {
		file, err := rdb.Open(ctx, r.backup.Path(f))
		if err != nil {
			return source{}, err
		}
		return source{file, here(), file.Close}, nil
	}
	var failed error
	for _, server := range r.readers {
		scratch, err := lab.Load(ctx, server, r.backup.Path(f), max(r.backup.Manifest.Databases(), leastDatabases))
		if err == nil {
			return scratchSource(scratch), nil
		}
		if failed = errors.Join(failed, err); !is[*lab.LoadError](err) {
			break
		}
	}
	return source{}, fmt.Errorf("%s: %w", r.backup.Path(f), failed)
}

// leastDatabases is for backups that do not say how many there are.
const leastDatabases = 1024

// scratchSource is a server on a socket. To the cluster's nodes it is one of this
// host.
func scratchSource(s *lab.Scratch) source {
	dialer := goredis.New(goredis.Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.Socket())
	}})
	return source{dialer, here(), s.Close}
}

// here is the address of what is dialled by other means.
func here() cluster.Addr { return cluster.Addr{Host: "localhost", Port: 1} }
