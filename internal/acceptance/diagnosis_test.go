package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/labtest"
)

// ward is a cluster of three masters and three replicas in perfect health, each
// node on a loopback address of its own, and two servers that belong to nobody:
// one of the same version, one newer.
type ward struct {
	*labtest.Cluster
	spare, newer *lab.Node
}

func admit(t *testing.T) *ward {
	t.Helper()
	l := labtest.Start(t, labtest.Options{
		Nodes: 7, Config: []string{"bind 0.0.0.0", "protected-mode no", "enable-debug-command yes"},
	})
	newer := labtest.Start(t, labtest.Options{Server: "redis-8.0", Nodes: 1})
	w := &ward{labtest.Form(t, l, 3, 3), l.Nodes()[6], newer.Nodes()[0]}
	// Not before: Redis 7.0 fails its first copy for ever where its master's
	// address changes under it.
	for _, n := range l.Nodes() {
		l.Do(t, n, "CONFIG", "SET", "cluster-announce-ip", w.host(n))
	}
	w.healthy(t)
	// From now on nobody is called failed or promoted on a busy machine.
	for _, n := range append(l.Nodes(), w.newer) {
		l.Do(t, n, "CONFIG", "SET", "cluster-node-timeout", "3000")
	}
	return w
}

// host is the address that a server announces.
func (w *ward) host(m *lab.Node) string {
	if m == w.newer {
		return m.Host()
	}
	return fmt.Sprintf("127.0.0.%d", slices.Index(w.Nodes(), m)+2)
}

func (w *ward) do(t *testing.T, m *labtest.Member, args ...string) { w.Do(t, m.Node, args...) }

// everywhere sends a command to all members.
func (w *ward) everywhere(t *testing.T, args ...string) {
	for _, m := range w.Members() {
		w.do(t, m, args...)
	}
}

// opinion is what trib check makes of the cluster.
type opinion struct {
	codes    []string // sorted, each once
	errors   int
	evidence string
	result
}

func (w *ward) check(t *testing.T, args ...string) opinion {
	t.Helper()
	r := trib(t, append([]string{"check", w.Masters[0].Addr(), "-o", "json"}, args...)...).exit(t, 0, 3)
	var got struct {
		Findings []struct {
			Code, Severity, Summary, Remedy string
			Evidence                        []string
		}
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	o := opinion{result: r}
	for _, f := range got.Findings {
		o.codes = append(o.codes, f.Code)
		o.evidence += strings.Join(append(f.Evidence, f.Summary), "\n") + "\n"
		if f.Severity == "error" {
			o.errors++
		}
		if f.Summary == "" || f.Remedy == "" || len(f.Evidence) == 0 && f.Code != "uncovered-slots" {
			t.Errorf("a finding without summary, evidence or remedy: %+v", f)
		}
	}
	slices.Sort(o.codes)
	o.codes = slices.Compact(o.codes)
	if (o.errors > 0) != (r.code == 3) {
		t.Errorf("%d errors: %v", o.errors, r)
	}
	return o
}

// healthy waits until nothing at all is found.
func (w *ward) healthy(t *testing.T) {
	t.Helper()
	labtest.Await(t, 40*time.Second, "nothing is found", func() error {
		if o := w.check(t); o.codes != nil {
			return fmt.Errorf("%v: %s", o.codes, o.evidence)
		}
		return nil
	})
}

// stock is what redis-cli --cluster check makes of the cluster.
func (w *ward) stock(t *testing.T) (exit string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(labtest.Server(t, "redis-7.0").Path), "redis-cli")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--cluster", "check", w.Masters[0].Addr()).CombinedOutput()
	if ctx.Err() != nil {
		return "hangs"
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("%v: %s", err, out)
	}
	if failed != nil {
		return fmt.Sprintf("exit %d", failed.ExitCode())
	}
	return "exit 0"
}

// ailment is one thing that is wrong with a cluster.
type ailment struct {
	name     string
	codes    string   // that trib finds, and no others
	errors   bool     // among them
	says     string   // a pattern in summary or evidence
	stock    string   // what redis-cli comes to; empty where it is not asked
	args     []string // of trib
	fleeting bool     // the servers mend it by themselves: it is provoked until it is seen

	provoke func(t *testing.T, w *ward)
	mend    func(t *testing.T, w *ward)
}

// TestDiagnosis brings a healthy cluster into one bad state after the other, and
// holds what trib check says of it beside what redis-cli --cluster check says.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	w := admit(t)
	trib(t, "check", w.Masters[0].Addr(), "--strict").done(t)
	w.everywhere(t, "ACL", "SETUSER", "watcher", "on", ">pw", "-@all", "+ping", "+hello", "+auth", "+info",
		"+cluster|nodes", "+cluster|info", "+cluster|countkeysinslot")
	how{env: []string{"TRIB_USER=watcher", "TRIB_PASSWORD=pw"}}.run(t, "check", w.Masters[0].Addr(), "--strict").done(t)
	var table strings.Builder
	fmt.Fprintf(&table, "%-34s %-22s %-7s %s\n", "state", "redis-cli 7.0", "trib", "findings")
	for _, a := range ailments() {
		t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
			o, stock := w.diagnose(t, a)
			fmt.Fprintf(&table, "%-34s %-22s exit %d  %s\n", a.name, stock, o.code, strings.Join(o.codes, ", "))
			if a.mend != nil {
				a.mend(t, w)
			}
			w.healthy(t)
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("the same states, as both see them:\n%s", &table)
}

// TestForeignKeysInEveryDatabase: a key in the last database of a node that does
// not own its slot is found, where redis-cli looks into the first one only.
func TestForeignKeysInEveryDatabase(t *testing.T) {
	t.Parallel()
	l := labtest.Start(t, labtest.Options{Server: "valkey-9.1", Nodes: 3, Config: []string{"cluster-databases 4"}})
	w := &ward{Cluster: labtest.Form(t, l, 3, 0)}
	replies, err := w.Dial(t, w.Masters[1].Node).Pipeline(
		[]string{"CLUSTER", "SETSLOT", "100", "IMPORTING", w.Masters[0].ID}, []string{"SELECT", "3"}, []string{"ASKING"},
		[]string{"SET", keyOf(100), "v"}, []string{"CLUSTER", "SETSLOT", "100", "STABLE"})
	if err != nil || fmt.Sprint(replies[3]) != "OK" {
		t.Fatal(err, replies)
	}
	o := w.check(t)
	if !slices.Contains(o.codes, "foreign-keys") || !strings.Contains(o.evidence, "holds 1 keys of slots that it does not own: 100") {
		t.Errorf("found %v: %s", o.codes, o.evidence)
	}
}

// diagnose waits until trib finds what it should.
func (w *ward) diagnose(t *testing.T, a ailment) (o opinion, stock string) {
	t.Helper()
	if !a.fleeting {
		a.provoke(t, w)
	}
	labtest.Await(t, 30*time.Second, a.name, func() error {
		if a.fleeting {
			a.provoke(t, w)
		}
		o = w.check(t, a.args...)
		if got := strings.Join(o.codes, " "); got != a.codes {
			return fmt.Errorf("found %q, want %q: %s", got, a.codes, o.evidence)
		}
		return nil
	})
	if (o.errors > 0) != a.errors {
		t.Errorf("%d errors: %v", o.errors, o.result)
	}
	if o.took > 5*time.Second {
		t.Errorf("it took too long: %v", o.result)
	}
	if !regexp.MustCompile("(?m)" + a.says).MatchString(o.evidence) {
		t.Errorf("nothing says %q: %s", a.says, o.evidence)
	}
	if a.stock == "" {
		return o, "-"
	}
	return o, w.askStock(t, a)
}

// askStock expects what redis-cli makes of the ailment, as often as it has to be
// provoked until redis-cli sees it.
func (w *ward) askStock(t *testing.T, a ailment) (exit string) {
	t.Helper()
	if !a.fleeting {
		if exit = w.stock(t); exit != a.stock {
			t.Errorf("redis-cli: %s, want %s", exit, a.stock)
		}
		return exit
	}
	labtest.Await(t, 30*time.Second, a.name+" for redis-cli", func() error {
		a.provoke(t, w)
		if exit = w.stock(t); exit != a.stock {
			return fmt.Errorf("redis-cli: %s, want %s", exit, a.stock)
		}
		return nil
	})
	return exit
}

func ailments() []ailment {
	return slices.Concat(slotAilments(), replicaAilments(), nodeAilments(), driftAilments())
}

func slotAilments() []ailment {
	const slot = "100" // of the first master
	return []ailment{
		{
			name: "an interrupted move", codes: "open-slots", errors: true, says: "has slots 100 migrating to", stock: "exit 1",
			provoke: func(t *testing.T, w *ward) {
				w.do(t, w.Masters[1], "CLUSTER", "SETSLOT", slot, "IMPORTING", w.Masters[0].ID)
				w.do(t, w.Masters[0], "CLUSTER", "SETSLOT", slot, "MIGRATING", w.Masters[1].ID)
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Masters[1], "CLUSTER", "SETSLOT", slot, "STABLE")
				w.do(t, w.Masters[0], "CLUSTER", "SETSLOT", slot, "STABLE")
			},
		},
		{
			name: "keys on the wrong node", codes: "foreign-keys", errors: true, says: "holds 1 keys of slots that it does not own", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.astray(t, "SET", "stray", "v") },
			mend:    func(t *testing.T, w *ward) { w.astray(t, "DEL", "stray") },
		},
		{
			name: "a slot with two owners", codes: "disagreement multiple-owners", errors: true, says: `claims 16383 with epoch \d+$`, fleeting: true, stock: "exit 1",
			provoke: func(t *testing.T, w *ward) {
				// The slot is the last master's, whose epoch is higher: it stays there.
				last := strconv.Itoa(w.Masters[2].Last)
				conn := w.Dial(t, w.Masters[0].Node)
				conn.Pipeline([]string{"CLUSTER", "DELSLOTS", last}, []string{"CLUSTER", "ADDSLOTS", last})
			},
		},
		{
			name: "a slot without owner", codes: "cluster-down uncovered-slots", errors: true, says: "1 slots have no owner that answers: 100", stock: "exit 1",
			provoke: func(t *testing.T, w *ward) { w.everywhere(t, "CLUSTER", "DELSLOTS", slot) },
			mend:    func(t *testing.T, w *ward) { w.do(t, w.Masters[0], "CLUSTER", "ADDSLOTS", slot) },
		},
	}
}

// keyOf is a key of a slot.
func keyOf(slot int) string {
	for i := 0; ; i++ {
		if key := strconv.Itoa(i); labtest.Slot(key) == slot {
			return key
		}
	}
}

// astray does something with a key of slot 100 on a node that does not own it.
func (w *ward) astray(t *testing.T, verb, name string, args ...string) {
	t.Helper()
	conn := w.Dial(t, w.Masters[1].Node)
	key := "{" + keyOf(100) + "}" + name
	replies, err := conn.Pipeline(
		[]string{"CLUSTER", "SETSLOT", "100", "IMPORTING", w.Masters[0].ID}, []string{"ASKING"},
		append([]string{verb, key}, args...), []string{"CLUSTER", "SETSLOT", "100", "STABLE"})
	if err != nil {
		t.Fatal(err, replies)
	}
}

func replicaAilments() []ailment {
	return []ailment{
		{
			name: "a master without replicas", codes: "no-replica", says: "1 master has no replica", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.do(t, w.Replicas[0], "CLUSTER", "REPLICATE", w.Masters[1].ID) },
			mend:    func(t *testing.T, w *ward) { w.do(t, w.Replicas[0], "CLUSTER", "REPLICATE", w.Masters[0].ID) },
		},
		{
			name: "a replica without link", codes: "replica-link-down", says: "says that its link to 127.0.0.2:", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "CONFIG", "SET", "masteruser", "nobody", "masterauth", "wrong")
				w.do(t, w.Replicas[0], "CLIENT", "KILL", "TYPE", "master")
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "CONFIG", "SET", "masteruser", "", "masterauth", "")
			},
		},
		{
			name: "a replica that lags", codes: "replica-lag", says: "bytes behind 127.0.0.2:", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "DEBUG", "PAUSE-CRON", "1")
				conn, big := w.Dial(t, w.Masters[0].Node), strings.Repeat("x", 1<<20)
				for range 12 {
					if _, err := conn.Do("SET", keyOf(100), big); err != nil {
						t.Fatal(err)
					}
				}
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "DEBUG", "PAUSE-CRON", "0")
				w.do(t, w.Masters[0], "DEL", keyOf(100))
			},
		},
		{
			name: "a replica in its master's zone", codes: "replica-same-zone", says: "zone east: ",
			args:    []string{"--zone", "127.0.0.2=east", "--zone", "127.0.0.5=east", "--zone", "127.0.0.3=west"},
			provoke: func(*testing.T, *ward) {},
		},
		{
			name: "a replica on its master's host", codes: "replica-same-host", says: "host 127.0.0.2: ", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "CONFIG", "SET", "cluster-announce-ip", "127.0.0.2")
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "CONFIG", "SET", "cluster-announce-ip", w.host(w.Replicas[0].Node))
			},
		},
		{
			name: "a replica of a replica", codes: "no-replica replica-of-replica", errors: true, says: "replicates .*, which replicates", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				w.join(t, w.spare)
				id := w.Text(t, w.spare, "CLUSTER", "MYID")
				labtest.Await(t, 10*time.Second, "the newcomer has a replica", func() error {
					_, err := w.Dial(t, w.Replicas[0].Node).Do("CLUSTER", "REPLICATE", id)
					return err
				})
				w.Do(t, w.spare, "CLUSTER", "REPLICATE", w.Masters[1].ID)
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[0], "CLUSTER", "REPLICATE", w.Masters[0].ID)
				w.expel(t, w.spare)
			},
		},
	}
}

// join lets all members and a newcomer know each other.
func (w *ward) join(t *testing.T, n *lab.Node) {
	t.Helper()
	for _, m := range w.Members() {
		w.do(t, m, "CLUSTER", "MEET", w.host(n), strconv.Itoa(n.Port()))
	}
	id := w.Text(t, n, "CLUSTER", "MYID")
	labtest.Await(t, 20*time.Second, "all know the newcomer", func() error {
		for _, m := range w.Members() {
			if nodes := w.Text(t, m.Node, "CLUSTER", "NODES"); !strings.Contains(nodes, id) || strings.Contains(nodes, "handshake") {
				return fmt.Errorf("%s does not:\n%s", m.Addr(), nodes)
			}
		}
		if nodes := w.Text(t, n, "CLUSTER", "NODES"); strings.Count(nodes, "\n") != 7 || strings.Contains(nodes, "handshake") {
			return fmt.Errorf("it does not know all:\n%s", nodes)
		}
		return nil
	})
}

func (w *ward) expel(t *testing.T, n *lab.Node) {
	t.Helper()
	id := w.Text(t, n, "CLUSTER", "MYID")
	w.Do(t, n, "CLUSTER", "RESET", "HARD")
	for _, m := range w.Members() {
		labtest.Await(t, 10*time.Second, m.Addr()+" forgets the newcomer", func() error {
			_, err := w.Dial(t, m.Node).Do("CLUSTER", "FORGET", id)
			if err != nil && strings.Contains(err.Error(), "Unknown node") {
				return nil
			}
			return err
		})
	}
}

func nodeAilments() []ailment {
	return []ailment{
		{
			name: "a dead replica", codes: "node-unreachable", says: "does not answer: .*connection refused", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				if err := w.Replicas[2].Kill(); err != nil {
					t.Fatal(err)
				}
			},
			mend: func(t *testing.T, w *ward) {
				if err := w.Replicas[2].Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.do(t, w.Replicas[2], "CONFIG", "SET", "cluster-announce-ip", w.host(w.Replicas[2].Node))
				w.do(t, w.Replicas[2], "CONFIG", "SET", "cluster-node-timeout", "3000")
			},
		},
		{
			name: "a paused master", codes: "node-unreachable quorum-at-risk uncovered-slots", errors: true,
			says: "it takes connections and says nothing", stock: "hangs",
			provoke: func(t *testing.T, w *ward) { w.patient(t); pause(t, w.Masters[1]) },
			mend:    func(t *testing.T, w *ward) { w.Masters[1].Resume() },
		},
		{
			name: "a lost majority", codes: "node-unreachable quorum-lost uncovered-slots", errors: true,
			says:    "3 masters with slots, 1 of them answer, a majority is 2",
			provoke: func(t *testing.T, w *ward) { pause(t, w.Masters[1]); pause(t, w.Masters[2]) },
			mend: func(t *testing.T, w *ward) {
				w.Masters[1].Resume()
				w.Masters[2].Resume()
				w.everywhere(t, "CONFIG", "SET", "cluster-node-timeout", "3000")
			},
		},
		{
			name: "a half-forgotten node", codes: "half-forgotten", errors: true, says: "is known to 4 nodes and not to 127.0.0.3:", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.do(t, w.Masters[1], "CLUSTER", "FORGET", w.Replicas[2].ID) },
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Masters[1], "CLUSTER", "MEET", w.host(w.Replicas[2].Node), strconv.Itoa(w.Replicas[2].Port()))
			},
		},
		{
			name: "a node that others cannot reach", codes: "node-suspected", says: "is missed on the cluster bus by", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.do(t, w.Replicas[2], "CONFIG", "SET", "cluster-announce-bus-port", "1") },
			mend:    func(t *testing.T, w *ward) { w.do(t, w.Replicas[2], "CONFIG", "SET", "cluster-announce-bus-port", "0") },
		},
		{
			name: "two addresses of one node", codes: "addresses-differ", says: `is known as 127\.0\.0\.(7|99):`, fleeting: true,
			provoke: func(t *testing.T, w *ward) {
				// Others hear of it with the next ping.
				last := w.Replicas[2]
				host := w.host(last.Node)
				if strings.Contains(w.Text(t, last.Node, "CLUSTER", "NODES"), host) {
					w.do(t, last, "CONFIG", "SET", "cluster-announce-ip", "127.0.0.99")
				} else {
					w.do(t, last, "CONFIG", "SET", "cluster-announce-ip", host)
				}
			},
			mend: func(t *testing.T, w *ward) {
				w.do(t, w.Replicas[2], "CONFIG", "SET", "cluster-announce-ip", w.host(w.Replicas[2].Node))
			},
		},
		{
			name: "a handshake with nobody", codes: "handshake", says: "is meeting 127.0.0.1:1, bus port 10001", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.do(t, w.Masters[2], "CLUSTER", "MEET", "127.0.0.1", "1") },
		},
	}
}

// patient keeps replicas from being promoted while masters are paused.
func (w *ward) patient(t *testing.T) {
	w.everywhere(t, "CONFIG", "SET", "cluster-node-timeout", "60000")
}

func driftAilments() []ailment {
	return []ailment{
		{
			name: "settings that differ", codes: "config-differs", says: "maxmemory-policy: noeviction on .*; allkeys-lru on 127.0.0.4:", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.do(t, w.Masters[2], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru") },
			mend:    func(t *testing.T, w *ward) { w.do(t, w.Masters[2], "CONFIG", "SET", "maxmemory-policy", "noeviction") },
		},
		{
			name: "functions that differ", codes: "functions-differ", errors: true, says: `1 function \(digest [0-9a-f]{8}\): 127.0.0.4:`, stock: "exit 0",
			provoke: func(t *testing.T, w *ward) {
				w.do(t, w.Masters[2], "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
			},
			mend: func(t *testing.T, w *ward) { w.do(t, w.Masters[2], "FUNCTION", "FLUSH") },
		},
		{
			name: "servers that differ", codes: "versions-differ", says: "redis 8.0.2: 1 node", stock: "exit 0",
			provoke: func(t *testing.T, w *ward) { w.join(t, w.newer) },
			mend:    func(t *testing.T, w *ward) { w.expel(t, w.newer) },
		},
	}
}
