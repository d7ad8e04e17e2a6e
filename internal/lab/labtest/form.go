package labtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
	"github.com/trib-dev/trib/internal/lab/resp"
)

// Slots is how many hash slots a cluster has.
const Slots = 16384

const formLimit = 60 * time.Second

// Cluster is a formed cluster on a lab.
type Cluster struct {
	*Lab
	Masters  []*Member
	Replicas []*Member
}

// Member is a server in the role that Form gave it.
type Member struct {
	*lab.Node
	ID          string
	First, Last int     // a master's slots, both included
	Master      *Member // a replica's master

	conn *resp.Conn
}

// Members are the masters and then the replicas.
func (c *Cluster) Members() []*Member {
	return append(append([]*Member{}, c.Masters...), c.Replicas...)
}

// Owner is the master to which Form gave the slot.
func (c *Cluster) Owner(slot int) *Member {
	for _, m := range c.Masters {
		if m.First <= slot && slot <= m.Last {
			return m
		}
	}
	return nil
}

// Form makes a cluster of the first servers of a fresh lab: so many masters with
// even shares of the slots, and so many replicas in all, dealt to the masters in
// turn. It returns when every member sees all of it in good order. Servers that
// are left over stay as they are.
func Form(t testing.TB, l *Lab, masters, replicas int) *Cluster {
	t.Helper()
	nodes := l.Nodes()
	if masters < 1 || masters+replicas > len(nodes) {
		t.Fatalf("form %d+%d on %d servers", masters, replicas, len(nodes))
	}
	c := &Cluster{Lab: l}
	for i, n := range nodes[:masters+replicas] {
		c.enrol(t, n, i, masters)
	}
	c.assign(t)
	c.meet(t)
	c.replicate(t)
	c.settle(t)
	for _, m := range c.Members() {
		m.conn.Close()
	}
	return c
}

func (c *Cluster) enrol(t testing.TB, n *lab.Node, i, masters int) {
	t.Helper()
	m := &Member{Node: n, conn: c.Dial(t, n)}
	m.ID = m.must(t, "CLUSTER", "MYID").(string)
	if i < masters {
		m.First, m.Last = i*Slots/masters, (i+1)*Slots/masters-1
		c.Masters = append(c.Masters, m)
		return
	}
	m.Master = c.Masters[(i-masters)%masters]
	c.Replicas = append(c.Replicas, m)
}

// assign comes before meet: a server accepts a configuration epoch only while it
// knows nobody, and slots that are told in the first greeting need no gossip.
// Slot by slot, because Redis before 7.0 knows no ranges.
func (c *Cluster) assign(t testing.TB) {
	t.Helper()
	for i, m := range c.Members() {
		// A replica has its master's epoch. Had it had a higher one before, Valkey 9.1
		// could take all that it says for stale, and it for a master for ever; and
		// without one those that meet take high ones, so as not to share any.
		if m.Master != nil {
			m.must(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i-len(c.Masters)+1))
			continue
		}
		m.must(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(len(c.Replicas)+i+1))
		command := []string{"CLUSTER", "ADDSLOTS"}
		for slot := m.First; slot <= m.Last; slot++ {
			command = append(command, strconv.Itoa(slot))
		}
		m.must(t, command...)
	}
}

// meet introduces everybody to everybody, which is quicker than to wait until
// gossip does it.
func (c *Cluster) meet(t testing.TB) {
	t.Helper()
	for _, from := range c.Members() {
		for _, to := range c.Members() {
			if from != to {
				from.must(t, "CLUSTER", "MEET", to.Host(), strconv.Itoa(to.Port()))
			}
		}
	}
}

// replicate waits for each replica to know its master: until then the server
// answers "Unknown node".
func (c *Cluster) replicate(t testing.TB) {
	t.Helper()
	for _, m := range c.Replicas {
		Await(t, formLimit, m.Addr()+" replicates "+m.Master.Addr(), func() error {
			_, err := m.conn.Do("CLUSTER", "REPLICATE", m.Master.ID)
			return err
		})
	}
}

func (c *Cluster) settle(t testing.TB) {
	t.Helper()
	for _, m := range c.Members() {
		Await(t, formLimit, m.Addr()+" sees the cluster formed", func() error { return c.seenBy(m) })
	}
}

// seenBy says what the member does not see in good order yet.
func (c *Cluster) seenBy(m *Member) error {
	replies, err := m.conn.Pipeline([]string{"CLUSTER", "INFO"}, []string{"CLUSTER", "NODES"}, []string{"INFO", "replication"})
	if err != nil {
		return err
	}
	info, nodes, replication := fmt.Sprint(replies[0]), fmt.Sprint(replies[1]), fmt.Sprint(replies[2])
	for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:" + strconv.Itoa(len(c.Members()))} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("CLUSTER INFO lacks %s:\n%s", want, info)
		}
	}
	if m.Master != nil && !strings.Contains(replication, "master_link_status:up\r\n") {
		return fmt.Errorf("the link to the master is not up:\n%s", replication)
	}
	return c.complete(nodes)
}

// complete checks that every member stands in CLUSTER NODES in its role, linked
// and without a flag that something is wrong or under way.
func (c *Cluster) complete(nodes string) error {
	lines := map[string][]string{}
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) >= 8 {
			lines[fields[0]] = fields
		}
	}
	for _, m := range c.Members() {
		fields, known := lines[m.ID]
		if !known {
			return fmt.Errorf("%s is not known:\n%s", m.Addr(), nodes)
		}
		if !m.inRole(fields) {
			return fmt.Errorf("%s is not in its role: %q", m.Addr(), fields)
		}
	}
	return nil
}

func (m *Member) inRole(fields []string) bool {
	role, master, slots := "slave", "", ""
	if m.Master == nil {
		role, master, slots = "master", "-", fmt.Sprintf("%d-%d", m.First, m.Last)
	} else {
		master = m.Master.ID
	}
	flags := strings.TrimPrefix(fields[2], "myself,")
	linked := fields[7] == "connected"
	return flags == role && fields[3] == master && linked && strings.Join(fields[8:], " ") == slots
}

func (m *Member) must(t testing.TB, args ...string) any {
	t.Helper()
	reply, err := m.conn.Do(args...)
	if err != nil {
		t.Fatalf("%s: %.60q: %v", m.Addr(), args, err)
	}
	return reply
}
