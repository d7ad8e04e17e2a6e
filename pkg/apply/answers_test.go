package apply_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/plan"
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

	mu   sync.Mutex
	seen map[string]int
	met  []wrong // the first two of each kind
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
	if n := d.seen[shape]; n <= 2 {
		d.met = append(d.met, wrong{shape: shape, nth: n})
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

// exploreAnswers makes each kind of answer wrong, the first and the second time.
// The work must fail then, and its problems are those of afterwards.
func exploreAnswers(t *testing.T, work func(t *testing.T, d *wronged) (err error, problems []string)) {
	t.Helper()
	try := func(w wrong) (met []wrong) {
		synctest.Test(t, func(t *testing.T) {
			d := &wronged{wrong: w, seen: make(map[string]int)}
			err, problems := work(t, d)
			if (err == nil) != (w.nth == 0) {
				t.Errorf("%s: error is %v", w, err)
			}
			if problems != nil {
				t.Errorf("%s: %q", w, problems)
			}
			met = d.met
		})
		return met
	}
	met := try(wrong{})
	t.Logf("%d answers", len(met))
	for _, w := range met {
		for _, w.how = range []string{"refused", "nonsense"} {
			try(w)
		}
	}
}

// TestEveryAnswer: no answer to the mover is passed over.
func TestEveryAnswer(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			exploreAnswers(t, func(t *testing.T, d *wronged) (error, []string) {
				return newTrial(sim.Options{Server: servers[v.server]}, v.move).misled(t, d)
			})
		})
	}
	for name, server := range dialects {
		t.Run(name+" by itself", func(t *testing.T) {
			exploreAnswers(t, func(t *testing.T, d *wronged) (error, []string) { return atomicTrial(server).misled(t, d) })
		})
	}
}

// misled reshards with a wrong answer and then resumes without.
func (tr *trial) misled(t *testing.T, d *wronged) (err error, problems []string) {
	d.Dialer = tr.c.Dialer()
	err = tr.reshard(t.Context(), d)
	tr.c.Settle()
	if _, err := tr.resume(t.Context()); err != nil {
		problems = append(problems, "resume: "+err.Error())
	}
	return err, append(problems, tr.problems(t.Context())...)
}

// TestEveryAnswerToRepairs is the same for what brings keys to their owners.
func TestEveryAnswerToRepairs(t *testing.T) {
	for _, damage := range damages {
		for server := range servers {
			t.Run(damage.name+"/"+server, func(t *testing.T) {
				exploreAnswers(t, func(t *testing.T, d *wronged) (err error, problems []string) {
					b := newBroken(server, 0, 0)
					damage.do(t, b)
					d.Dialer = b.c.Dialer()
					_, _, err = b.heal(t.Context(), d, plan.HealOptions{ForeignKeys: damage.foreign})
					_, left, again := b.heal(t.Context(), b.c.Dialer(), plan.HealOptions{ForeignKeys: plan.ForeignAdopt})
					if left != nil || again != nil {
						problems = append(problems, fmt.Sprint("once more: ", left, again))
					}
					return err, append(problems, b.problems(t.Context())...)
				})
			})
		}
	}
}
