package sim

import (
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Node is one simulated server.
type Node struct {
	c      *Cluster
	index  int
	server cluster.Server

	// What nodes.conf keeps.
	self      *peer
	peers     []*peer // the node itself first
	owner     [cluster.SlotCount]*peer
	unclaimed map[int]bool // slots whose owner stopped claiming them
	migrating map[int]*peer
	importing map[int]*peer
	epoch     uint64 // current epoch; self.epoch is the config epoch

	// What a restart forgets.
	banned    map[cluster.NodeID]time.Time // forgotten nodes, until when
	heard     map[*Node][2]uint64          // the last message: its version, and n's after it
	version   uint64                       // counts changes of the view
	health    uint64                       // the version that down was computed for
	down      bool
	rejoining time.Time // a restarted master serves nothing before that
	runID     string
	silence   int // counts how often the node fell silent or spoke up again

	// Data and replication.
	dbs       []database
	functions []string
	config    map[string]string
	offset    int64
	link      *link // to the master; nil at a master

	// The process and its connections.
	alive, paused bool
	busy          *call // a MIGRATE that holds up the event loop
	inbox         []*call
	sessions      []*session
	clients       int64
}

// peer is what one node knows of a node, itself included.
type peer struct {
	id        cluster.NodeID
	addr      cluster.Addr
	master    *peer // nil for a master
	shard     cluster.NodeID
	epoch     uint64
	handshake bool // not met yet; its id is made up
	suspect   bool // "fail?"
	failed    bool // "fail"
	failedAt  time.Time
}

// ID is the node's current id.
func (n *Node) ID() cluster.NodeID {
	defer n.c.enter()()
	return n.self.id
}

// Addr is where the node listens.
func (n *Node) Addr() cluster.Addr { return n.self.addr }

// SetServer makes the node run another server than the rest.
func (n *Node) SetServer(s cluster.Server) {
	defer n.c.enter()()
	n.server = s
}

// Config sets a configuration parameter, as CONFIG SET would.
func (n *Node) Config(name, value string) {
	defer n.c.enter()()
	n.config[name] = value
}

// boot is the start of a process.
func (n *Node) boot() {
	n.runID = string(n.c.newID())
	n.version++
	clear(n.unclaimed)
	clear(n.banned)
	clear(n.heard)
}

func (n *Node) isMaster() bool { return n.self.master == nil }

// live reports whether the node takes part in anything: neither crashed nor
// paused, nor blocked by a MIGRATE.
func (n *Node) live() bool { return n.alive && !n.paused && n.busy == nil }

// String is the node's address.
func (n *Node) String() string { return n.self.addr.String() }

// Rules that differ between servers.

func (n *Node) valkey8() bool { return n.server.AtLeast("valkey", 8, 0) }

// keepsUnclaimed: a slot that its owner stopped claiming goes to the first
// claimer, whatever its epoch (since Redis 7.0.12).
func (n *Node) keepsUnclaimed() bool {
	return n.server.AtLeast("redis", 7, 0) || n.server.Flavor == "valkey"
}

// neverForgetsUnclaimed: Redis 7.0 goes on believing that of a slot when it has
// a new owner, even when that is the node itself. Its claim then yields to lower
// epochs until the end of the process.
func (n *Node) neverForgetsUnclaimed() bool {
	return n.server.AtLeast("redis", 7, 0) && !n.server.AtLeast("redis", 8, 0)
}

// announcesSlots: SETSLOT NODE to the node itself is broadcast at once.
func (n *Node) announcesSlots() bool {
	return n.server.AtLeast("redis", 7, 0) || n.server.Flavor == "valkey"
}

func (n *Node) peer(id cluster.NodeID) *peer {
	for _, p := range n.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// learn adds a node to those that n knows.
func (n *Node) learn(id cluster.NodeID, addr cluster.Addr) *peer {
	p := &peer{id: id, addr: addr, shard: id}
	n.peers = append(n.peers, p)
	return p
}

// unlearn removes a node and everything that n believed about it.
func (n *Node) unlearn(p *peer) {
	n.peers = slices.DeleteFunc(n.peers, func(q *peer) bool { return q == p })
	for s := range n.owner {
		if n.owner[s] == p {
			n.bind(s, nil)
		}
	}
	deleteValue(n.migrating, p)
	deleteValue(n.importing, p)
	for _, q := range n.peers {
		if q.master == p {
			q.master = nil
		}
	}
}

func deleteValue(open map[int]*peer, p *peer) {
	for s, q := range open {
		if q == p {
			delete(open, s)
		}
	}
}

// bind makes p the owner of a slot in n's view; nil for nobody.
func (n *Node) bind(slot int, p *peer) {
	n.owner[slot] = p
	if !n.neverForgetsUnclaimed() {
		delete(n.unclaimed, slot)
	}
}

// slotsOf are the slots that n believes to belong to p.
func (n *Node) slotsOf(p *peer) []int {
	var slots []int
	for s, q := range n.owner {
		if q == p {
			slots = append(slots, s)
		}
	}
	return slots
}

func (n *Node) ownsAny(p *peer) bool {
	return slices.Contains(n.owner[:], p)
}

func sortedSlots[V any](m map[int]V) []int {
	slots := make([]int, 0, len(m))
	for s := range m {
		slots = append(slots, s)
	}
	slices.Sort(slots)
	return slots
}
