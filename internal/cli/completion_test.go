package cli

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// completions are the words that a shell gets, without their explanations and
// without the directive.
func completions(b *bench, args ...string) []string {
	b.t.Helper()
	b.want(b.run(append([]string{"__complete"}, args...)...), exitOK)
	var words []string
	for line := range strings.Lines(b.out.String()) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if word != "" && !strings.HasPrefix(word, ":") && !strings.HasPrefix(word, "Completion ended") {
			words = append(words, word)
		}
	}
	return words
}

func TestCompletionOfWords(t *testing.T) {
	tests := []struct {
		line string // the last word is being typed; _ is none yet
		want string
	}{
		{"che", "check"},
		{"lab _", "down status up"},
		{"completion _", "bash fish powershell zsh"},
		{"help lab _", "down status up"},
		{"check h:1 -o _", "table json yaml"},
		{"check h:1 --output _", "table json yaml"},
		{"create h:1 --wait=_", "ok joined"},
		{"reshard h:1 --progress _", "auto plain none"},
		{"check _", ""},
		{"check h:1 --connect-timeout _", ""},
		{"check h:1 --sn", "--sni"},
		{"call h:1 --only-r", "--only-replicas"},
		{"reshard --from _", ""},
		{"reshard nonsense --from _", ""},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			b := newBench(t)
			args := strings.Fields(tt.line)
			if i := len(args) - 1; args[i] == "_" {
				args[i] = ""
			} else if strings.HasSuffix(args[i], "=_") {
				args[i] = strings.TrimSuffix(args[i], "_")
			}
			got := completions(b, args...)
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// Nodes are completed from the cluster behind the SEED, by address and by id.
func TestCompletionOfNodes(t *testing.T) {
	onSim(t, sim.Options{Password: "right"}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		id := string(nodes[1].ID())
		b.env["TRIB_PASSWORD"] = "right"
		b.dialer = c.DialerWith("right")
		for _, tt := range []struct {
			line string
			want []string
		}{
			{"reshard 127.0.0.1:7001 --to 127.0.0.1:7002", []string{"127.0.0.1:7002"}},
			{"reshard 127.0.0.1 7001 --to 127.0.0.1:7002", []string{"127.0.0.1:7002"}},
			{"reshard 127.0.0.1:7001 --cluster-to " + id[:6], []string{id}},
			{"reshard --from all,127.0.0.1:7002," + id[:6], nil},
			{"reshard 127.0.0.1:7001 --from 127.0.0.1:7003," + id[:6], []string{"127.0.0.1:7003," + id}},
			{"call 127.0.0.1:7001 --node 127.0.0.1:7006", []string{"127.0.0.1:7006"}},
			{"reshard 127.0.0.1:7001 --askpass --to 127.0.0.1:7002", nil},
			{"reshard 127.0.0.1:7001 -a right --to 127.0.0.1:7002", []string{"127.0.0.1:7002"}},
		} {
			if diff := cmp.Diff(tt.want, completions(b, strings.Fields(tt.line)...)); diff != "" {
				t.Errorf("%s: %s", tt.line, diff)
			}
		}
		if got := completions(b, "reshard", "127.0.0.1:7001", "--to", ""); len(got) != 12 {
			t.Errorf("%d names: %q", len(got), got)
		}
		b.wantOut("127.0.0.1:7001\tmaster, 5461 slots, ", "127.0.0.1:7004\treplica ")
		b.dialer = c.DialerWith("wrong")
		b.traits.ErrTTY = true
		if got := completions(b, "reshard", "127.0.0.1:7001", "-a", "wrong", "--to", ""); got != nil {
			t.Errorf("%q", got)
		}
		if strings.Contains(b.err.String(), "WARNING") || strings.Contains(b.err.String(), "trib:") {
			t.Errorf("not silent: %s", &b.err)
		}
	})
}

// mute is a network in which nobody answers.
type mute struct{}

func (mute) Dial(ctx context.Context, addr cluster.Addr, _ string) (driver.Conn, error) {
	<-ctx.Done()
	return nil, &driver.TransportError{Addr: addr, Err: ctx.Err()}
}

func TestCompletionIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dialer = mute{}
		began := time.Now()
		if got := completions(b, "reshard", "h:1", "--to", ""); got != nil || time.Since(began) > completionLimit {
			t.Errorf("%q after %v", got, time.Since(began))
		}
	})
}

func TestCompletionScripts(t *testing.T) {
	for _, s := range shells() {
		b := newBench(t)
		b.want(b.run("completion", s.name), exitOK)
		b.wantSilentErr()
		b.wantOut("trib", "__complete")
	}
}
