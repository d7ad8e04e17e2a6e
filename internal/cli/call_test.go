package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// What is trib's and what is the server's, wherever it stands.
func TestCallSpellings(t *testing.T) {
	tests := []struct {
		line    string
		command string
		check   func(*callOptions) bool
	}{
		{"call h:1 config get maxmemory", "config|get|maxmemory", nil},
		{"call h 1 config get maxmemory", "config|get|maxmemory", nil},
		{"call redis://h:1 ping", "ping", nil},
		{"call h:1 -- set k -1", "set|k|-1", nil},
		{"call h:1 set k -- -x --node", "set|k|-x|--node", nil},
		{"call -- h:1 set k -- -x", "set|k|--|-x", nil},
		{"call h:1 lrange k 0 -1", "lrange|k|0|-1", nil},
		{"call h:1 incrbyfloat k -.5e3", "incrbyfloat|k|-.5e3", nil},
		{"call h:1 check", "check", nil},
		{"call h:1 info help", "info|help", nil},
		{"call h:1 set k -", "set|k|-", nil},
		{"--cluster call h:1 config get x --cluster-only-masters", "config|get|x", func(o *callOptions) bool { return o.onlyMasters }},
		{"--cluster call h:1 config get x --cluster-only-primaries", "config|get|x", func(o *callOptions) bool { return o.onlyMasters }},
		{"--cluster-only-replicas --cluster call h:1 ping", "ping", func(o *callOptions) bool { return o.onlyReplicas }},
		{"call --only-slaves h:1 ping", "ping", func(o *callOptions) bool { return o.onlyReplicas }},
		{"call h:1 ping --node a --node b,c -- --node", "ping|--node", func(o *callOptions) bool { return strings.Join(o.nodes, "") == "abc" }},
		{"call h:1 --timeout 500 ping", "ping", func(o *callOptions) bool { return o.timeout == 500*time.Millisecond }},
	}
	for _, tt := range tests {
		o := parse(t, strings.Fields(tt.line)...).(callOptions)
		if got := strings.Join(o.command, "|"); got != tt.command || o.seed.addr.String() != "h:1" || tt.check != nil && !tt.check(&o) {
			t.Errorf("%s: %+v", tt.line, o)
		}
	}
}

// TestCallStdin promises that -x sends standard input to the byte, last.
func TestCallStdin(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		for text, reply := range map[string]string{"two words\n": `two words\n`, "": `"reply": ""`} {
			b.in = text
			b.want(b.runLine("call 127.0.0.1:7001 -x ping -o json"), exitOK)
			b.wantOut(reply)
		}
	})
}

func TestSecretsOf(t *testing.T) {
	for line, want := range map[string]string{
		"auth": "", "auth p": "p", "auth u p": "p", "config": "", "config set": "", "config set requirepass": "", "config set requirepass p": "p",
		"config set tls-auth-clients no": "", "config get requirepass": "", "acl setuser": "", "acl setuser u on >p <q #r !s ~*": "p q r s",
		"migrate h 1 k 0 1 auth": "", "migrate h 1 k 0 1 auth2 u": "", "migrate h 1 k 0 1 auth2 u p keys a": "p", "get p": "",
	} {
		var got []string
		for _, s := range secretsOf(strings.Fields(line)) {
			got = append(got, s.Reveal())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestCallSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		fill(t, c, 30)
		text := session(b,
			"call 127.0.0.1:7001 dbsize",
			"call 127.0.0.1:7005 ping --only-replicas",
			"call 127.0.0.1:7001 nonsense",
			"call 127.0.0.1:7001 ping --node 127.0.0.1:7002 --node "+string(nodes[0].ID())[:8],
			"call 127.0.0.1:7001 ping --node 127.0.0.1:9999",
			"call 127.0.0.1:7001 dbsize --only-masters -o json",
		)
		nodes[4].Crash()
		c.Settle()
		golden(t, "call.txt", text+session(b, "call 127.0.0.1:7001 ping", "call 127.0.0.1:7001 ping --only-masters", "call 127.0.0.1:7001 ping --node 127.0.0.1:7005"))
	})
}

// answers is a dialer whose nodes answer a call as they are told, and everything
// else as the cluster does.
type answers struct {
	driver.Dialer
	call  string
	reply func(cluster.Addr) (driver.Reply, error)
}

type answeringConn struct {
	driver.Conn
	addr cluster.Addr
	a    answers
}

func (a answers) Dial(ctx context.Context, addr cluster.Addr, name string) (driver.Conn, error) {
	c, err := a.Dialer.Dial(ctx, addr, name)
	return answeringConn{c, addr, a}, err
}

func (c answeringConn) Do(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	if cmds[0][0] != c.a.call {
		return c.Conn.Do(ctx, cmds...)
	}
	reply, err := c.a.reply(c.addr)
	if err != nil {
		return nil, err
	}
	return []driver.Reply{reply}, nil
}

func TestCallNeverShowsSecrets(t *testing.T) {
	for _, command := range []string{
		"config set requirepass %s", "CONFIG SET maxmemory 1 masterauth %s", "auth %s", "auth user %s", "acl setuser ops on >%s ~* +@all",
		"ACL SETUSER ops <%s", "migrate h 1 k 0 1 AUTH %s KEYS a", "migrate h 1 k 0 1 AUTH2 u %s KEYS a", "config set tls-key-file-pass %s",
	} {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			c.Form(3, 0)
			b.traits.ErrTTY = true
			line := strings.ReplaceAll("call 127.0.0.1:7001 "+command, "%s", canary)
			word := strings.Fields(line)[2]
			for _, format := range []string{" -o table", " -o json"} {
				b.dialer = answers{c.Dialer(), word, func(addr cluster.Addr) (driver.Reply, error) {
					if addr.Port == 7002 {
						return driver.Reply{}, &driver.TransportError{Addr: addr, Err: &driver.ServerError{Text: "proxy says " + canary}}
					}
					return driver.Reply{Err: &driver.ServerError{Text: "ERR unknown command, with args beginning with: '" + canary + "'"}}, nil
				}}
				b.want(b.runLine(strings.Replace(line, " "+word, format+" "+word, 1)), exitPartial)
				if all := b.out.String() + b.err.String(); strings.Contains(all, canary) || !strings.Contains(all, "[hidden]") {
					t.Errorf("%s shows the secret:\n%s", line, all)
				}
			}
		})
	}
}

// A node without a reply is named when its time is up, and the others have long
// answered; what it has done is not known, so that this is no plain failure.
func TestCallWaitsForNobody(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.dialer = answers{c.Dialer(), "blpop", func(addr cluster.Addr) (driver.Reply, error) {
			return driver.Reply{}, &driver.TransportError{Addr: addr, Err: context.DeadlineExceeded}
		}}
		b.want(b.runLine("call 127.0.0.1:7001 blpop k 0 --timeout 1500"), exitPartial)
		b.wantOut("127.0.0.1:7003: Failed! ", "it may have been carried out")
		b.wantErr("trib: 3 of 3 nodes failed: 127.0.0.1:7001, 127.0.0.1:7002, 127.0.0.1:7003")
	})
}

func TestCallAsksManyNodesAtOnce(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(6, 0)
		began := time.Now()
		b.dialer = answers{c.Dialer(), "debug", func(cluster.Addr) (driver.Reply, error) {
			time.Sleep(time.Second)
			return driver.Reply{Value: "OK"}, nil
		}}
		b.want(b.runLine("call 127.0.0.1:7001 debug sleep 1"), exitOK)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		b.wantSilentErr()
		synctest.Wait()
	})
}

func TestCallTypesItsReplies(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.dialer = answers{c.Dialer(), "exec", func(cluster.Addr) (driver.Reply, error) {
			return driver.Reply{Value: []any{"a<b", "\xff", int64(1 << 40), nil, []any{}, []any{&driver.ServerError{Text: "ERR no"}}}}, nil
		}}
		b.want(b.runLine("call 127.0.0.1:7001 exec --node 127.0.0.1:7002 -o json"), exitOK)
		var got struct{ Nodes []struct{ Reply any } }
		if err := json.Unmarshal(b.out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := []any{"a<b", map[string]any{"base64": "/w=="}, float64(1 << 40), nil, []any{}, []any{map[string]any{"error": "ERR no"}}}
		if diff := cmp.Diff(any(want), got.Nodes[0].Reply); diff != "" {
			t.Error(diff)
		}
	})
}
