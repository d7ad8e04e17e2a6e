package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/ui"
)

// Every one of these is wrong before anybody is asked anything, and the message
// names what is wrong.
func TestUsageErrors(t *testing.T) {
	const reshard = "reshard h:1 --from a --to b "
	tests := []struct {
		line  string
		named string
	}{
		{"", "no command"},
		{"frobnicate h:1", `"frobnicate"`},
		{"chek h:1", "did you mean trib check?"},
		{"lab", "no command"},
		{"lab sideways", `"sideways"`},
		{"help frobnicate", `"frobnicate"`},
		{"completion bash x", `"x"`},

		{"check h:1 --frobnicate", "--frobnicate"},
		{"check h:1 -x", "-x"},
		{"--frobnicate check h:1", "--frobnicate"},
		{"-x check h:1", "-x"},
		{"check h:1 --slots 3", "--slots"},
		{"check h:1 --strict=perhaps", "--strict"},
		{"check h:1 -o xml", "xml"},
		{"check h:1 --output", "--output"},
		{"check h:1 -a", "'a'"},

		{"check", "SEED"},
		{"info", "SEED"},
		{"resume", "SEED"},
		{"reshard --from a --to b --slots 1", "SEED"},
		{"check h:1 h:2", "too many arguments"},
		{"check h 1 2", "too many arguments"},
		{"check h:1 2", "too many arguments"},
		{"check h", "host:port"},
		{"check h:", "port"},
		{"check :7000", "host"},
		{"check h:0", "port"},
		{"check h:65536", "port"},
		{"check h:+7000", "port"},
		{"check h:0x1b58", "port"},
		{"check h:7_000", "port"},
		{"check h:seven", "port"},
		{"check h 70000", "too many arguments"},
		{"check [::1:7000", "bracket"},
		{"check a,b:7000", "host"},
		{"check nosuch::name:7000", "IPv6"},
		{"check http://h:7000", "redis://"},
		{"check rediss://h:7000", "TLS"},
		{"check redis://h:7000/3", "redis://"},
		{"check redis://h:7000?db=3", "redis://"},
		{"check redis://", "host"},
		{"check h:1 -u h2:", "port"},

		{"create", "no nodes"},
		{"create h:1 h:2 h:1", "h:1 stands twice"},
		{"create H:1 h:1", "twice"},
		{"create [::1]:1 0:0::1:1", "twice"},
		{"create h:1 h:2 3", `"3"`},
		{"create h:1 --replicas -1", "--replicas"},
		{"create h:1 --replicas 1.5", "--replicas"},
		{"create h:1 --replicas=", "--replicas"},
		{"create h:1 --replicas", "--replicas"},
		{"create h:1 --wait=maybe", "--wait"},
		{"create h:1 --wait-timeout 0s", "--wait-timeout"},
		{"create h:1 --wait-timeout 60", "--wait-timeout"},
		{"create h:1 --wait-timeout -5s", "--wait-timeout"},
		{"create h:1 --yes --dry-run", "--yes and --dry-run"},
		{"create h:1 --no-lock --break-lock", "--no-lock and --break-lock"},
		{"create h:1 --progress loud", "--progress"},
		{"create redis://a:b@h:1 redis://c:d@h:2", "credentials"},

		{"reshard h:1 --to b --slots 1", "--from"},
		{"reshard h:1 --from a --slots 1", "--to"},
		{"reshard h:1 --from a --to b", "--slots"},
		{"reshard h:1 --from a, --to b --slots 1", "--from"},
		{"reshard h:1 --from all,a --to b --slots 1", "--from all"},
		{"reshard h:1 --from a,b --to b --slots 1", "--from and --to"},
		{reshard + "--slots 0", "--slots"},
		{reshard + "--slots 16385", "--slots"},
		{reshard + "--slots -1", "--slots"},
		{reshard + "--slots +5", "--slots"},
		{reshard + "--slots 0x10", "--slots"},
		{reshard + "--slots 1_000", "--slots"},
		{reshard + "--slots 1e3", "--slots"},
		{reshard + "--slots 99999999999999999999", "--slots"},
		{reshard + "--slots ten", "--slots"},
		{reshard + "--slots 1 --pipeline 0", "--pipeline"},
		{reshard + "--slots 1 --pipeline 10001", "--pipeline"},
		{reshard + "--slots 1 --timeout 0", "--timeout"},
		{reshard + "--slots 1 --timeout -1", "--timeout"},
		{reshard + "--slots 1 --timeout +1s", "--timeout"},
		{reshard + "--slots 1 --timeout soon", "--timeout"},
		{reshard + "--slots 1 --timeout 99999999999999", "--timeout"},
		{reshard + "--slots 1 --wait-replicas -1", "--wait-replicas"},
		{reshard + "--slots 1 --max-block 0", "--max-block"},
		{reshard + "--slots 1 --max-keys/s 0", "--max-keys/s"},
		{reshard + "--slots 1 --max-keys/s x", "--max-keys/s"},
		{reshard + "--slots 1 --max-bytes/s 0", "--max-bytes/s"},
		{reshard + "--slots 1 --max-bytes/s -5M", "--max-bytes/s"},
		{reshard + "--slots 1 --max-bytes/s 1MK", "--max-bytes/s"},
		{reshard + "--slots 1 --max-bytes/s 99999999999999G", "--max-bytes/s"},
		{reshard + "--slots 1 --big-keys eat", "--big-keys"},
		{reshard + "--slots 1 --big-key-bytes 1T", "--big-key-bytes"},
		{reshard + "--slots 1 --big-key-members 0", "--big-key-members"},
		{reshard + "--slots 1 --override memory,luck", "--override"},
		{reshard + "--slots 1 --yes --dry-run", "--yes and --dry-run"},
		{"resume h:1 --slots 3", "--slots"},

		{"reshard h:1 --to b", "--from"},
		{"reshard h:1 --to b --from a", "--slots-list"},
		{"reshard h:1 --key k", "--to"},
		{"reshard h:1 --to b --key k --slots 1", "--slots and --slots-list or --key"},
		{"reshard h:1 --to b --slots-list 5 --slots 1", "--slots and --slots-list or --key"},
		{"reshard h:1 --to b --slots-list=", "--slots-list"},
		{"reshard h:1 --to b --slots-list 16384", "--slots-list"},
		{"reshard h:1 --to b --slots-list 7-5", "--slots-list"},
		{"reshard h:1 --to b --slots-list 5,,7", "--slots-list"},
		{"reshard h:1 --to b --slots-list -1", "--slots-list"},
		{"reshard h:1 --to b --slots-list all", "--slots-list"},

		{"rebalance", "SEED"},
		{"rebalance h:1 --weight x", "--weight"},
		{"rebalance h:1 --weight =1", "--weight"},
		{"rebalance h:1 --weight x=", "--weight"},
		{"rebalance h:1 --weight x=abc", "--weight"},
		{"rebalance h:1 --weight x=-5", "--weight"},
		{"rebalance h:1 --weight x=+5", "--weight"},
		{"rebalance h:1 --weight x=1e3", "--weight"},
		{"rebalance h:1 --weight x=NaN", "--weight"},
		{"rebalance h:1 --weight x=1.2345678", "--weight"},
		{"rebalance h:1 --weight x=1000001", "--weight"},
		{"rebalance h:1 --weight x=1 y=abc", "--weight"},
		{"rebalance h:1 --weight x=1 x=2", "names x twice"},
		{"rebalance h:1 --weight x=1 y", "too many arguments"},
		{"rebalance h:1 --weight x=1 --exclude x", "--weight and --exclude"},
		{"rebalance h:1 --threshold -1", "--threshold"},
		{"rebalance h:1 --threshold 101", "--threshold"},
		{"rebalance h:1 --threshold 2%", "--threshold"},
		{"rebalance h:1 --threshold=", "--threshold"},
		{"rebalance h:1 --max-slots 0", "--max-slots"},
		{"rebalance h:1 --max-slots 20000", "--max-slots"},
		{"rebalance h:1 --exclude a,,b", "--exclude"},
		{"rebalance h:1 --simulate --yes", "--yes and --dry-run"},
		{"rebalance h:1 --use-empty-masters=perhaps", "--use-empty-masters"},

		{"drain", "SEED"},
		{"drain h:1", "NODE"},
		{"drain h 1", "NODE"},
		{"drain h:1 a b", "too many arguments"},
		{"drain h 1 a b", "too many arguments"},
		{"drain h a", "host:port"},
		{"drain h:1 a --to a", "--to names the node a"},
		{"drain h:1 a --to b,", "--to"},
		{"drain h:1 a --yes --dry-run", "--yes and --dry-run"},

		{"keyslot", "KEY"},
		{"keyslot a b", "KEY"},
		{"version 2", "version"},
		{"lab up a b", "DIR"},
		{"lab up --masters 0", "--masters"},
		{"lab up --replicas x", "--replicas"},
		{"lab up --ports 60000", "--ports"},
		{"lab up --node-timeout 0", "--node-timeout"},
		{"lab status a b", "DIR"},
		{"lab down a b", "DIR"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			b := newBench(t)
			b.want(b.runLine(tt.line), exitUsage)
			b.wantErr("trib: ", tt.named, "\nhint: ")
			if b.out.Len() > 0 {
				t.Errorf("stdout:\n%s", &b.out)
			}
		})
	}
}

func TestUsageErrorAsJSON(t *testing.T) {
	for _, line := range []string{
		"-o json check", "check -o json", "check --output=json --frobnicate", "--frobnicate check -o json", "check --frobnicate -ojson",
	} {
		b := newBench(t)
		b.want(b.runLine(line), exitUsage)
		var f ui.Failure
		if err := json.Unmarshal(b.err.Bytes(), &f); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, &b.err)
		}
		if f.Schema != ui.Schema || f.Message == "" || f.Hint == "" || f.Exit != exitUsage {
			t.Errorf("%s: %+v", line, f)
		}
	}
}

// tree builds the commands, with those that cobra adds when it runs.
func tree(t *testing.T) *cobra.Command {
	root := newRoot(newBench(t).app())
	if _, err := arrange(root, nil); err != nil {
		t.Fatal(err)
	}
	return root
}

func eachCommand(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		eachCommand(child, visit)
	}
}

// arrange relies on it.
func TestFlagTakesValueInAllCommandsOrInNone(t *testing.T) {
	valued := make(map[string]bool)
	seen := make(map[string]string)
	eachCommand(tree(t), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			takes := f.NoOptDefVal == ""
			if where, ok := seen[f.Name]; ok && valued[f.Name] != takes {
				t.Errorf("--%s takes a value in only one of %q and %q", f.Name, where, c.CommandPath())
			}
			seen[f.Name], valued[f.Name] = c.CommandPath(), takes
			if got := normalize(nil, f.Name); string(got) != f.Name {
				t.Errorf("--%s is not a present name: %s", f.Name, got)
			}
		})
	})
}

func TestHelpOfEveryCommand(t *testing.T) {
	eachCommand(tree(t), func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		if len(path) > 0 && path[0] == "completion" {
			return
		}
		b := newBench(t)
		b.want(b.run(append(path, "--help")...), exitOK)
		b.wantOut("Exit codes:", "\nUsage:\n")
		b.wantSilentErr()
		if !c.HasSubCommands() {
			b.wantOut("\nExamples:\n")
		}
		help := b.out.String()
		b.want(b.run(append([]string{"help"}, path...)...), exitOK)
		if c.HasParent() && b.out.String() != help {
			t.Errorf("help %v differs from %v --help", path, path)
		}
		for _, line := range strings.Split(help, "\n") {
			if len(line) > 160 {
				t.Errorf("%s: line of %d characters: %s", c.CommandPath(), len(line), line)
			}
		}
	})
}

func TestCompletionTouchesNothing(t *testing.T) {
	for _, line := range []string{"__complete check h", "__complete reshard h:1 --to x", "completion bash"} {
		b := newBench(t)
		b.want(b.runLine(line), exitOK)
	}
	b := newBench(t)
	b.want(b.run("__complete", "check", "h:1", "-o", ""), exitOK)
}
