package move

import (
	"strings"
	"testing"
)

func TestLayoutOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		v, w byte
		want string // command; empty where the values cannot be compared
	}{
		{"strings", 0, 0, "GET"},
		{"a set in two encodings", 2, 20, "SMEMBERS"},
		{"a hash in two encodings", 4, 16, "HGETALL"},
		{"a list in two encodings", 14, 18, "LRANGE"},
		{"a zset in two encodings", 5, 17, "ZRANGE"},
		{"a set and a hash", 2, 4, ""},
		{"streams have groups", 15, 15, ""},
		{"fields of a hash expire", 24, 4, ""},
		{"fields expire on both sides", 22, 22, ""},
		{"modules", 7, 7, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, ok := layoutOf(Value{form: tt.v}, Value{form: tt.w})
			if ok != (tt.want != "") || ok && l.command("k").Name() != tt.want {
				t.Errorf("got %v, %v", l.read, ok)
			}
		})
	}
}

func TestArranged(t *testing.T) {
	layoutFor := func(form byte) layout {
		l, _ := layoutOf(Value{form: form}, Value{form: form})
		return l
	}
	const list, set, hash = 18, 20, 16
	for _, tt := range []struct {
		form byte
		a, b string
		same bool
	}{
		{set, "a b c", "c a b", true},
		{set, "a b c", "a b d", false},
		{hash, "f 1 g 2", "g 2 f 1", true},
		{hash, "f 1 g 2", "f 2 g 1", false},
		{list, "a b", "b a", false},
		{list, "a b", "a b", true},
		{set, "", "", true},
		{set, "a", "", false},
	} {
		l := layoutFor(tt.form)
		if got := l.arranged(strings.Fields(tt.a)) == l.arranged(strings.Fields(tt.b)); got != tt.same {
			t.Errorf("form %d: %q and %q: %v", tt.form, tt.a, tt.b, got)
		}
	}
	if l := layoutFor(set); l.arranged([]string{`a" "b`}) == l.arranged([]string{"a", "b"}) {
		t.Error("a member with quotes is taken for two")
	}
}
