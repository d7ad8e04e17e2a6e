package cli

import (
	"encoding/json"
	"regexp"
	"slices"
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
		{"fix", "SEED"},
		{"fix h:1 --slots 16384", "--slots"},
		{"fix h:1 --only everything", "--only"},
		{"fix h:1 --foreign-keys eat", "--foreign-keys"},
		{"fix h:1 --conflict newest", "--conflict"},
		{"resume h:1 --conflict-for key", "--conflict-for"},
		{"resume h:1 --conflict-for key=owner", "--conflict-for"},
		{"resume h:1 --conflict-for \"key=source", "--conflict-for"},
		{"fix h:1 --conflict-for a=source --conflict-for a=target", "decided already"},
		{"fix h:1 --conflict-for @/nonexistent", "--conflict-for"},
		{"fix h:1 --orphans drop", "--orphans"},
		{reshard + "--slots 1 --method magic", "--method"},
		{reshard + "--slots 1 --method atomic --max-keys/s 5", "--max-keys/s"},
		{"resume h:1 --method atomic --big-keys skip", "--big-keys skip"},
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
		{"check h:7000 --cacert ca.pem", "--tls"},
		{"check h:7000 --insecure", "--tls"},
		{"check h:7000 --tls --cacert /nonexistent/ca.pem", "--cacert"},
		{"check rediss://h:7000 --cacertdir /nonexistent", "--cacertdir"},
		{"check h:7000 --tls --cacert /dev/null", "--cacert"},
		{"check h:7000 --tls --cert c.pem", "--key"},
		{"check h:7000 --tls --cert /nonexistent/c --key /nonexistent/k", "--cert"},
		{"check h:7000 --connect-timeout 0", "--connect-timeout"},
		{"check h:7000 -t -1", "--connect-timeout"},
		{"check h:7000 -t 1.2.3", "--connect-timeout"},
		{"check h:7000 -t 0x10", "--connect-timeout"},
		{"check h:7000 -t 11m", "--connect-timeout"},
		{"version --connect-timeout soon", "--connect-timeout"},
		{"check redis://h:7000/3", "redis://"},
		{"check redis://h:7000?db=3", "redis://"},
		{"check redis://", "host"},
		{"check h:1 -u h2:", "port"},

		{"check h:1 --zone h", "HOST=NAME"},
		{"check h:1 --zone =a", "HOST=NAME"},
		{"check h:1 --zone h=", "HOST=NAME"},
		{"check h:1 --zone h=a --zone h=b", "h is in a already"},
		{"explain no-such-code", `"no-such-code"`},
		{"explain handshake open-slots", "one code"},

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
		{"create h:1 h:2 --replicas 2", "2 nodes cannot give any master 2 replicas"},
		{"create h:1 --zone h", "HOST=ZONE"},
		{"create h:1 --zone =a", "HOST=ZONE"},
		{"create h:1 --zone h=", "HOST=ZONE"},
		{"create h:1 --zone i=a", "no node is on host i"},
		{"create h:1 i:1 --zone h=a", "host i has no zone"},
		{"create h:1 H:2 --zone h=a --zone h=b", `host h into "a" and into "b"`},
		{"create h:1 h:2 --replica-of h:2", "REPLICA=MASTER"},
		{"create h:1 h:2 --replica-of h:2=h:3", "--replica-of names h:3"},
		{"create h:1 h:2 --replica-of h:3=h:2", "--replica-of names h:3"},
		{"create h:1 h:2 --replica-of h:2=h", "--replica-of: address"},
		{"create h:1 h:2 --replica-of h:2=h:2", "h:2 cannot be a replica of itself"},
		{"create h:1 h:2 --replica-of h:2=h:1 --replica-of h:2=h:1", "--replica-of names h:2 twice"},
		{"create h:1 h:2 --replica-of h:2=h:1 --replica-of h:1=h:2", "is to be a replica of"},
		{"create h:1 h:2 --replica-of h:2=h:1 --slots h:2=5", "h:2 is to be a replica of h:1 and to have slots"},
		{"create h:1 h:2 --replica-of h:2=h:1 --weight h:2=5", "h:2 is to be a replica of h:1 and to have a weight"},
		{"create h:1 h:2 --slots 5", "MASTER=RANGES"},
		{"create h:1 h:2 --slots h:1=x", "--slots h:1=x"},
		{"create h:1 h:2 --slots h:1=5-4", "--slots h:1=5-4"},
		{"create h:1 h:2 --slots h:1=16384", "--slots h:1=16384"},
		{"create h:1 h:2 --slots h:3=1", "--slots names h:3"},
		{"create h:1 h:2 --slots h:1=1 --slots H:1=2", "--slots names h:1 twice"},
		{"create h:1 h:2 --slots h:1=0-5 --slots h:2=5-16383", "slots 5 are wanted for h:2 and for another master"},
		{"create h:1 h:2 --slots h:1=0-5 --slots h:2=7-16383", "slots 6 are left over"},
		{"create h:1 h:2 --slots h:1=0-16383", "0 slots left"},
		{"create h:1 h:2 --slots h:1=5 --weight h:1=5", "slots 5 and a share by weight"},
		{"create h:1 h:2 --weight h:1=0", "--weight h:1=0"},
		{"create h:1 h:2 --weight h:1=1.5", "--weight h:1=1.5"},
		{"create h:1 h:2 --weight h:1=10001", "--weight h:1=10001"},
		{"create h:1 h:2 --weight h:1=1 --weight h:2=1 --replicas 1", "2 nodes cannot give each of 2 masters that are named 1 replica"},

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

		{"call", "SEED"},

		{"import h:1", "--from"},
		{"import --from i:2", "SEED"},
		{"import h:1 --from i", "--from"},
		{"import h:1 --from i:2 --from-db -1", "--from-db"},
		{"import h:1 --from i:2 --copy --move", "--copy and --move"},
		{"import h:1 --from i:2 --verify --move", "--verify"},
		{"import h:1 --from i:2 --from-askpass --from-pass x", "--from-pass, --from-askpass"},
		{"import h:1 --from i:2 --pipeline 0", "--pipeline"},
		{"import h:1 --from i:2 --type jpeg", "--type"},
		{"import h:1 --from i:2 --match=", "--match"},
		{"set-timeout 5000", "host:port"},
		{"backup", "SEED"},
		{"backup h:1", "DIR"},
		{"backup h 1", "DIR"},
		{"backup h:1 a b", "too many arguments"},
		{"backup h:1 a --parallel 0", "--parallel"},
		{"backup h:1 a --override all", "--override"},
		{"backup h:1 a --no-lock --break-lock", "--no-lock and --break-lock"},
		{"restore", "DIR"},
		{"restore a", "SEED"},
		{"restore a h:1 h:2", "too many arguments"},
		{"restore a h:1 --pipeline 0", "--pipeline"},
		{"restore a h:1 --max-bytes/s 1x", "--max-bytes/s"},
		{"restore a h:1 --yes --dry-run", "--yes and --dry-run"},
		{"set-timeout h:1", "milliseconds"},
		{"set-timeout h:1 99", "from 100"},
		{"set-timeout h:1 -5000", "-5"},
		{"set-timeout h:1 5s", "milliseconds"},
		{"set-timeout h:1 5000 1", "milliseconds"},
		{"set-timeout h:1 99999999999", "milliseconds"},
		{"call h:1", "CMD"},
		{"call h 1", "CMD"},
		{"call h ping", "host:port"},
		{"call h:1 ping --only-masters --only-replicas", "--only-masters and --only-replicas"},
		{"call h:1 ping --only-masters --node a", "--node"},
		{"call h:1 ping --node a,", "--node"},
		{"call h:1 ping --timeout 0", "--timeout"},
		{"call h:1 ping --slots 3", "--slots"},
		{"call h:1 set k -y", "-y"},
		{"call -x h:1", "CMD"},
		{"call h:1 set k --cluster", "--cluster"},
		{"call h:1 monitor", "MONITOR cannot be called"},
		{"call h:1 Subscribe c", "SUBSCRIBE cannot be called"},
		{"call h:1 psync ? -1", "PSYNC cannot be called"},
		{"call h:1 client reply off", "CLIENT REPLY cannot be called"},

		{"add-node", "NEW"},
		{"add-node h:1", "NEW"},
		{"add-node h:1 h:1", "h:1 stands twice"},
		{"add-node h:1 h 2", "host:port"},
		{"add-node h:1 h:2 --master-id a", "--replica"},
		{"add-node h:1 h:2 --zone h", "--zone"},
		{"add-node h:1 h:2 --zone h=a --zone h=b", "--zone"},
		{"add-node h:1 h:2 --wait-timeout 0s", "--wait-timeout"},
		{"add-node h:1 h:2 --yes --dry-run", "--yes and --dry-run"},
		{"add-node redis://a:b@h:1 redis://c:d@h:2", "credentials"},
		{"del-node", "SEED"},
		{"del-node h:1", "NODE"},
		{"del-node h:1 a b", "too many arguments"},
		{"del-node h:1 a --to b", "--drain"},
		{"forget h:1", "NODE"},
		{"forget h:1 a --to b", "--to"},
		{"replicate h:1 a", "MASTER"},
		{"replicate h:1 a a", "NODE and MASTER"},
		{"failover h:1", "NODE"},
		{"failover h:1 a --force --takeover", "--force and --takeover"},

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
		{"version 2", "version"},
		{"lab up --tls", "TLS"},
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
		b := newBench(t)
		b.want(b.run(append(path, "--help")...), exitOK)
		b.wantOut("\nUsage:\n", "\nConnection:\n", "\nOutput:\n", "\nExit codes:\n    0  ")
		b.wantSilentErr()
		if c.Short == "" || !strings.HasSuffix(strings.Split(c.Long, "\n\n")[0], ".") {
			t.Errorf("%s: no purpose, or no sentence: %q", c.CommandPath(), c.Long)
		}
		everyFlagOnce(t, c, b.out.String())
		if !c.HasSubCommands() {
			b.wantOut("\nExamples:\n")
		}
		help := b.out.String()
		b.want(b.run(append([]string{"help"}, path...)...), exitOK)
		if c.HasParent() && b.out.String() != help {
			t.Errorf("help %v differs from %v --help", path, path)
		}
		for _, line := range strings.Split(help, "\n") {
			if len(line) > helpWidth {
				t.Errorf("%s: line of %d characters: %s", c.CommandPath(), len(line), line)
			}
		}
	})
}

// everyFlagOnce holds that each option is explained, in one section, and that
// those of all commands stand in the sections of all commands.
func everyFlagOnce(t *testing.T, c *cobra.Command, help string) {
	t.Helper()
	check := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if !slices.Contains(sections(), sectionOf(f)) || f.Usage == "" {
			t.Errorf("%s: --%s is in section %q and is explained by %q", c.CommandPath(), f.Name, sectionOf(f), f.Usage)
		}
		if got := regexp.MustCompile("(?m)^ +(-., )?--"+f.Name+"( |$|\\[)").FindAllString(help, -1); len(got) != 1 {
			t.Errorf("%s: --%s stands in the help %d times", c.CommandPath(), f.Name, len(got))
		}
	}
	c.LocalFlags().VisitAll(check)
	c.InheritedFlags().VisitAll(check)
	c.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if s := sectionOf(f); s != sectionConnect && s != sectionOutput {
			t.Errorf("--%s is everybody's, and in section %s", f.Name, s)
		}
	})
}

func TestHelpIsSorted(t *testing.T) {
	b := newBench(t)
	b.want(b.runLine("help reshard"), exitOK)
	b.wantOut("\nOptions:\n      --from ", "\nMoving slots:\n      --", "\nChange:\n      --break-lock")
	b.want(b.runLine("call --help"), exitOK)
	golden(t, "help-call.txt", b.out.String())
}
