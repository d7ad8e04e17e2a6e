package move

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// gate is a node that tells who asks and what it forbids. It serves as its own
// dialer.
type gate struct {
	user    string
	missing []string          // commands that it does not have
	forbids map[string]string // what ACL DRYRUN says of a command
	fails   string            // the command at which its connection breaks
	asked   []string          // the names of what ACL DRYRUN was asked about
}

func (g *gate) Dial(context.Context, cluster.Addr, string) (driver.Conn, error) { return g, nil }
func (g *gate) Close() error                                                    { return nil }

var errCut = errors.New("cut")

func (g *gate) Do(_ context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
	replies := make([]driver.Reply, len(cmds))
	for i, cmd := range cmds {
		if g.fails != "" && strings.HasPrefix(strings.Join(cmd, " "), g.fails) {
			return nil, errCut
		}
		replies[i].Value = g.reply(cmd)
	}
	return replies, nil
}

func (g *gate) reply(cmd driver.Command) any {
	switch {
	case cmd[0] == "COMMAND":
		known := make([]any, len(cmd)-2)
		for i, name := range cmd[2:] {
			if !slices.Contains(g.missing, name) {
				known[i] = []any{name}
			}
		}
		return known
	case cmd[1] == "WHOAMI":
		return g.user
	}
	name := RuleName(cmd[3:])
	g.asked = append(g.asked, name)
	if why, ok := g.forbids[name]; ok {
		return why
	}
	return "OK"
}

func TestDenied(t *testing.T) {
	takes := []driver.Command{{"CLUSTER", "NODES"}, {"DUMP", "k"}, {"DUMP", "j"}, {"PTTL", "k"}}
	const never, keys = "User ann has no permissions to run the 'x' command", "User ann has no permissions to access the 'k' key"
	tests := []struct {
		name string
		gate gate
		want string
	}{
		{"may do all", gate{user: "ann"}, ""},
		{"may not run one", gate{user: "ann", forbids: map[string]string{"pttl": never}}, "10.0.0.1:7000: user ann may not pttl"},
		{"may not run two", gate{user: "ann", forbids: map[string]string{"cluster|nodes": never, "pttl": never}}, "10.0.0.1:7000: user ann may not cluster|nodes, pttl"},
		{"may not reach all keys", gate{user: "ann", forbids: map[string]string{"pttl": keys}}, "10.0.0.1:7000: user ann may not reach all keys (~*) with pttl"},
		{
			"neither",
			gate{user: "ann", forbids: map[string]string{"pttl": never, "cluster|nodes": keys}},
			"10.0.0.1:7000: user ann may not pttl; 10.0.0.1:7000: user ann may not reach all keys (~*) with cluster|nodes",
		},
		{"asks nothing of a server that does not say who asks", gate{forbids: map[string]string{"pttl": never}}, ""},
		{
			"the server has not all commands",
			gate{user: "ann", missing: []string{"dump", "pttl"}, forbids: map[string]string{"pttl": never}},
			"10.0.0.1:7000: the server has no command dump: it was renamed or disabled; 10.0.0.1:7000: the server has no command pttl: it was renamed or disabled",
		},
		{"nobody asks about containers of commands", gate{user: "ann", missing: []string{"cluster"}}, ""},
		{"cut when it is asked for its commands", gate{user: "ann", fails: "COMMAND"}, "cut"},
		{"cut when it is asked for the user", gate{user: "ann", fails: "ACL WHOAMI"}, "cut"},
		{"cut when it is asked for rights", gate{user: "ann", fails: "ACL DRYRUN ann DUMP k"}, "cut"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			texts, err := Denied(t.Context(), &tt.gate, "", cluster.Addr{Host: "10.0.0.1", Port: 7000}, takes)
			got := strings.Join(texts, "; ")
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// COMMAND INFO without names would list all that there are.
func TestDeniedAsksForNoCommands(t *testing.T) {
	g := &gate{user: "ann", fails: "COMMAND"}
	if texts, err := Denied(t.Context(), g, "", cluster.Addr{}, []driver.Command{{"CLUSTER", "NODES"}}); texts != nil || err != nil {
		t.Errorf("%v, %v", texts, err)
	}
}

// A server may forbid the question and answer with none, or with more than was
// asked.
func TestUnknownTakesAnyAnswer(t *testing.T) {
	for name, answer := range map[string]driver.Reply{
		"forbidden": {Err: errors.New("NOPERM no")},
		"nonsense":  {Value: "yes"},
		"too many":  {Value: []any{[]any{"dump"}, nil, nil}},
	} {
		conn := &scripted{replies: func([]driver.Command) []driver.Reply { return []driver.Reply{answer} }}
		if texts, err := unknown(t.Context(), conn, []driver.Command{{"DUMP", "k"}}); texts != nil || err != nil {
			t.Errorf("%s: %v, %v", name, texts, err)
		}
	}
}

// What an end is asked about is what the move takes there, and nothing else.
func TestEndsAreAskedForTheirPart(t *testing.T) {
	valkey := cluster.Member{Features: cluster.Features{Atomic: cluster.MigrateSlots}}
	redis := cluster.Member{Features: cluster.Features{Atomic: cluster.Migration}}
	addr := cluster.Addr{}
	tests := []struct {
		name   string
		ask    func(*gate) ([]string, error)
		has    string
		hasNot string
	}{
		{"classic source", func(g *gate) ([]string, error) { return DeniedAtSource(t.Context(), g, "", valkey, false) }, "migrate", "cluster|migrateslots"},
		{"atomic source, Valkey", func(g *gate) ([]string, error) { return DeniedAtSource(t.Context(), g, "", valkey, true) }, "cluster|migrateslots cluster|cancelslotmigrations", "migrate"},
		{"atomic source, Redis", func(g *gate) ([]string, error) { return DeniedAtSource(t.Context(), g, "", redis, true) }, "cluster|migration", "migrate cluster|migrateslots"},
		{"classic target", func(g *gate) ([]string, error) { return DeniedAtTarget(t.Context(), g, "", redis, false) }, "restore-asking", "cluster|migration"},
		{"atomic target, Redis", func(g *gate) ([]string, error) { return DeniedAtTarget(t.Context(), g, "", redis, true) }, "cluster|migration", "restore-asking"},
		{"atomic target, Valkey", func(g *gate) ([]string, error) { return DeniedAtTarget(t.Context(), g, "", valkey, true) }, "cluster|getslotmigrations", "restore-asking cluster|migrateslots"},
		{"holder of foreign keys", func(g *gate) ([]string, error) { return DeniedAtHolder(t.Context(), g, "", addr) }, "migrate del cluster|delslots", "cluster|bumpepoch"},
		{"claimer", func(g *gate) ([]string, error) { return DeniedToClaim(t.Context(), g, "", addr) }, "cluster|addslots cluster|bumpepoch", "migrate"},
		{"whose values are replaced", func(g *gate) ([]string, error) { return DeniedToReplace(t.Context(), g, "", addr) }, "watch multi exec", "del"},
		{"who gives first", func(g *gate) ([]string, error) { return DeniedToGive(t.Context(), g, "", addr) }, "multi exec", "watch"},
		{"who decides", func(g *gate) ([]string, error) { return DeniedToDecide(t.Context(), g, "", addr) }, "watch multi del exec", "migrate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &gate{user: "ann"}
			if texts, err := tt.ask(g); texts != nil || err != nil {
				t.Fatalf("%v, %v", texts, err)
			}
			for name := range strings.FieldsSeq(tt.has) {
				if !slices.Contains(g.asked, name) {
					t.Errorf("was not asked about %s, but about %s", name, g.asked)
				}
			}
			for name := range strings.FieldsSeq(tt.hasNot) {
				if slices.Contains(g.asked, name) {
					t.Errorf("was asked about %s", name)
				}
			}
		})
	}
}
