package sim

import (
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
)

func slotCommands() map[string]command {
	return map[string]command{
		"CLUSTER SETSLOT":         {arity: -4, run: cmdSetSlot},
		"CLUSTER ADDSLOTS":        {arity: -3, run: cmdAddSlots},
		"CLUSTER DELSLOTS":        {arity: -3, run: cmdAddSlots},
		"CLUSTER ADDSLOTSRANGE":   {arity: -4, run: cmdAddSlots},
		"CLUSTER DELSLOTSRANGE":   {arity: -4, run: cmdAddSlots},
		"CLUSTER COUNTKEYSINSLOT": {arity: 3, run: cmdCountKeys},
		"CLUSTER GETKEYSINSLOT":   {arity: 4, run: cmdGetKeys},
		"CLUSTER KEYSLOT":         {arity: 3, run: cmdKeySlot},
	}
}

func parseSlot(s string) (int, error) {
	slot, err := strconv.Atoi(s)
	if err != nil || slot < 0 || slot >= cluster.SlotCount {
		return 0, refuse("ERR Invalid or out of range slot")
	}
	return slot, nil
}

// setSlot is a SETSLOT whose arguments have been checked. Peers are held by id:
// the same command is carried out by replicas, which know them as their own.
type setSlot struct {
	slot   int
	action string
	id     cluster.NodeID
}

func cmdSetSlot(r *request) any {
	if !r.n.isMaster() {
		return refuse("ERR Please use SETSLOT only with masters.")
	}
	slot, err := parseSlot(r.args[2])
	if err != nil {
		return err
	}
	args, timeout, err := setSlotTimeout(r)
	if err != nil {
		return err
	}
	set := setSlot{slot: slot, action: strings.ToUpper(args[3])}
	if len(args) == 5 {
		set.id = cluster.NodeID(strings.ToLower(args[4]))
	}
	if err := r.n.checkSetSlot(set, len(args)); err != nil {
		return err
	}
	switch {
	case !r.n.rules.valkey8 || len(r.n.replicas()) == 0:
		return r.finishSetSlot(set)
	case r.call.inMulti:
		// A transaction cannot wait: Valkey 8.1 and 9.1 abort with a failed assertion.
		r.c.note("%s dies of SETSLOT in a transaction", r.n)
		r.n.crash()
		return later{}
	}
	return r.replicateSetSlot(set, timeout)
}

// setSlotTimeout cuts off Valkey's TIMEOUT ms.
func setSlotTimeout(r *request) (args []string, timeout time.Duration, err error) {
	const standard = 2 * time.Second
	n := len(r.args)
	if !r.n.rules.valkey8 || n < 6 || !strings.EqualFold(r.args[n-2], "TIMEOUT") {
		return r.args, standard, nil
	}
	ms, err := parseInt(r.args[n-1])
	return r.args[:n-2], time.Duration(ms) * time.Millisecond, err
}

// checkSetSlot are the refusals, which come before anything is changed or
// replicated.
func (n *Node) checkSetSlot(set setSlot, args int) error {
	p := n.peer(set.id)
	switch {
	case set.action == "STABLE" && args == 4:
		return nil
	case set.action == "MIGRATING" && args == 5:
		if n.ownerOf(set.slot) != n.self {
			return refuse("ERR I'm not the owner of hash slot %d", set.slot)
		}
		return n.checkOther(p, set.id)
	case set.action == "IMPORTING" && args == 5:
		if n.ownerOf(set.slot) == n.self {
			return refuse("ERR I'm already the owner of hash slot %d", set.slot)
		}
		return n.checkOther(p, set.id)
	case set.action == "NODE" && args == 5:
		if err := n.checkPeer(p, "ERR Unknown node %s", set.id); err != nil {
			return err
		}
		if n.ownerOf(set.slot) == n.self && p != n.self && n.countKeys(set.slot) > 0 {
			return refuse("ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", set.slot)
		}
		return nil
	}
	return refuse("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")
}

// checkOther: only Valkey 9 minds a slot that moves from a node to itself.
func (n *Node) checkOther(p *peer, id cluster.NodeID) error {
	if p == n.self && n.rules.valkey9 {
		return refuse("ERR Target node is myself")
	}
	return n.checkPeer(p, "ERR I don't know about node %s", id)
}

// checkPeer: before Redis 7.0 even a replica would do.
func (n *Node) checkPeer(p *peer, unknown string, id cluster.NodeID) error {
	if p == nil {
		return refuse(unknown, id)
	}
	if p.master != nil && n.rules.modern {
		return refuse("ERR Target node is not a master")
	}
	return nil
}

func (r *request) finishSetSlot(set setSlot) any {
	if set.action == "NODE" {
		r.checkClaim(set.id, set.slot)
	}
	r.n.applySetSlot(set)
	return "OK"
}

// replicateSetSlot: Valkey 8 lets the replicas carry the command out first, and
// leaves it undone where they do not say in time that they have.
func (r *request) replicateSetSlot(set setSlot, timeout time.Duration) any {
	n := r.n
	n.stream(60, func(m *Node) { m.applySetSlot(set) })
	offset, run := n.offset, n.runID
	var check func()
	check = func() {
		switch {
		case r.call.done || r.closed || n.runID != run || !n.alive:
		case !n.isMaster():
			r.call.finish(refuse("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"))
		case n.acknowledged(offset) >= len(n.replicas()):
			r.call.finish(r.finishSetSlot(set))
		default:
			r.c.after(time.Millisecond, check)
		}
	}
	check()
	r.c.after(timeout, func() {
		if timeout > 0 && n.alive && n.runID == run {
			r.call.finish(refuse("NOREPLICAS Not enough good replicas to write."))
		}
	})
	return later{}
}

// applySetSlot changes the node's view, as a master or as the replica of one.
func (n *Node) applySetSlot(set setSlot) {
	p := n.peer(set.id)
	if p == nil && set.action != "STABLE" {
		return // a replica that has not met that node yet
	}
	switch set.action {
	case "STABLE":
		delete(n.migrating, set.slot)
		delete(n.importing, set.slot)
	case "MIGRATING":
		n.migrating[set.slot] = p
	case "IMPORTING":
		n.importing[set.slot] = p
	case "NODE":
		n.assign(set.slot, p)
	}
	n.touched()
}

// assign is SETSLOT NODE. Only a node that was importing the slot raises its
// epoch: without that the old owner's claims win against the new owner's.
func (n *Node) assign(slot int, p *peer) {
	if n.countKeys(slot) == 0 {
		delete(n.migrating, slot)
	}
	mine := n.ownerOf(slot) == n.self
	if p == n.self && n.importing[slot] != nil {
		n.takeImported(slot)
		return
	}
	n.bind(slot, p)
	if p == n.self.master {
		delete(n.importing, slot) // a replica's copy of its master's flag
	}
	if mine && p != n.self && !n.hasSlots() && n.rules.modern {
		n.c.note("%s gave away its last slot and becomes a replica of %s", n, p.addr)
		n.follow(p)
	}
}

// cmdAddSlots is ADDSLOTS and DELSLOTS with and without RANGE: all or nothing.
func cmdAddSlots(r *request) any {
	name := strings.ToUpper(r.args[1])
	add := strings.HasPrefix(name, "ADD")
	slots, err := parseSlots(r.args[2:], strings.HasSuffix(name, "RANGE"), strings.ToLower(name))
	if err != nil {
		return err
	}
	seen := make(map[int]bool)
	for _, s := range slots {
		switch {
		case add && r.n.ownerOf(s) != nil:
			return refuse("ERR Slot %d is already busy", s)
		case !add && r.n.ownerOf(s) == nil:
			return refuse("ERR Slot %d is already unassigned", s)
		case seen[s]:
			return refuse("ERR Slot %d specified multiple times", s)
		}
		seen[s] = true
	}
	if add {
		r.checkClaim(r.n.self.id, slots...)
	}
	for _, s := range slots {
		r.n.take(s, add)
	}
	r.n.touched()
	return "OK"
}

// take is one slot of ADDSLOTS or DELSLOTS. Both end an import; neither touches
// epochs or keys.
func (n *Node) take(slot int, add bool) {
	delete(n.importing, slot)
	if add {
		n.bind(slot, n.self)
	} else {
		n.bind(slot, nil)
	}
}

func parseSlots(args []string, ranges bool, name string) ([]int, error) {
	var slots []int
	if ranges && len(args)%2 != 0 {
		return nil, refuse("ERR wrong number of arguments for 'cluster|%s' command", name)
	}
	step := 1
	if ranges {
		step = 2
	}
	for i := 0; i < len(args); i += step {
		first, err := parseSlot(args[i])
		if err != nil {
			return nil, err
		}
		last, err := parseSlot(args[i+step-1])
		if err != nil {
			return nil, err
		}
		if first > last {
			return nil, refuse("ERR start slot number %d is greater than end slot number %d", first, last)
		}
		for s := first; s <= last; s++ {
			slots = append(slots, s)
		}
	}
	return slots, nil
}

func cmdCountKeys(r *request) any {
	slot, err := parseInt(r.args[2])
	if err != nil {
		return err
	}
	if slot < 0 || slot >= cluster.SlotCount {
		return refuse("ERR Invalid slot")
	}
	return int64(len(r.n.dbs[r.db][int(slot)]))
}

func cmdGetKeys(r *request) any {
	slot, err := parseInt(r.args[2])
	if err != nil {
		return err
	}
	limit, err := parseInt(r.args[3])
	if err != nil {
		return err
	}
	if slot < 0 || slot >= cluster.SlotCount || limit < 0 {
		return refuse("ERR Invalid slot or number of keys")
	}
	keys := []any{}
	for _, key := range r.n.dbs[r.db].keys(int(slot)) {
		if int64(len(keys)) == limit {
			break
		}
		keys = append(keys, key)
	}
	return keys
}

func cmdKeySlot(r *request) any { return int64(cluster.KeySlot(r.args[2])) }
