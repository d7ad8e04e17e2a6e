package observe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

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

// Cluster reads the whole cluster that the seeds belong to: a seed that answers
// names nodes, these name others, until everybody who is known has been asked.
// Nodes that do not answer are part of the state, with the reason. The only
// error is a *SeedError.
func Cluster(ctx context.Context, d driver.Dialer, seeds ...cluster.Addr) (cluster.State, error) {
	return reader{dialer: d}.cluster(ctx, seeds)
}

// Check reads the whole cluster as Cluster does and counts, over the same
// connections, what health needs: see ForCheck.
func Check(ctx context.Context, d driver.Dialer, seeds ...cluster.Addr) (cluster.State, error) {
	return reader{dialer: d, more: countForCheck}.cluster(ctx, seeds)
}

// reader reads nodes.
type reader struct {
	dialer driver.Dialer
	more   func(context.Context, driver.Conn, *cluster.Member) error // done on the same connection; may be nil
}

func (r reader) cluster(ctx context.Context, seeds []cluster.Addr) (cluster.State, error) {
	first, err := r.anyOf(ctx, seeds)
	if err != nil {
		return cluster.State{}, err
	}
	return newWalk(ctx, r).from(first), nil
}

// Nodes reads nodes that need not belong to one cluster, or to any. The state
// has one member for each address, under that address.
func Nodes(ctx context.Context, d driver.Dialer, addrs []cluster.Addr) cluster.State {
	distinct := slices.Clone(addrs)
	slices.SortFunc(distinct, func(a, b cluster.Addr) int { return strings.Compare(a.String(), b.String()) })
	distinct = slices.Compact(distinct)
	s := cluster.State{Members: make([]cluster.Member, len(distinct))}
	g := newGate()
	var wg sync.WaitGroup
	for i, addr := range distinct {
		wg.Go(func() {
			defer g.enter()()
			r := reader{dialer: d}.read(ctx, addr)
			s.Members[i] = r.as(r.member.ID, addr)
			s.Members[i].Addr = addr
		})
	}
	wg.Wait()
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
		return cluster.Member{ID: id, Addr: addr, Unreachable: reason(r.err, addr), Cause: causeOf(r.err)}
	case r.member.ID != id:
		return cluster.Member{
			ID: id, Addr: addr, Cause: cluster.CauseStranger,
			Unreachable: fmt.Sprintf("another node, %s, answers there", r.member.ID),
		}
	}
	return r.member
}

// reason is the error without the address, which the member has already.
func reason(err error, addr cluster.Addr) string {
	return strings.TrimPrefix(err.Error(), addr.String()+": ")
}

// questions are asked of every node, in one round trip with configQuestion.
var questions = []driver.Command{
	{"CLUSTER", "NODES"},
	{"INFO"},
	{"CLUSTER", "INFO"},
	{"COMMAND", "INFO", "CLUSTER|ADDSLOTSRANGE", "CLUSTER|MIGRATESLOTS", "CLUSTER|MIGRATION"},
	{"FUNCTION", "LIST", "WITHCODE"},
}

func (r reader) read(ctx context.Context, addr cluster.Addr) reading {
	if !addr.Known() {
		return reading{err: errNoAddr}
	}
	// The dialer knows how long a connection may take, on a long line more than
	// the questions.
	conn, err := r.dialer.Dial(ctx, addr, "")
	if err != nil {
		return reading{err: err}
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	m, err := Member(ctx, conn, addr)
	if err == nil && r.more != nil {
		err = r.more(ctx, conn, &m)
	}
	if err != nil && !driver.IsTransport(err) {
		err = fmt.Errorf("%s: %w", addr, err)
	}
	return reading{member: m, err: err}
}

// Member reads one node over a connection to it. addr is used where the node
// does not know its own address.
func Member(ctx context.Context, conn driver.Conn, addr cluster.Addr) (cluster.Member, error) {
	replies, err := conn.Do(ctx, append(slices.Clone(questions), configQuestion())...)
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
	m.Libraries = librariesOf(replies[4])
	settings, err := configOf(ctx, conn, m.Server, replies[len(questions)])
	if err != nil {
		return cluster.Member{}, err
	}
	readConfig(&m, settings)
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
		return errNotCluster
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
	m.MaxMemory, _ = info.Int("maxmemory")
	m.HostMemory, _ = info.Int("total_system_memory")
	m.MaxMemoryPolicy = info["maxmemory_policy"]
	m.Zone = info["availability_zone"]
	m.Config = settingsIn(info)
	return nil
}

// readFeatures takes a refused COMMAND INFO (an ACL may forbid it) for a server
// that cannot: every feature has an older way.
func readFeatures(m *cluster.Member, r driver.Reply) {
	if known, ok := r.Value.([]any); ok && len(known) == 3 {
		m.Features.AddSlotsRange = known[0] != nil
		switch {
		case known[1] != nil:
			m.Features.Atomic = cluster.MigrateSlots
		case known[2] != nil:
			m.Features.Atomic = cluster.Migration
		}
	}
	// Nothing to ask for: the same command behaves differently.
	m.Features.ReplicatedSetSlot = m.Server.AtLeast("valkey", 8, 0)
}
