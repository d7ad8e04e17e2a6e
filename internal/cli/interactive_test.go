package cli

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/sim"
)

const askingLine = "reshard 127.0.0.1:7001"

// TestInteractiveReshard answers in both manners, all questions and some.
func TestInteractiveReshard(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flags  string
		prompt prompt.Prompter
	}{
		{"chosen", "", &prompt.Script{Screen: true, Answers: []string{"nonsense", "16385", "400", ":7003", ":7001", "yes"}}},
		{"all chosen", "--slots 800", &prompt.Script{Screen: true, Answers: []string{":7003", "all of them", "yes"}}},
		{"target chosen", "--slots 400 --from 127.0.0.1:7001", &prompt.Script{Screen: true, Answers: []string{":7003", "yes"}}},
		{"lines", "", &prompt.Script{Answers: []string{"400", "127.0.0.1:7003", "127.0.0.1:7001", "done", "yes"}}},
		{"all by lines", "--slots 800", &prompt.Script{Answers: []string{"127.0.0.1:7003", "all", "yes"}}},
		{"piped", "", prompt.NewLines(strings.NewReader("400\n127.0.0.1:7003\n127.0.0.1:7001\ndone\nyes\n"), io.Discard)},
		{"piped without the last newline", "--to 127.0.0.1:7003 --slots 400", prompt.NewLines(strings.NewReader("127.0.0.1:7001\r\ndone\r\nyes"), io.Discard)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
				c.Form(3, 1)
				had := owned(b, 2)
				b.prompt = tt.prompt
				b.want(b.run(strings.Fields(askingLine+" "+tt.flags)...), exitOK)
				b.wantSilentErr()
				moved := owned(b, 2) - had
				if want := 400; moved != want && !strings.Contains(tt.flags, fmt.Sprint(moved)) {
					t.Errorf("%d slots moved", moved)
				}
			})
		})
	}
}

// TestQuestionsOfOld promises the questions that scripts around redis-trib wait
// for.
func TestQuestionsOfOld(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		var echo strings.Builder
		b.prompt = prompt.NewLines(strings.NewReader("10\n127.0.0.1:7003\n127.0.0.1:7001\n127.0.0.1:7002\ndone\nno\n"), &echo)
		b.traits.ErrTTY = true
		b.want(b.runLine(askingLine), exitRefused)
		want := `How many slots do you want to move (from 1 to 16384)? 
What is the receiving node ID? 
Source node #1: 
Source node #2: 
Source node #3: 
Do you want to proceed with the proposed reshard plan (yes/no)? 
`
		if echo.String() != want {
			t.Errorf("asked:\n%s", &echo)
		}
		b.wantErr("Please enter all the source node IDs.", "  Type 'all'", "  Type 'done'", "trib: declined; nothing was changed")
	})
}

// TestUnansweredReshard promises that whatever is not an answer changes
// nothing: the end of the input and Ctrl-C at every question, and nonsense.
func TestUnansweredReshard(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		had := owned(b, 2)
		right := []string{"400", "127.0.0.1:7003", "127.0.0.1:7001", "done", "yes"}
		for n := range right {
			given := right[:n:n]
			b.prompt = &prompt.Script{Answers: given}
			b.want(b.runLine(askingLine), exitRefused)
			b.wantErr("no input to read an answer from; nothing was changed", "hint: --")
			b.prompt = &prompt.Script{Answers: append(given, "^C")}
			b.want(b.runLine(askingLine), exitInterrupted)
		}
		for n := range 4 {
			b.prompt = &prompt.Script{Screen: true, Answers: append([]string{"400", ":7003", ":7001"}[:n:n], "^C")}
			b.want(b.runLine(askingLine), exitInterrupted)
		}
		for answers, named := range map[string]string{
			"0":                                      `slots "0"`,
			"many":                                   `slots "many"`,
			"":                                       `slots ""`,
			"400 nosuch":                             `no node "nosuch"`,
			"400 127.0.0.1:7004":                     "127.0.0.1:7004 is not a master",
			"400 127.0.0.1:7003 done":                "no source node was named",
			"400 127.0.0.1:7003 127.0.0.1:7003":      "127.0.0.1:7003 is the receiving node",
			"400 127.0.0.1:7003 127.0.0.1:7001,7002": "no node",
		} {
			b.prompt = &prompt.Script{Answers: strings.Split(answers, " ")}
			b.want(b.runLine(askingLine), exitRefused)
			b.wantErr(named, "nothing was changed", "hint: --slots, --to and --from")
		}
		b.prompt = prompt.Nobody{}
		if got := owned(b, 2); got != had {
			t.Errorf("%d slots, had %d", got, had)
		}
	})
}

// TestConsentWithoutTheRest promises that who says yes beforehand is asked
// nothing.
func TestConsentWithoutTheRest(t *testing.T) {
	for _, tt := range []struct{ line, env string }{{askingLine + " --yes", ""}, {askingLine, "1"}} {
		b := newBench(t)
		b.env["TRIB_YES"] = tt.env
		script := &prompt.Script{Answers: []string{"400"}}
		b.prompt = script
		b.want(b.runLine(tt.line), exitUsage)
		b.wantErr("--from is missing")
		if len(script.Asked) > 0 {
			t.Error(script.Asked)
		}
	}
}
