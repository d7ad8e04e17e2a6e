package ingest

import (
	"context"

	"github.com/trib-dev/trib/pkg/driver"
)

// dropTries is how often keys are compared anew that somebody changes meanwhile.
const dropTries = 3

// drop deletes keys at the source which the target holds with the same value. The
// source watches them from before they are compared until they are deleted: a
// write in between keeps them.
func (l *lane) drop(ctx context.Context, to *peer, db int, keys []string) error {
	if l.from.Cluster { // a transaction there is of one slot
		for i := range keys {
			if err := l.dropTogether(ctx, to, db, keys[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return l.dropTogether(ctx, to, db, keys)
}

func (l *lane) dropTogether(ctx context.Context, to *peer, db int, keys []string) error {
	for range dropTries {
		if len(keys) == 0 {
			return nil
		}
		if err := l.ask(ctx, db, append(driver.Cmd("WATCH"), keys...)); err != nil {
			return err
		}
		watched := l.source.dials
		v, err := l.compare(ctx, to, db, keys)
		if err != nil {
			return err
		}
		for _, kept := range [][]string{v.differ, v.missing, v.again.keys} {
			l.r.fail(db, kept, "it was copied, and then changed on one side: it stays at the source")
		}
		keys = v.equal
		if l.source.dials != watched || l.source.conn == nil {
			continue // what was watched is not watched on a new connection
		}
		if done, err := l.deleteWatched(ctx, db, keys); done || err != nil {
			return err
		}
	}
	l.r.fail(db, keys, "it was copied, and changes all the time: it stays at the source")
	return nil
}

// deleteWatched deletes keys unless one of those watched was changed.
func (l *lane) deleteWatched(ctx context.Context, db int, keys []string) (done bool, err error) {
	if len(keys) == 0 {
		return true, l.ask(ctx, db, driver.Cmd("UNWATCH"))
	}
	replies, err := l.source.do(ctx, repliesWithin, db,
		driver.Cmd("MULTI"), append(driver.Cmd("DEL"), keys...), driver.Cmd("EXEC"))
	if err == nil {
		err = driver.FirstErr(replies)
	}
	if err != nil {
		return false, sourceError(err)
	}
	if replies[2].Value == nil {
		return false, nil
	}
	l.r.count(func(t *Totals) { t.Deleted += int64(len(keys)) })
	return true, nil
}

func (l *lane) ask(ctx context.Context, db int, cmd driver.Command) error {
	replies, err := l.source.do(ctx, repliesWithin, db, cmd)
	if err == nil {
		err = replies[0].Err
	}
	if err != nil {
		return sourceError(err)
	}
	return nil
}
