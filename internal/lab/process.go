package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// pollEvery is how often a condition outside this program is looked at.
const pollEvery = 20 * time.Millisecond

var errGone = errors.New("process is gone")

// process is a server process: one that this program started, or one that a
// manifest led back to. A pid alone may have been given to a stranger since:
// the mark of its start must be the same too.
type process struct {
	pid     int
	started string
	exited  <-chan struct{} // closed when reaped; nil when another program started it
}

// spawn starts the command and reaps it when it ends.
func spawn(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	// The child cannot vanish before Wait, so the mark is there even if it has ended.
	started, err := startMark(cmd.Process.Pid)
	if err != nil && !errors.Is(err, errGone) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return &process{pid: cmd.Process.Pid, started: started, exited: exited}, nil
}

func (p *process) running() bool {
	if p == nil || p.pid == 0 {
		return false
	}
	if p.exited == nil {
		started, err := startMark(p.pid)
		return err == nil && started == p.started
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal takes a handle first and looks at the identity afterwards: on Linux
// the handle stays with the process, so the signal cannot reach a successor.
func (p *process) signal(sig os.Signal) error {
	if p == nil || p.pid == 0 {
		return errGone
	}
	handle, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer handle.Release()
	if !p.running() {
		return errGone
	}
	if err := handle.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		return errGone
	} else if err != nil {
		return fmt.Errorf("send %v to process %d: %w", sig, p.pid, err)
	}
	return nil
}

// wait returns when the process has ended.
func (p *process) wait(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for p.running() {
		select {
		case <-p.exited: // a nil channel never answers
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended: %w", p.pid, ctx.Err())
		}
	}
	return nil
}

// kill ends the process now. That it is gone already is what was wanted.
func (p *process) kill() error {
	if err := p.signal(os.Kill); errors.Is(err, errGone) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	return p.wait(ctx)
}

// killGrace bounds how long the kernel may take to end a killed process: long
// only when it writes out or frees much memory.
const killGrace = 10 * time.Second
