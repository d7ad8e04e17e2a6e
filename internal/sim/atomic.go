package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// job is slots that two nodes move by themselves, in either dialect. The target
// keeps what it gets where nobody sees it; at one moment the source stops serving
// writes of these slots, the target gets the last of them and claims the slots,
// and the source deletes what it has lost when it hears of that.
type job struct {
	id             string
	slots          []int
	text           string // the slots as they were asked for
	source, target *Node
	runs           [2]string // the processes that began it
	created        time.Time
	ends           [2]*tale // of the source and of the target; nil where that does not know of it
	phase          phase
	since          time.Time
	staged         []database
	retries        int
}

// tale is what one of the two nodes tells of a job. A restart forgets it.
type tale struct {
	*job
	export  bool
	state   string
	message string
}

type phase int

const (
	connecting phase = iota
	snapshotting
	replicating
	paused
	granted
	taken // the target owns the slots, and the source has not heard of it
	over
)

// jobWords are the states in the words of the two dialects, at the source and at
// the target.
func jobWords() map[cluster.Dialect][over][2]string {
	return map[cluster.Dialect][over][2]string{
		cluster.MigrateSlots: {
			{"connecting", "waiting-for-ack"},
			{"snapshotting", "receiving-snapshot"},
			{"replicating", "waiting-for-paused"},
			{"failover-paused", "failover-requested"},
			{"failover-granted", "failover-granted"},
			{"failover-granted", "success"},
		},
		cluster.Migration: {
			{"wait-rdbchannel", "connecting"},
			{"send-bulk-and-stream", "accumulate-buffer"},
			{"send-stream", "streaming-buffer"},
			{"handoff-prep", "wait-stream-eof"},
			{"handoff", "takeover"},
			{"stream-eof", "completed"},
		},
	}
}

const (
	jobStep      = 2 * time.Millisecond  // between two steps of a job
	snapshotTime = 40 * time.Millisecond // that the copy takes
	pauseLimit   = 5 * time.Second       // that a source waits for its target to take over
	retryAfter   = time.Second           // until a target of the Redis dialect tries again
)

// dialect is how a node moves slots by itself.
func (n *Node) dialect() cluster.Dialect {
	switch {
	case n.rules.valkey9:
		return cluster.MigrateSlots
	case n.server.AtLeast("redis", 8, 4):
		return cluster.Migration
	}
	return cluster.NoDialect
}

// missingAtomic are the commands of the dialects that the node does not speak.
func (n *Node) missingAtomic(name string) bool {
	switch name {
	case "CLUSTER MIGRATESLOTS", "CLUSTER GETSLOTMIGRATIONS", "CLUSTER CANCELSLOTMIGRATIONS":
		return n.dialect() != cluster.MigrateSlots
	case "CLUSTER MIGRATION":
		return n.dialect() != cluster.Migration
	}
	return false
}

// FailJobs lets so many further jobs that the node takes part in fail in the
// middle, with this message.
func (n *Node) FailJobs(times int, message string) {
	defer n.c.enter()()
	n.atomic.failures, n.atomic.failure = times, message
}

// LoadModules gives a node modules that forbid atomic moves.
func (n *Node) LoadModules(names ...string) {
	defer n.c.enter()()
	n.atomic.modules = names
}

// HandingOver reports whether the node is just giving slots away by itself: a
// failover of it now is for the servers to survive.
func (n *Node) HandingOver() bool {
	defer n.c.enter()()
	return slices.ContainsFunc(n.atomic.tales, func(t *tale) bool {
		return t.export && (t.phase == paused || t.phase == granted || t.phase == taken)
	})
}

// atomicState is what a node has of moves by itself.
type atomicState struct {
	tales    []*tale // newest first
	failures int
	failure  string
	modules  []string
}

// infoModules is INFO modules; a server has none of its own.
func (n *Node) infoModules() string {
	var b strings.Builder
	for _, name := range n.atomic.modules {
		fmt.Fprintf(&b, "module:name=%s,ver=1,api=1,filters=0,usedby=[],using=[],options=[handle-io-errors]\r\n", name)
	}
	return b.String()
}

func (n *Node) active() *tale {
	for _, t := range n.atomic.tales {
		if t.phase != over {
			return t
		}
	}
	return nil
}

// isPaused reports whether a node lets nobody write to a slot, because it is just
// handing it over.
func (n *Node) isPaused(slot int) bool {
	return slices.ContainsFunc(n.atomic.tales, func(t *tale) bool {
		return t.export && (t.phase == paused || t.phase == granted || t.phase == taken) && slices.Contains(t.slots, slot)
	})
}

// beginJob starts a job between two nodes that have agreed to it.
func (c *Cluster) beginJob(source, target *Node, slots []int, text string) *job {
	j := &job{
		id: string(c.newID()), slots: slots, text: text, source: source, target: target,
		runs: [2]string{source.runID, target.runID}, created: c.now, since: c.now,
	}
	c.note("%s begins to move slots %s to %s by itself", source, text, target)
	j.tell(0, source)
	if target.dialect() == cluster.Migration {
		j.tell(1, target)
	}
	c.after(jobStep, j.step)
	return j
}

// tell lets a node know of the job.
func (j *job) tell(end int, n *Node) {
	if j.ends[end] != nil {
		return
	}
	j.ends[end] = &tale{job: j, export: end == 0}
	n.atomic.tales = append([]*tale{j.ends[end]}, n.atomic.tales...)
	j.speak()
}

// speak puts the phase into words.
func (j *job) speak() {
	if j.phase == over {
		return
	}
	words := jobWords()[j.source.dialect()][j.phase]
	for i, t := range j.ends {
		if t != nil {
			t.state = words[i]
		}
	}
}

// step brings a job on its way.
func (j *job) step() {
	if j.phase == over {
		return
	}
	j.advance()
	j.speak()
	if j.phase != over {
		j.source.c.after(jobStep, j.step)
	}
}

func (j *job) advance() {
	if why := j.broken(); why != "" && j.phase < granted {
		j.fail(why)
		return
	}
	switch j.phase {
	case connecting:
		if why := j.handshake(); why != "" {
			j.fail(why)
			return
		}
		j.tell(1, j.target)
		j.enter(snapshotting)
	case snapshotting:
		j.snapshot()
	case replicating:
		j.enter(paused)
	case paused:
		j.staged = j.copyOfSlots()
		j.enter(granted)
	case granted:
		j.takeOver()
	case taken:
		j.awaitSource()
	}
}

func (j *job) enter(p phase) { j.phase, j.since = p, j.source.c.now }

// broken is why the two nodes cannot go on: one of them is not what it was.
func (j *job) broken() string {
	switch {
	case !j.source.live() || j.source.runID != j.runs[0] || !j.source.isMaster():
		return "Connection lost to source"
	case !j.target.live() || j.target.runID != j.runs[1] || !j.target.isMaster():
		return "Connection lost to target"
	}
	for _, slot := range j.slots {
		if j.source.ownerOf(slot) != j.source.self {
			return "Slots are no longer owned by myself"
		}
	}
	return ""
}

// handshake is why the target does not take part.
func (j *job) handshake() string {
	const refused = "Received error during handshake to target: -"
	if password := j.source.c.o.Password; password != "" && j.source.config["primaryauth"] != password && j.source.dialect() == cluster.MigrateSlots {
		return refused + "NOAUTH Authentication required."
	}
	for _, slot := range j.slots {
		if j.target.importing[slot] != nil {
			return refused + "ERR Slots are being manually imported"
		}
	}
	return ""
}

func (j *job) snapshot() {
	for _, n := range []*Node{j.source, j.target} {
		if n.atomic.failures > 0 {
			n.atomic.failures--
			j.fail(n.atomic.failure)
			return
		}
	}
	if j.target.outOfMemory() {
		j.fail("Ran out of memory (OOM) during slot import")
		return
	}
	if j.source.c.now.Sub(j.since) >= snapshotTime {
		j.enter(replicating)
	}
}

func (j *job) copyOfSlots() []database {
	out := newDatabases(len(j.source.dbs))
	for i, db := range j.source.dbs {
		for _, slot := range j.slots {
			for key, e := range db[slot] {
				out[i].put(key, e.clone())
			}
		}
	}
	return out
}

// takeOver is the moment in which the slots change hands. A target that is gone
// leaves its source waiting.
func (j *job) takeOver() {
	t := j.target
	if !t.live() || t.runID != j.runs[1] || !t.isMaster() {
		j.giveUpWaiting()
		return
	}
	for db, content := range j.staged {
		for _, slot := range j.slots {
			for _, key := range content.keys(slot) {
				t.setKey(db, key, content[slot][key])
			}
		}
	}
	t.forceBump()
	for _, slot := range j.slots {
		t.bind(slot, t.self)
	}
	t.c.note("%s takes over slots %s with epoch %d", t, j.text, t.self.epoch)
	t.broadcast()
	t.touched()
	j.enter(taken)
}

// forceBump gives n a new highest epoch, whether it has the highest or not.
func (n *Node) forceBump() {
	if !n.bump() {
		n.epoch++
		n.self.epoch = n.epoch
	}
}

// awaitSource ends a job whose source has heard who owns the slots, or is none
// any more.
func (j *job) awaitSource() {
	s := j.source
	if !s.live() || s.runID != j.runs[0] {
		j.end()
		return
	}
	for _, slot := range j.slots {
		if s.ownerOf(slot) == s.self {
			j.giveUpWaiting()
			return
		}
	}
	j.end()
}

// giveUpWaiting lets a source serve its slots again whose target does not.
func (j *job) giveUpWaiting() {
	if j.source.c.now.Sub(j.since) >= pauseLimit {
		j.fail("Unpaused before migration completed (migration may have succeeded with lost writes)")
	}
}

// end is success.
func (j *job) end() {
	j.phase, j.staged = over, nil
	word := map[cluster.Dialect]string{cluster.MigrateSlots: "success", cluster.Migration: "completed"}[j.source.dialect()]
	for _, t := range j.ends {
		if t != nil {
			t.state = word
		}
	}
	j.source.c.note("slots %s are with %s", j.text, j.target)
}

// fail rolls a job back. A target of the Redis dialect tries again until somebody
// cancels that.
func (j *job) fail(why string) { j.finish("failed", why) }

func (j *job) finish(state, why string) {
	j.phase, j.staged = over, nil
	for _, t := range j.ends {
		if t != nil {
			t.state, t.message = state, why
		}
	}
	j.source.c.note("moving slots %s to %s %s: %s", j.text, j.target, state, why)
	if state == "failed" && j.target.dialect() == cluster.Migration {
		j.source.c.eventually(retryAfter, j.retry)
	}
}

func (j *job) retry() {
	if j.ends[1] == nil || j.ends[1].state != "failed" || j.broken() != "" {
		return
	}
	j.retries++
	j.enter(connecting)
	j.source.c.after(jobStep, j.step)
}

// slotRangesOf reads pairs of first and last slot.
func slotRangesOf(args []string) (slots []int, text string, err error) {
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, "", refuse("ERR syntax error")
	}
	var texts []string
	for i := 0; i < len(args); i += 2 {
		part, err := parseSlots(args[i:i+2], true, "migrateslots")
		if err != nil {
			return nil, "", err
		}
		for _, s := range part {
			if slices.Contains(slots, s) {
				return nil, "", refuse("ERR Slot ranges in migrations overlap")
			}
		}
		slots = append(slots, part...)
		texts = append(texts, args[i]+"-"+args[i+1])
	}
	return slots, strings.Join(texts, " "), nil
}
