package acceptance

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestSevenSteps runs a script for redis-trib.rb with trib under that name.
func TestSevenSteps(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Nodes: 8})
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "redis-trib.rb")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"testdata/seven-steps.sh"}, addrs(l)...)...)
	cmd.Env = []string{asTool + "=", "HOME=" + t.TempDir(), "PATH=" + bin + ":" + os.Getenv("PATH")}
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("%v\n--- stdout\n%s--- stderr\n%s", err, &out, &complaints)
	}
	p := look(t, l, l.Nodes()[6])
	if faults := p.faults(); faults != nil {
		t.Errorf("the cluster is not whole:\n%s", strings.Join(faults, "\n"))
	}
	for _, n := range p.counts(addrs(l)[:3]...) {
		within(t, "slots of a master in the end", n, 5407, 5516)
	}
}

func addrs(l *labtest.Lab) (addrs []string) {
	for _, n := range l.Nodes() {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// sameLines are command lines of redis-cli, and the lines of their answers that
// scripts match. SEED and NODES are the addresses; ID is a master's.
var sameLines = []struct {
	line  string
	lines []string
}{
	{"--cluster create NODES --cluster-replicas 1 --cluster-yes", []string{
		`>>> Performing hash slots allocation on 6 nodes\.\.\.`, `Master\[0\] -> Slots 0 - 5460`, `Master\[2\] -> Slots 10923 - 16383`,
		`Adding replica ADDR to ADDR`, `M: ID ADDR`, `   slots:\[0-5460\] \(5461 slots\) master`, `S: ID ADDR`, `   replicates ID`,
		`>>> Nodes configuration updated`, `>>> Assign a different config epoch to each node`, `>>> Sending CLUSTER MEET messages to join the cluster`,
		`Waiting for the cluster to join.*`, `>>> Performing Cluster Check \(using node ADDR\)`, `   1 additional replica\(s\)`,
		`\[OK\] All nodes agree about slots configuration\.`, `>>> Check for open slots\.\.\.`, `>>> Check slots coverage\.\.\.`, `\[OK\] All 16384 slots covered\.`,
	}},
	{"--cluster check SEED --cluster-search-multiple-owners --cluster-yes", []string{
		`ADDR \(.{8}\.\.\.\) -> 0 keys \| 5461 slots \| 1 slaves\.`, `\[OK\] 0 keys in 3 masters\.`, `0\.00 keys per slot on average\.`,
		`>>> Performing Cluster Check \(using node ADDR\)`, `M: ID ADDR`, `   slots:\[0-5460\] \(5461 slots\) master`, `   1 additional replica\(s\)`,
		`S: ID ADDR`, `   slots: \(0 slots\) slave`, `   replicates ID`, `\[OK\] All nodes agree about slots configuration\.`,
		`>>> Check for open slots\.\.\.`, `>>> Check slots coverage\.\.\.`, `\[OK\] All 16384 slots covered\.`,
	}},
	{"--cluster-yes --cluster info HOST PORT", []string{
		`ADDR \(.{8}\.\.\.\) -> 0 keys \| 5461 slots \| 1 slaves\.`, `\[OK\] 0 keys in 3 masters\.`, `0\.00 keys per slot on average\.`,
	}},
	{"--cluster call SEED ping --cluster-only-masters", []string{`>>> Calling ping`, `ADDR: PONG`}},
	{"--cluster reshard HOST PORT --cluster-from all --cluster-to MASTER --cluster-slots 10 --cluster-yes --cluster-timeout 5000 --cluster-replace", []string{
		`Ready to move 10 slots\.`, `  Source nodes:`, `    M: ID ADDR`, `  Destination node:`, `  Resharding plan:`, `    Moving slot.* from ID`,
		`\[OK\] All 16384 slots covered\.`,
	}},
	{"--cluster rebalance SEED --cluster-yes --cluster-threshold 90", []string{
		`\*\*\* No rebalancing needed! All nodes are within the 90\.00% threshold\.`,
	}},
	{"--cluster rebalance SEED --cluster-yes --cluster-weight MASTER=2", []string{
		`>>> Rebalancing across 3 nodes\. Total weight = 4\.00`, `Moving \d+ slots from ADDR to ADDR`,
	}},
}

// TestSameLines runs command lines of redis-cli with redis-cli and with trib, on
// clusters of their own.
func TestSameLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(filepath.Dir(labtest.Server(t, labtest.Default).Path), "redis-cli")
	theirs := labtest.Start(t, labtest.Options{Nodes: 6})
	ours := labtest.Start(t, labtest.Options{Nodes: 6})
	for _, tt := range sameLines {
		cmd := exec.Command(path, words(t, theirs, tt.line)...)
		cmd.Env = []string{"TERM=dumb"} // or it colours its lines in a pipe
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("redis-cli %s: %v\n%s", tt.line, err, out)
		}
		var patterns []string
		for _, line := range tt.lines {
			line = strings.NewReplacer("ADDR", `127\.0\.0\.1:\d+`, "ID", "[0-9a-f]{40}").Replace(line)
			patterns = append(patterns, "^"+line+"$")
			if !regexp.MustCompile(`(?m)^` + line + `$`).Match(out) {
				t.Errorf("redis-cli %s has no line %q:\n%s", tt.line, line, out)
			}
		}
		trib(t, words(t, ours, tt.line)...).done(t, patterns...)
	}
}

// words fills a command line in.
func words(t *testing.T, l *labtest.Lab, line string) []string {
	t.Helper()
	seed := l.Nodes()[0]
	host, port, _ := strings.Cut(seed.Addr(), ":")
	return strings.Fields(strings.NewReplacer("NODES", strings.Join(addrs(l), " "), "SEED", seed.Addr(), "HOST", host, "PORT", port,
		"MASTER", masterID(t, l, seed)).Replace(line))
}

func masterID(t *testing.T, l *labtest.Lab, n *lab.Node) string {
	return l.Text(t, n, "CLUSTER", "MYID")
}

// TestOnlyYesIsYes: at the end of input, and after any other word, every command
// that asks leaves the cluster as it is; a bare yes without an end of line will do.
func TestOnlyYesIsYes(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 5}), 3, 1)
	seed, fresh := c.Masters[0].Addr(), c.Nodes()[4].Addr()
	for _, line := range []string{
		"reshard " + seed + " --from all --to " + seed + " --slots 5", "rebalance " + seed + " --weight " + seed + "=2",
		"drain " + seed + " " + seed, "add-node " + fresh + " " + seed, "del-node " + seed + " " + c.Replicas[0].ID,
		"replicate " + seed + " " + c.Replicas[0].ID + " " + c.Masters[1].ID, "failover " + seed + " " + c.Replicas[0].ID,
	} {
		for _, stdin := range []string{"", "no\n", "y", "\x04", "yes please\n"} {
			how{stdin: stdin}.run(t, strings.Fields(line)...).exit(t, 1)
		}
	}
	p := look(t, c.Lab, c.Nodes()[4])
	if faults := p.faults(); faults != nil {
		t.Fatalf("the cluster has changed:\n%s", strings.Join(faults, "\n"))
	}
	for i, n := range p.counts(c.Masters[0].Addr(), c.Masters[1].Addr(), c.Masters[2].Addr()) {
		if m := c.Masters[i]; n != m.Last-m.First+1 {
			t.Errorf("%s has %d slots", m.Addr(), n)
		}
	}
	how{stdin: "yes"}.run(t, "reshard", seed, "--from", c.Masters[1].ID, "--to", seed, "--slots", "5").done(t)
	within(t, "slots that came", look(t, c.Lab, c.Nodes()[4]).counts(seed)[0], 5466, 5466)
}
