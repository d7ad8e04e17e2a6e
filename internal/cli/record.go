package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/journal"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
)

// journalOptions belong to every command that writes or reads journals.
type journalOptions struct {
	noJournal bool
	stateDir  string
}

func (o *journalOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.noJournal, "no-journal", false, "neither write a journal of the run nor look at earlier ones")
	f.StringVar(&o.stateDir, "state-dir", "", "`DIR` of the journals (also: TRIB_STATE_DIR)")
}

// journals is where the journals are; false where there are none.
func (app *App) journals(o journalOptions) (journal.Dir, bool) {
	dir := o.stateDir
	if dir == "" {
		dir = app.Env.StateDir(runtime.GOOS)
	}
	return journal.Dir(dir), dir != "" && !o.noJournal
}

func (app *App) warn(format string, args ...any) {
	app.Terminal.Say(func(p *ui.Page) { p.Line("[WARNING] "+format, args...) })
}

// taker takes down what happens in a run. What it cannot write it warns of; the
// work goes on.
type taker struct {
	app     *App
	journal *journal.Journal // nil without a journal
	events  *os.File         // nil without --events
}

// takeDown begins the journal, and opens the file of --events.
func (app *App) takeDown(c change) (*taker, error) {
	t := &taker{app: app}
	if c.options.events != "" {
		// A pipe that nobody reads is an error, and does not block.
		f, err := os.OpenFile(c.options.events, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, fmt.Errorf("--events: %w; nothing was changed", err)
		}
		t.events = f
	}
	dir, ok := app.journals(c.options.journalOptions)
	if !ok {
		return t, nil
	}
	var err error
	t.journal, err = dir.Begin(journal.Header{
		Begun: app.Now(), Command: app.line, Holder: app.Holder, Seed: c.plan.Nodes[0].Addr.String(), Plan: c.plan,
		Runs: runsOf(c.state),
	})
	t.complain("the journal", err)
	return t, nil
}

// runsOf are the run ids of the nodes, by which a later run tells those that were
// restarted since.
func runsOf(s cluster.State) map[cluster.NodeID]string {
	runs := make(map[cluster.NodeID]string)
	for _, m := range s.Members {
		if m.Reachable() {
			runs[m.ID] = m.RunID
		}
	}
	return runs
}

func (t *taker) complain(what string, err error) {
	if err != nil {
		t.app.warn("%s cannot be written, and the run goes on without it: %v", what, err)
	}
}

func (t *taker) observe(e apply.Event) {
	now := t.app.Now()
	if t.journal != nil {
		t.complain("the journal", t.journal.Observe(now, e))
	}
	if t.events == nil {
		return
	}
	text, err := json.Marshal(journal.Entry{Time: now, Event: e})
	if err == nil {
		err = t.writeEvent(append(text, '\n'))
	}
	if err != nil {
		t.complain("--events", err)
		t.events.Close()
		t.events = nil
	}
}

// patience is how long a reader of --events may keep the work waiting.
const patience = time.Second

func (t *taker) writeEvent(line []byte) error {
	t.events.SetWriteDeadline(time.Now().Add(patience)) // files have none, and need none
	_, err := t.events.Write(line)
	return err
}

func (t *taker) end(failure error) {
	if t.journal != nil {
		end := journal.End{Time: t.app.Now(), Exit: exitCode(failure)}
		if failure != nil {
			end.Error = failure.Error()
		}
		t.complain("the journal", t.journal.End(end))
	}
	if t.events != nil {
		t.complain("--events", t.events.Close())
	}
}

// secretFlags are the options whose values nobody else may see.
var secretFlags = []string{"pass", "uri", "from-pass", "password-command", "from-password-command"}

// commandLine is what was asked for, without what is secret in it.
func commandLine(cmd *cobra.Command, args []string) []string {
	line := strings.Fields(cmd.CommandPath())
	for _, arg := range args {
		line = append(line, withoutUser(arg))
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { line = append(line, option(f)) })
	return line
}

func option(f *pflag.Flag) string {
	switch value := f.Value.String(); {
	case slices.Contains(secretFlags, f.Name):
		return "--" + f.Name + "=***"
	case f.Value.Type() == "bool" && value == "true":
		return "--" + f.Name
	default:
		return "--" + f.Name + "=" + value
	}
}

// withoutUser takes user and password out of an address.
func withoutUser(arg string) string {
	if scheme, rest, ok := strings.Cut(arg, "://"); ok {
		return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return arg
}

// earlier is the newest wanted run on this host, if there is one.
func (app *App) earlier(o journalOptions, wanted func(journal.Run) bool) (journal.Run, bool) {
	dir, ok := app.journals(o)
	if !ok {
		return journal.Run{}, false
	}
	run, found, err := dir.Find(wanted)
	if err != nil {
		app.warn("the journals cannot be read: %v", err)
	}
	return run, found
}
