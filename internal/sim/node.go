package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Node is one simulated server.
type Node struct {
	c      *Cluster
	index  int
	server cluster.Server
	rules  rules

	// What nodes.conf keeps.
	self      *peer
	peers     []*peer      // the node itself first
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
	atomic        atomicState
	clients       int64
}

// peer is what one node knows of a node, itself included.
type peer struct {
	id        cluster.NodeID
	addr      cluster.Addr
	master    *peer // nil for a master
	shard     cluster.NodeID
	slots     slotBits // what it owns; no slot is in two peers'
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

// Server is what the node runs.
func (n *Node) Server() cluster.Server {
	defer n.c.enter()()
	return n.server
}

// SetServer makes the node run another server than the rest.
func (n *Node) SetServer(s cluster.Server) {
	defer n.c.enter()()
	n.server, n.rules = s, rulesOf(s)
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
	n.atomic.tales = nil
}

func (n *Node) isMaster() bool { return n.self.master == nil }

// live reports whether the node takes part in anything: neither crashed nor
// paused, nor blocked by a MIGRATE.
func (n *Node) live() bool { return n.alive && !n.paused && n.busy == nil }

// String is the node's address.
func (n *Node) String() string { return n.self.addr.String() }

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
	for s := range p.slots.all() {
		n.bind(s, nil)
	}
	n.peers = slices.DeleteFunc(n.peers, func(q *peer) bool { return q == p })
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

// ownerOf is who owns a slot in n's view; nil for nobody.
func (n *Node) ownerOf(slot int) *peer {
	for _, p := range n.peers {
		if p.slots.has(slot) {
			return p
		}
	}
	return nil
}

// bind makes p the owner of a slot in n's view; nil for nobody.
func (n *Node) bind(slot int, p *peer) {
	if old := n.ownerOf(slot); old != nil {
		old.slots.remove(slot)
	}
	if p != nil {
		p.slots.add(slot)
	}
	if !n.rules.neverForgets {
		delete(n.unclaimed, slot)
	}
}

func (n *Node) hasSlots() bool { return !n.self.slots.empty() }

// openSlots are the slots that are open in either direction, lowest first.
func (n *Node) openSlots() []int {
	slots := slices.Collect(maps.Keys(n.migrating))
	slots = slices.AppendSeq(slots, maps.Keys(n.importing))
	slices.Sort(slots)
	return slices.Compact(slots)
}

// Snapshot is the node's data as a dump file would have it; see Load.
type Snapshot struct{ dbs []database }

// Snapshot takes the data of now.
func (n *Node) Snapshot() Snapshot {
	defer n.c.enter()()
	return Snapshot{cloneDatabases(n.dbs)}
}

// Load gives a crashed node the data of an older file.
func (n *Node) Load(s Snapshot) {
	defer n.c.enter()()
	n.dbs = cloneDatabases(s.dbs)
}
