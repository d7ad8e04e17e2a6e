package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

var errSeen = errors.New("seen")

// parse runs a command line up to the point where a command would begin to
// work, and returns its options.
func parse(t *testing.T, line ...string) any {
	t.Helper()
	var got any
	app := newBench(t).app()
	root := newRoot(app)
	root.RemoveCommand(root.Commands()...)
	root.AddCommand(parsers(app, &got)...)
	args, err := arrange(root, line)
	if err != nil {
		t.Fatal(err)
	}
	root.SetArgs(args)
	if err := root.ExecuteContext(context.Background()); !errors.Is(err, errSeen) {
		t.Fatalf("%v: %v", line, err)
	}
	return got
}

func parsers(app *App, got *any) []*cobra.Command {
	return []*cobra.Command{
		newCheckCmd(app, func(_ context.Context, o *checkOptions) error { *got = *o; return errSeen }),
		newInfoCmd(app, func(_ context.Context, o *infoOptions) error { *got = *o; return errSeen }),
		newCreateCmd(app, func(_ context.Context, o *createOptions) error { *got = *o; return errSeen }),
		newReshardCmd(app, func(_ context.Context, o *reshardOptions) error { *got = *o; return errSeen }),
		newCallCmd(app, func(_ context.Context, o *callOptions) error { *got = *o; return errSeen }),
		newRebalanceCmd(app, func(_ context.Context, o *rebalanceOptions) error { *got = *o; return errSeen }),
		newDrainCmd(app, func(_ context.Context, o *drainOptions) error { *got = *o; return errSeen }),
		newImportCmd(app, func(_ context.Context, o *importOptions) error { *got = *o; return errSeen }),
		newSetTimeoutCmd(app, func(_ context.Context, o *setTimeoutOptions) error { *got = *o; return errSeen }),
		newBackupCmd(app, func(_ context.Context, o *backupOptions) error { *got = *o; return errSeen }),
		newRestoreCmd(app, func(_ context.Context, o *restoreOptions) error { *got = *o; return errSeen }),
		newFixCmd(app, func(_ context.Context, o *fixOptions) error { *got = *o; return errSeen }),
		newResumeCmd(app, func(_ context.Context, o *resumeOptions) error { *got = *o; return errSeen }),
	}
}

func TestSeedForms(t *testing.T) {
	tests := []struct {
		words []string
		want  string
	}{
		{[]string{"10.0.0.1:7000"}, "10.0.0.1:7000"},
		{[]string{"10.0.0.1:7000@17000"}, "10.0.0.1:7000"},
		{[]string{"10.0.0.1", "7000"}, "10.0.0.1:7000"},
		{[]string{"node.example", "7000"}, "node.example:7000"},
		{[]string{"[::1]:7000"}, "[::1]:7000"},
		{[]string{"::1:7000"}, "[::1]:7000"},
		{[]string{"::1", "7000"}, "[::1]:7000"},
		{[]string{"[::1]", "7000"}, "[::1]:7000"},
		{[]string{"1::2:3", "7000"}, "[1::2:3]:7000"},
		{[]string{"redis://h:7000"}, "h:7000"},
		{[]string{"redis://h"}, "h:6379"},
		{[]string{"redis://u:p@[::1]:7000/0"}, "[::1]:7000"},
		{[]string{"valkey://:p@h:7000/"}, "h:7000"},
	}
	for _, tt := range tests {
		for _, command := range []string{"check", "info", "resume"} {
			var got seed
			switch o := parse(t, append([]string{command}, tt.words...)...).(type) {
			case checkOptions:
				got = o.seed
			case infoOptions:
				got = o.seed
			case resumeOptions:
				got = o.seed
			}
			if got.addr.String() != tt.want {
				t.Errorf("%s %v: %s, want %s", command, tt.words, got.addr, tt.want)
			}
		}
	}
}

// The same import, as redis-cli, redis-trib and trib write it.
func TestImportSpellings(t *testing.T) {
	lines := [][]string{
		{"import", "h:1", "--from", "i:2", "--replace", "--copy", "--from-user", "u", "--from-pass", "p", "--timeout", "900"},
		{"--cluster", "import", "h", "1", "--cluster-from", "i:2", "--cluster-replace", "--cluster-copy", "--cluster-from-user", "u", "--cluster-from-pass", "p", "--cluster-timeout", "900"},
		{"import", "--from", "i:2", "--copy", "--replace", "--from-user", "u", "--from-pass=p", "--timeout=900ms", "h:1"},
	}
	for _, line := range lines {
		o := parse(t, line...).(importOptions)
		if o.seed.addr.String() != "h:1" || o.from.addr.String() != "i:2" || !o.replace || o.move || o.source.user != "u" || o.source.pass != "p" ||
			o.timeout != 900*time.Millisecond || o.databases() != nil {
			t.Errorf("%v: %+v", line, o)
		}
	}
	if o := parse(t, "import", "h:1", "--from", "i:2", "--from-db", "0").(importOptions); len(o.databases()) != 1 {
		t.Errorf("--from-db 0 is %v", o.databases())
	}
	for _, line := range [][]string{
		{"backup", "h:1", "dir"},
		{"--cluster", "backup", "h:1", "dir"},
		{"--cluster-yes", "backup", "--cluster-timeout", "9", "h", "1", "dir"},
	} {
		if o := parse(t, line...).(backupOptions); o.seed.addr.String() != "h:1" || o.dir != "dir" {
			t.Errorf("%v: %+v", line, o)
		}
	}
	if o := parse(t, "restore", "dir", "h", "1", "--cluster-replace").(restoreOptions); o.seed.addr.String() != "h:1" || o.dir != "dir" || !o.replace {
		t.Errorf("restore: %+v", o)
	}
	if o := parse(t, "--cluster", "set-timeout", "h", "1", "5000").(setTimeoutOptions); o.seed.addr.String() != "h:1" || o.timeout != 5000 {
		t.Errorf("set-timeout: %+v", o)
	}
}

// The same reshard, as people and scripts have written it.
func TestReshardSpellings(t *testing.T) {
	lines := [][]string{
		{"reshard", "h:1", "--from", "a,b", "--to", "c", "--slots", "7", "--yes", "--timeout", "1500", "--pipeline", "20"},
		{"--cluster", "reshard", "h:1", "--cluster-from", "a,b", "--cluster-to", "c", "--cluster-slots", "7", "--cluster-yes", "--cluster-timeout", "1500", "--cluster-pipeline", "20"},
		{"--cluster-yes", "--cluster", "reshard", "h", "1", "--cluster-from=a,b", "--cluster-to=c", "--cluster-slots=7", "--cluster-timeout=1500", "--cluster-pipeline=20"},
		{"reshard", "--from", "a,b", "--to", "c", "--slots", "7", "--yes", "--timeout", "1500", "--pipeline", "20", "h:1"},
		{"reshard", "--from", "a", "h", "--to", "c", "--slots", "7", "1", "--yes", "--timeout", "1.5s", "--pipeline", "20", "--from", "b"},
		{"--from", "a,b", "--to", "c", "-o", "json", "--slots", "7", "--timeout", "1500ms", "--pipeline", "20", "--yes", "reshard", "h:1"},
		{"-a", "reshard", "--no_auth_warning", "reshard", "h:1", "--cluster_from", "a, b", "--cluster_to", "c", "--slots", "7", "--yes", "--timeout", "1500", "--pipeline", "20"},
	}
	for _, line := range lines {
		o := parse(t, line...).(reshardOptions)
		if o.seed.addr.String() != "h:1" || o.to != "c" || o.slots != 7 || !o.yes || o.timeout != 1500*time.Millisecond || o.pipeline != 20 {
			t.Errorf("%v: %+v", line, o)
		}
		if diff := cmp.Diff([]string{"a", "b"}, o.from); diff != "" {
			t.Errorf("%v: %s", line, diff)
		}
	}
}

func TestCreateSpellings(t *testing.T) {
	lines := [][]string{
		{"create", "h:1", "h:2", "--replicas", "1", "--yes"},
		{"--cluster-yes", "--cluster", "create", "h:1", "h:2", "--cluster-replicas", "1"},
		{"--cluster", "create", "--cluster-replicas", "1", "--cluster-yes", "h:1", "h:2"},
		{"create", "--slaves", "1", "h:1", "--yes", "h:2"},
		{"create", "h:1", "--cluster-slaves=1", "h:2", "--yes=true", "--wait"},
	}
	for _, line := range lines {
		o := parse(t, line...).(createOptions)
		if len(o.addrs) != 2 || o.replicas != 1 || !o.yes || o.wait != apply.ReadyOK {
			t.Errorf("%v: %+v", line, o)
		}
	}
	if o := parse(t, "create", "h:1", "--wait=joined", "--wait-timeout", "2m").(createOptions); o.wait != apply.ReadyJoined || o.waitTimeout != 2*time.Minute {
		t.Errorf("%+v", o)
	}
}

func TestCreateWishes(t *testing.T) {
	got := parse(t, strings.Fields("create --zone h=a [::1]:1 h:1 H:2 i:3 --zone [0:0::1]=b --zone i=b --slave-of H:1=i:3 "+
		"--slots [0::1]:1=0-9,20 --weight h:2=3")...).(createOptions).wishes
	v6, h1, h2, i3 := cluster.Addr{Host: "::1", Port: 1}, cluster.Addr{Host: "h", Port: 1}, cluster.Addr{Host: "H", Port: 2}, cluster.Addr{Host: "i", Port: 3}
	want := plan.CreateOptions{
		Addrs:     []cluster.Addr{v6, h1, h2, i3},
		Zones:     map[string]string{"h": "a", "H": "a", "::1": "b", "i": "b"},
		ReplicaOf: map[cluster.Addr]cluster.Addr{h1: i3},
		Slots:     map[cluster.Addr]cluster.SlotSet{v6: cluster.SlotsOf(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20)},
		Weights:   map[cluster.Addr]int{h2: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNamesOfOldTools(t *testing.T) {
	for old, want := range map[string]string{
		"cluster-yes": "yes", "cluster-slave": "replica", "slave": "replica", "cluster-only-primaries": "only-masters",
		"cluster-primary-id": "master-id", "use_empty_masters": "use-empty-masters", "cluster-fix-with-unreachable-primaries": "fix-with-unreachable-masters",
		"cluster": "cluster", "no-auth-warning": "no-auth-warning",
	} {
		if got := string(normalize(nil, old)); got != want {
			t.Errorf("%s: %s, want %s", old, got, want)
		}
	}
}

func TestWordsAfterTwoDashesAreNoOptions(t *testing.T) {
	b := newBench(t)
	b.want(b.run("keyslot", "--", "--cluster"), exitOK)
	b.wantOut("\n")
	b.want(b.run("keyslot", "-o", "json", "--", "-x"), exitOK)
	b.wantOut(`"key": "-x"`)
	b.want(b.run("keyslot", "foo", "--", "{foo}.-o", "--"), exitOK)
	b.wantOut("12182  foo\n12182  {foo}.-o\n")
	b.want(b.run("keyslot", "", "-o", "json"), exitOK)
	b.wantOut(`"key": ""`, `"slot": 0`)
	b.want(b.run("keyslot", "a{foo}", "{}b", "-o", "json"), exitOK)
	b.wantOut(`"hash_tag": "foo"`, `"key": "{}b"`)
}

// TestRebalanceSpellings promises that redis-cli's forms of a rebalance are
// read as trib's own.
func TestRebalanceSpellings(t *testing.T) {
	want := parse(t, "rebalance", "h:1", "--weight", "a=1", "--weight", "[::1]:7000=2.5", "--threshold", "5", "--use-empty-masters", "--dry-run", "--pipeline", "7", "--timeout", "60000")
	for _, line := range [][]string{
		{"--cluster", "rebalance", "h:1", "--cluster-weight", "a=1", "[::1]:7000=2.5", "--cluster-threshold", "5", "--cluster-use-empty-masters", "--cluster-simulate", "--cluster-pipeline", "7", "--cluster-timeout", "60000"},
		{"--cluster-weight=a=1", "[::1]:7000=2.5", "--cluster-threshold=5", "--cluster-use-empty-primaries", "--cluster", "rebalance", "h:1", "--simulate", "--pipeline=7", "--timeout=60s"},
		{"rebalance", "--weight", "a=1", "--weight", "[::1]:7000=2.5", "--threshold", "5.0", "--use-empty-masters", "--simulate", "--replace", "--timeout", "60000", "--pipeline", "7", "h:1"},
	} {
		if diff := cmp.Diff(want, parse(t, line...), cmp.AllowUnexported(rebalanceOptions{}, changeOptions{}, journalOptions{}, moveOptions{}, conflictOptions{}, decisions{}, seed{}, weight{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", line, diff)
		}
	}
}

// TestWeightLeavesTheSeed promises that an address behind weights is not taken
// for one, even with a '=' in its password.
func TestWeightLeavesTheSeed(t *testing.T) {
	o := parse(t, "rebalance", "--weight", "a=1", "b=2", "redis://u:p=q@h:7000").(rebalanceOptions)
	if len(o.weights) != 2 || o.seed.addr.String() != "h:7000" || o.seed.credentials.Password.Reveal() != "p=q" {
		t.Errorf("%d weights, seed %s", len(o.weights), o.seed.addr)
	}
}

func TestDrainForms(t *testing.T) {
	for _, line := range [][]string{
		{"drain", "10.0.0.1:7000", "3f9a"},
		{"drain", "10.0.0.1", "7000", "3f9a"},
		{"drain", "redis://10.0.0.1:7000", "3f9a"},
	} {
		if o := parse(t, line...).(drainOptions); o.seed.addr.String() != "10.0.0.1:7000" || o.node != "3f9a" {
			t.Errorf("%v: seed %s, node %s", line, o.seed.addr, o.node)
		}
	}
}

func TestReshardNamesSlots(t *testing.T) {
	o := parse(t, "reshard", "h:1", "--to", "b", "--slots-list", "5,7,100-200", "--slots-list", "6", "--key", "a,b", "--key", "").(reshardOptions)
	if got := o.named.String(); got != "5-7,100-200" {
		t.Errorf("slots %s", got)
	}
	if diff := cmp.Diff([]string{"a,b", ""}, o.keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestInvocationForms promises every form in which the old tools are called: the
// options before, between and behind, names of both vocabularies, options that
// the command has no use for.
func TestInvocationForms(t *testing.T) {
	for _, tt := range []struct{ old, now string }{
		{"--cluster-yes --cluster check h:1", "check h:1"},
		{"--cluster check h 1 --cluster-search-multiple-owners --cluster-timeout 5", "check h:1"},
		{"CHECK h:1", "check h:1"},
		{"check --verbose h:1", "check h:1"},
		{"-4 --cluster-yes --cluster create h:1 h:2", "create h:1 h:2 --yes"},
		{"--cluster create --cluster-replicas 1 h:1@10001 h:2 -6", "create h:1 h:2 --replicas 1"},
		{"create --replicas 1 h:1 h:2", "create h:1 h:2 --replicas 1"},
		{"--cluster info h 1 --cluster-pipeline 3 --cluster-yes", "info h:1"},
		{"info h:1 --cluster-replace", "info h:1"},
		{"--cluster reshard h:1 --cluster-from a --cluster-to b --cluster-slots 3 --cluster-yes --cluster-replace", "reshard h:1 --from a --to b --slots 3 --yes"},
		{"reshard --from a --to b --slots 3 --yes --timeout 60000 --pipeline 10 h:1", "reshard h:1 --from a --to b --slots 3 --yes --timeout 1m --pipeline 10"},
		{"--cluster rebalance h 1 --cluster-weight a=1 b=2 --cluster-use-empty-primaries", "rebalance h:1 --weight a=1 --weight b=2 --use-empty-masters"},
		{"--cluster-threshold 1.5 --cluster rebalance h:1 --verbose", "rebalance h:1 --threshold 1.5"},
		{"--cluster call h:1 config get x --cluster-only-primaries --cluster-yes", "call h:1 --only-masters config get x"},
		{"call h:1 config get x", "call h:1 config get x"},
	} {
		want, got := parse(t, strings.Fields(tt.now)...), parse(t, strings.Fields(tt.old)...)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s:\n%+v, want\n%+v", tt.old, got, want)
		}
	}
}

// TestIdleOptions promises that an option that the command has no use for is
// left out only where that cannot mislead.
func TestIdleOptions(t *testing.T) {
	for line, unknown := range map[string]string{
		"--cluster reshard h:1 --cluster-simulate":  "--cluster-simulate",
		"--cluster check h:1 --cluster-threshold 2": "--cluster-threshold",
		"check h:1 --yes": "--yes",
		"--cluster del-node h:1 a --cluster-weight a=1": "--cluster-weight",
	} {
		b := newBench(t)
		b.want(b.runLine(line), exitUsage)
		b.wantErr("unknown option " + unknown)
	}
	b := newBench(t)
	b.want(b.runLine("--cluster reshard h:1 --cluster-timeout"), exitUsage)
	b.wantErr("--cluster-timeout")
}

// TestAutoWeights promises that redis-trib's option weighs by memory, and that
// named weights win.
func TestAutoWeights(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(3, 0)
		b.want(b.runLine("rebalance 127.0.0.1:7001 --auto-weights --simulate"), exitRefused)
		b.wantErr("--auto-weights: 127.0.0.1:700", "tells neither maxmemory nor the memory of its host")
		for addr, limit := range map[string]string{"127.0.0.1:7001": "200000000", "127.0.0.1:7002": "100000000", "127.0.0.1:7003": "100000000"} {
			b.want(b.runLine("call "+addr+" --node "+addr+" config set maxmemory "+limit), exitOK)
		}
		b.want(b.runLine("rebalance 127.0.0.1:7001 --auto-weights --threshold 0 --simulate"), exitOK)
		b.wantOut("Total weight = 3.00", "8192")
		b.want(b.runLine("rebalance 127.0.0.1:7001 --auto-weights --weight 127.0.0.1:7001=0.75 --threshold 1 --simulate"), exitOK)
		b.wantOut("No rebalancing needed")
	})
}
