package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/move"
)

// TestKeySpelling promises that what a listing shows is what the flag takes, for
// any key.
func TestKeySpelling(t *testing.T) {
	for _, tt := range []struct {
		key  keyName
		want string
	}{
		{keyName{0, "user:7"}, "user:7"},
		{keyName{0, "a=b='c' "}, "a=b='c' "},
		{keyName{0, "grün"}, "grün"},
		{keyName{0, ""}, ""},
		{keyName{0, `"`}, `"\""`},
		{keyName{0, `"a"`}, `"\"a\""`},
		{keyName{0, `3:"a"`}, `"3:\"a\""`},
		{keyName{0, "@file"}, `"@file"`},
		{keyName{0, "\xff\n"}, `"\xff\n"`},
		{keyName{0, "\u202e"}, `"\u202e"`},
		{keyName{3, "a"}, `3:"a"`},
	} {
		t.Run(tt.want, func(t *testing.T) {
			if got := tt.key.String(); got != tt.want {
				t.Errorf("spelled %s", got)
			}
			if got, err := parseKey(tt.want); got != tt.key || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func FuzzKeySpelling(f *testing.F) {
	f.Add(0, "user:7")
	f.Add(2, "\xff\"=")
	f.Fuzz(func(t *testing.T, db int, key string) {
		k := keyName{max(0, db), key}
		if got, err := parseKey(k.String()); got != k || err != nil {
			t.Errorf("%q is spelled %s, read as %q, %v", key, k, got, err)
		}
	})
}

// TestDecide: what is said of a key goes before what is said of all.
func TestDecide(t *testing.T) {
	file := filepath.Join(t.TempDir(), "decisions")
	if err := os.WriteFile(file, []byte("in file=target\r\n\n2:\"x\"=source\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	differing := func(db int, key string, ttls ...int64) move.Conflict {
		c := move.Conflict{DB: db, Key: key}
		for i, ttl := range ttls {
			c.Values[i].TTL = ttl
		}
		return c
	}
	lone := differing(0, "lone")
	lone.Values[1].Absent = true
	for _, tt := range []struct {
		line string
		c    move.Conflict
		want move.Winner
	}{
		{"--conflict source", differing(0, "k"), move.SourceWins},
		{"--conflict target", differing(0, "k"), move.TargetWins},
		{"--conflict list", differing(0, "k"), move.NoWinner},
		{"--conflict newer-ttl", differing(0, "k", 2000, 1000), move.SourceWins},
		{"--conflict newer-ttl", differing(0, "k", 1000, 2000), move.TargetWins},
		{"--conflict newer-ttl", differing(0, "k", 1000, 1000), move.NoWinner},
		{"--conflict newer-ttl", differing(0, "k", -1, 1000), move.NoWinner},
		{"--conflict source --conflict-for k=target", differing(0, "k"), move.TargetWins},
		{"--conflict source --conflict-for k=target", differing(0, "other"), move.SourceWins},
		{"--conflict source --conflict-for k=target", differing(1, "k"), move.SourceWins},
		{"--conflict-for a=b=source", differing(0, "a=b"), move.SourceWins},
		{"--conflict-for a=newer-ttl", differing(0, "a", 1, 2), move.TargetWins},
		{"--conflict-for @" + file, differing(0, "in file"), move.TargetWins},
		{"--conflict-for @" + file, differing(2, "x"), move.SourceWins},
		{"--conflict-for @" + file, differing(0, "x"), move.NoWinner},
		{"--conflict target", lone, move.NoWinner},
		{"--conflict-for lone=target", lone, move.TargetWins},
		{"--conflict-for lone=newer-ttl", lone, move.NoWinner},
	} {
		t.Run(tt.line+" "+tt.c.Key, func(t *testing.T) {
			o := parse(t, append([]string{"resume", "h:1"}, strings.Fields(tt.line)...)...).(resumeOptions)
			winner := move.NoWinner
			if decide := o.engine().Decide; decide != nil {
				winner = decide(tt.c)
			}
			if winner != tt.want {
				t.Errorf("got %q, want %q", winner, tt.want)
			}
		})
	}
}

// TestConflictsTold promises that each conflict comes with the argument that
// decides it, quoted for a shell, and that a flood of them is cut short.
func TestConflictsTold(t *testing.T) {
	addr := cluster.Addr{Host: "h", Port: 1}
	c := move.Conflict{Slot: 5, Key: "it's", Source: addr, Target: cluster.Addr{Host: "h", Port: 2}, Values: [2]move.Value{{Type: "string", Bytes: 12, Digest: "ab", TTL: -1}, {Type: "hash", Bytes: 30, Digest: "cd", TTL: 900}}}
	f := failureOf(&move.ConflictError{Conflicts: []move.Conflict{c}})
	want := `key "it's" of slot 5 differs between h:1 (string, 12 bytes, digest ab, ttl -1 ms) and h:2 (hash, 30 bytes, digest cd, ttl 900 ms): '--conflict-for=it'\''s=source' keeps the first one, =target the second`
	if len(f.Reasons) != 1 || f.Reasons[0] != want {
		t.Errorf("got  %q\nwant %q", f.Reasons, want)
	}
	if got := f.Conflicts[0].Flags[move.TargetWins]; got != "--conflict-for=it's=target" {
		t.Errorf("JSON has %s", got)
	}
	many := failureOf(&move.ConflictError{Conflicts: make([]move.Conflict, 1000)})
	if len(many.Reasons) != conflictsTold+1 || len(many.Conflicts) != 1000 {
		t.Errorf("%d reasons, %d conflicts", len(many.Reasons), len(many.Conflicts))
	}
}

func TestConflictHint(t *testing.T) {
	lone := move.Conflict{}
	lone.Values[1].Absent = true
	for _, tt := range []struct {
		conflicts []move.Conflict
		has, not  string
	}{
		{[]move.Conflict{{}}, "--conflict source, target or newer-ttl", "--foreign-keys"},
		{[]move.Conflict{lone}, "--foreign-keys adopt or discard", "newer-ttl"},
		{[]move.Conflict{lone, {}}, "--foreign-keys adopt or discard", "XX"},
	} {
		hint := conflictHint(&move.ConflictError{Conflicts: tt.conflicts}, "h:1", "trib resume h:1")
		if !strings.HasPrefix(hint, "trib fix h:1 with the --conflict-for") || !strings.Contains(hint, tt.has) || strings.Contains(hint, tt.not) {
			t.Error(hint)
		}
	}
}
