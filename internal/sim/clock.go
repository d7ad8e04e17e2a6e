package sim

import (
	"context"
	"sort"
	"time"
)

// effect is something that happens later: a ping that arrives, a replica that
// catches up. Effects are carried out lazily, in the order of their due times,
// whenever somebody looks at the cluster.
type effect struct {
	due        time.Time
	background bool // Settle does not wait for it
	run        func()
}

// after plans an effect. Effects due at the same time keep their order.
func (c *Cluster) after(d time.Duration, run func()) {
	c.plan(effect{due: c.now.Add(d), run: run})
}

// eventually plans an effect that Settle does not wait for, such as the end of
// a blacklisting.
func (c *Cluster) eventually(d time.Duration, run func()) {
	c.plan(effect{due: c.now.Add(d), background: true, run: run})
}

func (c *Cluster) plan(e effect) {
	i := sort.Search(len(c.effects), func(i int) bool { return c.effects[i].due.After(e.due) })
	c.effects = append(c.effects, effect{})
	copy(c.effects[i+1:], c.effects[i:])
	c.effects[i] = e
}

// catchUp carries out what is due. The clock stands at each effect's own time
// while it runs, so that what follows from it is due when it really would be.
func (c *Cluster) catchUp() {
	now := time.Now()
	ran := false
	for len(c.effects) > 0 && !c.effects[0].due.After(now) {
		e := c.effects[0]
		c.effects = c.effects[1:]
		if e.due.After(c.now) {
			c.now = e.due
		}
		e.run()
		ran = true
	}
	c.now = now
	if ran {
		c.wakeWaiters()
	}
}

// enter locks the cluster and brings it up to the present; the function that
// it returns unlocks it again.
func (c *Cluster) enter() func() {
	c.mu.Lock()
	c.catchUp()
	return func() {
		c.wakeWaiters()
		c.mu.Unlock()
	}
}

func (c *Cluster) wakeWaiters() {
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// wait gives up the lock until something has happened or is due.
func (c *Cluster) wait(ctx context.Context) error {
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	wake, timer := c.wake, c.nextDue()
	c.mu.Unlock()
	defer c.catchUp()
	defer c.mu.Lock()
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (c *Cluster) nextDue() *time.Timer {
	const never = 1000 * time.Hour
	if len(c.effects) == 0 {
		return time.NewTimer(never)
	}
	return time.NewTimer(time.Until(c.effects[0].due))
}

// Advance lets d pass and carries out what is due by then.
func (c *Cluster) Advance(d time.Duration) {
	time.Sleep(d)
	c.enter()()
}

// Settle lets time pass until nothing is on its way any more: gossip has
// spread, replicas have caught up, what has failed is known to have failed.
func (c *Cluster) Settle() {
	for {
		due, ok := c.unsettled()
		if !ok {
			return
		}
		c.Advance(time.Until(due))
	}
}

func (c *Cluster) unsettled() (time.Time, bool) {
	defer c.enter()()
	for _, e := range c.effects {
		if !e.background {
			return e.due, true
		}
	}
	return time.Time{}, false
}
