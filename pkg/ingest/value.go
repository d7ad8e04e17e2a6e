package ingest

import (
	"context"
	"fmt"

	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/move"
)

// value is a key's value in its serialised form.
type value struct {
	there bool
	dump  string
	ttl   int64 // ms; -1 for none
}

// footer ends a serialised value: the version of the form, which differs between
// servers, and a checksum of all.
const footer = 10

func (v value) body() string { return v.dump[:max(0, len(v.dump)-footer)] }

// slack is by how many ms two times to live may differ: that of a key on the way is
// counted anew when it arrives.
const slack = 5000

func (v value) expiresWith(w value) bool {
	if v.ttl < 0 || w.ttl < 0 {
		return v.ttl < 0 && w.ttl < 0
	}
	return max(v.ttl, w.ttl)-min(v.ttl, w.ttl) <= slack
}

// read reads keys at a server. A refusal of a single key is in refused.
func read(ctx context.Context, p *peer, db int, keys []string) (values []value, refused []error, err error) {
	cmds := make([]driver.Command, 0, 2*len(keys))
	for _, key := range keys {
		cmds = append(cmds, driver.Cmd("DUMP", key), driver.Cmd("PTTL", key))
	}
	replies, err := p.do(ctx, repliesWithin, db, cmds...)
	if err != nil {
		return nil, nil, err
	}
	values, refused = make([]value, len(keys)), make([]error, len(keys))
	for i := range keys {
		dump, ttl := replies[2*i], replies[2*i+1]
		if refused[i] = driver.FirstErr(replies[2*i : 2*i+2]); refused[i] != nil {
			continue
		}
		values[i].dump, values[i].there = dump.Value.(string)
		if values[i].ttl, err = ttl.Int(); err != nil {
			return nil, nil, fmt.Errorf("%s: PTTL: %w", p.addr, err)
		}
		values[i].there = values[i].there && values[i].ttl != -2 // it may expire between the two
	}
	return values, refused, nil
}

// verdict is what became of keys that source and target may both have.
type verdict struct {
	equal, differ, missing []string
	gone                   int
	again                  again
}

// settle compares keys that the target has. Those with another value stay as they
// are.
func (l *lane) settle(ctx context.Context, to *peer, db int, keys []string) (verdict, error) {
	v, err := l.compare(ctx, to, db, keys)
	if err != nil {
		return v, err
	}
	for _, key := range v.differ {
		l.r.problem(Problem{DB: db, Key: key, Existing: true, Why: "the cluster has another value, or another time to live"})
	}
	if len(v.missing) > 0 { // it has expired there, or was deleted, a moment ago
		v.again = again{append(v.again.keys, v.missing...), fmt.Errorf("%s: keys come and go", to.addr)}
	}
	return v, nil
}

// compare sorts keys by how their values at source and target are. Its error is
// the source's.
func (l *lane) compare(ctx context.Context, to *peer, db int, keys []string) (v verdict, err error) {
	if len(keys) == 0 {
		return v, nil
	}
	ours, refused, err := read(ctx, &l.source, db, keys)
	if err != nil {
		return v, sourceError(err)
	}
	theirs, busy, err := read(ctx, to, l.r.o.target(db), keys)
	if err != nil {
		return verdict{again: again{keys, err}}, nil
	}
	for i, key := range keys {
		switch {
		case refused[i] != nil:
			l.r.fail(db, []string{key}, refused[i].Error())
		case busy[i] != nil:
			v.again = again{append(v.again.keys, key), busy[i]}
		case !ours[i].there:
			v.gone++
		case !theirs[i].there:
			v.missing = append(v.missing, key)
		case l.same(ctx, to, db, key, ours[i], theirs[i]):
			v.equal = append(v.equal, key)
		default:
			v.differ = append(v.differ, key)
		}
	}
	return v, nil
}

// comparable is how big a value may be that is compared member by member.
const comparable = 8 << 20

// same compares values by their serialised forms and, where these differ, by what
// they hold: sets and hashes that are equal may lie differently in memory, and
// servers of different versions write the same in different ways. What cannot
// be compared is not the same.
func (l *lane) same(ctx context.Context, to *peer, db int, key string, ours, theirs value) bool {
	if !ours.expiresWith(theirs) {
		return false
	}
	if ours.body() == theirs.body() {
		return true
	}
	if len(ours.dump) > comparable || len(theirs.dump) > comparable {
		return false
	}
	kind, ok := l.kind(ctx, db, key)
	get := move.ReadWhole(kind, key)
	switch {
	case kind == "stream":
		return l.sameStream(ctx, to, db, key)
	case !ok, get == nil:
		return false
	case kind == "hash" && (fieldTimes(ctx, &l.source, db, key) || fieldTimes(ctx, to, l.r.o.target(db), key)):
		return false
	}
	a, errA := l.source.do(ctx, repliesWithin, db, get)
	b, errB := to.do(ctx, repliesWithin, l.r.o.target(db), get)
	return errA == nil && errB == nil && move.SameWhole(kind, a[0], b[0])
}

func (l *lane) kind(ctx context.Context, db int, key string) (string, bool) {
	replies, err := l.source.do(ctx, repliesWithin, db, driver.Cmd("TYPE", key))
	if err != nil {
		return "", false
	}
	kind, err := replies[0].Text()
	return kind, err == nil
}

// examine compares a batch and changes nothing.
func (r *run) examine(ctx context.Context, l *lane, b batch) error {
	whole := context.WithoutCancel(ctx)
	return l.each(ctx, b, func(to *peer, b batch) (again, error) {
		v, err := l.compare(whole, to, b.db, b.keys)
		if err != nil {
			return again{}, err
		}
		r.count(func(t *Totals) { t.Skipped += int64(len(v.equal)); t.Gone += int64(v.gone) })
		r.fail(b.db, v.missing, "the cluster does not have it")
		for _, key := range v.differ {
			r.problem(Problem{DB: b.db, Key: key, Existing: true, Why: "the cluster has another value, or another time to live"})
		}
		return v.again, nil
	})
}
