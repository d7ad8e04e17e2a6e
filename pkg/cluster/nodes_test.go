package cluster_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

// captures are what real servers answered; see testdata/nodes/README.md.
const captures = "../../testdata/nodes"

// serverDirs are the captured servers: all five, or the captures are broken.
func serverDirs(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(captures + "/*/info.txt")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("captures of %d servers in %s (%v), want at least 5", len(dirs), captures, err)
	}
	for i, d := range dirs {
		dirs[i] = filepath.Dir(d)
	}
	return dirs
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t testing.TB, text string) cluster.View {
	t.Helper()
	v, err := cluster.ParseNodes(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// captureChecks say what must be found in each captured case, on every server.
var captureChecks = map[string]func(*testing.T, cluster.View){
	"fresh":          checkFresh,
	"handshake":      checkHandshake,
	"formed":         checkFormed,
	"formed-replica": checkFormedReplica,
	"fragmented":     checkFragmented,
	"open-source":    checkOpenSource,
	"open-target":    checkOpenTarget,
	"fail":           checkFail,
	"failed-over":    checkFailedOver,
	"pfail":          checkSuspect,
	"noaddr":         checkNoAddr,
	"hostname":       checkHostname,
	"ipv6":           checkIPv6,
}

// TestParseNodesOfServers promises that whatever the five servers print is
// understood, down to the last field.
func TestParseNodesOfServers(t *testing.T) {
	seen := make(map[string]int)
	for _, dir := range serverDirs(t) {
		files, err := filepath.Glob(dir + "/nodes-*.txt")
		if err != nil || len(files) < 12 {
			t.Fatalf("%d files in %s (%v)", len(files), dir, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "nodes-"), ".txt")
			seen[name]++
			t.Run(filepath.Base(dir)+"/"+name, func(t *testing.T) {
				text := read(t, file)
				v := parse(t, text)
				checkAgainstText(t, v, text)
				check, ok := captureChecks[name]
				if !ok {
					t.Fatal("no check for this case: add one to captureChecks")
				}
				check(t, v)
			})
		}
	}
	for name := range captureChecks {
		if seen[name] == 0 {
			t.Errorf("no server's answer was captured for %s", name)
		}
	}
}

// checkAgainstText reads the columns once more, the plainest way there is.
func checkAgainstText(t *testing.T, v cluster.View, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != len(v.Nodes) {
		t.Fatalf("%d nodes from %d lines", len(v.Nodes), len(lines))
	}
	for i, n := range v.Nodes {
		f := strings.Fields(lines[i])
		master := "-"
		if n.MasterID != "" {
			master = string(n.MasterID)
		}
		link := "disconnected"
		if n.Linked {
			link = "connected"
		}
		want := []string{f[0], f[3], f[6], f[7]}
		if diff := cmp.Diff(want, []string{string(n.ID), master, fmt.Sprint(n.Epoch), link}); diff != "" {
			t.Errorf("line %d (-text +node):\n%s", i+1, diff)
		}
		if n.Flags.Has(cluster.FlagOther) {
			t.Errorf("line %d: a flag of %s is not known", i+1, f[2])
		}
		if isSelf := strings.HasPrefix(f[2], "myself"); isSelf != (n.ID == v.Self().ID) {
			t.Errorf("line %d: self is %s", i+1, v.Self().ID)
		}
	}
}

func checkFresh(t *testing.T, v cluster.View) {
	self := v.Self()
	if len(v.Nodes) != 1 || self.Addr.Host != "" || self.Addr.Known() || self.Addr.Port == 0 {
		t.Errorf("a node that does not know its address: %+v", self)
	}
	if self.BusPort != self.Addr.Port+cluster.BusPortOffset {
		t.Errorf("bus port %d of port %d", self.BusPort, self.Addr.Port)
	}
	if !self.IsMaster() || !self.Slots.Empty() || self.Epoch != 0 || !self.Linked {
		t.Errorf("not a fresh master: %+v", self)
	}
}

func checkHandshake(t *testing.T, v cluster.View) {
	met := others(v)
	if len(met) != 1 || met[0].Flags != cluster.FlagHandshake || met[0].IsMaster() || met[0].Linked {
		t.Errorf("a node that is being met: %+v", met)
	}
	if !met[0].Addr.Known() {
		t.Error("its address is what was given to CLUSTER MEET")
	}
}

func others(v cluster.View) []cluster.Node {
	return slices.DeleteFunc(slices.Clone(v.Nodes), func(n cluster.Node) bool { return n.ID == v.Self().ID })
}

func checkFormed(t *testing.T, v cluster.View) {
	masters, covered := 0, cluster.SlotSet{}
	for _, n := range v.Nodes {
		if !n.Linked || !n.Addr.Known() || n.Addr.Host != "127.0.0.1" {
			t.Errorf("node in good order: %+v", n)
		}
		if n.IsMaster() {
			masters++
			covered = covered.Union(n.Slots)
			continue
		}
		m, ok := v.Get(n.MasterID)
		if !ok || !m.IsMaster() || m.Epoch != n.Epoch || !n.Slots.Empty() || n.Flags&^cluster.FlagMyself != cluster.FlagReplica {
			t.Errorf("replica %+v of %+v", n, m)
		}
	}
	if len(v.Nodes) != 6 || masters != 3 || !covered.Equal(cluster.AllSlots()) {
		t.Errorf("%d nodes, %d masters, slots %s", len(v.Nodes), masters, covered)
	}
}

func checkFormedReplica(t *testing.T, v cluster.View) {
	checkFormed(t, v)
	if self := v.Self(); self.Flags != cluster.FlagMyself|cluster.FlagReplica || self.MasterID == "" {
		t.Errorf("the one that was asked: %+v", self)
	}
}

func checkFragmented(t *testing.T, v cluster.View) {
	if got := v.Self().Slots.String(); got != "0-6,8,10-99,101-5460" {
		t.Errorf("slots %s", got)
	}
	if got := v.Self().Slots.Len(); got != 5458 {
		t.Errorf("%d slots", got)
	}
}

// neighbour is the master with slots 5461-10921, the other end of the slots
// that the captures have open.
func neighbour(t *testing.T, v cluster.View, first int) cluster.NodeID {
	t.Helper()
	for _, n := range v.Nodes {
		if n.Slots.Has(first) {
			return n.ID
		}
	}
	t.Fatalf("nobody owns slot %d", first)
	return ""
}

func checkOpenSource(t *testing.T, v cluster.View) {
	to := neighbour(t, v, 5461)
	want := map[int]cluster.NodeID{0: to, 5460: to}
	if diff := cmp.Diff(want, v.Self().Migrating); diff != "" {
		t.Errorf("migrating (-want +got):\n%s", diff)
	}
	if !v.Self().Slots.Has(0) || !v.Self().Slots.Has(5460) || v.Self().Importing != nil {
		t.Errorf("a source keeps its slots: %+v", v.Self())
	}
	checkOthersClosed(t, v)
}

func checkOpenTarget(t *testing.T, v cluster.View) {
	from := neighbour(t, v, 0)
	want := map[int]cluster.NodeID{0: from, 5460: from}
	if diff := cmp.Diff(want, v.Self().Importing); diff != "" {
		t.Errorf("importing (-want +got):\n%s", diff)
	}
	if v.Self().Slots.Has(0) || v.Self().Migrating != nil {
		t.Errorf("a target does not own what it imports: %+v", v.Self())
	}
	checkOthersClosed(t, v)
}

func checkOthersClosed(t *testing.T, v cluster.View) {
	for _, n := range others(v) {
		if len(n.Migrating)+len(n.Importing) > 0 {
			t.Errorf("an open slot of another node: %+v", n)
		}
	}
}

func count(v cluster.View, flags cluster.Flags) int {
	n := 0
	for _, node := range v.Nodes {
		if node.Flags.Has(flags) {
			n++
		}
	}
	return n
}

func checkFail(t *testing.T, v cluster.View) {
	if count(v, cluster.FlagFailed|cluster.FlagMaster) != 1 || count(v, cluster.FlagFailed|cluster.FlagReplica) != 1 {
		t.Error("want one failed master and one failed replica")
	}
	if count(v, cluster.FlagSuspect) != 0 {
		t.Error("fail is not fail?")
	}
	for _, n := range v.Nodes {
		if n.Flags.Has(cluster.FlagFailed) == n.Linked {
			t.Errorf("%s: flags %b, linked %v", n.ID, n.Flags, n.Linked)
		}
	}
}

func checkFailedOver(t *testing.T, v cluster.View) {
	covered := cluster.SlotSet{}
	for _, n := range v.Nodes {
		if n.Flags.Has(cluster.FlagFailed) && !n.Slots.Empty() {
			t.Errorf("%s failed and has slots %s", n.ID, n.Slots)
		}
		covered = covered.Union(n.Slots)
	}
	if !covered.Equal(cluster.AllSlots()) {
		t.Errorf("slots %s", covered)
	}
}

func checkSuspect(t *testing.T, v cluster.View) {
	if count(v, cluster.FlagSuspect|cluster.FlagMaster) != 2 {
		t.Error("want two suspected masters")
	}
	if count(v, cluster.FlagSuspect|cluster.FlagFailed) != 0 {
		t.Error("fail? is not fail")
	}
}

func checkNoAddr(t *testing.T, v cluster.View) {
	if count(v, cluster.FlagNoAddr) != 1 {
		t.Fatal("want one node without address")
	}
	for _, n := range v.Nodes {
		if !n.Flags.Has(cluster.FlagNoAddr) {
			continue
		}
		if n.Addr != (cluster.Addr{}) || n.BusPort != 0 || n.Addr.Known() || n.Linked {
			t.Errorf("without address: %+v", n)
		}
		if n.Slots.String() != "10922-16383" {
			t.Errorf("it still has its slots: %s", n.Slots)
		}
	}
}

func checkHostname(t *testing.T, v cluster.View) {
	if got := v.Self().Hostname; got != "node-1.example.com" {
		t.Errorf("own host name %q", got)
	}
	var names []string
	for _, n := range v.Nodes {
		names = append(names, n.Hostname)
		if n.Addr.Host != "127.0.0.1" {
			t.Errorf("address %s", n.Addr)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"", "node-1.example.com", "node-2.example.com"}, names); diff != "" {
		t.Errorf("host names (-want +got):\n%s", diff)
	}
}

func checkIPv6(t *testing.T, v cluster.View) {
	for _, n := range v.Nodes {
		if n.Addr.Host != "::1" || n.Addr.String() != fmt.Sprintf("[::1]:%d", n.Addr.Port) || n.BusPort == 0 {
			t.Errorf("address without brackets: %+v", n)
		}
	}
}

// Ids of nodes in texts made up here.
const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	idC = "cccccccccccccccccccccccccccccccccccccccc"
)

const (
	selfLine  = idA + " 10.0.0.1:7000@17000 myself,master - 0 0 1 connected"
	otherLine = idB + " 10.0.0.2:7000@17000 master - 0 0 2 connected"
)

// TestParseNodesFields promises what each field becomes, for forms that no
// captured server printed.
func TestParseNodesFields(t *testing.T) {
	tests := []struct {
		name string
		line string
		want cluster.Node
	}{
		{
			"auxiliary fields without host name",
			idA + " 10.0.0.1:7000@17000,,tls-port=0,shard-id=" + idC + " myself,master - 0 0 1 connected 0-16383",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}, BusPort: 17000,
				Aux:   map[string]string{"tls-port": "0", "shard-id": idC},
				Flags: cluster.FlagMyself | cluster.FlagMaster, Epoch: 1, Linked: true, Slots: cluster.AllSlots(),
			},
		},
		{
			"host name and auxiliary fields",
			idA + " 10.0.0.1:7000@17000,n1.example.com,shard-id=x=y myself,master - 0 0 1 connected",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}, BusPort: 17000, Hostname: "n1.example.com",
				Aux:   map[string]string{"shard-id": "x=y"},
				Flags: cluster.FlagMyself | cluster.FlagMaster, Epoch: 1, Linked: true,
			},
		},
		{
			"no bus port, as Redis 3 prints it",
			idA + " 10.0.0.1:7000 myself,master - 0 0 1 connected",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000},
				Flags: cluster.FlagMyself | cluster.FlagMaster, Epoch: 1, Linked: true,
			},
		},
		{
			"IPv6 in brackets",
			idA + " [fd00::1]:7000@17000 myself,master - 0 0 1 connected",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "fd00::1", Port: 7000}, BusPort: 17000,
				Flags: cluster.FlagMyself | cluster.FlagMaster, Epoch: 1, Linked: true,
			},
		},
		{
			"new words for old roles, and a flag of the future",
			idA + " 10.0.0.1:7000@17000 myself,replica,nofailover,teapot " + idB + " 7 1795365533234 18446744073709551615 disconnected",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}, BusPort: 17000, MasterID: idB,
				Flags: cluster.FlagMyself | cluster.FlagReplica | cluster.FlagNoFailover | cluster.FlagOther, Heard: 1795365533234, Epoch: 1<<64 - 1,
			},
		},
		{
			"slots and open slots, mixed",
			idA + " 10.0.0.1:7000@17000 myself,primary - 0 0 1 connected 7 0-3 [16383->-" + idB + "] 16383 [9-<-" + idC + "]",
			cluster.Node{
				ID: idA, Addr: cluster.Addr{Host: "10.0.0.1", Port: 7000}, BusPort: 17000,
				Flags: cluster.FlagMyself | cluster.FlagMaster, Epoch: 1, Linked: true,
				Slots:     cluster.SlotsOf(0, 1, 2, 3, 7, 16383),
				Migrating: map[int]cluster.NodeID{16383: idB}, Importing: map[int]cluster.NodeID{9: idC},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, end := range []string{"", "\n", "\r\n", "\n\n"} {
				if diff := cmp.Diff(tt.want, parse(t, tt.line+end).Self()); diff != "" {
					t.Errorf("line ending %q (-want +got):\n%s", end, diff)
				}
			}
		})
	}
}

// TestParseNodesRefusals promises that what is not understood is never taken
// for a cluster that has less: no view comes with an error.
func TestParseNodesRefusals(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", "no line says myself"},
		{"blank lines", "\n\r\n\n", "no line says myself"},
		{"no myself", otherLine, "no line says myself"},
		{"two say myself", selfLine + "\n" + strings.Replace(selfLine, idA, idB, 1), "two nodes say myself"},
		{"same id twice", selfLine + "\n" + strings.Replace(selfLine, "myself,", "", 1), "node " + idA + " twice"},
		{"an error in its place", "ERR This instance has cluster support disabled", "fields"},
		{"seven fields", strings.TrimSuffix(selfLine, " connected"), "7 fields"},
		{"cut in the id", selfLine + "\n" + otherLine[:30], "1 fields"},
		{"cut in the last open slot", selfLine + " 0-5 [5->-" + idB[:39], "open slot"},
		{"cut before the end of the target's id", selfLine + " 0-5 [5->-" + idB[:39] + "]", "40 hexadecimal digits"},
		{"id too short", selfLine[1:], "40 hexadecimal digits"},
		{"id not hexadecimal", "g" + selfLine[1:], "not hexadecimal"},
		{"address without colon", strings.Replace(selfLine, "10.0.0.1:7000@17000", "10.0.0.1", 1), "address"},
		{"no port", strings.Replace(selfLine, ":7000@", ":@", 1), "port"},
		{"port too large", strings.Replace(selfLine, ":7000@", ":65536@", 1), "port"},
		{"signed port", strings.Replace(selfLine, ":7000@", ":+7000@", 1), "port"},
		{"bus port is no number", strings.Replace(selfLine, "@17000", "@x", 1), "port"},
		{"no bus port behind @", strings.Replace(selfLine, "@17000", "@", 1), "port"},
		{"auxiliary field without value", strings.Replace(selfLine, "@17000", "@17000,host,shard-id", 1), "auxiliary"},
		{"auxiliary field without name", strings.Replace(selfLine, "@17000", "@17000,host,=x", 1), "auxiliary"},
		{"master id too short", strings.Replace(selfLine, "master - ", "slave "+idB[:39]+" ", 1), "40 hexadecimal digits"},
		{"last answer is no time", strings.Replace(selfLine, " 1 connected", "x 1 connected", 1), "last answer"},
		{"epoch is no number", strings.Replace(selfLine, " 1 connected", " x connected", 1), "config epoch"},
		{"negative epoch", strings.Replace(selfLine, " 1 connected", " -1 connected", 1), "config epoch"},
		{"epoch beyond 64 bits", strings.Replace(selfLine, " 1 connected", " 18446744073709551616 connected", 1), "config epoch"},
		{"link state", strings.Replace(selfLine, "connected", "sleeping", 1), "link state"},
		{"slot 16384", selfLine + " 16384", "slots"},
		{"range beyond the last slot", selfLine + " 16000-16384", "slots"},
		{"negative slot", selfLine + " -1", "slots"},
		{"range backwards", selfLine + " 5-3", "slots"},
		{"range without end", selfLine + " 5-", "slots"},
		{"slot is no number", selfLine + " five", "slots"},
		{"slot twice in one line", selfLine + " 0-5 5", "slot stands twice"},
		{"slot of two nodes", selfLine + " 0-5\n" + otherLine + " 5-9", "slot 5 belongs to " + idA + " and to " + idB},
		{"open slot 16384", selfLine + " [16384->-" + idB + "]", "slot"},
		{"open slot without direction", selfLine + " [5-" + idB + "]", "open slot"},
		{"open slot without number", selfLine + " [->-" + idB + "]", "slot"},
		{"open slot without end", selfLine + " [5->-" + idB, "open slot"},
		{"open slot to nowhere", selfLine + " [5->-]", "40 hexadecimal digits"},
		{"slot migrating to two nodes", selfLine + " 5 [5->-" + idB + "] [5->-" + idC + "]", "slot 5 is open twice"},
		{"slot importing twice", selfLine + " [5-<-" + idB + "] [5-<-" + idB + "]", "slot 5 is open twice"},
		{"only brackets", selfLine + " [", "open slot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := cluster.ParseNodes(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if len(v.Nodes) != 0 {
				t.Errorf("a view came with the error: %+v", v)
			}
		})
	}
}

// TestParseNodesErrorsAreShort promises that nonsense from a server does not
// fill the screen.
func TestParseNodesErrorsAreShort(t *testing.T) {
	nonsense := strings.Repeat("x", 1<<20)
	for _, text := range []string{nonsense, selfLine + " " + nonsense, strings.Replace(selfLine, "10.0.0.1:7000", nonsense, 1)} {
		if _, err := cluster.ParseNodes(text); err == nil || len(err.Error()) > 400 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	}
}

func TestViewGet(t *testing.T) {
	v := parse(t, selfLine+"\n"+otherLine)
	if n, ok := v.Get(idB); !ok || n.ID != idB {
		t.Errorf("got %+v, %v", n, ok)
	}
	if n, ok := v.Get(idC); ok || n.ID != "" {
		t.Errorf("a node that nobody knows: %+v", n)
	}
	var zero cluster.View
	if diff := cmp.Diff(cluster.Node{}, zero.Self()); diff != "" {
		t.Errorf("self of the zero view:\n%s", diff)
	}
}

func TestParseNodeID(t *testing.T) {
	tests := []struct {
		name, text string
		want       cluster.NodeID
		ok         bool
	}{
		{"lower case", idA, idA, true},
		{"upper case is folded", strings.ToUpper(idA), idA, true},
		{"too short", idA[1:], "", false},
		{"too long", idA + "a", "", false},
		{"empty", "", "", false},
		{"not hexadecimal", "z" + idA[1:], "", false},
		{"forty bytes that fold to others", strings.Repeat("ı", 20), "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cluster.ParseNodeID(tt.text)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if got := cluster.NodeID(idA).Short(); got != idA[:8] {
		t.Errorf("short form %q", got)
	}
	if got := cluster.NodeID("abc").Short(); got != "abc" {
		t.Errorf("short form of a short id %q", got)
	}
}

// text prints a view as a server would, to be parsed again.
func text(v cluster.View) string {
	var b strings.Builder
	for _, n := range v.Nodes {
		fmt.Fprintf(&b, "%s %s:%d@%d", n.ID, n.Addr.Host, n.Addr.Port, n.BusPort)
		if n.Hostname != "" || n.Aux != nil {
			b.WriteString("," + n.Hostname)
		}
		for _, name := range slices.Sorted(maps.Keys(n.Aux)) {
			fmt.Fprintf(&b, ",%s=%s", name, n.Aux[name])
		}
		master := string(n.MasterID)
		if master == "" {
			master = "-"
		}
		link := "disconnected"
		if n.Linked {
			link = "connected"
		}
		fmt.Fprintf(&b, " %s %s 0 %d %d %s", flagText(n.Flags), master, n.Heard, n.Epoch, link)
		for _, r := range n.Slots.Ranges() {
			b.WriteString(" " + r.String())
		}
		for _, slot := range slices.Sorted(maps.Keys(n.Migrating)) {
			fmt.Fprintf(&b, " [%d->-%s]", slot, n.Migrating[slot])
		}
		for _, slot := range slices.Sorted(maps.Keys(n.Importing)) {
			fmt.Fprintf(&b, " [%d-<-%s]", slot, n.Importing[slot])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func flagText(f cluster.Flags) string {
	var names []string
	for i, name := range []string{"myself", "master", "slave", "fail?", "fail", "handshake", "noaddr", "nofailover", "other"} {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "noflags"
	}
	return strings.Join(names, ",")
}

// FuzzParseNodes promises that no text makes the parser panic or believe
// something inconsistent, and that what it understood it understands again.
func FuzzParseNodes(f *testing.F) {
	for _, dir := range serverDirs(f) {
		files, _ := filepath.Glob(dir + "/nodes-*.txt")
		for _, file := range files {
			f.Add(read(f, file))
		}
	}
	f.Add(selfLine + " 5 [5->-" + idB + "]\n" + otherLine + " 6-7")
	f.Add(idA + " [::1]:1@2,h,a=b,c= myself,slave " + idB + " 0 0 0 disconnected")
	f.Fuzz(func(t *testing.T, in string) {
		v, err := cluster.ParseNodes(in)
		if err != nil {
			if len(v.Nodes) != 0 {
				t.Error("a view came with an error")
			}
			return
		}
		checkConsistent(t, v, in)
		again, err := cluster.ParseNodes(text(v))
		if err != nil {
			t.Fatalf("its own text is refused: %v\n%s", err, text(v))
		}
		if diff := cmp.Diff(v, again, cmp.AllowUnexported(cluster.View{})); diff != "" {
			t.Errorf("its own text means something else (-first +second):\n%s", diff)
		}
	})
}

func checkConsistent(t *testing.T, v cluster.View, in string) {
	t.Helper()
	ids, total, parts := make(map[cluster.NodeID]bool), 0, 0
	var all cluster.SlotSet
	for _, n := range v.Nodes {
		if ids[n.ID] || len(n.ID) != 40 || string(n.ID) != strings.ToLower(string(n.ID)) {
			t.Errorf("id %q", n.ID)
		}
		ids[n.ID] = true
		if n.Flags.Has(cluster.FlagMyself) != (n.ID == v.Self().ID) {
			t.Errorf("self is %s, and %s has flags %b", v.Self().ID, n.ID, n.Flags)
		}
		total += n.Slots.Len()
		parts += len(n.Slots.Ranges()) + len(n.Migrating) + len(n.Importing) + len(n.Aux)
		all = all.Union(n.Slots)
		for _, open := range []map[int]cluster.NodeID{n.Migrating, n.Importing} {
			for slot, peer := range open {
				if slot < 0 || slot >= cluster.SlotCount || len(peer) != 40 {
					t.Errorf("open slot %d, peer %q", slot, peer)
				}
			}
		}
	}
	if all.Len() != total {
		t.Errorf("%d slots in all, %d distinct ones", total, all.Len())
	}
	// What is kept grows with the text and nothing else.
	if len(v.Nodes)*60 > len(in) || parts > len(in) {
		t.Errorf("%d nodes with %d parts from %d bytes", len(v.Nodes), parts, len(in))
	}
}

// thousand is one node's CLUSTER NODES in a cluster of 1,000 nodes, half of
// them masters with fragments of slots as they are after some reshards.
func thousand() string {
	var b strings.Builder
	id := func(i int) string { return fmt.Sprintf("%08x%032x", i*2654435761%(1<<32), i) }
	for i := range 500 {
		flags := "master"
		if i == 250 {
			flags = "myself,master"
		}
		first, last := i*cluster.SlotCount/500, (i+1)*cluster.SlotCount/500-1
		fmt.Fprintf(&b, "%s 10.11.%d.%d:6379@16379,node-%d.example.com %s - 0 1795365546054 %d connected %d-%d %d %d-%d\n",
			id(i), i/250, i%250, i, flags, i+1, first, first+9, first+11, first+13, last)
		fmt.Fprintf(&b, "%s 10.12.%d.%d:6379@16379,node-%d.example.com slave %s 0 1795365546054 %d connected\n",
			id(1000+i), i/250, i%250, 1000+i, id(i), i+1)
	}
	return b.String()
}

// BenchmarkParseNodes1000 is what every look at a large cluster costs per node.
func BenchmarkParseNodes1000(b *testing.B) {
	in := thousand()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if v, err := cluster.ParseNodes(in); err != nil || len(v.Nodes) != 1000 {
			b.Fatal(err)
		}
	}
}

// TestParseNodesAllocations keeps a view of 1,000 nodes cheap: a thousand of
// them are read in one go.
func TestParseNodesAllocations(t *testing.T) {
	in := thousand()
	allocs := testing.AllocsPerRun(10, func() { cluster.ParseNodes(in) })
	if perNode := allocs / 1000; perNode > 12 {
		t.Errorf("%.1f allocations for each node, want at most 12", perNode)
	}
}
