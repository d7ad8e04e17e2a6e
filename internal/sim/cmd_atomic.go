package sim

import (
	"slices"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

func atomicCommands() map[string]command {
	return map[string]command{
		"CLUSTER MIGRATESLOTS":         {arity: -7, run: cmdMigrateSlots},
		"CLUSTER GETSLOTMIGRATIONS":    {arity: 2, run: cmdGetSlotMigrations},
		"CLUSTER CANCELSLOTMIGRATIONS": {arity: 2, run: cmdCancelSlotMigrations},
		"CLUSTER MIGRATION":            {arity: -4, run: cmdMigration},
	}
}

// cmdMigrateSlots is Valkey's order to the source, with one target.
func cmdMigrateSlots(r *request) any {
	n := r.n
	switch {
	case n.atomic.modules != nil:
		return refuse("ERR At least one module does not support atomic slot migrations. Please ensure all modules have declared support for atomic slot migration and try again.")
	case !n.isMaster():
		return refuse("ERR Slot migration can only be used on primary nodes.")
	case len(n.migrating) > 0:
		return refuse("ERR Slots are being manually migrated")
	}
	end := len(r.args) - 2
	if !strings.EqualFold(r.args[2], "SLOTSRANGE") || !strings.EqualFold(r.args[end], "NODE") {
		return refuse("ERR syntax error")
	}
	slots, text, err := slotRangesOf(r.args[3:end])
	if err != nil {
		return err
	}
	for _, s := range slots {
		switch {
		case n.ownerOf(s) != n.self:
			return refuse("ERR Slots are not served by this node.")
		case slices.ContainsFunc(n.atomic.tales, func(t *tale) bool { return t.export && t.phase != over && slices.Contains(t.slots, s) }):
			return refuse("ERR I am already migrating slot %d.", s)
		}
	}
	p := n.peer(cluster.NodeID(strings.ToLower(r.args[end+1])))
	switch {
	case p == nil || r.c.nodeOf(p) == nil:
		return refuse("ERR Unknown node name: %s", r.args[end+1])
	case p == n.self:
		return refuse("ERR Target node can not be this node.")
	}
	r.c.beginJob(n, r.c.nodeOf(p), slots, text)
	return "OK"
}

func cmdGetSlotMigrations(r *request) any {
	rows := []any{}
	for _, t := range r.n.atomic.tales {
		operation := "IMPORT"
		if t.export {
			operation = "EXPORT"
		}
		created := t.created.Unix()
		rows = append(rows, []any{
			"name", t.id, "operation", operation, "slot_ranges", t.text,
			"target_node", string(t.target.self.id), "source_node", string(t.source.self.id),
			"create_time", created, "last_update_time", created, "last_ack_time", created,
			"state", t.state, "message", t.message, "cow_size", int64(0), "remaining_repl_size", int64(0),
		})
	}
	return rows
}

func cmdCancelSlotMigrations(r *request) any {
	cancelled := false
	for _, t := range r.n.atomic.tales {
		if t.export && t.phase < granted {
			t.finish("cancelled", "")
			cancelled = true
		}
	}
	if !cancelled {
		return refuse("ERR No migrations ongoing")
	}
	return "OK"
}

// cmdMigration is Redis' command, for the target.
func cmdMigration(r *request) any {
	switch what := strings.ToUpper(r.args[2]); {
	case what == "IMPORT":
		return r.importSlots(r.args[3:])
	case what == "STATUS":
		return r.taskStatus(r.args[3:])
	case what == "CANCEL":
		return r.cancelTasks(r.args[3:])
	}
	return refuse("ERR unknown subcommand or wrong number of arguments")
}

func (r *request) importSlots(args []string) any {
	n := r.n
	slots, text, err := slotRangesOf(args)
	if err != nil {
		return err
	}
	var source *peer
	for _, s := range slots {
		owner := n.ownerOf(s)
		switch {
		case owner == nil || r.c.nodeOf(owner) == nil:
			return refuse("ERR slot has no owner: %d", s)
		case source != nil && owner != source:
			return refuse("ERR slots belong to different source nodes")
		}
		source = owner
	}
	switch {
	case !n.isMaster():
		return refuse("ERR slot migration not allowed on replica.")
	case source == n.self:
		return refuse("ERR this node is already the owner of the slot range")
	case len(n.openSlots()) > 0 || len(r.c.nodeOf(source).openSlots()) > 0:
		return refuse("ERR all slot states must be STABLE to start a slot migration task.")
	case n.active() != nil || r.c.nodeOf(source).active() != nil:
		return refuse("ERR another ASM task is already in progress")
	}
	for _, t := range n.atomic.tales { // a failed one gives way
		if !t.export && t.state == "failed" {
			t.state = "canceled"
		}
	}
	return r.c.beginJob(r.c.nodeOf(source), n, slots, text).id
}

func (r *request) tasks(args []string) ([]*tale, error) {
	switch {
	case len(args) == 1 && strings.EqualFold(args[0], "ALL"):
		return r.n.atomic.tales, nil
	case len(args) == 2 && strings.EqualFold(args[0], "ID"):
		return slices.DeleteFunc(slices.Clone(r.n.atomic.tales), func(t *tale) bool { return t.id != args[1] }), nil
	}
	return nil, refuse("ERR unknown subcommand or wrong number of arguments")
}

func (r *request) taskStatus(args []string) any {
	tales, err := r.tasks(args)
	if err != nil {
		return err
	}
	rows := []any{}
	for _, t := range tales {
		operation := "import"
		if t.export {
			operation = "migrate"
		}
		created := t.created.UnixMilli()
		rows = append(rows, []any{
			"id", t.id, "slots", t.text, "source", string(t.source.self.id), "dest", string(t.target.self.id),
			"operation", operation, "state", t.state, "last_error", t.message, "retries", strconv.Itoa(t.retries),
			"create_time", created, "start_time", created, "end_time", int64(-1), "write_pause_ms", int64(0),
		})
	}
	return rows
}

func (r *request) cancelTasks(args []string) any {
	tales, err := r.tasks(args)
	if err != nil {
		return err
	}
	count := int64(0)
	for _, t := range tales {
		if !t.export && (t.phase < granted || t.phase == over && t.state == "failed") {
			t.finish("canceled", t.message)
			count++
		}
	}
	return count
}
