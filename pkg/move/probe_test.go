package move

import (
	"slices"
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/driver"
)

// probing is a mover before slots 7 and 8 are opened, which hold a key each, of
// that size.
func probing(t *testing.T, o BigKeys, bytes int64) *wired {
	w := closed(t)
	w.o.Big = o.withDefaults()
	w.scale = newScale(w.o.Big, 0)
	w.atSource["CLUSTER GETKEYSINSLOT"] = listOf("k")
	w.atSource["MEMORY USAGE"] = driver.Reply{Value: bytes}
	w.atSource["TYPE"] = driver.Reply{Value: "hash"}
	w.atSource["HLEN"] = driver.Reply{Value: int64(12)}
	return w
}

// told are the first words of the commands that the source was sent.
func (w *wired) told(names ...string) int {
	n := 0
	for _, text := range w.toSource.sent {
		for _, name := range names {
			if strings.HasPrefix(text, name) {
				n++
			}
		}
	}
	return n
}

// TestWithoutBigKeys: what is big is said, or stays with its slot, by the policy;
// nothing is asked twice.
func TestWithoutBigKeys(t *testing.T) {
	const big = 1 << 40
	skip, warn, move := BigKeys{Policy: BigSkip}, BigKeys{}, BigKeys{Policy: BigMove}
	for name, test := range map[string]struct {
		o             BigKeys
		bytes         int64
		change        func(w *wired)
		goes          string // slots
		lists, weighs int
		notices       int
		peeked        bool
		fails         bool
	}{
		"small ones":                  {o: warn, bytes: 10, goes: "7 8", lists: 2, weighs: 2, peeked: true},
		"a big one is told":           {o: warn, bytes: big, goes: "7 8", lists: 2, weighs: 2, notices: 1, peeked: true},
		"a big one stays":             {o: skip, bytes: big, goes: "8", lists: 2, weighs: 2, peeked: true},
		"big ones are moved":          {o: move, bytes: big, goes: "7 8"},
		"the source migrates already": {o: skip, bytes: big, change: func(w *wired) { w.src.view = seen(t, "a myself,master 3 0-9 [7->-b]", "b master 4 10-20") }, goes: "7", lists: 1, weighs: 1},
		"the target imports already":  {o: skip, bytes: big, change: func(w *wired) { w.dst.view = seen(t, "a master 3 0-9", "b myself,master 4 10-20 [7-<-a]") }, goes: "7", lists: 1, weighs: 1},
		"nobody tells sizes":          {o: warn, change: func(w *wired) { w.atSource["MEMORY USAGE"] = refused("NOPERM no") }, goes: "7 8", lists: 2, weighs: 2, peeked: true},
		"nobody lists":                {o: skip, change: func(w *wired) { w.atSource["CLUSTER GETKEYSINSLOT"] = refused("ERR") }, lists: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := probing(t, test.o, test.bytes)
			if test.change != nil {
				test.change(w)
			}
			for range 2 {
				goes, err := w.withoutBigKeys(t.Context(), []int{7, 8})
				if (err != nil) != test.fails {
					t.Fatalf("error is %v", err)
				}
				if got := strings.Trim(strings.ReplaceAll(slotsText(goes), ",", " "), "[]"); got != test.goes {
					t.Errorf("slots %s go", got)
				}
				if test.fails {
					return
				}
				if _, ok := w.scale.peeked[0]; ok != test.peeked {
					t.Errorf("peeked %v", w.scale.peeked)
				}
				test.peeked = false // another time nothing is listed, and what was is forgotten
			}
			if lists, weighs := w.told("CLUSTER GETKEYSINSLOT"), w.told("MEMORY USAGE"); lists != test.lists || weighs != test.weighs {
				t.Errorf("listed %d times, weighed %d", lists, weighs)
			}
			if len(w.said) != test.notices {
				t.Errorf("said %v", w.said)
			}
		})
	}
}

func slotsText(slots []int) string {
	var words []string
	for _, slot := range slots {
		words = append(words, string(rune('0'+slot)))
	}
	return strings.Join(words, " ")
}

// TestBlind: a server that does not tell sizes is not asked again.
func TestBlind(t *testing.T) {
	for name, test := range map[string]struct {
		reply driver.Reply
		asked int
	}{
		"forbidden":    {refused("NOPERM no"), 1},
		"nonsense":     {driver.Reply{Value: "x"}, 2},
		"gone by then": {driver.Reply{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := probing(t, BigKeys{}, 0)
			w.atSource["MEMORY USAGE"] = test.reply
			for range 2 {
				if err := w.weigh(t.Context(), 0, []string{"k"}); err != nil {
					t.Error(err)
				}
			}
			if n := w.told("MEMORY USAGE"); n != test.asked {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestPeek: where every big key is to be found, a slot is listed at a time, and
// as a whole.
func TestPeek(t *testing.T) {
	for policy, want := range map[Policy]string{
		BigWarn: "CLUSTER GETKEYSINSLOT 7 4000, CLUSTER GETKEYSINSLOT 8 4000",
		BigSkip: "CLUSTER GETKEYSINSLOT 7 1000000, CLUSTER GETKEYSINSLOT 8 1000000",
	} {
		w := probing(t, BigKeys{Policy: policy}, 10)
		listed, err := w.peek(t.Context(), 0, []int{7, 8})
		if got := strings.Join(w.toSource.sent, ", "); got != want || err != nil || len(listed) != 2 {
			t.Errorf("%s: sent %s; %v, %v", policy, got, listed, err)
		}
	}
}

// TestMembers: each value is counted by the command of its type.
func TestMembers(t *testing.T) {
	w := probing(t, BigKeys{}, 10)
	if members, err := w.members(t.Context(), 0, []string{"k"}); err != nil || !slices.Equal(members, []int64{12}) {
		t.Errorf("got %v, %v", members, err)
	}
}

// TestDatabaseIsNotSelected: what is asked of a database that cannot be selected
// is not taken for an answer.
func TestDatabaseIsNotSelected(t *testing.T) {
	w := probing(t, BigKeys{}, 10)
	w.databases = []int{0, 1}
	w.atSource["SELECT"] = refused("ERR")
	if _, err := w.listKeys(t.Context(), 1, []int{7}, 10); err == nil {
		t.Error("it lists")
	}
	if err := w.weigh(t.Context(), 1, []string{"k"}); err == nil {
		t.Error("it weighs")
	}
}
