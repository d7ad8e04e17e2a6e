package sim

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

func topologyCommands() map[string]command {
	return map[string]command{
		"CLUSTER MEET":             {arity: -4, run: cmdMeet},
		"CLUSTER FORGET":           {arity: 3, run: cmdForget},
		"CLUSTER REPLICATE":        {arity: 3, run: cmdReplicate},
		"CLUSTER SET-CONFIG-EPOCH": {arity: 3, run: cmdSetConfigEpoch},
		"CLUSTER BUMPEPOCH":        {arity: 2, run: cmdBumpEpoch},
		"CLUSTER RESET":            {arity: -2, run: cmdReset},
		"CLUSTER FAILOVER":         {arity: -2, run: cmdFailover},
	}
}

const (
	// blacklisted is how long a forgotten node is not learned again by gossip.
	blacklisted = time.Minute
	// rejoinDelay keeps a restarted master from serving at once, so that it can
	// hear of its own replacement first (CLUSTER_WRITABLE_DELAY).
	rejoinDelay = 2 * time.Second
)

func cmdMeet(r *request) any {
	port, err := strconv.Atoi(r.args[3])
	if err != nil {
		return refuse("ERR Invalid TCP base port specified: %s", r.args[3])
	}
	addr := cluster.Addr{Host: r.args[2], Port: port}
	if net.ParseIP(addr.Host) == nil || port <= 0 || port > 65535 {
		return refuse("ERR Invalid node address specified: %s:%s", r.args[2], r.args[3])
	}
	r.checkMeeting(addr)
	r.n.meet(addr)
	return "OK"
}

func cmdForget(r *request) any {
	p := r.n.peer(cluster.NodeID(strings.ToLower(r.args[2])))
	switch {
	case p == nil:
		return refuse("ERR Unknown node %s", r.args[2])
	case p == r.n.self:
		return refuse("ERR I tried hard but I can't forget myself...")
	case r.n.self.master == p:
		return refuse("ERR Can't forget my master!")
	}
	r.n.forget(p)
	return "OK"
}

// forget removes p for a minute. After that anybody who still knows it makes n
// learn it again.
func (n *Node) forget(p *peer) {
	n.unlearn(p)
	n.banned[p.id] = n.c.now.Add(blacklisted)
	n.touched()
	n.c.eventually(blacklisted, func() {
		n.touched()
		n.remeet(p)
	})
}

// remeet: since Valkey 8.1 a living node that is ignored introduces itself, also
// to one that was reset.
func (n *Node) remeet(p *peer) {
	m := n.c.nodeOf(p)
	if m != nil && m.live() && m.rules.remeets && m.peer(n.self.id) != nil && n.peer(p.id) == nil {
		n.meet(p.addr)
	}
}

func cmdReplicate(r *request) any {
	n := r.n
	p := n.peer(cluster.NodeID(strings.ToLower(r.args[2])))
	switch {
	case p == nil:
		return refuse("ERR Unknown node %s", r.args[2])
	case p == n.self:
		return refuse("ERR Can't replicate myself")
	case p.master != nil:
		return refuse("ERR I can only replicate a master, not a replica.")
	case n.isMaster() && (n.hasSlots() || n.keyCount() > 0):
		return refuse("ERR To set a master the node must be empty and without assigned slots.")
	}
	n.follow(p)
	n.touched()
	return "OK"
}

func cmdSetConfigEpoch(r *request) any {
	n := r.n
	epoch, err := parseInt(r.args[2])
	switch {
	case err != nil:
		return err
	case epoch < 0:
		return refuse("ERR Invalid config epoch specified: %d", epoch)
	case len(n.peers) > 1:
		return refuse("ERR The user can assign a config epoch only when the node does not know any other node.")
	case n.self.epoch != 0:
		return refuse("ERR Node config epoch is already non-zero")
	}
	n.self.epoch = uint64(epoch)
	n.epoch = max(n.epoch, n.self.epoch)
	n.touched()
	return "OK"
}

// cmdBumpEpoch is not broadcast: others hear of it by and by, and delete what
// they hold of the slots that the node claims.
func cmdBumpEpoch(r *request) any {
	r.checkClaim(r.n.self.id, slices.Collect(r.n.self.slots.all())...)
	state := "STILL"
	if r.n.bump() {
		state = "BUMPED"
		r.n.touched()
	}
	return state + " " + strconv.FormatUint(r.n.self.epoch, 10)
}

func cmdReset(r *request) any {
	hard := false
	if len(r.args) > 2 {
		hard = strings.EqualFold(r.args[2], "HARD")
		if len(r.args) > 3 || !hard && !strings.EqualFold(r.args[2], "SOFT") {
			return refuse("ERR syntax error")
		}
	}
	if r.n.isMaster() && r.n.keyCount() > 0 {
		return refuse("ERR CLUSTER RESET can't be called with master nodes containing keys")
	}
	r.n.reset(hard)
	return "OK"
}

// reset makes a stranger of the node. The others keep knowing it, and by a hard
// reset they lose it: nobody bears its old id any more.
func (n *Node) reset(hard bool) {
	if !n.isMaster() {
		n.self.master, n.link = nil, nil
		n.dbs = newDatabases(len(n.dbs))
	}
	for _, p := range slices.Clone(n.peers[1:]) {
		n.unlearn(p)
		n.c.eventually(n.c.o.NodeTimeout, func() { n.remeet(p) })
	}
	n.self.slots = slotBits{}
	clear(n.migrating)
	clear(n.importing)
	if hard {
		n.self.id = n.c.newID()
		n.epoch, n.self.epoch = 0, 0
	}
	n.self.shard = n.self.id
	n.touched()
}

func cmdFailover(r *request) any {
	n := r.n
	mode := ""
	if len(r.args) == 3 {
		mode = strings.ToUpper(r.args[2])
	}
	m := n.c.nodeOf(n.self.master)
	switch {
	case len(r.args) > 3 || !slices.Contains([]string{"", "FORCE", "TAKEOVER"}, mode):
		return refuse("ERR syntax error")
	case n.isMaster():
		return refuse("ERR You should send CLUSTER FAILOVER to a replica")
	case mode == "" && (m == nil || !m.alive || n.self.master.failed):
		return refuse("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
	case mode == "TAKEOVER":
		n.promote(false)
	case mode == "FORCE":
		r.c.after(r.c.o.BusDelay, func() {
			if n.live() && !n.isMaster() && n.link.synced && n.canElect() {
				n.promote(true)
			}
		})
	default:
		r.c.after(r.c.o.BusDelay, func() {
			if n.live() && !n.isMaster() {
				n.handOver()
			}
		})
	}
	return "OK"
}
