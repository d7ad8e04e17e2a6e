package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/pkg/driver"
)

func clientCommands() map[string]command {
	return map[string]command{
		"AUTH":           {arity: -2, run: cmdAuth},
		"SELECT":         {arity: 2, run: cmdSelect},
		"ASKING":         {arity: 1, run: func(r *request) any { r.asking = true; return "OK" }},
		"READONLY":       {arity: 1, run: func(r *request) any { r.reading = true; return "OK" }},
		"READWRITE":      {arity: 1, run: func(r *request) any { r.reading = false; return "OK" }},
		"MULTI":          {arity: 1, run: cmdMulti},
		"EXEC":           {arity: 1, run: cmdExec},
		"DISCARD":        {arity: 1, run: cmdDiscard},
		"WATCH":          {arity: -2, keys: allKeys, run: cmdWatch},
		"UNWATCH":        {arity: 1, run: func(r *request) any { r.watched = nil; return "OK" }},
		"CLIENT ID":      {arity: 2, run: func(r *request) any { return r.id }},
		"CLIENT SETNAME": {arity: 3, run: cmdSetName},
		"CLIENT GETNAME": {arity: 2, run: cmdGetName},
		"CLIENT LIST":    {arity: -2, run: cmdClientList},
		"CLIENT KILL":    {arity: -3, run: cmdClientKill},
	}
}

var errNoPassword = &driver.ServerError{
	Text: "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
}

func cmdAuth(r *request) any {
	switch password := r.args[len(r.args)-1]; {
	case r.c.o.Password == "":
		return errNoPassword
	case password != r.c.o.Password:
		return refuse("WRONGPASS invalid username-password pair or user is disabled.")
	}
	r.authed = true
	return "OK"
}

func cmdSelect(r *request) any {
	db, err := parseInt(r.args[1])
	if err == nil {
		err = r.n.selectDB(r.session, db)
	}
	if err != nil {
		return err
	}
	return "OK"
}

func (n *Node) selectDB(s *session, db int64) error {
	if db != 0 && !n.rules.valkey9 {
		return refuse("ERR SELECT is not allowed in cluster mode")
	}
	if db < 0 || db >= int64(len(n.dbs)) {
		return refuse("ERR DB index is out of range")
	}
	s.db = int(db)
	return nil
}

func cmdMulti(r *request) any {
	if r.multi {
		return refuse("ERR MULTI calls can not be nested")
	}
	r.multi, r.poisoned, r.queued = true, false, nil
	return "OK"
}

func cmdDiscard(r *request) any {
	if !r.multi {
		return refuse("ERR DISCARD without MULTI")
	}
	r.multi, r.watched = false, nil
	return "OK"
}

// cmdWatch remembers values: whoever writes to a key puts another one there.
func cmdWatch(r *request) any {
	if r.multi {
		return refuse("ERR WATCH inside MULTI is not allowed")
	}
	for _, key := range r.args[1:] {
		r.watched = append(r.watched, watched{r.db, key, r.n.lookup(r.db, key)})
	}
	return "OK"
}

// watched is a key as it was when it was to be watched; nil for one that was not
// there.
type watched struct {
	db    int
	key   string
	value *entry
}

// cmdExec runs what was queued, with nothing in between. A transaction waits
// for no replica.
func cmdExec(r *request) any {
	if !r.multi {
		return refuse("ERR EXEC without MULTI")
	}
	keys := r.watched
	r.multi, r.watched = false, nil
	if r.poisoned {
		return refuse("EXECABORT Transaction discarded because of previous errors.")
	}
	for _, w := range keys {
		if r.n.lookup(w.db, w.key) != w.value {
			return nil
		}
	}
	var rows []command
	for _, cmd := range r.queued {
		row, err := r.n.find(cmd.Name(), cmd)
		if err == nil {
			err = r.n.admit(r.session, row, cmd, false)
		}
		switch {
		case driver.HasCode(err, "MOVED"), driver.HasCode(err, "ASK"), driver.HasCode(err, "CLUSTERDOWN"), driver.HasCode(err, "TRYAGAIN"):
			return err // nothing is carried out, and the client may try elsewhere
		case err != nil:
			return refuse("EXECABORT Transaction discarded because of: %s", err)
		}
		rows = append(rows, row)
	}
	out := []any{}
	for i, cmd := range r.queued {
		reply := asReply(r.n.run(&call{s: r.session, cmd: cmd, inMulti: true}, rows[i]))
		if !r.n.alive {
			return later{}
		}
		if reply.Err != nil {
			reply.Value = reply.Err
		}
		out = append(out, reply.Value)
	}
	return out
}

func cmdSetName(r *request) any {
	name := r.args[2]
	if strings.ContainsFunc(name, func(c rune) bool { return c < '!' || c > '~' }) {
		return refuse("ERR Client names cannot contain spaces, newlines or special characters.")
	}
	r.name = name
	return "OK"
}

func cmdGetName(r *request) any {
	if r.name == "" {
		return nil
	}
	return r.name
}

func cmdClientList(r *request) any {
	var b strings.Builder
	for _, s := range r.n.sessions {
		age := int(r.c.now.Sub(s.since).Seconds())
		fmt.Fprintf(&b, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=0 flags=N db=%d sub=0 psub=0 multi=-1 cmd=%s user=default resp=2\n",
			s.id, s.peerAddr(), r.n, s.id+7, s.name, age, s.db, fullName(s.last))
	}
	return b.String()
}

// peerAddr is the client's end of a connection, made up.
func (s *session) peerAddr() string { return fmt.Sprintf("127.0.0.1:%d", 40000+s.id) }

// cmdClientKill is CLIENT KILL ID n, CLIENT KILL ADDR a, and CLIENT KILL a.
func cmdClientKill(r *request) any {
	if _, err := parseInt(r.args[len(r.args)-1]); err != nil && strings.EqualFold(r.args[2], "ID") {
		return refuse("ERR client-id should be greater than 0")
	}
	var matches func(*session) bool
	switch filter := strings.ToUpper(r.args[2]); {
	case len(r.args) == 3:
		matches = func(s *session) bool { return s.peerAddr() == r.args[2] }
	case filter == "ID" && len(r.args) == 4:
		matches = func(s *session) bool { return strconv.FormatInt(s.id, 10) == r.args[3] }
	case filter == "ADDR" && len(r.args) == 4:
		matches = func(s *session) bool { return s.peerAddr() == r.args[3] }
	default:
		return refuse("ERR syntax error")
	}
	count := int64(0)
	for _, s := range slices.Clone(r.n.sessions) {
		if matches(s) && s != r.session {
			s.close()
			count++
		}
	}
	if len(r.args) > 3 {
		return count
	}
	if count == 0 {
		return &driver.ServerError{Text: "ERR No such client"}
	}
	return "OK"
}
