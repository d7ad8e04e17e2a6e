package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// folder is the directory of a backup in the making. All its files are called
// partial until all are complete.
type folder struct {
	path   string
	made   bool     // by this run
	names  []string // of files, as they will be called
	create func(path string) (file, error)
}

// file is what is asked of a file; tests let it fail.
type file interface {
	io.WriteCloser
	Sync() error
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// ExistsError is a directory that has something in it already.
type ExistsError struct {
	Dir  string
	Name string // of something in it
}

func (e *ExistsError) Error() string {
	if e.Name == manifestFile+partial {
		return fmt.Sprintf("%s holds a backup that was not completed", e.Dir)
	}
	return fmt.Sprintf("%s is not empty: it holds %s", e.Dir, e.Name)
}

// Vacant is nil where a backup can be written to dir, as far as can be seen: there
// is nothing, or an empty directory.
func Vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) == 0:
		return nil
	}
	for _, e := range entries {
		if e.Name() == manifestFile+partial {
			return &ExistsError{dir, e.Name()}
		}
	}
	return &ExistsError{dir, entries[0].Name()}
}

// begin makes the directory and marks it as unfinished.
func (f *folder) begin() error {
	if err := Vacant(f.path); err != nil {
		return err
	}
	_, err := os.Lstat(f.path)
	f.made = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	return f.write(manifestFile, []byte("{}\n"))
}

// open begins a file.
func (f *folder) open(name string) (file, error) {
	out, err := f.create(f.at(name + partial))
	if err == nil {
		f.names = append(f.names, name)
	}
	return out, err
}

func (f *folder) at(name string) string { return filepath.Join(f.path, name) }

// write makes a small file, still called partial, or writes it anew.
func (f *folder) write(name string, data []byte) error {
	if slices.Contains(f.names, name) {
		if err := os.Remove(f.at(name + partial)); err != nil {
			return err
		}
		f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == name })
	}
	out, err := f.open(name)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return finish(out, err)
}

// finish closes a file of which every byte is on the disk, or returns why not.
func finish(out file, err error) error {
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// complete gives all files their names, the manifest last.
func (f *folder) complete(m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := f.write(manifestFile, append(text, '\n')); err != nil {
		return err
	}
	for _, name := range f.names { // it was written last
		if err := os.Rename(f.at(name+partial), f.at(name)); err != nil {
			return err
		}
	}
	if err := syncDir(f.path); err != nil {
		return err
	}
	if f.made {
		return syncDir(filepath.Dir(f.path))
	}
	return nil
}

// abandon removes what this run has made.
func (f *folder) abandon() error {
	var errs []error
	for _, name := range f.names {
		for _, path := range []string{f.at(name + partial), f.at(name)} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	if f.made {
		errs = append(errs, os.Remove(f.path))
	}
	return errors.Join(errs...)
}

// syncDir makes the names in a directory outlive a power cut, where the system
// lets a directory be synced.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
