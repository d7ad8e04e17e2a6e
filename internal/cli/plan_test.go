package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/journal"
	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/plan"
)

const moveLine = "reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7003 --slots 400"

// TestPlanSession saves a plan, shows it, carries it out and takes it back.
func TestPlanSession(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 1)
		fill(t, c, 30)
		dir := t.TempDir()
		file := filepath.Join(dir, "move.json")
		text := session(b,
			moveLine+" --dry-run --plan-out "+file,
			moveLine+" --dry-run --plan-out "+file,
			"plan show "+file,
			"apply "+file+" --dry-run",
			"apply "+file,
			"apply "+file+" --yes",
			"apply "+file+" --yes",
			"undo "+file+" --dry-run",
			"undo "+file+" --yes",
			"undo "+file+" --yes",
			"reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7002 --slots 3 --yes",
			"apply "+file+" --yes",
		)
		golden(t, "plan.txt", strings.ReplaceAll(text, dir, "DIR"))
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
}

// TestPlanShowIsThePicture promises that a saved plan looks as it did before
// the question, but for how many replicas and keys there are.
func TestPlanShowIsThePicture(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		file := filepath.Join(t.TempDir(), "move.json")
		b.want(b.runLine(moveLine+" --dry-run --plan-out "+file), exitOK)
		shown, _, _ := strings.Cut(b.out.String(), "The plan is in")
		shown = regexp.MustCompile(`(?m)^(.*(?:before|after ) .*) \d+$`).ReplaceAllString(shown, "$1 ?")
		b.dialer = noDialer{t}
		b.want(b.runLine("plan show "+file), exitOK)
		b.wantOut(shown)
		b.want(b.runLine("plan show -o json "+file), exitOK)
		saved, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if b.out.String() != string(saved) {
			t.Errorf("shown as JSON:\n%s\nsaved:\n%s", &b.out, saved)
		}
	})
}

func TestPlanFileRefusals(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"version":1,"kind":"dance"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line string
		exit int
		err  string
	}{
		{"plan show", exitUsage, "want one FILE"},
		{"apply a b", exitUsage, "want one FILE"},
		{"undo", exitUsage, "want one FILE"},
		{"plan show " + dir + "/none", exitRefused, "no such file"},
		{"apply " + dir + "/none --yes", exitRefused, "no such file"},
		{"undo " + dir + " --yes", exitRefused, "is a directory"},
		{"apply " + bad + " --yes", exitRefused, bad + ": not a plan: cost: missing"},
		{"plan show " + bad, exitRefused, "not a plan"},
		{moveLine + " --plan-out " + bad, exitRefused, "--plan-out: " + bad + " is there already"},
		{"status", exitUsage, "SEED"},
	} {
		b.want(b.runLine(tt.line), tt.exit)
		b.wantErr(tt.err)
	}
	b.want(b.run("plan", "schema"), exitOK)
	if b.out.String() != plan.Schema() {
		t.Error("another schema")
	}
}

// TestAnotherCluster promises that a plan is refused by a cluster that it was
// not made for, whatever addresses it has.
func TestAnotherCluster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "move.json")
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine(moveLine+" --dry-run --plan-out "+file), exitOK)
	})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	foreign := strings.Repeat("f", 40)
	text = bytes.ReplaceAll(text, []byte(p.Nodes[0].ID), []byte(foreign))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine("apply "+file+" --yes"), exitStale)
		b.wantErr("node at 127.0.0.1:7003: was "+foreign+", is ", "hint: make a new plan")
		b.want(b.runLine("undo "+file+" --yes"), exitStale)
		b.wantErr("node at 127.0.0.1:7003: was " + foreign)
	})
}

// owned is how many slots a node has.
func owned(b *bench, node int) int {
	b.t.Helper()
	b.want(b.runLine("info 127.0.0.1:7001 -o json"), exitOK)
	var v struct {
		Nodes []struct {
			SlotCount int `json:"slot_count"`
		}
	}
	if err := json.Unmarshal(b.out.Bytes(), &v); err != nil {
		b.t.Fatal(err)
	}
	return v.Nodes[node].SlotCount
}

// TestJournalOfAKilledRun promises that resume finishes the whole plan of a run
// that was killed, where its journal is at hand, and only what is open where it
// is not. It is killed at every command that ends a window of slots.
func TestJournalOfAKilledRun(t *testing.T) {
	for at := range 12 {
		journaled := at%5 > 0
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			b.env["TRIB_STATE_DIR"] = filepath.Join(t.TempDir(), "state")
			c.Form(3, 1)
			had := owned(b, 0)
			fill(t, c, 30)
			kill(c, 25+at)
			b.want(b.runLine(moveLine+" --yes"), exitPartial)
			b.wantErr("hint: trib resume 127.0.0.1:700")
			b.dialer = c.Dialer()
			c.Intercept(nil)

			b.want(b.runLine("status 127.0.0.1:7002"), exitOK)
			b.wantOut("[OK] Nobody works on this cluster.", "interrupted by test:1", "/400 slots", "-> trib resume 127.0.0.1:7002",
				"trib reshard 127.0.0.1:7001 --from=127.0.0.1:7001 --slots=400 --to=127.0.0.1:7003 --yes")
			resume := "resume 127.0.0.1:7002 --yes"
			if !journaled {
				resume += " --no-journal"
			}
			b.want(b.runLine(resume), exitOK)
			moved := had - owned(b, 0)
			if (moved == 400) != journaled || moved == 0 {
				t.Errorf("killed at %d, journal %v: %d slots moved:\n%s", 25+at, journaled, moved, &b.out)
			}
			if journaled {
				b.want(b.runLine("resume 127.0.0.1:7002"), exitOK)
				b.wantOut("[OK] nothing to resume")
				b.want(b.runLine("status 127.0.0.1:7002 -o json"), exitOK)
				var v struct{ Operation struct{ State string } }
				if err := json.Unmarshal(b.out.Bytes(), &v); err != nil || v.Operation.State != "done" {
					t.Errorf("%v: %s", err, &b.out)
				}
			}
		})
	}
}

// TestJournalOfAKilledCreate promises the same of a cluster that is half formed.
func TestJournalOfAKilledCreate(t *testing.T) {
	for at := 1; at <= 17; at += 4 {
		onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
			b.env["TRIB_STATE_DIR"] = filepath.Join(t.TempDir(), "state")
			addrs := addNodes(c, 6)
			kill(c, at)
			b.want(b.runLine("create --replicas 1 --yes "+addrs), exitPartial)
			b.dialer = c.Dialer()
			c.Intercept(nil)
			b.want(b.runLine("status 127.0.0.1:7001"), exitOK)
			b.wantOut("interrupted by test:1", "-> trib resume 127.0.0.1:7001")
			b.want(b.runLine("resume 127.0.0.1:7001 --yes"), exitOK)
			b.want(b.runLine("check 127.0.0.1:7001"), exitOK)
			b.want(b.runLine("resume 127.0.0.1:7001 --yes"), exitOK)
			b.wantOut("[OK] nothing to resume")
		})
	}
}

// TestJournalThatDoesNotFit promises that a plan in a journal is held to the
// cluster as any other.
func TestJournalThatDoesNotFit(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		state := filepath.Join(t.TempDir(), "state")
		b.env["TRIB_STATE_DIR"] = state
		c.Form(3, 1)
		kill(c, 25)
		b.want(b.runLine(moveLine+" --yes"), exitPartial)
		b.dialer = c.Dialer()
		c.Intercept(nil)
		b.want(b.runLine("resume 127.0.0.1:7001 --yes --no-journal"), exitOK)
		b.want(b.runLine("reshard 127.0.0.1:7001 --from 127.0.0.1:7001 --to 127.0.0.1:7002 --slots 100 --yes --no-journal"), exitOK)

		had := owned(b, 0)
		b.want(b.runLine("resume 127.0.0.1:7001 --yes"), exitOK)
		b.wantOut("*** The plan that test:1 began at ", "owner of slots ", "was 127.0.0.1:7001, is 127.0.0.1:7002", "[OK] nothing to resume")
		if owned(b, 0) != had {
			t.Error("it moved slots")
		}
		b.want(b.runLine("status 127.0.0.1:7001"), exitOK)
		b.wantOut("stale by test:1", "[WARNING] It cannot go on: owner of slots")
	})
}

// TestNoJournal promises that a journal which cannot be written warns and costs
// nothing else.
func TestNoJournal(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine(moveLine+" --yes --state-dir /dev/null/x"), exitOK)
		b.wantErr("[WARNING] the journal cannot be written, and the run goes on without it: ")
		dir := t.TempDir()
		b.want(b.runLine("reshard 127.0.0.1:7001 --from all --to 127.0.0.1:7001 --slots 3 --yes --no-journal --state-dir "+dir), exitOK)
		b.wantSilentErr()
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("%v, %v", files, err)
		}
	})
}

// TestSecretsStayOutOfTheJournal also promises that the command line is there.
func TestSecretsStayOutOfTheJournal(t *testing.T) {
	onSim(t, sim.Options{Password: "hunter2"}, func(t *testing.T, b *bench, c *sim.Cluster) {
		b.dialer = c.DialerWith("hunter2")
		c.Form(3, 0)
		dir := t.TempDir()
		line := "reshard redis://:hunter2@127.0.0.1:7001 -a hunter2 -u redis://:hunter2@h:1 --from all --to 127.0.0.1:7001 --slots 3 --yes --state-dir " + dir
		b.want(b.runLine(line), exitOK)
		run, found, err := journal.Dir(dir).Find(func(journal.Run) bool { return true })
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if got := strings.Join(run.Command, " "); !strings.Contains(got, "reshard redis://127.0.0.1:7001") || !strings.Contains(got, "--pass=***") {
			t.Error(got)
		}
		text, err := os.ReadFile(run.Path)
		if err != nil || bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// TestEvents reads what --events writes: the events of the run in order.
func TestEvents(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		file := filepath.Join(t.TempDir(), "events")
		b.want(b.runLine(moveLine+" --yes --events "+file), exitOK)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for line := range bytes.Lines(text) {
			var e journal.Entry
			if err := json.Unmarshal(line, &e); err != nil || e.Time.IsZero() {
				t.Fatalf("%v: %s", err, line)
			}
			kinds = append(kinds, string(e.Kind))
		}
		if first, last := kinds[0], kinds[len(kinds)-1]; first != "started" || last != "finished" || !slices.Contains(kinds, "slots-moved") || len(kinds) < 6 {
			t.Error(kinds)
		}
		b.want(b.runLine(moveLine+" --yes --events /dev/null/x"), exitRefused)
		b.wantErr("--events: ", "nothing was changed")
	})
}
