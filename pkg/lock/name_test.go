package lock

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestNameSurvives promises that a name of any parts is one that servers
// accept, and that others read the same parts from it.
func TestNameSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := name{
			phase:     rapid.SampledFrom([]string{trying, holding}).Draw(t, "phase"),
			operation: rapid.String().Draw(t, "operation"),
			run:       newRun(),
			holder:    rapid.String().Draw(t, "holder"),
		}
		text := n.String()
		// What networking.c accepts: '!' to '~'.
		if strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }) {
			t.Fatalf("no server takes the name %q", text)
		}
		want := name{n.phase, clean(n.operation), n.run, clean(n.holder)}
		if got, ok := parseName(text); !ok || got != want {
			t.Fatalf("read %+v, %v; want %+v", got, ok, want)
		}
	})
}

func TestParseName(t *testing.T) {
	tests := []struct {
		name, text string
		want       name
		ok         bool
	}{
		{"held", "trib:held:reshard:0001:host_42", name{"held", "reshard", "0001", "host_42"}, true},
		{"try, and a holder from the future", "trib:try:fix:2:a:b:c", name{"try", "fix", "2", "a:b:c"}, true},
		{"somebody else", "sidekiq", name{}, false},
		{"empty", "", name{}, false},
		{"no holder", "trib:held:reshard:1", name{}, false},
		{"another phase", "trib:done:reshard:1:h", name{}, false},
		{"another tool", "tribe:held:reshard:1:h", name{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parseName(tt.text); got != tt.want || ok != tt.ok {
				t.Errorf("%+v, %v", got, ok)
			}
		})
	}
}

// TestNewRunOrders promises that who starts later has the higher run, and that
// two who start at once have different ones.
func TestNewRunOrders(t *testing.T) {
	seen := make(map[string]bool)
	last := ""
	for range 1000 {
		run := newRun()
		if seen[run] || len(run) != 24 || run[:16] < last {
			t.Fatalf("run %s after %s", run, last)
		}
		seen[run], last = true, run[:16]
	}
}

// TestRivals reads lines as servers of all flavors print them.
func TestRivals(t *testing.T) {
	list := strings.Join([]string{
		"id=3 addr=127.0.0.1:40001 laddr=127.0.0.1:7000 fd=8 name=trib:held:reshard:1:h1 age=3 idle=0 flags=N db=0 sub=0 cmd=ping user=default",
		"id=4 addr=127.0.0.1:40002 fd=9 name=trib:held:reshard:9:me age=3 idle=0 flags=N db=0 cmd=client",
		"id=5 addr=127.0.0.1:40003 fd=10 name= age=3 idle=0 flags=N db=0 cmd=client|list lib-name=trib:held:x:1:y",
		"id=6 addr=[::1]:40004 fd=11 name=trib:try:fix:2:h2 age=3 idle=0 flags=N db=0 tot-mem=22298",
		"id=7 addr=/tmp/sock:0 fd=11 name=app age=3",
		"", "nonsense",
	}, "\n")
	want := []rival{
		{name{"held", "reshard", "1", "h1"}, "3", "127.0.0.1:40001", "n"},
		{name{"try", "fix", "2", "h2"}, "6", "[::1]:40004", "n"},
	}
	got := rivals(list, "n", "9")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rival{}, name{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
