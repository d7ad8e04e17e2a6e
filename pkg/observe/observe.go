package observe

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// parallel is how many nodes are asked at once. More is no faster, and costs
// sockets.
const parallel = 32

// SeedError is a cluster of which no seed could be read.
type SeedError struct {
	Causes []error // one for each seed
}

func (e *SeedError) Error() string {
	texts := make([]string, len(e.Causes))
	for i, c := range e.Causes {
		texts[i] = c.Error()
	}
	return "no node of the cluster could be read: " + strings.Join(texts, "; ")
}

// Unwrap are the causes.
func (e *SeedError) Unwrap() []error { return e.Causes }

// Cluster reads the whole cluster that the seeds belong to: the first seed that
// answers names nodes, these name others, until everybody who is known has been
// asked. Nodes that do not answer are part of the state, with the reason. The
// only error is a *SeedError.
func Cluster(ctx context.Context, d driver.Dialer, seeds ...cluster.Addr) (cluster.State, error) {
	var causes []error
	for _, seed := range seeds {
		first := read(ctx, d, seed)
		if first.err != nil {
			causes = append(causes, first.err)
			continue
		}
		return walk(ctx, d, first.member), nil
	}
	return cluster.State{}, &SeedError{causes}
}

// walk asks everybody whom the members so far know, in rounds.
func walk(ctx context.Context, d driver.Dialer, first cluster.Member) cluster.State {
	members := map[cluster.NodeID]cluster.Member{first.ID: first}
	for {
		targets := unasked(members)
		if len(targets) == 0 {
			break
		}
		// Who has lost a node's address may be the first to be asked: a node is
		// given up only when everybody else was.
		if known := dialable(targets); len(known) > 0 {
			targets = known
		}
		for id, r := range readAll(ctx, d, targets) {
			members[id] = r.as(id, targets[id])
		}
	}
	return collect(members)
}

// unasked are the nodes that some member knows and nobody has asked yet. Nodes
// in handshake have made-up ids: they are met under their own soon, or vanish.
func unasked(members map[cluster.NodeID]cluster.Member) map[cluster.NodeID]cluster.Addr {
	targets := make(map[cluster.NodeID]cluster.Addr)
	for _, m := range members {
		for _, n := range m.View.Nodes {
			_, asked := members[n.ID]
			if !asked && !n.Flags.Has(cluster.FlagHandshake) {
				targets[n.ID] = preferKnown(targets[n.ID], n.Addr)
			}
		}
	}
	return targets
}

func dialable(targets map[cluster.NodeID]cluster.Addr) map[cluster.NodeID]cluster.Addr {
	known := maps.Clone(targets)
	maps.DeleteFunc(known, func(_ cluster.NodeID, addr cluster.Addr) bool { return !addr.Known() })
	return known
}

func preferKnown(a, b cluster.Addr) cluster.Addr {
	if a.Known() {
		return a
	}
	return b
}

// Nodes reads nodes that need not belong to one cluster, or to any. The state
// has one member for each address, under that address.
func Nodes(ctx context.Context, d driver.Dialer, addrs []cluster.Addr) cluster.State {
	targets := make(map[cluster.Addr]cluster.Addr, len(addrs))
	for _, a := range addrs {
		targets[a] = a
	}
	var s cluster.State
	for addr, r := range readAll(ctx, d, targets) {
		m := r.as(r.member.ID, addr)
		m.Addr = addr
		s.Members = append(s.Members, m)
	}
	s.Sort()
	return s
}

func collect(members map[cluster.NodeID]cluster.Member) cluster.State {
	var s cluster.State
	for _, m := range members {
		s.Members = append(s.Members, m)
	}
	s.Sort()
	return s
}

type reading struct {
	member cluster.Member
	err    error
}

// as is the member that a reading amounts to for somebody who expected node id
// at addr. An address that was taken over by another node does not speak for
// the one that was there.
func (r reading) as(id cluster.NodeID, addr cluster.Addr) cluster.Member {
	switch {
	case r.err != nil:
		return cluster.Member{ID: id, Addr: addr, Unreachable: reason(r.err, addr)}
	case r.member.ID != id:
		return cluster.Member{ID: id, Addr: addr, Unreachable: fmt.Sprintf("another node, %s, answers there", r.member.ID)}
	}
	return r.member
}

// reason is the error without the address, which the member has already.
func reason(err error, addr cluster.Addr) string {
	return strings.TrimPrefix(err.Error(), addr.String()+": ")
}

func readAll[K comparable](ctx context.Context, d driver.Dialer, targets map[K]cluster.Addr) map[K]reading {
	type result struct {
		key K
		r   reading
	}
	results := make(chan result, len(targets))
	var g errgroup.Group
	g.SetLimit(parallel)
	for key, addr := range targets {
		g.Go(func() error {
			results <- result{key, read(ctx, d, addr)}
			return nil
		})
	}
	g.Wait()
	close(results)
	out := make(map[K]reading, len(targets))
	for r := range results {
		out[r.key] = r.r
	}
	return out
}

// questions are asked of every node, in one round trip.
var questions = []driver.Command{
	{"CLUSTER", "NODES"},
	{"INFO"},
	{"CLUSTER", "INFO"},
	{"COMMAND", "INFO", "CLUSTER|ADDSLOTSRANGE"},
	{"CONFIG", "GET", "cluster-*"},
}

func read(ctx context.Context, d driver.Dialer, addr cluster.Addr) reading {
	if !addr.Known() {
		return reading{err: fmt.Errorf("its address is not known")}
	}
	// The dialer knows how long a connection may take, on a long line more than
	// the questions.
	conn, err := d.Dial(ctx, addr, "")
	if err != nil {
		return reading{err: err}
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	m, err := Member(ctx, conn, addr)
	if err != nil && !driver.IsTransport(err) {
		err = fmt.Errorf("%s: %w", addr, err)
	}
	return reading{member: m, err: err}
}

// Member reads one node over a connection to it. addr is used where the node
// does not know its own address.
func Member(ctx context.Context, conn driver.Conn, addr cluster.Addr) (cluster.Member, error) {
	replies, err := conn.Do(ctx, questions...)
	if err != nil {
		return cluster.Member{}, err
	}
	var m cluster.Member
	if err := readInfo(&m, replies[1]); err != nil {
		return cluster.Member{}, err
	}
	if err := readView(&m, replies[0], addr); err != nil {
		return cluster.Member{}, err
	}
	state, err := infoOf(replies[2])
	if err != nil {
		return cluster.Member{}, err
	}
	m.ClusterOK = state["cluster_state"] == "ok"
	readFeatures(&m, replies[3])
	readConfig(&m, replies[4])
	return m, nil
}

func readView(m *cluster.Member, r driver.Reply, addr cluster.Addr) error {
	text, err := r.Text()
	if err != nil {
		return err
	}
	if m.View, err = cluster.ParseNodes(text); err != nil {
		return err
	}
	self := m.View.Self()
	m.ID, m.Addr = self.ID, self.Addr
	if !m.Addr.Known() {
		m.Addr = addr
	}
	return nil
}

func infoOf(r driver.Reply) (cluster.Info, error) {
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	return cluster.ParseInfo(text)
}

func readInfo(m *cluster.Member, r driver.Reply) error {
	info, err := infoOf(r)
	if err != nil {
		return err
	}
	if info["cluster_enabled"] != "1" {
		return fmt.Errorf("not a cluster node: it runs without cluster-enabled yes")
	}
	if m.Server, err = info.Server(); err != nil {
		return err
	}
	if m.Replication, err = info.Replication(); err != nil {
		return err
	}
	if m.Keyspace, err = info.Keyspace(); err != nil {
		return err
	}
	m.RunID = info["run_id"]
	m.Functions, _ = info.Int("number_of_functions") // absent before Redis 7.0
	m.UsedMemory, _ = info.Int("used_memory")
	return nil
}

// readFeatures takes a refused COMMAND INFO (an ACL may forbid it) for a server
// that cannot: every feature has an older way.
func readFeatures(m *cluster.Member, r driver.Reply) {
	if known, ok := r.Value.([]any); ok && len(known) == 1 {
		m.Features.AddSlotsRange = known[0] != nil
	}
	// Nothing to ask for: the same command behaves differently.
	m.Features.ReplicatedSetSlot = m.Server.AtLeast("valkey", 8, 0)
}

// readConfig takes the settings that matter from CONFIG GET, where it is
// allowed.
func readConfig(m *cluster.Member, r driver.Reply) {
	m.Databases = []int{0}
	pairs, err := r.Strings()
	if err != nil {
		pairs = nil
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		n, err := strconv.Atoi(pairs[i+1])
		if err != nil {
			continue
		}
		switch pairs[i] {
		case "cluster-node-timeout":
			m.NodeTimeout = int64(n)
		case "cluster-databases":
			m.Databases = upTo(n)
		}
	}
	for _, db := range m.Keyspace {
		if db.DB >= len(m.Databases) {
			m.Databases = upTo(db.DB + 1)
		}
	}
}

func upTo(n int) []int {
	dbs := make([]int, max(n, 1))
	for i := range dbs {
		dbs[i] = i
	}
	return dbs
}
