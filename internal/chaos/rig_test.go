package chaos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/chaos"
	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// rig is a cluster of three masters with a replica each, every server behind a
// relay: clients, trib and the servers' own MIGRATE find them there.
type rig struct {
	t      *testing.T
	c      *labtest.Cluster
	relays map[*lab.Node]*chaos.Relay
	real   map[string]string // servers by the addresses that they announce
	shards [3][]*lab.Node
	tags   []string // one for each slot
	stage  string   // the directory of the trial at hand
}

// Long enough that a busy machine is not taken for a dead server.
const nodeTimeout = 1500 * time.Millisecond

func newRig(t *testing.T, server string, config ...string) *rig {
	t.Helper()
	l := labtest.Start(t, labtest.Options{Server: server, Nodes: 6, Config: append([]string{
		"appendonly yes", "appendfsync always",
		fmt.Sprintf("cluster-node-timeout %d", nodeTimeout.Milliseconds()),
	}, config...)})
	r := &rig{t: t, relays: make(map[*lab.Node]*chaos.Relay), real: make(map[string]string), tags: tagsOfSlots()}
	for _, n := range l.Nodes() {
		relay, err := chaos.NewRelay(n.Host(), n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { relay.Close() })
		r.relays[n], r.real[relay.Addr()] = relay, n.Addr()
		l.Do(t, n, "CONFIG", "SET", "cluster-announce-port", strconv.Itoa(relay.Port()))
		l.Do(t, n, "CONFIG", "REWRITE")
	}
	r.c = labtest.Form(t, l, 3, 3)
	for i, m := range r.c.Masters {
		r.shards[i] = []*lab.Node{m.Node, r.c.Replicas[i].Node}
	}
	labtest.Await(t, 20*time.Second, "all know the relays", func() error {
		for _, n := range l.Nodes() {
			view := l.Text(t, n, "CLUSTER", "NODES")
			for announced := range r.real {
				if !strings.Contains(view, " "+announced+"@") {
					return fmt.Errorf("%s does not know %s:\n%s", n.Addr(), announced, view)
				}
			}
		}
		return nil
	})
	return r
}

// tagsOfSlots are hash tags, one for each slot.
func tagsOfSlots() []string {
	tags := make([]string, labtest.Slots)
	for i, missing := 0, len(tags); missing > 0; i++ {
		tag := "{" + strconv.Itoa(i) + "}"
		if slot := labtest.Slot(tag); tags[slot] == "" {
			tags[slot] = tag
			missing--
		}
	}
	return tags
}

// client is one that waits for replicas.
func (r *rig) client() *labtest.Client {
	c := r.c.Client()
	c.Real, c.Hold, c.Patience = r.real, 100*time.Millisecond, 2*time.Second
	return c
}

// ask sends a command to a server itself, past its relay.
func (r *rig) ask(n *lab.Node, command ...string) (any, error) {
	conn, err := r.c.Open(context.Background(), n)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(command...)
}

// self is what a server says of itself.
type self struct {
	id     string
	master bool
	slots  map[int]bool
	open   []string
}

func (r *rig) self(n *lab.Node) (self, error) {
	reply, err := r.ask(n, "CLUSTER", "NODES")
	text, _ := reply.(string)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 8 && strings.Contains(f[2], "myself") {
			s := self{id: f[0], master: strings.Contains(f[2], "master"), slots: make(map[int]bool)}
			s.readSlots(f[8:])
			return s, nil
		}
	}
	return self{}, errors.Join(err, fmt.Errorf("%s does not say who it is", n.Addr()))
}

func (s *self) readSlots(words []string) {
	for _, word := range words {
		if strings.HasPrefix(word, "[") {
			s.open = append(s.open, word)
			continue
		}
		from, to, isRange := strings.Cut(word, "-")
		first, _ := strconv.Atoi(from)
		last := first
		if isRange {
			last, _ = strconv.Atoi(to)
		}
		for slot := first; slot <= last; slot++ {
			s.slots[slot] = true
		}
	}
}

// leaders are the masters of a shard by their own word, those with slots first.
func (r *rig) leader(shard int) (*lab.Node, self, error) {
	for _, n := range r.shards[shard] {
		if s, err := r.self(n); err == nil && s.master && len(s.slots) > 0 {
			return n, s, nil
		}
	}
	return nil, self{}, fmt.Errorf("shard %d has no master", shard)
}

// follower is the other server of a shard.
func (r *rig) follower(n *lab.Node) *lab.Node {
	for _, shard := range r.shards {
		if i := slices.Index(shard, n); i >= 0 {
			return shard[1-i]
		}
	}
	return nil
}

// sound is an error while servers are down, call each other failed, or have not
// got their masters' data. Slots may be open, and the cluster down for them.
func (r *rig) sound() error {
	for _, n := range r.c.Nodes() {
		conn, err := r.c.Open(context.Background(), n)
		if err != nil {
			return err
		}
		replies, err := conn.Pipeline([]string{"CLUSTER", "NODES"}, []string{"INFO", "replication"})
		conn.Close()
		if err != nil {
			return err
		}
		view, replication := fmt.Sprint(replies[0]), fmt.Sprint(replies[1])
		alone := strings.Contains(replication, "role:master") && !strings.Contains(replication, "state=online")
		switch {
		case strings.Contains(view, "fail") || strings.Contains(view, "disconnected"):
			return fmt.Errorf("%s sees\n%s", n.Addr(), view)
		case alone || strings.Contains(replication, "master_link_status:down"):
			return fmt.Errorf("%s says\n%s", n.Addr(), replication)
		}
	}
	return nil
}

// await polls for a condition; unlike labtest.Await it leaves it to the caller
// what a failure means.
func await(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// worker is a trib at work that stops at a command and waits for what to do.
type worker struct {
	cmd   *exec.Cmd
	out   bytes.Buffer
	hit   *os.File // readable when it has stopped
	goOn  *os.File // closed to let it go on
	ended chan struct{}
}

// begin starts trib, which stops where the fuse would blow.
func (r *rig) begin(fuse *chaos.Fuse, args ...string) (*worker, error) {
	hit, hitting, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	waiting, goOn, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: exec.Command(os.Args[0], args...), hit: hit, goOn: goOn, ended: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), asTool+"="+fuse.Setting(), stopping+"=1", "TRIB_STATE_DIR="+r.journals())
	w.cmd.ExtraFiles = []*os.File{hitting, waiting}
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.out
	err = w.cmd.Start()
	hitting.Close()
	waiting.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		w.cmd.Wait()
		close(w.ended)
	}()
	return w, nil
}

func (r *rig) journals() string { return filepath.Join(r.stage, "journals") }

// stopped waits for the worker to come to its command.
func (w *worker) stopped(limit time.Duration) bool {
	w.hit.SetReadDeadline(time.Now().Add(limit))
	n, _ := w.hit.Read(make([]byte, 1))
	return n == 1
}

func (w *worker) release() { w.goOn.Close() }

// wait returns the exit code, or -1 for one that was killed.
func (w *worker) wait(limit time.Duration) (int, error) {
	defer w.hit.Close()
	select {
	case <-w.ended:
		return w.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		w.cmd.Process.Kill()
		<-w.ended
		return -1, fmt.Errorf("trib %q did not end within %v", w.cmd.Args[1:], limit)
	}
}

// run runs trib to its end.
func (r *rig) run(args ...string) (out string, code int) {
	return r.runFused(&chaos.Fuse{Phase: chaos.Before}, args...)
}

// runFused runs trib until the fuse blows; then the code is -1.
func (r *rig) runFused(fuse *chaos.Fuse, args ...string) (out string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asTool+"="+fuse.Setting(), "TRIB_STATE_DIR="+r.journals())
	text, _ := cmd.CombinedOutput()
	r.note(fmt.Sprintf("trib %s: exit %d\n%s\n", strings.Join(args, " "), cmd.ProcessState.ExitCode(), text))
	return string(text), cmd.ProcessState.ExitCode()
}

// note keeps what happened for the evidence.
func (r *rig) note(text string) {
	f, err := os.OpenFile(filepath.Join(r.stage, "story.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s\n", time.Now().Format("15:04:05.000"), text)
}

// keep copies all there is to know of a trial into a directory of its own.
func (r *rig) keep(dir string) {
	for _, n := range r.c.Nodes() {
		view, err := r.ask(n, "CLUSTER", "NODES")
		r.note(fmt.Sprintf("%s says, %v:\n%v", n.Addr(), err, view))
		into := filepath.Join(dir, strconv.Itoa(n.Port()))
		if err := errors.Join(os.MkdirAll(into, 0o700), os.CopyFS(into, os.DirFS(n.Dir()))); err != nil {
			r.t.Log(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "trial"), os.DirFS(r.stage)); err != nil {
		r.t.Log(err)
	}
}

// stopping lets the tool stop at the fuse's command instead of dying there.
const stopping = "TRIB_TEST_STOP"

// askParent tells the parent that the command has come and waits until it may
// go on.
func askParent() {
	os.NewFile(3, "hit").Write([]byte{'!'})
	os.NewFile(4, "go on").Read(make([]byte, 1))
}

func killMyself() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
