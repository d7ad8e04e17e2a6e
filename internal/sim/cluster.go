package sim

import (
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Cluster is a simulated cluster, or several that do not know each other yet:
// all nodes that can reach one another.
type Cluster struct {
	mu       sync.Mutex
	o        Options
	commands map[string]command
	nodes    []*Node

	now      time.Time
	effects  []effect      // sorted by due time
	wake     chan struct{} // closed when something happened; nil where nobody waits
	inFlight map[[2]int]bool
	jitter   *rand.Rand

	hook       func(Event) Action
	events     int
	mutations  int
	violations []Violation
	trace      []string
	born       time.Time
	ids        int
}

// New makes a cluster without nodes.
func New(o Options) *Cluster {
	now := time.Now()
	return &Cluster{
		o: o.withDefaults(), commands: commandTable(), now: now, born: now,
		inFlight: make(map[[2]int]bool), jitter: rand.New(rand.NewPCG(uint64(o.Seed), 0)),
	}
}

// AddNode starts an empty node: a master without slots that knows nobody.
func (c *Cluster) AddNode() *Node {
	defer c.enter()()
	return c.addNode()
}

func (c *Cluster) addNode() *Node {
	i := len(c.nodes)
	n := &Node{c: c, index: i, server: c.o.Server, rules: rulesOf(c.o.Server), alive: true}
	n.self = &peer{id: c.newID(), addr: c.o.addr(i)}
	n.self.shard = n.self.id
	n.peers = []*peer{n.self}
	n.migrating, n.importing = make(map[int]*peer), make(map[int]*peer)
	n.unclaimed = make(map[int]bool)
	n.banned = make(map[cluster.NodeID]time.Time)
	n.heard = make(map[*Node][2]uint64)
	n.config = c.defaultConfig()
	n.dbs = newDatabases(c.o.Databases)
	n.boot()
	c.nodes = append(c.nodes, n)
	return n
}

// newID is a name of 40 hexadecimal digits: a node id, a run id, or the id that
// a node makes up for somebody it has not met.
func (c *Cluster) newID() cluster.NodeID {
	c.ids++
	return cluster.NodeID(fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "sim %d %d", c.o.Seed, c.ids))))
}

// Form adds a formed cluster: masters with equal shares of the slots and
// distinct epochs, and for each of them so many replicas, all in agreement. It
// returns the masters, then the replicas, master by master.
func (c *Cluster) Form(masters, replicas int) []*Node {
	defer c.enter()()
	var nodes []*Node
	for range masters + masters*replicas {
		nodes = append(nodes, c.addNode())
	}
	for _, n := range nodes {
		for _, m := range nodes {
			if m != n {
				n.learn(m.self.id, m.self.addr)
			}
		}
	}
	for _, n := range nodes {
		n.adopt(nodes, masters, replicas)
	}
	for _, n := range nodes {
		n.syncNow()
	}
	return nodes
}

// adopt makes the formed cluster n's opinion.
func (n *Node) adopt(nodes []*Node, masters, replicas int) {
	n.epoch = uint64(len(nodes)) // the tools give replicas-to-be an epoch, too, and a lower one
	for i, m := range nodes {
		p := n.peer(m.self.id)
		if i < masters {
			p.epoch = uint64(len(nodes) - masters + i + 1)
			for s := i * cluster.SlotCount / masters; s < (i+1)*cluster.SlotCount/masters; s++ {
				p.slots.add(s)
			}
			continue
		}
		p.master = n.peer(nodes[(i-masters)/replicas].self.id)
		p.epoch, p.shard = p.master.epoch, p.master.shard
		if p == n.self { // which has kept its own, and shows its master's
			p.epoch = uint64(i - masters + 1)
		}
	}
	n.version++
}

// Nodes are all nodes, in the order in which they were added.
func (c *Cluster) Nodes() []*Node {
	defer c.enter()()
	return append([]*Node(nil), c.nodes...)
}

// Node finds a node by its address or id; it is nil where there is none.
func (c *Cluster) Node(name string) *Node {
	defer c.enter()()
	for _, n := range c.nodes {
		if n.self.addr.String() == name || string(n.self.id) == name {
			return n
		}
	}
	return nil
}

// nodeOf is the node behind a peer: nil where the id has no bearer any more.
func (c *Cluster) nodeOf(p *peer) *Node {
	for _, n := range c.nodes {
		if p != nil && n.self.id == p.id {
			return n
		}
	}
	return nil
}

func (c *Cluster) nodeAt(addr cluster.Addr) *Node {
	for _, n := range c.nodes {
		if n.self.addr == addr {
			return n
		}
	}
	return nil
}

// Trace is what happened so far, for people: commands of the tool, and what
// the nodes did on their own, each with the time since the cluster was made.
func (c *Cluster) Trace() []string {
	defer c.enter()()
	return append([]string(nil), c.trace...)
}

func (c *Cluster) note(format string, args ...any) {
	if c.o.Untold {
		return
	}
	c.trace = append(c.trace, fmt.Sprintf("%8s ", c.now.Sub(c.born).Round(time.Microsecond))+fmt.Sprintf(format, args...))
}
