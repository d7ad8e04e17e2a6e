//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package lab

import (
	"os"
	"syscall"
)

// supported says whether this system can run a lab.
const supported = false

const (
	sigStop     = syscall.SIGKILL
	sigContinue = syscall.SIGKILL
	sigTerm     = syscall.SIGKILL
)

func attached() *syscall.SysProcAttr { return nil }

func aside() *syscall.SysProcAttr { return nil }

func detached() *syscall.SysProcAttr { return nil }

func startMark(int) (string, error) { return "", ErrUnsupported }

func lockFile(string) (*os.File, error) { return nil, ErrUnsupported }
