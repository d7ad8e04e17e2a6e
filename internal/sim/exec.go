package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// session is the server's side of a connection.
type session struct {
	n       *Node
	dialer  *Dialer // nil for the model's clients and for other nodes
	id      int64
	name    string
	since   time.Time
	last    string // last command, for CLIENT LIST
	closed  bool
	authed  bool
	db      int
	asking  bool
	reading bool // READONLY
	written int64

	multi    bool
	queued   []driver.Command
	poisoned bool // a queued command was refused
	watched  []watched
}

func (n *Node) connect(d *Dialer, name string) *session {
	n.clients++
	s := &session{n: n, dialer: d, id: n.clients, name: name, since: n.c.now, authed: true}
	n.sessions = append(n.sessions, s)
	return s
}

func (s *session) close() {
	s.closed = true
	s.n.sessions = slices.DeleteFunc(s.n.sessions, func(t *session) bool { return t == s })
}

// call is one command that has arrived at a node, or waits in its socket.
type call struct {
	s       *session
	cmd     driver.Command
	started bool // taken out of the socket
	done    bool
	inMulti bool
	reply   driver.Reply
	then    func(driver.Reply) // told when done; may be nil
	gone    func()             // told when the node crashed before; may be nil
}

func (k *call) finish(value any) {
	if k.done {
		return
	}
	k.done = true
	k.reply = asReply(value)
	if k.then != nil {
		k.then(k.reply)
	}
}

// asReply turns what a command's function returned into a reply; errors inside
// lists (EXEC) stay where they are.
func asReply(value any) driver.Reply {
	if err, ok := value.(error); ok {
		return driver.Reply{Err: asServerError(err)}
	}
	return driver.Reply{Value: value}
}

func asServerError(err error) error {
	var se *driver.ServerError
	if errors.As(err, &se) {
		return se
	}
	return &driver.ServerError{Text: err.Error()}
}

func refuse(format string, args ...any) error {
	return &driver.ServerError{Text: fmt.Sprintf(format, args...)}
}

// submit hands a command to a node. A node that is paused or blocked leaves it
// in the socket.
func (n *Node) submit(s *session, cmd driver.Command) *call {
	k := &call{s: s, cmd: cmd}
	if n.live() {
		n.start(k)
	} else {
		n.inbox = append(n.inbox, k)
	}
	return k
}

func (n *Node) drainInbox() {
	for n.live() && len(n.inbox) > 0 {
		k := n.inbox[0]
		n.inbox = n.inbox[1:]
		n.start(k)
	}
}

// later is what a command's function returns when it finishes its call itself.
type later struct{}

func (n *Node) start(k *call) {
	k.started = true
	if value := n.execute(k); value != (later{}) {
		k.finish(value)
	}
}

// request is what a command's function works on.
type request struct {
	*session
	c    *Cluster
	call *call
	args []string // with the command's name
}

// command is one row of the command table.
type command struct {
	arity   int                     // as the servers count: with the name; negative for at least
	keys    func([]string) []string // nil for a command without keys
	write   bool                    // refused by a replica, and when out of memory
	mutates bool                    // as package driver sees it
	run     func(*request) any
}

// execute checks a command in the order in which the servers do, then runs it.
func (n *Node) execute(k *call) any {
	s := k.s
	name := k.cmd.Name()
	asking := s.asking
	s.asking = false // one command only
	s.last = name
	cmd, err := n.find(name, k.cmd)
	if err == nil {
		err = n.admit(s, cmd, k.cmd, asking)
	}
	if err != nil {
		s.poisoned = s.multi
		return err
	}
	if s.multi && !slices.Contains([]string{"EXEC", "DISCARD", "MULTI", "WATCH"}, name) {
		s.queued = append(s.queued, k.cmd)
		return "QUEUED"
	}
	return n.run(k, cmd)
}

func (n *Node) run(k *call, cmd command) any {
	if k.s.dialer != nil && cmd.mutates {
		n.c.note("%s <- %s", n, shorten(k.cmd))
	}
	before := n.offset
	value := cmd.run(&request{session: k.s, c: n.c, call: k, args: k.cmd})
	if n.offset != before {
		k.s.written = n.offset
	}
	return value
}

// shorten keeps traces readable.
func shorten(cmd driver.Command) string {
	text := fmt.Sprintf("%.120q", strings.Join(cmd, " "))
	return text[1 : len(text)-1]
}

func (n *Node) find(name string, cmd driver.Command) (command, error) {
	if len(cmd) == 0 {
		return command{}, refuse("ERR unknown command ''")
	}
	row, ok := n.c.commands[name]
	if !ok || n.missing(name) {
		return command{}, n.unknown(cmd)
	}
	if row.arity > 0 && len(cmd) != row.arity || len(cmd) < -row.arity {
		return command{}, refuse("ERR wrong number of arguments for '%s' command", fullName(name))
	}
	return row, nil
}

// fullName is what servers call a command: "cluster|nodes".
func fullName(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "|")) }

// missing are the commands that older servers do not have.
func (n *Node) missing(name string) bool {
	switch name {
	case "CLUSTER ADDSLOTSRANGE", "CLUSTER DELSLOTSRANGE", "FUNCTION LIST", "FUNCTION DUMP", "FUNCTION RESTORE":
		return !n.rules.modern
	}
	return n.missingAtomic(name)
}

func (n *Node) unknown(cmd driver.Command) error {
	container := strings.ToUpper(cmd[0])
	if _, ok := n.c.commands[containerMember(container)]; ok && !n.missing(containerMember(container)) {
		switch {
		case len(cmd) == 1:
			return refuse("ERR wrong number of arguments for '%s' command", strings.ToLower(container))
		case !n.rules.modern:
			return refuse("ERR Unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", cmd[1], container)
		}
		return refuse("ERR unknown subcommand '%s'. Try %s HELP.", cmd[1], container)
	}
	args := ""
	for _, a := range cmd[1:] {
		args += "'" + a + "' "
	}
	return refuse("ERR unknown command '%s', with args beginning with: %s", cmd[0], args)
}

// containerMember is one of the commands that a container has.
func containerMember(container string) string {
	return container + " " + map[string]string{
		"CLUSTER": "NODES", "CLIENT": "LIST", "CONFIG": "GET", "COMMAND": "INFO", "FUNCTION": "LIST",
	}[container]
}

// admit is what a server checks before it runs a command that it knows.
func (n *Node) admit(s *session, cmd command, args []string, asking bool) error {
	if n.c.o.Password != "" && !s.authed && !strings.EqualFold(args[0], "AUTH") {
		return refuse("NOAUTH Authentication required.")
	}
	if cmd.keys != nil {
		if err := n.redirect(s, cmd, args, cmd.keys(args), asking); err != nil {
			return err
		}
	}
	if !cmd.write {
		return nil
	}
	n.evict()
	if n.outOfMemory() && !frees(args) {
		return refuse("OOM command not allowed when used memory > 'maxmemory'.")
	}
	if !n.isMaster() {
		return refuse("READONLY You can't write against a read only replica.")
	}
	return nil
}

func frees(args []string) bool {
	return slices.Contains([]string{"DEL", "FLUSHALL", "MIGRATE"}, strings.ToUpper(args[0]))
}

// redirect decides who serves a command with these keys: nil where it is n.
func (n *Node) redirect(s *session, cmd command, args, keys []string, asking bool) error {
	if len(keys) == 0 {
		return nil
	}
	slot := cluster.KeySlot(keys[0])
	owner := n.ownerOf(slot)
	if owner == nil && !n.rules.valkey9 {
		return refuse("CLUSTERDOWN Hash slot not served")
	}
	missing, different := 0, 1
	for _, key := range keys {
		if key != keys[0] {
			different = len(keys) // a key that is named twice is one key
		}
		if cluster.KeySlot(key) != slot {
			return refuse("CROSSSLOT Keys in request don't hash to the same slot")
		}
		if n.lookup(s.db, key) == nil {
			missing++
		}
	}
	if owner == nil { // Valkey 9 looks at all keys first
		return refuse("CLUSTERDOWN Hash slot not served")
	}
	if cmd.write && n.isPaused(slot) {
		return refuse("TRYAGAIN Slot %d is handed over", slot)
	}
	if n.isDown() {
		return refuse("CLUSTERDOWN The cluster is down")
	}
	if s.multi && n.rules.valkey9 {
		missing = 0 // what is queued may be missing until EXEC
	}
	return n.redirectOpen(s, cmd, args, openSlot{slot, owner, different, min(missing, different), asking})
}

type openSlot struct {
	slot          int
	owner         *peer
	keys, missing int
	asking        bool
}

// redirectOpen knows slots on their way: MIGRATE works on both sides, and an
// importing node serves who was ASKed to come.
func (n *Node) redirectOpen(s *session, cmd command, args []string, o openSlot) error {
	name := strings.ToUpper(args[0])
	mine := o.owner == n.self
	target := n.migrating[o.slot]
	migrating := mine && target != nil
	importing := !migrating && n.importing[o.slot] != nil && n.isMaster()
	switch {
	case (migrating || importing) && name == "MIGRATE":
		return nil
	case migrating && o.missing > 0 && o.missing < o.keys && n.rules.modern:
		return refuse("TRYAGAIN Multiple keys request during rehashing of slot")
	case migrating && target == n.self:
		return nil // a slot that "moves" to its owner, which only Valkey 9 refuses
	case migrating && o.missing > 0:
		return refuse("ASK %d %s", o.slot, target.addr)
	case importing && (o.asking || name == "RESTORE-ASKING"):
		if o.keys > 1 && o.missing > 0 {
			return refuse("TRYAGAIN Multiple keys request during rehashing of slot")
		}
		return nil
	case mine, s.reading && !cmd.write && n.self.master == o.owner:
		return nil
	}
	return refuse("MOVED %d %s", o.slot, o.owner.addr)
}
