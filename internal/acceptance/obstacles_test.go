package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// TestObstacles: what the targets are not fit for is refused before anything is
// touched, each with the word that goes ahead all the same.
func TestObstacles(t *testing.T) {
	t.Parallel()
	c := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 4, Config: []string{"cluster-node-timeout 30000"}}), 3, 1)
	l := c.Lab
	m := look(t, l).masters()
	followed, giver, alone := m[0], m[1], m[2]
	// The memory of a slot is estimated from the whole: what really moves is little.
	l.Do(t, giver.Node, "SET", keyIn(giver.self.slots[len(giver.self.slots)-1]), strings.Repeat("x", 30<<20))
	l.Do(t, giver.Node, "SET", keyIn(giver.self.slots[0]), "1")

	t.Run("room", func(t *testing.T) { noRoom(t, l, giver, alone) })
	t.Run("replicas", func(t *testing.T) { fewReplicas(t, l, giver, followed) })
	t.Run("slow replica", func(t *testing.T) { slowReplica(t, c, giver, followed) })
	t.Run("flags", func(t *testing.T) {
		before := memory(t, l)
		for _, bad := range []string{
			"--pipeline=0", "--timeout=0", "--wait-replicas=-1", "--max-block=0", "--max-keys/s=0", "--max-bytes/s=0",
			"--big-keys=eat", "--big-key-bytes=0", "--big-key-members=0", "--override=luck", "--slots=0", "--slots=20000", "--from=" + alone.Addr(),
		} {
			flag, _, _ := strings.Cut(bad, "=")
			trib(t, between(giver, alone, 1, bad)...).exit(t, 2).complains(t, "^trib: .*"+flag, "^hint: ")
		}
		untouched(t, l, before)
	})
	soonWhole(t, l)
	unlocked(t, l)
}

// noRoom: a target whose memory would not do.
func noRoom(t *testing.T, l *labtest.Lab, from, to server) {
	var used int
	info := l.Text(t, to.Node, "INFO", "memory")
	if _, err := fmt.Sscanf(info[strings.Index(info, "used_memory:"):], "used_memory:%d", &used); err != nil {
		t.Fatal(err)
	}
	l.Do(t, to.Node, "CONFIG", "SET", "maxmemory", strconv.Itoa(used+8<<20))
	for policy, tt := range map[string]struct{ code, other, text string }{
		"noeviction":  {"memory", "eviction", `MiB \(maxmemory\)$`},
		"allkeys-lru": {"eviction", "memory", "it would evict keys, policy allkeys-lru$"},
	} {
		l.Do(t, to.Node, "CONFIG", "SET", "maxmemory-policy", policy)
		before := memory(t, l)
		for _, extra := range [][]string{nil, {"--override", tt.other}} {
			trib(t, between(from, to, 3000, extra...)...).exit(t, 4).
				complains(t, to.Addr()+" uses .*"+tt.text, "^hint: --override "+tt.code+" goes ahead")
		}
		rehearsal := between(from, to, 3000, "--dry-run")
		trib(t, slices.DeleteFunc(rehearsal, func(arg string) bool { return arg == "--yes" })...).exit(t, 4).
			complains(t, to.Addr()+" uses .*"+tt.text, "^hint: --override "+tt.code+" goes ahead")
		untouched(t, l, before)
	}
	l.Do(t, to.Node, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	trib(t, between(from, to, 3000, "--override", "memory")...).done(t)
	l.Do(t, to.Node, "CONFIG", "SET", "maxmemory", "0")
}

// fewReplicas: a target with fewer replicas than shall have what moves.
func fewReplicas(t *testing.T, l *labtest.Lab, from, to server) {
	before := memory(t, l)
	trib(t, between(from, to, 5, "--wait-replicas", "2")...).exit(t, 4).
		complains(t, to.Addr()+" has 1 online replicas; 2 are asked for", "^hint: --override replicas goes ahead")
	untouched(t, l, before)
	trib(t, between(from, to, 5, "--wait-replicas", "2", "--override", "replicas")...).
		done(t, to.Addr()+" has 1 online replicas of the 2 that are to have each batch")
}

// slowReplica: a replica of the target that stops keeping up is waited for, unless
// nobody asked for it.
func slowReplica(t *testing.T, c *labtest.Cluster, from, to server) {
	const slots = 40
	for _, replicas := range []string{"0", "1"} {
		before := look(t, c.Lab)
		for _, slot := range before.at(from.Addr()).self.slots[:slots] {
			c.Do(t, from.Node, "SET", keyIn(slot), replicas)
		}
		r := how{}.start(t, between(from, to, slots, "--wait-replicas", replicas, "--max-keys/s", "20")...)
		r.awaitGain(t, c.Lab, before, to, 8)
		must(t, c.Replicas[0].Pause())
		if replicas == "0" {
			r.awaitGain(t, c.Lab, before, to, 24)
		} else {
			waitsForReplica(t, c, r, to)
		}
		must(t, c.Replicas[0].Resume())
		r.wait(t).exit(t, 0)
	}
}

// waitsForReplica holds that keys which a replica does not get keep their slots
// open: each lane goes on to its next batch and no further.
func waitsForReplica(t *testing.T, c *labtest.Cluster, r *run, to server) {
	t.Helper()
	keys := func() int { return dbSize(t, c.Lab, to.Node) }
	had, seen := keys(), time.Now()
	for last := had; time.Since(seen) < time.Second; time.Sleep(20 * time.Millisecond) {
		if now := keys(); now != last {
			last, seen = now, time.Now()
		}
	}
	if r.over() || keys() > had+2 {
		t.Errorf("%d keys have followed, and the replica cannot have them; over: %v", keys()-had, r.over())
	}
}

// TestDumpVersions: values go to newer servers only. What can form one cluster
// is tried.
func TestDumpVersions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ older, newer, named string }{
		{"redis-7.0", "redis-8.0", `\(redis 7\.0\..*\) cannot read the values of .* \(redis 8\.0`},
		{"valkey-8.1", "valkey-9.1", `\(valkey 8\.1\..*\) cannot read the values of .* \(valkey 9\.1`},
	} {
		t.Run(tt.older, func(t *testing.T) {
			l := labtest.Form(t, labtest.Start(t, labtest.Options{Mix: []string{tt.older, tt.newer, tt.older}, Nodes: 3}), 3, 0).Lab
			h := bury(t, l)
			p := look(t, l)
			var older, newer server
			for _, s := range p {
				if s.Server().Name() == tt.newer {
					newer = s
				} else {
					older = s
				}
			}
			r := trib(t, between(older, newer, 50)...).done(t)
			if tt.newer == "valkey-9.1" {
				r.prints(t, "^Method: classic, since "+older.Addr()+" .valkey 8.1.*. has no")
			}
			h.intact(t)
			before := memory(t, l)
			trib(t, between(newer, older, 50)...).exit(t, 4).complains(t, older.Addr()+" "+tt.named+".*; upgrade it first", "^hint: --override dump-version")
			untouched(t, l, before)
			// Who insists is told by the target, loses nothing, and can go back.
			was := look(t, l)
			r = trib(t, between(newer, older, 50, "--override", "dump-version")...).exit(t, 5)
			r.complains(t, "MIGRATE of .* to "+older.Addr()+": .*(Bad data format|DUMP payload version)", "^hint: ")
			h.intact(t)
			for _, word := range look(t, l).at(newer.Addr()).self.open {
				slot := strings.Trim(strings.Split(word, "->-")[0], "[")
				l.Do(t, newer.Node, "CLUSTER", "SETSLOT", slot, "STABLE")
				l.Do(t, older.Node, "CLUSTER", "SETSLOT", slot, "STABLE")
			}
			h.intact(t)
			t.Logf("%d slots without keys had moved", soonWhole(t, l).gained(was, older.Addr()))
		})
	}
}

// TestRefusedHalfway: a target that begins to refuse what it gets stops the move
// with its reason; when that is mended, a resume finishes.
func TestRefusedHalfway(t *testing.T) {
	t.Parallel()
	l := labtest.Form(t, labtest.Start(t, labtest.Options{Nodes: 3, Password: "of the default user"}), 3, 0).Lab
	for _, n := range l.Nodes() {
		l.Do(t, n, "ACL", "SETUSER", "ops", "on", ">"+canary, "allkeys", "allcommands")
	}
	s := newScene(t, l)
	s.how = how{env: []string{"TRIB_USER=ops", "TRIB_PASSWORD=" + canary}}
	for _, tt := range []struct {
		name         string
		refuse, mend []string
		cause        string
		why          string // for which a resume starts nothing before it is mended
	}{
		{
			"full",
			[]string{"CONFIG", "SET", "maxmemory", "1mb"},
			[]string{"CONFIG", "SET", "maxmemory", "0"},
			"OOM command not allowed", "maxmemory",
		},
		{
			"no permission",
			[]string{"ACL", "SETUSER", "ops", "-restore-asking", "-restore"},
			[]string{"ACL", "SETUSER", "ops", "+@all"},
			"NOPERM", "user ops may not restore-asking",
		},
		{
			"another password",
			[]string{"ACL", "SETUSER", "ops", "resetpass", ">changed"},
			[]string{"ACL", "SETUSER", "ops", "resetpass", ">" + canary},
			"WRONGPASS", "WRONGPASS",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			control := func(command []string) { l.Do(t, s.to.Node, command...) }
			r := s.move(t, func() { control(tt.refuse) }).exit(t, 5)
			r.complains(t, "^trib: stopped with .* from "+s.from.Addr()+" to "+s.to.Addr()+": .*"+tt.cause, "^hint: .*trib resume")
			secretive(t, r)
			seed := look(t, l).masters()[2].Addr()
			r = s.run(t, "resume", seed, "--yes").exit(t, 4).complains(t, s.to.Addr()+".*"+tt.why)
			secretive(t, r)
			if tt.name == "no permission" {
				s.run(t, "resume", seed, "--yes", "--override", "permissions").exit(t, 5).complains(t, tt.cause)
			}
			control(tt.mend)
			s.decide(t, seed)
			s.ends(t)
		})
	}
}

// decide does what the hint says about keys that the target got although it
// refused them: a server that says no to a password goes on with the rest of what
// MIGRATE sent it. Nobody replaced the source, so its values are right.
func (s *scene) decide(t *testing.T, seed string) {
	t.Helper()
	r := s.run(t, "resume", seed, "--yes", "-o", "json").exit(t, 0, 6)
	for decided := 0; r.code == 6; decided++ {
		if decided == accidentAfter {
			t.Fatalf("it goes on and on: %v", r)
		}
		var failed struct {
			Conflicts []struct{ Key, Source, Target string }
		}
		if err := json.Unmarshal([]byte(r.err), &failed); err != nil || len(failed.Conflicts) == 0 {
			t.Fatalf("%v: %v", err, r)
		}
		for _, c := range failed.Conflicts {
			if c.Source != s.from.Addr() || c.Target != s.to.Addr() {
				t.Errorf("a conflict between %s and %s", c.Source, c.Target)
			}
			asking(t, s.Lab, s.to, "DEL", c.Key)
		}
		r = s.run(t, "resume", seed, "--yes", "-o", "json").exit(t, 0, 6)
	}
}
