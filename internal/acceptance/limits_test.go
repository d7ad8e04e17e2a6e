package acceptance

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// load is a cluster with strings of one size, so many in each of the first
// slots of its first master.
func load(t *testing.T, o labtest.Options, replicas, slots, keysPerSlot, bytes int) (*labtest.Lab, []string) {
	t.Helper()
	l := labtest.Form(t, labtest.Start(t, o), 3, replicas).Lab
	keys := keysFor(func(slot int) int {
		if slot < slots {
			return keysPerSlot
		}
		return 0
	})
	conn := l.Dial(t, look(t, l).masters()[0].Node)
	for _, key := range keys {
		if _, err := conn.Do("SET", key, value(key, bytes)); err != nil {
			t.Fatal(err)
		}
	}
	return l, keys
}

func value(key string, bytes int) string { return strings.Repeat(key+".", bytes/len(key)+1)[:bytes] }

// loaded holds that all keys are where clients find them.
func loaded(t *testing.T, l *labtest.Lab, keys []string, bytes int) {
	t.Helper()
	client := l.Client()
	defer client.Close()
	for _, key := range keys {
		if r := client.Do(t.Context(), key, "GET", key); r.Reply != value(key, bytes) {
			t.Fatalf("%s in slot %d: %.80v, %v", key, labtest.Slot(key), r.Reply, r.Err)
		}
	}
}

// between is a reshard from one master to another.
func between(from, to server, slots int, extra ...string) []string {
	return append([]string{"reshard", to.Addr(), "--from", from.Addr(), "--to", to.Addr(), "--slots", fmt.Sprint(slots), "--yes"}, extra...)
}

// TestLimits holds the limits against the clock: they are upper ones, so that a
// slow machine keeps them too.
func TestLimits(t *testing.T) {
	t.Parallel()
	const slots, perSlot, bytes = 4, 120, 10_000
	l, keys := load(t, labtest.Options{Nodes: 3}, 0, slots, perSlot, bytes)
	m := look(t, l).masters()
	var inMemory int64
	for _, key := range keys {
		inMemory += l.Do(t, m[0].Node, "MEMORY", "USAGE", key).(int64)
	}
	// A tenth of a second's worth passes at once.
	least := func(amount, perSecond int64) time.Duration {
		return time.Duration(float64(amount-perSecond/10) / float64(perSecond) * float64(time.Second))
	}
	from, to := m[0], m[1]
	for _, tt := range []struct {
		flag  string
		limit int64
		least time.Duration
	}{
		{"--max-keys/s", 300, least(slots*perSlot, 300)},
		{"--max-bytes/s", inMemory / 2, least(inMemory, inMemory/2)},
	} {
		r := trib(t, between(from, to, slots, tt.flag, fmt.Sprint(tt.limit))...).done(t)
		if r.took < tt.least {
			t.Errorf("%s %d: %d keys of %d bytes took %v, less than %v", tt.flag, tt.limit, len(keys), inMemory, r.took, tt.least)
		}
		loaded(t, l, keys, bytes)
		from, to = to, from
	}
	// A MIGRATE that took too long is followed by smaller ones.
	blocked := make(map[string]int)
	for _, limit := range []string{"10s", "50us"} {
		before := migrates(t, l, from)
		trib(t, between(from, to, slots, "--max-block", limit)...).done(t)
		blocked[limit] = migrates(t, l, from) - before
		loaded(t, l, keys, bytes)
		from, to = to, from
	}
	// Two batches of a slot: by keys, and by the mebibyte that one carries at most.
	if blocked["10s"] > 2*slots+2 || blocked["50us"] < 2*blocked["10s"] {
		t.Errorf("MIGRATEs by --max-block: %v", blocked)
	}
}

// migrates counts the MIGRATEs that a server has carried out.
func migrates(t *testing.T, l *labtest.Lab, s server) int {
	t.Helper()
	match := regexp.MustCompile(`cmdstat_migrate:calls=(\d+)`).FindStringSubmatch(l.Text(t, s.Node, "INFO", "commandstats"))
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}

// TestSlowWindow: a window that takes long is left after the batch in hand when
// trib is interrupted, in every database.
func TestSlowWindow(t *testing.T) {
	t.Parallel()
	l, keys := load(t, labtest.Options{Server: "valkey-9.1", Nodes: 3, Config: []string{"cluster-databases 3"}}, 0, 4, 60, 100)
	before := look(t, l)
	m := before.masters()
	other := l.Dial(t, m[0].Node)
	commands := [][]string{{"SELECT", "2"}}
	for _, key := range keys {
		commands = append(commands, []string{"SET", key, "in 2"})
	}
	if _, err := other.Pipeline(commands...); err != nil {
		t.Fatal(err)
	}
	r := how{}.start(t, between(m[0], m[1], 4, "--max-keys/s", "30", "--pipeline", "10")...)
	labtest.Await(t, 20*time.Second, "keys arrive", func() error {
		if n := dbSize(t, l, m[1].Node); n < 20 {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	r.signal(t, os.Interrupt)
	signalled := time.Now()
	r.wait(t).exit(t, 5).complains(t, "^trib: stopped with .*interrupted$", "^hint: .*trib resume")
	if late := time.Since(signalled); late > 6*time.Second {
		t.Errorf("it ended %v after the signal", late)
	}
	trib(t, "check", m[0].Addr()).exit(t, 3).prints(t, "slots are open: \\[?0-3")
	loaded(t, l, keys, 100)
	trib(t, "resume", m[2].Addr(), "--yes").done(t)
	soonWhole(t, l).exactly(t, before, []int{0, 1, 2, 3}, m[1].Addr())
	trib(t, "check", m[0].Addr()).done(t)
	loaded(t, l, keys, 100)
	other = l.Dial(t, m[1].Node)
	commands = [][]string{{"SELECT", "2"}}
	for _, key := range keys {
		commands = append(commands, []string{"GET", key})
	}
	replies, err := other.Pipeline(commands...)
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range replies[1:] {
		if reply != "in 2" {
			t.Fatalf("%s in database 2 is %v", keys[i], reply)
		}
	}
}
