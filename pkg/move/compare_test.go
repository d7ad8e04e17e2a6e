package move

import (
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/driver"
)

func TestReadWhole(t *testing.T) {
	for kind, want := range map[string]string{
		"string": "GET k", "list": "LRANGE k 0 -1", "set": "SMEMBERS k", "zset": "ZRANGE k 0 -1 WITHSCORES", "hash": "HGETALL k",
		"stream": "", "module": "",
	} {
		if got := strings.Join(ReadWhole(kind, "k"), " "); got != want {
			t.Errorf("%s: got %q", kind, got)
		}
	}
}

// TestSameWhole: the order counts where it means something, and what could not be
// read is like nothing.
func TestSameWhole(t *testing.T) {
	text := func(s string) driver.Reply { return driver.Reply{Value: s} }
	for name, test := range map[string]struct {
		kind string
		a, b driver.Reply
		want bool
	}{
		"equal texts":          {"string", text("x"), text("x"), true},
		"other texts":          {"string", text("x"), text("y"), false},
		"a set in other order": {"set", listOf("a", "b"), listOf("b", "a"), true},
		"a list in another":    {"list", listOf("a", "b"), listOf("b", "a"), false},
		"a stream":             {"stream", text("x"), text("x"), false},
		"one was not read":     {"string", refused("ERR"), refused("ERR"), false},
		"the first was not":    {"set", refused("ERR"), listOf(), false},
		"the other was not":    {"set", listOf(), refused("ERR"), false},
		"neither is there":     {"string", driver.Reply{}, driver.Reply{}, true},
		"one is there":         {"string", text("x"), driver.Reply{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SameWhole(test.kind, test.a, test.b); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestSameContent: values that are serialised differently are read at both ends.
func TestSameContent(t *testing.T) {
	set := func(form byte, bytes int) Value { return Value{form: form, Bytes: bytes} }
	for name, test := range map[string]struct {
		v, w             Value
		atSource, target driver.Reply
		same, fails      bool
		asked            int // of the target
	}{
		"the same members":      {set(2, 9), set(20, 9), listOf("a", "b"), listOf("b", "a"), true, false, 1},
		"other members":         {set(2, 9), set(20, 9), listOf("a", "b"), listOf("b", "c"), false, false, 1},
		"too big here":          {set(2, comparableBytes+1), set(20, 9), listOf("a"), listOf("a"), false, false, 0},
		"too big there":         {set(2, 9), set(20, comparableBytes+1), listOf("a"), listOf("a"), false, false, 0},
		"of types that are not": {set(2, 9), set(4, 9), listOf("a"), listOf("a"), false, false, 0},
		"gone from here":        {set(2, 9), set(20, 9), refused("ASK 7 10.0.0.2:7000"), refused("ASK 7 10.0.0.2:7000"), false, false, 0},
		"gone from there":       {set(2, 9), set(20, 9), listOf("a"), refused("ASK 7 10.0.0.2:7000"), false, false, 1},
		"not to be read here":   {set(2, 9), set(20, 9), refused("ERR"), listOf("a"), false, true, 0},
		"not to be read there":  {set(2, 9), set(20, 9), listOf("a"), refused("ERR"), false, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := wire(t)
			w.atSource["SMEMBERS"], w.atTarget["SMEMBERS"] = test.atSource, test.target
			same, err := w.sameContent(t.Context(), 0, "k", test.v, test.w)
			if same != test.same || (err != nil) != test.fails {
				t.Errorf("same %v, error %v", same, err)
			}
			if sent := strings.Join(w.toTarget.sent, ", "); strings.Count(sent, "SMEMBERS") != test.asked || test.asked > 0 && sent != "ASKING, SMEMBERS k" {
				t.Errorf("the target was told %q", sent)
			}
		})
	}
}
