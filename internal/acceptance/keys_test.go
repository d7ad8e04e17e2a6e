package acceptance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// kinds are the types of the keys: how one is written, read, and whether its
// elements come in no order.
var kinds = []struct {
	write func(key string) []string
	read  []string // with the key in second place
	loose bool
}{
	{func(k string) []string { return []string{"SET", k, "value of " + k + "\x00\r\n\xff"} }, []string{"GET"}, false},
	{func(k string) []string { return []string{"RPUSH", k, "1", "2", k, "1"} }, []string{"LRANGE", "0", "-1"}, false},
	{func(k string) []string { return []string{"HSET", k, "field", k, "other", "2"} }, []string{"HGETALL"}, true},
	{func(k string) []string { return []string{"SADD", k, "a", "b", k} }, []string{"SMEMBERS"}, true},
	{func(k string) []string { return []string{"ZADD", k, "1.5", "a", "-2", k} }, []string{"ZRANGE", "0", "-1", "WITHSCORES"}, false},
	{func(k string) []string { return []string{"XADD", k, "7-1", "field", k} }, []string{"XRANGE", "-", "+"}, false},
	{func(k string) []string { return []string{"SET", k, strings.Repeat(k, 20_000)} }, []string{"GET"}, false},
}

type item struct {
	key     string
	kind    int
	value   string
	expires time.Time // zero for never
}

// treasure is keys with their values as they were read when nothing had moved.
type treasure struct {
	client *labtest.Client
	items  []item
}

// bury writes keys of every type into the cluster, every third with a time to
// live: three in each of the first 40 slots, 250 in slot 7, one in each up to
// slot 600 and in every tenth after that.
func bury(t testing.TB, l *labtest.Lab) *treasure {
	t.Helper()
	h := &treasure{client: l.Client()}
	t.Cleanup(h.client.Close)
	for i, key := range keysFor(func(slot int) int {
		switch {
		case slot == 7:
			return 250
		case slot < 40:
			return 3
		case slot < 600 || slot%10 == 0:
			return 1
		}
		return 0
	}) {
		it := item{key: key, kind: i % len(kinds)}
		if it.kind == len(kinds)-1 && i%10 != 0 {
			it.kind = 0 // big ones are rare
		}
		h.do(t, key, kinds[it.kind].write(key)...)
		if i%3 == 0 {
			it.expires = time.Now().Add(time.Duration(1000+i) * time.Second)
			h.do(t, key, "PEXPIREAT", key, fmt.Sprint(it.expires.UnixMilli()))
		}
		it.value = h.read(t, it)
		h.items = append(h.items, it)
	}
	return h
}

// keysFor makes so many keys for each slot.
func keysFor(want func(slot int) int) []string {
	left := make([]int, labtest.Slots)
	missing := 0
	for slot := range left {
		left[slot] = want(slot)
		missing += left[slot]
	}
	var keys []string
	for i := 0; missing > 0; i++ {
		key := fmt.Sprintf("key:%d", i)
		if slot := labtest.Slot(key); left[slot] > 0 {
			left[slot]--
			missing--
			keys = append(keys, key)
		}
	}
	return keys
}

func (h *treasure) do(t testing.TB, key string, args ...string) any {
	t.Helper()
	r := h.client.Do(t.Context(), key, args...)
	if r.Outcome != labtest.Acknowledged {
		t.Fatalf("%.80q: %v: %v", args, r.Outcome, r.Err)
	}
	return r.Reply
}

func (h *treasure) read(t testing.TB, it item) string {
	t.Helper()
	kind := kinds[it.kind]
	command := append([]string{kind.read[0], it.key}, kind.read[1:]...)
	reply := h.do(t, it.key, command...)
	return sorted(reply, kind.loose)
}

// sorted is a reply as text; one that comes in no order is brought into one.
func sorted(reply any, loose bool) string {
	if items, ok := reply.([]any); ok && loose {
		slices.SortFunc(items, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	return fmt.Sprintf("%q", reply)
}

// intact holds that every key is where clients find it, with its value and its
// time to live.
func (h *treasure) intact(t testing.TB) {
	t.Helper()
	for _, it := range h.items {
		if got := h.read(t, it); got != it.value {
			t.Fatalf("%s in slot %d: got %.100s, want %.100s", it.key, labtest.Slot(it.key), got, it.value)
		}
		ttl := time.Duration(h.do(t, it.key, "PTTL", it.key).(int64)) * time.Millisecond
		want := -time.Millisecond
		if !it.expires.IsZero() {
			want = time.Until(it.expires)
		}
		if diff := (ttl - want).Abs(); diff > time.Second {
			t.Fatalf("%s in slot %d expires in %v, want %v", it.key, labtest.Slot(it.key), ttl, want)
		}
	}
}
