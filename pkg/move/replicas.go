package move

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

const (
	replicaPoll = time.Millisecond
	// replicaPatience is how long a replica may lag behind before the move stops.
	replicaPatience = 10 * time.Second
	// replicaAnswer is how long one may take to answer, and replicaRest how long it
	// is left alone when it does not: its acknowledgement counts in the meantime.
	replicaAnswer = 200 * time.Millisecond
	replicaRest   = time.Second
)

// watchers are connections to the replicas of both ends. A replica is asked itself
// how far it has come: its master learns of it only once a second, and WAIT on
// a connection that wrote nothing is true at once.
type watchers struct {
	dialer driver.Dialer
	name   string
	conns  map[cluster.Addr]driver.Conn
	deaf   map[cluster.Addr]time.Time // could not be reached, and until when they are left alone
}

func newWatchers(d driver.Dialer, name string) *watchers {
	return &watchers{dialer: d, name: name, conns: make(map[cluster.Addr]driver.Conn), deaf: make(map[cluster.Addr]time.Time)}
}

func (w *watchers) close() {
	for addr, c := range w.conns {
		c.Close()
		delete(w.conns, addr)
	}
}

// awaitReplicas waits until enough online replicas of the target hold all that
// the target holds now. Keys that only the target has are lost if it fails:
// the source has deleted them.
func (m *mover) awaitReplicas(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience+driver.ProbeTimeout)
	defer cancel()
	if err := m.askStanding(ctx); err != nil {
		return err
	}
	return m.catchUp(ctx, m.standing)
}

// askStanding reads how far the target and its replicas are.
func (m *mover) askStanding(ctx context.Context) (err error) {
	m.standing, err = replication(ctx, m.dst.do)
	return err
}

// noteReplicas says so where fewer replicas are online than are asked for.
func (m *mover) noteReplicas() {
	wanted, online := m.o.WaitReplicas, m.online()
	if online >= wanted || wanted == 1 && len(m.standing.Replicas) == 0 {
		return
	}
	m.notes.Do(func() {
		m.report(Progress{Notice: fmt.Sprintf("%s has %d online replicas of the %d that are to have each batch: until there are more, a failure of it can lose what was moved",
			m.dst.addr, online, wanted)})
	})
}

// catchUp waits for the replicas of the target to reach the offset of master. Its
// patience ends between two questions: one that it cut off would pass for a target
// that does not answer.
func (m *mover) catchUp(ctx context.Context, master cluster.Replication) error {
	if master.Role != "master" {
		return fmt.Errorf("%w: the target %s is not a master any more", errLookAgain, m.dst.addr)
	}
	begun := time.Now()
	late := begun.Add(noticeAfter)
	for {
		need := m.needed()
		master.Replicas = m.standing.Replicas
		if m.caughtUp(ctx, master) >= need {
			return nil
		}
		if now := time.Now(); now.After(late) {
			late = now.Add(replicaPatience)
			m.report(Progress{Waiting: fmt.Sprintf("replicas of %s lag behind: %s", m.dst.addr, behind(master))})
		}
		if time.Since(begun) >= replicaPatience || sleep(ctx, replicaPoll) != nil {
			return fmt.Errorf("%w: fewer than %d replicas of %s have caught up within %s", errLookAgain, need, m.dst.addr, replicaPatience)
		}
		if err := m.askStanding(ctx); err != nil {
			return err
		}
		if m.standing.Role != "master" {
			return fmt.Errorf("%w: the target %s is not a master any more", errLookAgain, m.dst.addr)
		}
	}
}

// needed is how many replicas of the target must have what moved.
func (m *mover) needed() int { return max(0, min(m.online(), m.o.WaitReplicas)) }

func (m *mover) online() int {
	online := 0
	for _, r := range m.standing.Replicas {
		if r.Online {
			online++
		}
	}
	return online
}

// behind names the replicas that have not acknowledged the master's offset.
func behind(master cluster.Replication) string {
	var names []string
	for _, r := range master.Replicas {
		if r.Offset < master.Offset {
			names = append(names, r.Addr.String())
		}
	}
	return strings.Join(names, ", ")
}

// caughtUp counts the replicas that have applied the master's offset, by their
// own word or by what they acknowledged.
func (m *mover) caughtUp(ctx context.Context, master cluster.Replication) int {
	n := 0
	for _, r := range master.Replicas {
		if r.Offset >= master.Offset || r.Online && m.watchers.has(ctx, r.Addr, master) {
			n++
		}
	}
	return n
}

// has asks a replica whether it has applied its master's offset. One that
// cannot be asked has not; its acknowledgement counts when it comes.
func (w *watchers) has(ctx context.Context, addr cluster.Addr, master cluster.Replication) bool {
	if time.Now().Before(w.deaf[addr]) {
		return false
	}
	r, err := replication(ctx, func(ctx context.Context, cmds ...driver.Command) ([]driver.Reply, error) {
		return w.ask(ctx, addr, cmds...)
	})
	if err != nil {
		w.giveUp(addr)
		return false
	}
	return r.Role == "slave" && r.LinkUp && r.ID == master.ID && r.Offset >= master.Offset
}

// view asks a replica for its view of the cluster.
func (w *watchers) view(ctx context.Context, addr cluster.Addr) (cluster.View, error) {
	if time.Now().Before(w.deaf[addr]) {
		return cluster.View{}, fmt.Errorf("%s did not answer a moment ago", addr)
	}
	replies, err := w.ask(ctx, addr, driver.Cmd("CLUSTER", "NODES"))
	if err != nil {
		w.giveUp(addr)
		return cluster.View{}, err
	}
	text, err := replies[0].Text()
	if err != nil {
		return cluster.View{}, err
	}
	return cluster.ParseNodes(text)
}

func (w *watchers) ask(ctx context.Context, addr cluster.Addr, cmds ...driver.Command) ([]driver.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaAnswer)
	defer cancel()
	if w.conns[addr] == nil {
		conn, err := w.dialer.Dial(ctx, addr, w.name)
		if err != nil {
			return nil, err
		}
		w.conns[addr] = conn
	}
	return w.conns[addr].Do(ctx, cmds...)
}

func (w *watchers) giveUp(addr cluster.Addr) {
	w.deaf[addr] = time.Now().Add(replicaRest)
	if c := w.conns[addr]; c != nil {
		c.Close()
		delete(w.conns, addr)
	}
}

func replication(ctx context.Context, do func(context.Context, ...driver.Command) ([]driver.Reply, error)) (cluster.Replication, error) {
	replies, err := do(ctx, driver.Cmd("INFO", "replication"))
	if err != nil {
		return cluster.Replication{}, err
	}
	return readReplication(replies[0])
}

func readReplication(r driver.Reply) (cluster.Replication, error) {
	text, err := r.Text()
	if err != nil {
		return cluster.Replication{}, err
	}
	info, err := cluster.ParseInfo(text)
	if err != nil {
		return cluster.Replication{}, err
	}
	return info.Replication()
}
