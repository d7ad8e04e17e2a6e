//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lab

import (
	"os"
	"syscall"
)

// supported says whether this system can run a lab.
const supported = true

const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
	sigTerm     = syscall.SIGTERM
)

// detached puts a server into a session of its own: neither the end of this
// program nor a Ctrl-C on its terminal reaches it.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// lockFile takes the file's lock, which goes with the process however it ends.
// It returns nil without an error when another one has it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if err == syscall.EWOULDBLOCK {
			return nil, nil
		}
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	if !stillAt(file, path) {
		file.Close()
		return nil, nil
	}
	return file, nil
}

// stillAt is false when the former holder removed the file between our open and
// our lock: a lock on a removed file excludes nobody.
func stillAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}
