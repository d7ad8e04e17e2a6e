package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

var update = flag.Bool("update", false, "write the golden files anew")

// onSim runs a test with a bench whose nodes are simulated.
func onSim(t *testing.T, o sim.Options, test func(*testing.T, *bench, *sim.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := sim.New(o)
		b := newBench(t)
		b.dialer = c.Dialer()
		test(t, b, c)
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	for i, line := range strings.Split(got, "\n") {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s:%d ends with a space", path, i+1)
		}
	}
}

// script runs commands one after the other and renders the session.
func session(b *bench, lines ...string) string {
	var text strings.Builder
	for _, line := range lines {
		code := b.runLine(line)
		fmt.Fprintf(&text, "$ trib %s\n%s", line, &b.out)
		if b.err.Len() > 0 {
			fmt.Fprintf(&text, "--- stderr\n%s", &b.err)
		}
		fmt.Fprintf(&text, "--- exit %d\n\n", code)
	}
	return text.String()
}

func addNodes(c *sim.Cluster, n int) string {
	var addrs []string
	for range n {
		addrs = append(addrs, c.AddNode().Addr().String())
	}
	return strings.Join(addrs, " ")
}

// fill writes keys into the first slots.
func fill(t *testing.T, c *sim.Cluster, slots int) {
	t.Helper()
	user := c.Client()
	for i := 0; slots > 0; i++ {
		key := "key:" + strconv.Itoa(i)
		if cluster.KeySlot(key) >= 400 {
			continue
		}
		if result, err := user.Write(key, "v"); result != sim.Acked {
			t.Fatal(result, err)
		}
		slots--
	}
}

func TestCreateSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		addrs := addNodes(c, 6)
		golden(t, "create.txt", session(b,
			"create "+addrs+" --replicas 1 --dry-run",
			"create "+addrs+" --replicas 1",
			"create "+addrs+" --replicas 1 --yes",
			"create "+addrs+" --replicas 1 --yes",
		))
	})
}

func TestLookSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		golden(t, "look.txt", session(b,
			"check 127.0.0.1:7001",
			"info 127.0.0.1 7004",
			"info 127.0.0.1:7001 -o yaml",
		))
	})
}

func TestRebalanceSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		golden(t, "rebalance.txt", session(b,
			"rebalance 127.0.0.1:7001 --yes",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7001=0.5 127.0.0.1:7002=1.5 --simulate",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7001=0.5 127.0.0.1:7002=1.5 --max-slots 2000 --yes",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7001=0.5 127.0.0.1:7002=1.5 --yes",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7001=0.5 127.0.0.1:7002=1.5 --yes",
			"rebalance 127.0.0.1:7001 --threshold 0 --exclude 127.0.0.1:7001",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7004=1 --yes",
			"rebalance 127.0.0.1:7001 --weight 127.0.0.1:7009=1 --yes",
			"rebalance 127.0.0.1:7001 --exclude 7 --yes",
		))
	})
}

func TestDrainSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		golden(t, "drain.txt", session(b,
			"drain 127.0.0.1:7001 127.0.0.1:7002 --dry-run",
			"drain 127.0.0.1:7001 127.0.0.1:7002 --to 127.0.0.1:7005 --yes",
			"drain 127.0.0.1:7001 127.0.0.1:7002 --to 127.0.0.1:7009 --yes",
			"drain 127.0.0.1:7001 127.0.0.1:7002 --to 127.0.0.1:7003 --yes",
			"drain 127.0.0.1:7001 127.0.0.1:7002 --yes",
			"info 127.0.0.1:7001",
		))
	})
}

func TestNamedSlotsSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		golden(t, "named.txt", session(b,
			"reshard 127.0.0.1:7001 --to 127.0.0.1:7003 --slots-list 5,7,100-200,5461,16383 --key {user:1}.name --yes",
			"reshard 127.0.0.1:7001 --to 127.0.0.1:7003 --slots-list 5,7,100-200,5461,16383 --key {user:1}.name --yes",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7002 --to 127.0.0.1:7003 --slots-list 0 --yes",
		))
	})
}

func TestReshardSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		golden(t, "reshard.txt", session(b,
			"reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 600 --dry-run",
			"reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 600 --yes",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7002 --slots 16384 --yes",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7009 --slots 1 --yes",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7004 --to 127.0.0.1:7002 --slots 1 --yes",
			"resume 127.0.0.1:7001",
		))
	})
}

// kill ends the tool after so many commands that change something.
func kill(c *sim.Cluster, after int) {
	c.Intercept(func(e sim.Event) sim.Action {
		if e.Mutation == after {
			return sim.Action{After: e.Dialer.Kill}
		}
		return sim.Action{}
	})
}

func TestResumeAfterKill(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		kill(c, 13)
		b.want(b.runLine("reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7003 --slots 8 --yes"), exitPartial)
		b.wantErr("trib: stopped with", "hint: the same reshard with --slots ")
		b.dialer = c.Dialer()
		c.Intercept(nil)
		golden(t, "resume.txt", session(b,
			"check 127.0.0.1:7001",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7002 --to 127.0.0.1:7001 --slots 1 --yes",
			"resume 127.0.0.1:7001 --dry-run",
			"resume 127.0.0.1:7001 --yes",
			"resume 127.0.0.1:7001",
		))
	})
}

func TestCheckFailures(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		nodes[5].Crash()
		c.Settle()
		b.want(b.runLine("check 127.0.0.1:7001"), exitOK)
		b.wantOut("[WARNING] node-unreachable: 127.0.0.1:7006")
		b.wantSilentErr()
		b.want(b.runLine("check 127.0.0.1:7001 --strict"), exitUnhealthy)
		b.want(b.runLine("check 127.0.0.1:7006"), exitNoSeed)
		b.wantErr("127.0.0.1:7006", "hint: see whether the server runs")
		nodes[1].Crash()
		b.want(b.runLine("check 127.0.0.1:7001"), exitUnhealthy)
		b.wantOut("[ERR] node-unreachable: 127.0.0.1:7002", "[ERR] Not all 16384 slots are covered by nodes.")
		b.wantErr("trib: the cluster has problems: ")
		b.want(b.runLine("reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 1 --yes"), exitStale)
		b.wantErr("node-unreachable: 127.0.0.1:7002", "hint: trib check 127.0.0.1:7001")
	})
}

func TestCreateRefusals(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		addrs := addNodes(c, 3)
		b.want(b.runLine("create "+addrs+" 127.0.0.1:1 127.0.0.1:2 --yes"), exitNoSeed)
		b.wantErr("127.0.0.1:1 does not answer", "127.0.0.1:2 does not answer")
		b.want(b.runLine("create "+addrs+" --replicas 3 --yes"), exitUsage)
	})
	onSim(t, sim.Options{Password: "right"}, func(t *testing.T, b *bench, c *sim.Cluster) {
		addrs := addNodes(c, 3)
		b.dialer = c.DialerWith("wrong")
		b.want(b.runLine("create "+addrs+" --yes"), exitNoSeed)
		b.want(b.runLine("check 127.0.0.1:7001"), exitNoSeed)
		b.wantErr("hint: give the password in TRIB_PASSWORD")
	})
}

func TestResultsAsJSON(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		addrs := addNodes(c, 6)
		const reshard = " 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 100"
		for _, tt := range []struct {
			line string
			want map[string]any
		}{
			{"create " + addrs + " --replicas 1 --dry-run", map[string]any{"command": "create", "dry_run": true, "changed": false}},
			{"create " + addrs + " --replicas 1 --yes", map[string]any{"command": "create", "dry_run": false, "changed": true, "healthy": true}},
			{"create " + addrs + " --replicas 1 --yes", map[string]any{"changed": false, "healthy": true}},
			{"check 127.0.0.1:7001", map[string]any{"command": "check", "healthy": true, "slots_covered": 16384.0}},
			{"info 127.0.0.1:7001", map[string]any{"command": "info", "masters": 3.0}},
			{"reshard" + reshard + " --dry-run", map[string]any{"command": "reshard", "dry_run": true, "slots_moved": 0.0}},
			{"reshard" + reshard + " --yes", map[string]any{"changed": true, "healthy": true, "slots_moved": 100.0}},
			{"resume 127.0.0.1:7001", map[string]any{"command": "resume", "changed": false}},
			{"keyslot foo", map[string]any{"command": "keyslot", "slot": 12182.0}},
			{"version", map[string]any{"command": "version", "version": "v1.2.3"}},
		} {
			b.want(b.runLine(tt.line+" -o json"), exitOK)
			b.wantSilentErr()
			var got map[string]any
			if err := json.Unmarshal(b.out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v\n%s", tt.line, err, &b.out)
			}
			tt.want["schema"] = 1.0
			for field, want := range tt.want {
				if got[field] != want {
					t.Errorf("%s: %s is %v, want %v", tt.line, field, got[field], want)
				}
			}
			b.want(b.runLine(tt.line+" -o yaml"), exitOK)
		}
	})
}

func TestConfirmation(t *testing.T) {
	const line = "create 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003"
	tests := []struct {
		name   string
		prompt prompt.Prompter
		env    string
		want   int
		says   string
	}{
		{"yes", &prompt.Script{Answers: []string{"yes"}}, "", exitOK, ""},
		{"no", &prompt.Script{Answers: []string{"no"}}, "", exitRefused, "trib: declined; nothing was changed"},
		{"ctrl-c", &prompt.Script{Answers: []string{"^C"}}, "", exitInterrupted, "trib: interrupted"},
		{"nobody", prompt.Nobody{}, "", exitRefused, "hint: --yes"},
		{"piped yes", prompt.NewLines(strings.NewReader("YES"), io.Discard), "", exitOK, ""},
		{"piped y", prompt.NewLines(strings.NewReader("y\n"), io.Discard), "", exitRefused, "hint: --yes"},
		{"piped nothing", prompt.NewLines(strings.NewReader(""), io.Discard), "", exitRefused, "hint: --yes"},
		{"trib", prompt.Nobody{}, "TRIB_YES", exitOK, ""},
		{"redis-cli", prompt.Nobody{}, "REDISCLI_CLUSTER_YES", exitOK, ""},
		{"valkey-cli", prompt.Nobody{}, "VALKEYCLI_CLUSTER_YES", exitOK, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
				addNodes(c, 3)
				b.prompt = tt.prompt
				b.env[tt.env] = "1"
				b.want(b.runLine(line), tt.want)
				if tt.want == exitOK {
					b.wantSilentErr()
				}
				b.wantErr(tt.says)
				if s, ok := tt.prompt.(*prompt.Script); ok {
					want := []string{"Can I set the above configuration? (type 'yes' to accept): "}
					if diff := cmp.Diff(want, s.Asked); diff != "" {
						t.Error(diff)
					}
				}
			})
		})
	}
}

// Consent by the environment does not turn a dry run into a real one.
func TestDryRunOnlyReads(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Intercept(func(e sim.Event) sim.Action {
			if e.Mutation > 0 {
				t.Errorf("changed something")
			}
			return sim.Action{}
		})
		b.env["TRIB_YES"] = "1"
		b.want(b.runLine("create "+addNodes(c, 3)+" --dry-run"), exitOK)
	})
}

func TestInterrupt(t *testing.T) {
	const line = "reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7003 --slots 2000 --yes"
	t.Run("before anything", func(t *testing.T) {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			c.Form(3, 0)
			b.signals = make(chan os.Signal, 2)
			interruptAt(b, c, 0, 1)
			b.want(b.runLine(line), exitInterrupted)
			b.wantErr("trib: interrupted")
		})
	})
	t.Run("once", func(t *testing.T) {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			c.Form(3, 0)
			fill(t, c, 20)
			b.signals = make(chan os.Signal, 2)
			interruptAt(b, c, 40, 1)
			b.want(b.runLine(line), exitPartial)
			b.wantErr("interrupted: finishing the batch in hand", "trib: stopped with", "hint: the same reshard with --slots ")
			for _, n := range c.Nodes() {
				if open := n.Open(); open != nil {
					t.Logf("%s has open slots %v", n, open)
				}
			}
		})
	})
	t.Run("twice", func(t *testing.T) {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			c.Form(3, 0)
			fill(t, c, 20)
			b.signals = make(chan os.Signal, 2)
			interruptAt(b, c, 40, 2)
			b.want(b.runLine(line), exitPartial)
			b.wantErr("trib: stopped at once", "hint: trib resume 127.0.0.1:7001")
		})
	})
}

// interruptAt sends signals at the n-th command that changes something; at the
// very first command where n is 0.
func interruptAt(b *bench, c *sim.Cluster, n, signals int) {
	sent := false
	c.Intercept(func(e sim.Event) sim.Action {
		if e.Mutation != n || sent {
			return sim.Action{}
		}
		sent = true
		return sim.Action{Before: func() {
			for range signals {
				b.signals <- syscall.SIGINT
			}
			synctest.Wait()
		}}
	})
}

const canary = "S3cr3t-canary"

// A server that repeats arguments, as those do which do not know a command.
type parrot struct{ driver.Dialer }

func (p parrot) Dial(ctx context.Context, addr cluster.Addr, _ string) (driver.Conn, error) {
	if addr.Port == 1 {
		return nil, &driver.AuthError{Addr: addr, Err: &driver.ServerError{Text: "ERR unknown command 'AUTH', with args beginning with: '" + canary + "'"}}
	}
	if addr.Port == 2 {
		return nil, &driver.TransportError{Addr: addr, Err: errors.New("proxy says " + canary)}
	}
	return nil, fmt.Errorf("%s: what is %s", addr, canary)
}

func TestSecretsStaySecret(t *testing.T) {
	lines := []string{
		"check redis://user:%s@h:1", "check h:1 -a %s", "check h:1 -u redis://:%s@x:1", "check h:1 --askpass", "check h:1",
		"check h:2 -a %s", "check h:3 -a %s -o json", "create redis://u:%s@h:1 h:2 h:3 --yes", "create h:1 h:2 h:3 -a %s -o yaml",
		"check redis://user:%s@h:x", "check redis://user:%s@h:1 x y", "check user:%s@h:1", "check h:1 -p%s", "-p%s check h:1",
		"check --passwd=%s h:1", "--passwd=%s check h:1", "check --askpass=%s h:1", "check http://u:%s@h:1", "check redis://%%zz%s@h:1",
		"create redis://a:%s@h:1 redis://b:%s2@h:2", "reshard redis://u:%s@h:1", "resume redis://u:%s@h:1", "info rediss://u:%s@h:1",
		"lab up -a %s --server /nonexistent/redis-server /nonexistent/lab",
	}
	for _, line := range lines {
		for _, tty := range []bool{false, true} {
			b := newBench(t)
			b.dialer = parrot{}
			b.env["TRIB_PASSWORD"] = canary
			b.traits.ErrTTY = tty
			b.prompt = &prompt.Script{Answers: []string{canary}}
			line := strings.ReplaceAll(strings.ReplaceAll(line, "%s", canary), "%%", "%")
			if b.runLine(line) == exitOK {
				t.Errorf("%s: succeeded", line)
			}
			if all := b.out.String() + b.err.String(); strings.Contains(all, canary) {
				t.Errorf("%s shows the password:\n%s", line, all)
			}
		}
	}
}

func TestPasswordSources(t *testing.T) {
	tests := []struct {
		line       string
		env        string
		user, pass string
		warns      bool
	}{
		{"check h:1", "", "", "", false},
		{"check h:1 -a flag", "TRIB_PASSWORD", "", "flag", true},
		{"check h:1 --pass flag --user u", "", "u", "flag", true},
		{"check h:1 --pass flag --no-auth-warning", "", "", "flag", false},
		{"check redis://u:url@h:1", "TRIB_PASSWORD", "u", "url", true},
		{"check redis://u:url@h:1 -a flag", "", "u", "flag", true},
		{"check h:1 -u redis://u:uri@x:1", "", "u", "uri", true},
		{"check h:1 --user u --askpass", "TRIB_PASSWORD", "u", "typed", false},
		{"check h:1 --user u", "TRIB_PASSWORD", "u", "env", false},
		{"check h:1", "TRIB_AUTH", "", "env", false},
		{"check h:1", "REDISCLI_AUTH", "", "env", false},
		{"check h:1", "VALKEYCLI_AUTH", "", "env", false},
	}
	for _, tt := range tests {
		for _, tty := range []bool{false, true} {
			b := newBench(t)
			b.dialer = parrot{}
			b.env[tt.env] = "env"
			b.traits.ErrTTY = tty
			b.prompt = &prompt.Script{Answers: []string{"typed"}}
			b.runLine(tt.line)
			if len(b.credentials) != 1 || b.credentials[0].User != tt.user || b.credentials[0].Password.Reveal() != tt.pass {
				t.Errorf("%s with %s: %q %+v", tt.line, tt.env, b.credentials[0].Password.Reveal(), b.credentials)
			}
			if warned := strings.Contains(b.err.String(), "[WARNING] A password"); warned != (tt.warns && tty) {
				t.Errorf("%s, terminal %v: warned %v", tt.line, tty, warned)
			}
		}
	}
}

// On a terminal with a format for programs, the question comes with the plan.
func TestPlanIsSeenBesideTheQuestion(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		addrs := addNodes(c, 3)
		b.traits.ErrTTY = true
		b.prompt = &prompt.Script{Answers: []string{"yes"}}
		b.want(b.runLine("create "+addrs+" -o json"), exitOK)
		b.wantErr("Master[0] -> Slots 0 - 5460")
		var got ui.Outcome
		if err := json.Unmarshal(b.out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
	})
}
