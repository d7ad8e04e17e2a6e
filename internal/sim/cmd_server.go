package sim

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func serverCommands() map[string]command {
	return map[string]command{
		"PING":             {arity: -1, run: cmdPing},
		"INFO":             {arity: -1, run: cmdInfo},
		"ECHO":             {arity: 2, run: func(r *request) any { return r.args[1] }},
		"SHUTDOWN":         {arity: -1, run: cmdShutdown},
		"ROLE":             {arity: 1, run: cmdRole},
		"TIME":             {arity: 1, run: cmdTime},
		"DBSIZE":           {arity: 1, run: func(r *request) any { return int64(r.n.dbs[r.db].count()) }},
		"WAIT":             {arity: 3, run: cmdWait},
		"CONFIG GET":       {arity: -3, run: cmdConfigGet},
		"CONFIG SET":       {arity: -4, run: cmdConfigSet},
		"CONFIG REWRITE":   {arity: 2, run: func(*request) any { return "OK" }},
		"COMMAND INFO":     {arity: -2, run: cmdCommandInfo},
		"FUNCTION LIST":    {arity: -2, run: cmdFunctionList},
		"FUNCTION DUMP":    {arity: 2, run: cmdFunctionDump},
		"FUNCTION RESTORE": {arity: -3, write: true, run: cmdFunctionRestore},
	}
}

func (c *Cluster) defaultConfig() map[string]string {
	coverage := "yes"
	if c.o.PartialCoverage {
		coverage = "no"
	}
	return map[string]string{
		"cluster-enabled":               "yes",
		"cluster-node-timeout":          strconv.FormatInt(c.o.NodeTimeout.Milliseconds(), 10),
		"cluster-require-full-coverage": coverage,
		"cluster-databases":             strconv.Itoa(c.o.Databases),
		"databases":                     "16",
		"maxmemory":                     "0",
		"maxmemory-policy":              "noeviction",
		"requirepass":                   c.o.Password,
		"primaryauth":                   c.o.Password,
	}
}

func (n *Node) outOfMemory() bool {
	limit, _ := strconv.Atoi(n.config["maxmemory"])
	return limit > 0 && n.usedMemory() > limit
}

// evict makes room as the policy allows. Which keys go is made up: the first ones
// of the lowest slots.
func (n *Node) evict() {
	policy := n.config["maxmemory-policy"]
	all, volatile := strings.HasPrefix(policy, "allkeys-"), strings.HasPrefix(policy, "volatile-")
	if !all && !volatile || !n.isMaster() {
		return
	}
	for i, db := range n.dbs {
		for _, slot := range slices.Sorted(maps.Keys(db)) {
			for _, key := range db.keys(slot) {
				if !n.outOfMemory() {
					return
				}
				if all || !db.get(key).expire.IsZero() {
					n.c.note("%s evicts %s", n, key)
					n.deleteKey(i, key)
				}
			}
		}
	}
}

func cmdPing(r *request) any {
	if len(r.args) > 1 {
		return r.args[1]
	}
	return "PONG"
}

// cmdShutdown ends the process, which answers nothing any more.
func cmdShutdown(r *request) any {
	r.c.note("%s is shut down", r.n)
	r.n.crash()
	return later{}
}

func cmdRole(r *request) any {
	if l := r.n.link; l != nil {
		m := r.n.self.master.addr
		if !l.up {
			return []any{"slave", m.Host, int64(m.Port), "connect", int64(-1)}
		}
		return []any{"slave", m.Host, int64(m.Port), "connected", l.applied}
	}
	replicas := []any{}
	for _, m := range r.n.replicas() {
		replicas = append(replicas, []any{m.self.addr.Host, strconv.Itoa(m.self.addr.Port), strconv.FormatInt(m.link.acked, 10)})
	}
	return []any{"master", r.n.offset, replicas}
}

func cmdTime(r *request) any {
	now := r.c.now
	return []any{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)}
}

// cmdWait waits for what this connection wrote: one that wrote nothing has
// nothing to wait for.
func cmdWait(r *request) any {
	if !r.n.isMaster() {
		return refuse("ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.")
	}
	want, err := parseInt(r.args[1])
	if err != nil {
		return err
	}
	ms, err := parseInt(r.args[2])
	if err != nil {
		return refuse("ERR timeout is not an integer or out of range")
	}
	var check func()
	check = func() {
		if got := r.n.acknowledged(r.written); int64(got) >= want {
			r.call.finish(int64(got))
		} else if !r.call.done && !r.closed && r.n.alive {
			r.c.eventually(time.Millisecond, check)
		}
	}
	check()
	if ms > 0 {
		r.c.eventually(time.Duration(ms)*time.Millisecond, func() { r.call.finish(int64(r.n.acknowledged(r.written))) })
	}
	return later{}
}

func cmdConfigGet(r *request) any {
	names := make([]string, 0, len(r.n.config))
	for name := range r.n.config {
		if name == "cluster-databases" && !r.n.rules.valkey9 {
			continue
		}
		for _, pattern := range r.args[2:] {
			if ok, _ := path.Match(strings.ToLower(pattern), name); ok {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	out := []any{}
	for _, name := range names {
		out = append(out, name, r.n.config[name])
	}
	return out
}

func cmdConfigSet(r *request) any {
	for i := 2; i+1 < len(r.args); i += 2 {
		name := strings.ToLower(r.args[i])
		if _, ok := r.n.config[name]; !ok {
			return refuse("ERR Unknown option or number of arguments for CONFIG SET - '%s'", r.args[i])
		}
		r.n.config[name] = r.args[i+1]
	}
	return "OK"
}

// cmdCommandInfo answers nil for what the server does not have. Subcommands are
// known by "cluster|nodes", since Redis 7.0.
func cmdCommandInfo(r *request) any {
	out := []any{}
	for _, name := range r.args[2:] {
		row, ok := r.c.commands[strings.ToUpper(strings.ReplaceAll(name, "|", " "))]
		switch {
		case !ok, r.n.missing(strings.ToUpper(strings.ReplaceAll(name, "|", " "))):
			out = append(out, nil)
		case strings.Contains(name, "|") && r.n.missing("FUNCTION LIST"):
			out = append(out, nil)
		default:
			out = append(out, []any{strings.ToLower(name), int64(row.arity), []any{}, int64(0), int64(0), int64(0)})
		}
	}
	return out
}

// Functions puts libraries on a node; a master's replicas get them, too.
func (n *Node) Functions(names ...string) {
	defer n.c.enter()()
	n.change(0, func(m *Node) { m.functions = slices.Clone(names) })
}

func cmdFunctionList(r *request) any {
	out := []any{}
	for _, name := range r.n.functions {
		out = append(out, []any{
			"library_name", name, "engine", "LUA", "functions",
			[]any{[]any{"name", name, "description", nil, "flags", []any{}}},
		})
	}
	return out
}

func cmdFunctionDump(r *request) any {
	return r.n.dump(&entry{list: true, items: r.n.functions})
}

// cmdFunctionRestore is FUNCTION RESTORE payload [FLUSH|APPEND|REPLACE].
func cmdFunctionRestore(r *request) any {
	e, err := r.n.restore(r.args[2])
	if err != nil {
		return err
	}
	policy := "APPEND"
	if len(r.args) > 3 {
		policy = strings.ToUpper(r.args[3])
	}
	all := slices.Clone(r.n.functions)
	if policy == "FLUSH" {
		all = nil
	}
	for _, name := range e.items {
		switch {
		case !slices.Contains(all, name):
			all = append(all, name)
		case policy == "APPEND":
			return fmt.Errorf("ERR Library %s already exists", name)
		}
	}
	r.n.change(len(r.args[2]), func(m *Node) { m.functions = slices.Clone(all) })
	return "OK"
}
