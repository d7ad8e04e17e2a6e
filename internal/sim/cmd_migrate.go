package sim

import (
	"strconv"
	"strings"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

var errNoAnswer = &driver.ServerError{Text: "IOERR error or timeout reading to target instance"}

// migration is a MIGRATE that is under way: every key is a RESTORE-ASKING at
// the target.
type migration struct {
	r        *request
	target   *Node
	keys     []string
	db       int
	copy     bool
	replace  bool
	auth     bool
	password string
	timeout  time.Duration

	greeting error // refused AUTH or SELECT
	waiting  int
	answers  []driver.Reply // by key
}

func cmdMigrate(r *request) any {
	m, err := parseMigrate(r)
	if err != nil {
		return err
	}
	if m.keys = m.present(migrateKeys(r.args)); len(m.keys) == 0 {
		return "NOKEY"
	}
	if m.target == nil || !m.target.alive {
		return refuse("IOERR error or timeout writing to target instance")
	}
	if m.target == r.n {
		return errNoAnswer // it waits for itself
	}
	return m.start()
}

func parseMigrate(r *request) (*migration, error) {
	m := &migration{r: r}
	if err := m.parseOptions(r.args); err != nil {
		return nil, err
	}
	db, err := parseInt(r.args[4])
	if err != nil {
		return nil, err
	}
	timeout, err := parseInt(r.args[5])
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = 1000
	}
	m.db, m.timeout = int(db), time.Duration(timeout)*time.Millisecond
	port, _ := strconv.Atoi(r.args[2])
	m.target = r.c.nodeAt(cluster.Addr{Host: r.args[1], Port: port})
	return m, nil
}

func (m *migration) parseOptions(args []string) error {
	for i := 6; i < len(args); i++ {
		switch option := strings.ToUpper(args[i]); {
		case option == "COPY":
			m.copy = true
		case option == "REPLACE":
			m.replace = true
		case option == "AUTH" && i+1 < len(args):
			i++
			m.auth, m.password = true, args[i]
		case option == "AUTH2" && i+2 < len(args):
			i += 2
			m.auth, m.password = true, args[i]
		case option == "KEYS":
			if args[3] != "" {
				return refuse("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
			}
			return nil
		default:
			return refuse("ERR syntax error")
		}
	}
	return nil
}

// present drops the keys that do not exist or have expired.
func (m *migration) present(keys []string) []string {
	var out []string
	for _, key := range keys {
		if m.r.n.lookup(m.r.db, key) != nil {
			out = append(out, key)
		}
	}
	return out
}

// start sends everything to the target. A target that does not read it keeps
// the source's event loop busy until it does or the time is up; what was sent
// is carried out by the target all the same, once it runs again.
func (m *migration) start() any {
	s := &session{n: m.target, authed: m.r.c.o.Password == m.password, since: m.r.c.now}
	m.greeting = m.greet(s)
	m.answers = make([]driver.Reply, len(m.keys))
	m.waiting = len(m.keys)
	async := !m.target.live()
	for i, key := range m.keys {
		m.send(s, i, key, async)
	}
	if m.waiting == 0 {
		return m.outcome()
	}
	n := m.r.n
	n.busy = m.r.call
	n.silent()
	m.r.c.after(m.timeout, func() { m.release(errNoAnswer) })
	return later{}
}

// greet is what MIGRATE sends before the keys: AUTH and SELECT. The keys follow
// all the same, and the target takes them where it can, into database 0 if it
// must; but the source keeps them.
func (m *migration) greet(s *session) error {
	switch password := m.r.c.o.Password; {
	case password == "" && m.auth:
		s.authed = true // there is nothing to be refused
		return errNoPassword
	case password != "" && !m.auth:
		return refuse("NOAUTH Authentication required.")
	case password != m.password:
		return refuse("WRONGPASS invalid username-password pair or user is disabled.")
	}
	return m.target.selectDB(s, int64(m.db))
}

func (m *migration) send(s *session, i int, key string, async bool) {
	e := m.r.n.lookup(m.r.db, key)
	ttl := int64(0)
	if !e.expire.IsZero() {
		ttl = max(e.expire.Sub(m.r.c.now).Milliseconds(), 1)
	}
	cmd := driver.Cmd("RESTORE-ASKING", key, strconv.FormatInt(ttl, 10), m.r.n.dump(e))
	if m.replace {
		cmd = append(cmd, "REPLACE")
	}
	k := &call{s: s, cmd: cmd}
	k.then = func(reply driver.Reply) { m.answered(i, reply, async) }
	k.gone = func() { m.release(errNoAnswer) }
	if m.target.live() {
		m.target.start(k)
	} else {
		m.target.inbox = append(m.target.inbox, k)
	}
}

func (m *migration) answered(i int, reply driver.Reply, async bool) {
	m.answers[i] = reply
	m.waiting--
	if m.waiting == 0 && async {
		m.release(nil)
	}
}

// release ends a MIGRATE that blocked the source: with its outcome, or with err
// when the time was up.
func (m *migration) release(err error) {
	n := m.r.n
	if n.busy != m.r.call || !n.alive {
		return // over already, or the process is gone
	}
	n.busy = nil
	if err != nil {
		m.r.call.finish(err)
	} else {
		m.r.call.finish(m.outcome())
	}
	n.drainInbox()
	n.spokeUp()
}

// outcome deletes what the target acknowledged, and nothing else; the first
// refusal is the reply.
func (m *migration) outcome() any {
	first := m.greeting
	for i, key := range m.keys {
		switch err := m.answers[i].Err; {
		case err == nil && !m.copy && m.greeting == nil:
			m.r.n.deleteKey(m.r.db, key)
		case err != nil && first == nil:
			first = err
		}
	}
	if first != nil {
		return refuse("ERR Target instance replied with error: %s", first)
	}
	return "OK"
}
