package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// zoneNames is a flag for the zones of hosts, HOST=ZONE; it may be given several
// times.
type zoneNames struct{ value *plan.Zones }

func (z zoneNames) Set(s string) error {
	for entry := range strings.SplitSeq(s, ",") {
		host, zone, _ := strings.Cut(entry, "=")
		if host == "" || zone == "" {
			return fmt.Errorf("want HOST=ZONE")
		}
		if was := (*z.value)[host]; was != "" && was != zone {
			return fmt.Errorf("host %s is in %s already", host, was)
		}
		if *z.value == nil {
			*z.value = make(plan.Zones)
		}
		(*z.value)[host] = zone
	}
	return nil
}

func (z zoneNames) String() string { return "" }
func (z zoneNames) Type() string   { return "HOST=ZONE" }

func addZoneFlag(f *pflag.FlagSet, zones *plan.Zones) {
	f.Var(zoneNames{zones}, "zone", "the zone of a host; a host without one is a zone of its own; may be given several times")
}

// readyOptions say how far a new role must have come.
type readyOptions struct {
	wait        apply.Readiness
	waitTimeout time.Duration
}

func (o *readyOptions) addFlags(f *pflag.FlagSet, otherwise string) {
	o.wait = apply.ReadyOK
	f.Var(choice[apply.Readiness]{&o.wait, []string{string(apply.ReadyOK), string(apply.ReadyJoined)}}, "wait",
		"for what to wait: until replicas have their master's data and new nodes serve, or only until all nodes know it")
	f.Lookup("wait").NoOptDefVal = string(apply.ReadyOK)
	o.addTimeout(f, otherwise)
}

func (o *readyOptions) addTimeout(f *pflag.FlagSet, otherwise string) {
	f.Var(span{&o.waitTimeout, 0}, "wait-timeout", "how long to wait for anything (default "+otherwise+")")
}

func (o *readyOptions) engine() apply.Options {
	return apply.Options{Ready: o.wait, WaitTimeout: o.waitTimeout}
}

// seedAndNodes reads a SEED, which may be two words, and the names of nodes
// behind it.
func seedAndNodes(args []string, names ...string) (seed, []string, error) {
	n := len(args) - len(names)
	if n < 1 {
		missing := append([]string{"SEED"}, names...)[len(args)]
		return seed{}, nil, usage("%s is missing: want SEED %s", missing, strings.Join(names, " "))
	}
	s, err := seedOf(args[:n])
	return s, args[n:], err
}

// again is how a run that stopped part-way goes on.
const again = "run the same command again: it goes on where this one stopped"

// observeDying reads a cluster from which a node is to go. One that has just
// died is given time to be called failed by the others.
func (app *App) observeDying(ctx context.Context, a access, from seed, name string, patience time.Duration) (cluster.State, cluster.Member, error) {
	deadline := app.Now().Add(patience)
	for {
		s, err := app.observeSettled(ctx, a, from.addr)
		if err != nil {
			return s, cluster.Member{}, err
		}
		node, err := s.Find(name)
		if err != nil || node.Reachable() || plan.Dead(s, node.ID) || app.Now().After(deadline) {
			return s, node, err
		}
		app.Terminal.Status("waiting for the others to call " + node.Addr.String() + " failed...")
		select {
		case <-ctx.Done():
			return s, node, context.Cause(ctx)
		case <-time.After(settlingPoll):
		}
	}
}

// outsider looks for a node that the cluster does not know, or not any more,
// under an address. left reports whether it has left: a full id that nobody
// knows, or a node that knows nobody. One that still believes to be a member, or
// has not got a new id yet, comes back as a member of the state.
func (app *App) outsider(ctx context.Context, a access, s *cluster.State, name string) (m cluster.Member, left bool) {
	if _, err := cluster.ParseNodeID(name); err == nil {
		return m, true
	}
	addr, err := cluster.ParseAddr(name)
	if err != nil {
		return m, false
	}
	m = observe.Nodes(ctx, a.reader(), []cluster.Addr{addr}).Members[0]
	if _, member := s.Get(m.ID); member || !m.Reachable() {
		return cluster.Member{}, false
	}
	ours := slices.ContainsFunc(s.Members, func(other cluster.Member) bool {
		_, known := m.View.Get(other.ID)
		return known
	})
	alone := len(m.View.Nodes) == 1
	if ours || alone && app.remembersEpochs(ctx, a, addr) {
		s.Members = append(s.Members, m)
		s.Sort()
		return m, false
	}
	return cluster.Member{}, alone
}

// remembersEpochs reports whether a node was in a cluster once under its present
// id: the epochs outlast a reset that leaves the id.
func (app *App) remembersEpochs(ctx context.Context, a access, addr cluster.Addr) bool {
	conn, err := a.reader().Dial(ctx, addr, "")
	if err != nil {
		return false
	}
	defer conn.Close()
	reply, err := driver.Call(ctx, conn, "CLUSTER", "INFO")
	if err != nil {
		return false
	}
	text, _ := reply.Text()
	info, err := cluster.ParseInfo(text)
	return err == nil && info["cluster_current_epoch"] != "0"
}
