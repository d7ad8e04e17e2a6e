package apply_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// A server may refuse any command, and answer in words that nobody knows. Whoever
// goes on then acts on what was not said.

// wrong is one answer that is not what it should be.
type wrong struct {
	shape string // of the command
	nth   int    // of its kind
	how   string // refused, or nonsense
}

func (w wrong) String() string { return fmt.Sprintf("%s %s, number %d", w.how, w.shape, w.nth) }

// wronged is a dialer with one wrong answer on its named connections, which are
// those of the lock and of the mover.
type wronged struct {
	driver.Dialer
	wrong

	mu    sync.Mutex
	seen  map[string]int
	kinds []string // in order
}

type wrongedConn struct {
	driver.Conn
	d    *wronged
	addr cluster.Addr
}

func (d *wronged) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := d.Dialer.Dial(ctx, addr, name)
	if err != nil || name == "" {
		return c, err
	}
	return wrongedConn{c, d, addr}, nil
}

// Do lets the server itself refuse: what comes before and after in a pipeline
// meets the server as it would.
func (c wrongedConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	sent, hit := make([]driver.Command, len(cmds)), -1
	for i, cmd := range cmds {
		sent[i] = cmd
		if c.d.hits(c.addr, cmd) {
			hit = i
			if c.d.how == "refused" {
				sent[i] = driver.Cmd("REFUSED")
			}
		}
	}
	replies, err := c.Conn.Do(ctx, sent...)
	if hit >= 0 && hit < len(replies) && c.d.how == "nonsense" {
		replies[hit] = driver.Reply{Value: "nonsense"}
	}
	return replies, err
}

func (d *wronged) hits(addr cluster.Addr, cmd driver.Command) bool {
	if cmd[0] == "CLIENT" { // the lock's; it has tests of its own
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	shape := addr.String() + " " + shapeOf(cmd)
	d.seen[shape]++
	if d.seen[shape] == 1 {
		d.kinds = append(d.kinds, shape)
	}
	return d.shape == shape && d.nth == d.seen[shape]
}

// shapeOf is a command without what differs from slot to slot.
func shapeOf(cmd driver.Command) string {
	text := strings.Join(cmd[:min(4, len(cmd))], " ")
	if cmd.Name() == "MIGRATE" || len(cmd) == 2 && cmd.Name() != cmd[0]+" "+cmd[1] && cmd.Name() != "INFO" {
		text = cmd.Name()
	}
	return regexp.MustCompile(`[0-9]+`).ReplaceAllString(text, "#")
}

// exploreAnswers makes the first and the last answer of each kind wrong. The work
// must fail then, where it cannot do without, and its problems are those of
// afterwards.
func exploreAnswers(t *testing.T, work func(t *testing.T, d *wronged) (problems []string, err error)) {
	t.Helper()
	try := func(w wrong) (d *wronged, problems []string) {
		synctest.Test(t, func(t *testing.T) {
			d = &wronged{wrong: w, seen: make(map[string]int)}
			var err error
			if problems, err = work(t, d); err == nil && w.nth > 0 && !dispensable(w) {
				problems = append(problems, fmt.Sprintf("error is %v", err))
			}
		})
		return d, problems
	}
	d, problems := try(wrong{})
	if len(problems) > 0 || len(d.kinds) < 3 {
		t.Fatalf("%d kinds of answers, and without a wrong one: %q", len(d.kinds), problems)
	}
	for _, shape := range d.kinds {
		for _, nth := range slices.Compact([]int{1, d.seen[shape]}) {
			for _, how := range []string{"refused", "nonsense"} {
				w := wrong{shape, nth, how}
				if _, problems := try(w); len(problems) > 0 {
					t.Errorf("%s: %q", w, problems)
				}
			}
		}
	}
}

// dispensable are answers that the work can do without: what only tells of
// permissions and sizes, what is asked again, and what is read back.
func dispensable(w wrong) bool {
	addr, cmd, _ := strings.Cut(w.shape, " ")
	source, target := strings.HasSuffix(addr, ":7001"), strings.HasSuffix(addr, ":7002")
	first, _, _ := strings.Cut(cmd, " ")
	switch {
	case slices.Contains([]string{"COMMAND", "ACL", "MEMORY", "ROLE", "MULTI", "EXEC"}, first):
		return true
	case !source && !target:
		return true // a replica that does not answer counts as one that is away
	case source && w.nth > 1 && (cmd == "INFO server" || cmd == "CLUSTER NODES"):
		return true // the last look: whoever verifies the plan asks others
	case cmd == "MIGRATE":
		return w.how == "nonsense"
	case strings.HasPrefix(cmd, "CLUSTER COUNTKEYSINSLOT"):
		return source && w.nth == 1
	}
	give := source && w.nth > 1 // in a transaction, finalising at the source first
	return source && strings.HasPrefix(cmd, "CLUSTER SETSLOT # NODE") || give && strings.HasPrefix(cmd, "CLUSTER SETSLOT # MIGRATING")
}

// TestEveryAnswer: no answer to the mover is passed over.
func TestEveryAnswer(t *testing.T) {
	for _, v := range variants {
		if v.move.Lanes > 1 {
			continue // in which the last of a kind is not always the same
		}
		t.Run(v.name, func(t *testing.T) {
			exploreAnswers(t, func(t *testing.T, d *wronged) ([]string, error) {
				return newTrial(sim.Options{Server: servers[v.server]}, v.move).misled(t, d)
			})
		})
	}
}

// misled reshards with a wrong answer and then resumes without.
func (tr *trial) misled(t *testing.T, d *wronged) (problems []string, err error) {
	d.Dialer = tr.c.Dialer()
	err = tr.reshard(t.Context(), d)
	tr.c.Settle()
	if _, err := tr.resume(t.Context()); err != nil {
		problems = append(problems, "resume: "+err.Error())
	}
	return append(problems, tr.problems(t.Context())...), err
}
