package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// attached lets the kernel end a server when this program ends, even by kill -9.
func attached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// aside is attached, and out of reach of a Ctrl-C on this program's terminal.
func aside() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// startMark tells a process from every other one that had or will have its pid:
// clock ticks from boot to its start, and which boot.
func startMark(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// A process that ends between open and read answers ESRCH.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", errGone
	} else if err != nil {
		return "", err
	}
	ticks, err := startTicks(stat)
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s@%s", ticks, bytes.TrimSpace(boot)), nil
}

// startTicks reads field 22. The name in field 2 may hold anything, so counting
// starts behind its last bracket, at field 3, the state. A zombie has ended.
func startTicks(stat []byte) (string, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("stat line %.60q is too short", stat)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", errGone
	}
	return string(fields[19]), nil
}
