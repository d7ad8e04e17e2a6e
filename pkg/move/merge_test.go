package move

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/driver"
)

// TestSorted: what becomes of a key is what was decided about it.
func TestSorted(t *testing.T) {
	for _, w := range []Winner{SourceWins, TargetWins, NoWinner} {
		var found comparison
		found.lone(Conflict{Key: "lone"}, w)
		found.differing(Conflict{Key: "differs"}, w)
		want := map[Winner]string{
			SourceWins: "missing [lone], wins [differs], given [], loses 0, conflicts 0",
			TargetWins: "missing [], wins [], given [lone], loses 1, conflicts 0",
			NoWinner:   "missing [], wins [], given [], loses 0, conflicts 2",
		}[w]
		if got := fmt.Sprintf("missing %v, wins %v, given %v, loses %d, conflicts %d",
			found.missing, found.sourceWins, found.given, len(found.targetWins), len(found.conflicts)); got != want {
			t.Errorf("%q: %s", w, got)
		}
	}
}

// TestDropEqual: a source that migrates sends its copy once more, which clients may
// have changed; a node that only holds one deletes it, and never sends it to the
// owner, whose copy clients change.
func TestDropEqual(t *testing.T) {
	for name, test := range map[string]struct {
		errand  errand
		keys    string
		command string // refused
		source  string // what it is told
		carrier string
		fails   bool
	}{
		"a move":                    {moves, "k l", "", "", "REPLACE", false},
		"a move, refused":           {moves, "k l", "MIGRATE", "", "REPLACE", true},
		"a move of nothing":         {moves, "", "", "", "", false},
		"a gathering":               {brings, "k l", "", "ASKING, DEL k, ASKING, DEL l", "", false},
		"a gathering, refused":      {brings, "k l", "DEL", "ASKING, DEL k, ASKING, DEL l", "", true},
		"a gathering of nothing":    {brings, "", "", "", "", false},
		"a gathering that discards": {wipes, "k", "", "ASKING, DEL k", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.errand = test.errand
			w.atSource[test.command] = refused("ERR")
			err := w.dropEqual(t.Context(), batch{slot: 7}, strings.Fields(test.keys))
			if got := strings.Join(w.toSource.sent, ", "); got != test.source || migrates(w.toCarrier.sent) != test.carrier || (err != nil) != test.fails {
				t.Errorf("the source was told %q and %q, error is %v", got, w.toCarrier.sent, err)
			}
		})
	}
}

// TestValues: a key that is not there is told from one that cannot be read.
func TestValues(t *testing.T) {
	text := func(s string) driver.Reply { return driver.Reply{Value: s} }
	for name, test := range map[string]struct {
		dump, ttl driver.Reply
		want      string
		fails     bool
	}{
		"a value":        {text("\x00v"), driver.Reply{Value: int64(5)}, "string 2 5", false},
		"none":           {driver.Reply{}, driver.Reply{Value: int64(-2)}, "none", false},
		"elsewhere":      {refused("ASK 7 10.0.0.2:7000"), refused("ASK 7 10.0.0.2:7000"), "none", false},
		"not allowed":    {refused("NOPERM"), driver.Reply{Value: int64(5)}, "", true},
		"of no length":   {text(""), driver.Reply{Value: int64(5)}, "", true},
		"of no lifetime": {text("\x00v"), refused("ERR"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["DUMP"], w.atSource["PTTL"], w.atSource["TYPE"] = test.dump, test.ttl, text("string")
			values, err := w.values(t.Context(), w.src, batch{slot: 7, keys: []string{"k"}}, nil)
			if (err != nil) != test.fails {
				t.Fatalf("error is %v", err)
			}
			got := "none"
			if err == nil && values[0] != nil {
				got = fmt.Sprint(values[0].Type, " ", values[0].Bytes, " ", values[0].TTL)
			}
			if err == nil && got != test.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestSame: values that do not expire together differ, whatever they hold.
func TestSame(t *testing.T) {
	const lives = 100_000_000 // ms
	for name, test := range map[string]struct {
		source, target *Value
		same           bool
	}{
		"neither expires":    {&Value{Bytes: 2, Digest: "d", TTL: -1}, &Value{Bytes: 2, Digest: "d", TTL: -1}, true},
		"read one by one":    {&Value{Bytes: 2, Digest: "d", TTL: lives}, &Value{Bytes: 2, Digest: "d", TTL: lives - 5}, true},
		"one expires":        {&Value{Bytes: 2, Digest: "d", TTL: 5}, &Value{Bytes: 2, Digest: "d", TTL: -1}, false},
		"the other expires":  {&Value{Bytes: 2, Digest: "d", TTL: -1}, &Value{Bytes: 2, Digest: "d", TTL: 5}, false},
		"one expires later":  {&Value{Bytes: 2, Digest: "d", TTL: lives}, &Value{Bytes: 2, Digest: "d", TTL: lives / 2}, false},
		"only the source's":  {&Value{Bytes: 2, Digest: "d", TTL: -1}, nil, false},
		"only the target's":  {nil, &Value{Bytes: 2, Digest: "d", TTL: -1}, false},
		"of one length":      {&Value{Bytes: 2, Digest: "d", TTL: -1, form: 15}, &Value{Bytes: 2, Digest: "e", TTL: -1, form: 15}, false},
		"of different forms": {&Value{Bytes: 2, Digest: "d", TTL: -1, form: 0}, &Value{Bytes: 3, Digest: "d", TTL: -1, form: 15}, false},
	} {
		t.Run(name, func(t *testing.T) {
			same, err := wire(t).same(t.Context(), 0, "k", test.source, test.target)
			if same != test.same || err != nil {
				t.Errorf("same %v, error is %v", same, err)
			}
		})
	}
}
