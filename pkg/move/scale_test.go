package move

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

func TestCut(t *testing.T) {
	sizes := map[string]int64{"a": 10, "b": 20, "c": 30, "huge": 1000}
	for _, tt := range []struct {
		keys  string
		most  int
		bytes int64
		want  string
	}{
		{"a b c", 10, 100, "a b c"},
		{"a b c", 2, 100, "a b"},
		{"a b c", 10, 59, "a b"},
		{"a b c", 10, 60, "a b c"},
		{"huge a", 10, 60, "huge"}, // one goes, whatever its size
		{"a huge", 10, 60, "a"},
		{"unknown a unknown", 10, 60, "unknown a unknown"},
		{"a", 1, 1, "a"},
	} {
		t.Run(tt.keys+" "+tt.want, func(t *testing.T) {
			s := newScale(BigKeys{}.withDefaults(), 0)
			for key, size := range sizes {
				s.sizes[keyName{2, key}] = size
			}
			whole := batch{slot: 7, db: 2, keys: strings.Fields(tt.keys)}
			var bytes int64
			for _, key := range strings.Fields(tt.want) {
				bytes += sizes[key]
			}
			b := s.cut(&whole, pace{keys: tt.most, bytes: tt.bytes})
			if got := strings.Join(b.keys, " "); got != tt.want || b.slot != 7 || b.db != 2 || b.bytes != bytes {
				t.Errorf("got %+v", b)
			}
			if got := strings.Join(append(b.keys, whole.keys...), " "); got != tt.keys {
				t.Errorf("then %q is left", whole.keys)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	const dangerous = time.Second
	for _, tt := range []struct {
		name           string
		o              BigKeys
		dangerous      time.Duration
		bytes, members int64
		want           string // "", "told" or "left"
	}{
		{"small", BigKeys{}, dangerous, 1000, 0, ""},
		{"as many bytes as are big", BigKeys{}, dangerous, defaultBigBytes, 0, "told"},
		{"one less", BigKeys{}, dangerous, defaultBigBytes - 1, 0, ""},
		{"as many members as are big", BigKeys{}, dangerous, 1000, defaultBigMembers, "told"},
		{"skip", BigKeys{Policy: BigSkip}, dangerous, defaultBigBytes, 0, "left"},
		{"skip small", BigKeys{Policy: BigSkip}, dangerous, 1000, 10, ""},
		{"dangerous by members", BigKeys{}, dangerous, 1000, 1_000_000, "left"},
		{"dangerous by bytes", BigKeys{}, dangerous, 250_000_000, 0, "left"},
		{"nearly", BigKeys{}, dangerous, 1000, 999_999, "told"},
		{"node timeout not known", BigKeys{}, 0, 1000, 1_000_000, "told"},
		{"own bounds", BigKeys{Policy: BigSkip, Bytes: 10}, dangerous, 10, 0, "left"},
		{"own members", BigKeys{Members: 5}, dangerous, 10, 5, "told"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := 0
			m := mover{scale: newScale(tt.o.withDefaults(), tt.dangerous), report: func(p Progress) {
				if strings.Contains(p.Notice, `key "k" of slot 3`) {
					told++
				}
			}}
			m.judge(BigKey{Slot: 3, Key: "k", Bytes: tt.bytes, Members: tt.members, Blocks: blocks(tt.bytes, tt.members)})
			if left := m.scale.leaves(3); left != (tt.want == "left") || told == 1 != (tt.want == "told") || m.scale.leaves(4) {
				t.Errorf("left %v, told %d times", left, told)
			}
		})
	}
}

func TestSuspects(t *testing.T) {
	s := newScale(BigKeys{Bytes: 100}.withDefaults(), 0)
	s.sizes[keyName{0, "small"}], s.sizes[keyName{0, "big"}], s.sizes[keyName{1, "small"}] = 99, 100, 1000
	if got := fmt.Sprint(s.suspects(batch{keys: []string{"small", "big", "not weighed"}})); got != "[big]" {
		t.Errorf("suspects %s", got)
	}
	if got := fmt.Sprint(s.unknown(0, []string{"small", "big", "not weighed"})); got != "[not weighed]" {
		t.Errorf("unknown %s", got)
	}
	s.forget()
	if got := len(s.unknown(0, []string{"small", "big"})); got != 2 {
		t.Errorf("%d are unknown after all was forgotten", got)
	}
}

func TestBigKeysError(t *testing.T) {
	if err := bigKeysError(nil); err != nil {
		t.Error(err)
	}
	err := bigKeysError([]BigKey{
		{Slot: 9, Key: "text", Bytes: 20 << 20, Blocks: 84 * time.Millisecond},
		{Slot: 3, Key: "hash\n", Bytes: 500, Members: 200_000, Blocks: 200 * time.Millisecond},
	})
	want := `slots 3,9 were left where they are: key "hash\n" of slot 3 (500 bytes, 200000 members) blocks both nodes for about 200ms; ` +
		`key "text" of slot 9 (20971520 bytes) blocks both nodes for about 84ms`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestDefaults(t *testing.T) {
	for _, tt := range []struct {
		name        string
		o           Options
		nodeTimeout int64
		check       func(Options) bool
	}{
		{"a third of the node timeout", Options{}, 3000, func(o Options) bool { return o.Timeout == time.Second }},
		{"5 s at most", Options{}, 60_000, func(o Options) bool { return o.Timeout == 5*time.Second }},
		{"node timeout not known", Options{}, 0, func(o Options) bool { return o.Timeout == 5*time.Second }},
		{"as wanted", Options{Timeout: time.Minute}, 3000, func(o Options) bool { return o.Timeout == time.Minute }},
		{"sizes", Options{}, 0, func(o Options) bool {
			return o.Batch == 100 && o.Window == 16 && o.Lanes == 2 && o.MaxBlock == 10*time.Millisecond
		}},
		{"one replica", Options{}, 0, func(o Options) bool { return o.WaitReplicas == 1 }},
		{"no replica", Options{WaitReplicas: -1}, 0, func(o Options) bool { return o.WaitReplicas == -1 }},
		{"big keys", Options{}, 0, func(o Options) bool { return o.Big == BigKeys{BigWarn, 16 << 20, 100_000} }},
		{"no throttle", Options{}, 0, func(o Options) bool { return o.Throttle == nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.o.withDefaults(cluster.Member{NodeTimeout: tt.nodeTimeout}); !tt.check(got) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestDownFor(t *testing.T) {
	for nodeTimeout, want := range map[time.Duration]time.Duration{
		0: 50 * time.Second, 2 * time.Second: 11 * time.Second, 15 * time.Second: 50 * time.Second, time.Hour: time.Minute,
	} {
		if got := downFor(nodeTimeout); got != want {
			t.Errorf("node timeout %v: %v, want %v", nodeTimeout, got, want)
		}
	}
}

// TestMoving: of what was listed before the window was opened, slots that are left
// where they are do not go.
func TestMoving(t *testing.T) {
	s := newScale(BigKeys{}.withDefaults(), 0)
	s.left = []BigKey{{Slot: 7}}
	got := s.moving([]batch{{slot: 7, keys: []string{"big"}}, {slot: 8, keys: []string{"a"}}, {slot: 9}})
	if len(got) != 1 || got[0].slot != 8 {
		t.Errorf("got %v", got)
	}
}
