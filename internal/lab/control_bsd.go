//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// attached asks for nothing: these kernels do not end a child with its parent,
// so a lab that is killed here with kill -9 leaves its servers behind.
func attached() *syscall.SysProcAttr {
	return nil
}

// aside keeps a Ctrl-C on this program's terminal from the server.
func aside() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// startMark tells a process from another one that had or will have its pid. ps
// knows its start to the second only, which is what these systems offer to
// everybody.
func startMark(pid int) (string, error) {
	cmd := exec.Command("ps", "-o", "stat=,lstart=", "-p", fmt.Sprint(pid))
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", errGone
	} else if err != nil {
		return "", fmt.Errorf("process %d: ps: %w", pid, err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 || strings.HasPrefix(fields[0], "Z") {
		return "", errGone
	}
	return strings.Join(fields[1:], " "), nil
}
