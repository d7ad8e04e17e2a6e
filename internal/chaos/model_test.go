package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trib-dev/trib/internal/lab/labtest"
)

// model is what clients write while a fault happens, and what must be there
// afterwards. A write counts as acknowledged when its master has said so and its
// replica has it too: what a failing master had not passed on is lost by the
// servers, with or without trib.
type model struct {
	dial    func() *labtest.Client
	records []*record
	moving  atomic.Bool // slots are open: what is acknowledged now counts

	stop    context.CancelFunc
	done    sync.WaitGroup
	counted atomic.Int64 // acknowledged while slots were open
	frail   atomic.Int64 // acknowledged by a master alone
}

// record is one key. One client alone writes to it.
type record struct {
	key     string
	kind    kind
	written int

	// What was appended: a list, a hash or a stream never loses anything.
	acked   []string
	unknown map[string]bool // may be there, anywhere

	// What a key was set to last; more than one state where an outcome is unknown.
	// Then nobody writes to it any more: what was sent may still happen.
	states []state

	// What either side had where somebody had to decide between two values.
	either map[string]bool
}

// state is what a key that is set and deleted may be found to be.
type state struct {
	value    string // empty where it must not be there
	expires  bool
	from, to time.Time // between them it expires
}

type kind int

const (
	list kind = iota
	hash
	stream
	expiring
	deleted
	kinds
)

func (k kind) appends() bool { return k <= stream }

// newModel makes keys in each of the slots that the tags are for.
func newModel(dial func() *labtest.Client, prefix string, tags []string, perSlot int, only func(kind) bool) *model {
	m := &model{dial: dial}
	k := list
	for _, tag := range tags {
		for i := range perSlot {
			for !only(k % kinds) {
				k++
			}
			m.records = append(m.records, &record{
				key: fmt.Sprintf("%s%s-%d", tag, prefix, i), kind: k % kinds,
				unknown: make(map[string]bool), states: []state{{}},
			})
			k++
		}
	}
	return m
}

// fill writes once to every key.
func (m *model) fill() {
	for i := range clients {
		m.done.Go(func() {
			client := m.dial()
			defer client.Close()
			for k := i; k < len(m.records); k += clients {
				m.write(client, m.records[k], time.Second)
			}
		})
	}
	m.done.Wait()
}

const clients = 4

// start lets clients write until rest is called.
func (m *model) start() {
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	for i := range clients {
		m.done.Go(func() {
			client := m.dial()
			defer client.Close()
			for k := i; ctx.Err() == nil; k += clients {
				r := m.records[k%len(m.records)]
				if k%len(m.records)%clients == i {
					m.write(client, r, time.Duration(200+rand.IntN(20_000))*time.Millisecond)
				}
			}
		})
	}
}

func (m *model) rest() {
	if m.stop != nil {
		m.stop()
	}
	m.done.Wait()
}

// write writes once to a key; life is how long it may then live, where it expires.
func (m *model) write(client *labtest.Client, r *record, life time.Duration) {
	if len(r.states) > 1 {
		return
	}
	r.written++
	value := strconv.Itoa(r.written) + "-1"
	command, next := r.command(value, life)
	begun := time.Now()
	result := client.Do(context.Background(), r.key, command...)
	if next.expires {
		next.from, next.to = begun.Add(life), time.Now().Add(life)
	}
	firm := result.Outcome == labtest.Acknowledged && result.Held
	switch {
	case result.Outcome == labtest.Refused:
		return
	case firm && r.kind.appends():
		r.acked = append(r.acked, value)
	case firm:
		r.states = []state{next}
	case r.kind.appends():
		r.unknown[value] = true
	default:
		r.states = append(r.states, next)
	}
	if firm && m.moving.Load() {
		m.counted.Add(1)
	} else if result.Outcome == labtest.Acknowledged && !firm {
		m.frail.Add(1)
	}
}

// command writes a value to a key, and is what a key that is set then is.
func (r *record) command(value string, life time.Duration) ([]string, state) {
	switch r.kind {
	case list:
		return []string{"RPUSH", r.key, value}, state{}
	case hash:
		return []string{"HSET", r.key, value, "x"}, state{}
	case stream:
		return []string{"XADD", r.key, value, "field", "x"}, state{}
	case expiring:
		if r.written%3 > 0 {
			return []string{"SET", r.key, value, "PX", strconv.FormatInt(life.Milliseconds(), 10)}, state{value: value, expires: true}
		}
	case deleted:
		if r.written%2 == 0 {
			return []string{"DEL", r.key}, state{}
		}
	}
	return []string{"SET", r.key, value}, state{value: value}
}

// verdict is how many acknowledged writes are lost, how many deleted keys came
// back, and what else is wrong.
type verdict struct {
	lost, revived int
	problems      []string
}

func (v *verdict) blame(lost int, format string, args ...any) {
	v.lost += lost
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

// verify reads every key as a client does. Nobody may write.
func (m *model) verify() verdict {
	client := m.dial()
	defer client.Close()
	client.Hold = 0
	var v verdict
	for _, r := range m.records {
		if r.kind.appends() {
			result := client.Do(context.Background(), r.key, r.read()...)
			if result.Outcome != labtest.Acknowledged {
				v.blame(len(r.acked), "%s cannot be read: %v", r.key, result.Err)
				continue
			}
			r.compare(items(result.Reply), &v)
			continue
		}
		r.settled(client, &v)
	}
	return v
}

func (r *record) read() []string {
	switch r.kind {
	case list:
		return []string{"LRANGE", r.key, "0", "-1"}
	case hash:
		return []string{"HKEYS", r.key}
	case stream:
		return []string{"XRANGE", r.key, "-", "+"}
	}
	return []string{"GET", r.key}
}

// items are the values in a reply: elements, fields, or the ids of entries.
func items(reply any) []string {
	var out []string
	all, _ := reply.([]any)
	for _, item := range all {
		if entry, ok := item.([]any); ok {
			item = entry[0]
		}
		text, _ := item.(string)
		out = append(out, text)
	}
	return out
}

// compare holds what a key has against what was acknowledged, in order; values
// whose fate is unknown may stand anywhere.
func (r *record) compare(got []string, v *verdict) {
	has := make(map[string]bool)
	var known []string
	for _, value := range got {
		has[value] = true
		if !r.unknown[value] {
			known = append(known, value)
		}
	}
	var want, lost []string
	for _, value := range r.acked {
		if has[value] {
			want = append(want, value)
		} else {
			lost = append(lost, value)
		}
	}
	if len(lost) > 0 {
		v.blame(len(lost), "%s lost %d of %d: %.200q", r.key, len(lost), len(r.acked), lost)
	}
	if r.kind == hash {
		slices.Sort(want)
		slices.Sort(known)
	}
	if !slices.Equal(want, known) {
		v.blame(0, "%s has values out of order, twice, or though they were refused: %.200q, want %.200q", r.key, known, want)
	}
}

// settled holds a key that is set and deleted against the states it may be in.
func (r *record) settled(client *labtest.Client, v *verdict) {
	got := client.Do(context.Background(), r.key, r.read()...)
	left := client.Do(context.Background(), r.key, "PTTL", r.key)
	if got.Outcome != labtest.Acknowledged || left.Outcome != labtest.Acknowledged {
		v.blame(1, "%s cannot be read: %v, %v", r.key, got.Err, left.Err)
		return
	}
	value, _ := got.Reply.(string)
	ttl, _ := left.Reply.(int64)
	now := time.Now()
	if r.either[value] {
		return
	}
	if !slices.ContainsFunc(r.states, func(s state) bool { return s.admits(value, ttl, now) }) {
		lost := 1
		if len(r.states) == 1 && r.states[0].value == "" {
			lost = 0
			v.revived++
		}
		v.blame(lost, "%s is %q with %d ms to live, want one of %s", r.key, value, ttl, describe(r.states, now))
	}
}

// late is by how much a time to live may grow on its way: it stands still while a
// MIGRATE waits.
const late = 5 * time.Second

func (s state) admits(value string, ttl int64, now time.Time) bool {
	gone := value == ""
	switch {
	case s.value == "":
		return gone
	case !s.expires:
		return value == s.value && ttl == -1
	case gone:
		return now.After(s.from.Add(-100 * time.Millisecond))
	}
	ends := now.Add(time.Duration(ttl) * time.Millisecond)
	return value == s.value && ttl != -1 && ends.Before(s.to.Add(late))
}

func describe(states []state, now time.Time) string {
	var out []string
	for _, s := range states {
		switch {
		case s.value == "":
			out = append(out, "gone")
		case s.expires:
			out = append(out, fmt.Sprintf("%q for %v", s.value, s.from.Sub(now).Round(time.Millisecond)))
		default:
			out = append(out, fmt.Sprintf("%q", s.value))
		}
	}
	return fmt.Sprint(out)
}

// clear deletes all keys.
func (m *model) clear() {
	client := m.dial()
	defer client.Close()
	client.Hold = 0
	for _, r := range m.records {
		client.Do(context.Background(), r.key, "DEL", r.key)
	}
}
