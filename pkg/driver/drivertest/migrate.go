package drivertest

import (
	"context"
	"time"

	"github.com/trib-dev/trib/pkg/driver"
)

// migrateCases are about MIGRATE in an open slot.
func migrateCases(add adder) {
	add("MIGRATE moves what is there", migrateMoves)
	add("MIGRATE of a single key", migrateSingle)
	add("MIGRATE in a closed slot", migrateClosed)
	add("BUSYKEY keeps the source's key and moves the rest", migrateBusy)
	add("MIGRATE keeps times to live", migrateTTL)
	add("MIGRATE to nobody", migrateNobody)
	add("MIGRATE to a paused node", migratePaused)
}

func (s *suite) migrated(p pair, want string, options []string, keys ...string) {
	s.Helper()
	if got, err := s.migrate(p, options, keys...); err != nil || got != want {
		s.Fatalf("MIGRATE: %q, %v; want %s", got, err, want)
	}
}

func migrateMoves(s *suite) {
	p := s.pair()
	s.begin(p)
	s.migrated(p, "NOKEY", nil, p.key("none"))
	s.setSlot(p.a, p, "STABLE")
	for _, name := range []string{"1", "2", "3"} {
		s.call(p.a, "RPUSH", p.key(name), "v"+name)
	}
	s.setSlot(p.a, p, "MIGRATING", p.idB)
	s.migrated(p, "OK", nil, p.key("1"), p.key("none"), p.key("2"))
	if a, b := s.count(p.a, p), s.count(p.b, p); a != 1 || b != 2 {
		s.Errorf("%d keys at the source, %d at the target", a, b)
	}
	s.migrated(p, "OK", []string{"COPY"}, p.key("3"))
	if a, b := s.count(p.a, p), s.count(p.b, p); a != 1 || b != 3 {
		s.Errorf("after COPY %d keys at the source, %d at the target", a, b)
	}
	s.refused(p.a, "ASK", "", "LRANGE", p.key("1"), "0", "-1")
	got, err := s.asking(p.b, "LRANGE", p.key("1"), "0", "-1").Strings()
	if err != nil || len(got) != 1 || got[0] != "v1" {
		s.Errorf("the moved value is %q, %v", got, err)
	}
}

func migrateSingle(s *suite) {
	p := s.pair()
	key := p.key("a\x00\r\n\xff")
	s.call(p.a, "SET", key, "v\x00\r\n\xff")
	s.begin(p)
	cmd := s.migration(p, key, time.Second)
	if got := s.text(p.a, cmd...); got != "OK" {
		s.Errorf("MIGRATE: %q", got)
	}
	if got := s.text(p.a, cmd...); got != "NOKEY" {
		s.Errorf("MIGRATE again: %q", got)
	}
	if got, _ := s.asking(p.b, "GET", key).Text(); got != "v\x00\r\n\xff" {
		s.Errorf("the moved value is %q", got)
	}
	s.refused(p.a, "ERR", "empty string", append(cmd, "KEYS", key)...)
	s.refused(p.a, "ERR", "", append(cmd, "NOSUCHOPTION")...)
}

// migrateClosed: the target takes nothing for a slot that it does not import.
func migrateClosed(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("x"), "v")
	_, err := s.migrate(p, nil, p.key("x"))
	if !driver.Mentions(err, "Target instance replied with error") || !driver.Mentions(err, "MOVED") {
		s.Errorf("error %v, want the target's MOVED", err)
	}
	if s.count(p.a, p) != 1 || s.count(p.b, p) != 0 {
		s.Error("the key moved")
	}
}

func migrateBusy(s *suite) {
	p := s.pair()
	for _, name := range []string{"1", "2", "3"} {
		s.call(p.a, "SET", p.key(name), "source")
	}
	s.begin(p)
	s.asking(p.b, "SET", p.key("2"), "target")
	_, err := s.migrate(p, nil, p.key("1"), p.key("2"), p.key("3"))
	if !driver.HasCode(err, "ERR") || !driver.Mentions(err, "BUSYKEY") {
		s.Errorf("error %v, want the target's BUSYKEY", err)
	}
	if a, b := s.count(p.a, p), s.count(p.b, p); a != 1 || b != 3 {
		s.Errorf("%d keys at the source, %d at the target; want 1 and 3", a, b)
	}
	if got := s.text(p.a, "GET", p.key("2")); got != "source" {
		s.Errorf("the source has %q", got)
	}
	if got, _ := s.asking(p.b, "GET", p.key("2")).Text(); got != "target" {
		s.Errorf("the target has %q", got)
	}
	s.migrated(p, "OK", []string{"REPLACE"}, p.key("2"))
	if got, _ := s.asking(p.b, "GET", p.key("2")).Text(); got != "source" || s.count(p.a, p) != 0 {
		s.Errorf("after REPLACE the target has %q", got)
	}
}

func migrateTTL(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("long"), "v", "PX", "100000")
	s.call(p.a, "SET", p.key("short"), "v", "PX", "30")
	s.begin(p)
	time.Sleep(60 * time.Millisecond)
	s.migrated(p, "NOKEY", nil, p.key("short"))
	s.migrated(p, "OK", nil, p.key("long"))
	if n, _ := s.asking(p.b, "PTTL", p.key("long")).Int(); n < 60000 || n > 100000 {
		s.Errorf("%d ms left", n)
	}
	if n := s.count(p.a, p); n != 0 {
		s.Errorf("%d keys left at the source", n)
	}
}

func migrateNobody(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("x"), "v")
	s.begin(p)
	p.addrB.Port = 1
	s.refused(p.a, "IOERR", "", s.migration(p, p.key("x"), 200*time.Millisecond)...)
	if s.count(p.a, p) != 1 {
		s.Error("the key is gone")
	}
}

// migratePaused: the source's copy stays, the target may have one as well once
// it runs again, and REPLACE settles that.
func migratePaused(s *suite) {
	p := s.pair()
	s.call(p.a, "SET", p.key("x"), "v")
	s.begin(p)
	s.Nodes[1].Pause()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	began := time.Now()
	_, err := driver.Call(ctx, p.a, s.migration(p, p.key("x"), 300*time.Millisecond)...)
	s.Nodes[1].Resume()
	s.took(began, 300*time.Millisecond)
	if !driver.HasCode(err, "IOERR") {
		s.Errorf("error %v, want IOERR", err)
	}
	if got := s.text(p.a, "GET", p.key("x")); got != "v" {
		s.Errorf("the source has %q", got)
	}
	s.migrated(p, "OK", []string{"REPLACE"}, p.key("x"))
	if got, _ := s.asking(p.b, "GET", p.key("x")).Text(); got != "v" || s.count(p.a, p) != 0 {
		s.Errorf("after REPLACE the target has %q", got)
	}
}
