package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// survey is observe, and beside the cluster the nodes of the plan that it does
// not know: those yet to join it, and those that have left.
func (r *runner) survey(ctx context.Context) (cluster.State, error) {
	s, err := r.observe(ctx)
	if err != nil || r.p.Kind == plan.KindCreate {
		return s, err
	}
	strangers := make(map[cluster.Addr]cluster.NodeID)
	var addrs []cluster.Addr
	for _, n := range r.p.Nodes {
		if _, known := s.Get(n.ID); !known {
			strangers[n.Addr] = n.ID
			addrs = append(addrs, n.Addr)
		}
	}
	for _, m := range observe.Nodes(ctx, r.o.Dialer, addrs).Members {
		if id := strangers[m.Addr]; m.ID != id {
			why := m.Unreachable
			if m.Reachable() {
				why = fmt.Sprintf("another node, %s, answers there", m.ID)
			}
			m = cluster.Member{ID: id, Addr: m.Addr, Unreachable: why}
		}
		s.Members = append(s.Members, m)
	}
	s.Sort()
	return s, nil
}

// insiders are the members without those that nobody knows and who know nobody:
// they have left, and see no owners.
func insiders(s cluster.State) cluster.State {
	return cluster.State{Members: slices.DeleteFunc(slices.Clone(s.Members), func(m cluster.Member) bool {
		return len(m.View.Nodes) <= 1 && m.Slots().Empty() && len(plan.Knowing(s, m.ID)) == 0
	})}
}

// memberAct is how a step is done that deals with a member as a whole; nil for
// any other.
func (r *runner) memberAct(steps []int) func(context.Context, []int) error {
	switch action := r.p.Steps[steps[0]].Action; {
	case action == plan.Meet:
		return r.form
	case action == plan.CopyFunctions:
		return r.copyFunctions
	case action == plan.Replicate && r.p.Kind != plan.KindCreate:
		return r.follow
	case action == plan.Reset:
		return r.reset
	case action == plan.Renew:
		return r.renew
	case action == plan.Forget:
		return inTurn(r.forget)
	case action == plan.Failover:
		return inTurn(r.failover)
	}
	return nil
}

// subjects are the addresses of the nodes that a step is about; create has too
// many steps to name them.
func (r *runner) subjects(step plan.Step) []string {
	if r.p.Kind == plan.KindCreate {
		return nil
	}
	var addrs []string
	for _, id := range []cluster.NodeID{step.Node, step.Master} {
		if id != "" {
			addrs = append(addrs, r.p.Addr(id).String())
		}
	}
	return addrs
}

// copyFunctions gives nodes without functions those of a master, the same one
// for all.
func (r *runner) copyFunctions(ctx context.Context, steps []int) error {
	return r.await(ctx, "the functions to be copied", func(ctx context.Context) ([]string, error) {
		s, err := r.survey(ctx)
		if err != nil {
			return nil, err
		}
		var nodes []plan.Node
		for _, i := range steps {
			if status, _ := r.p.Status(r.p.Steps[i], s); status != plan.Done {
				nodes = append(nodes, r.node(r.p.Steps[i].Node))
			}
		}
		if nodes == nil {
			return nil, nil
		}
		return r.giveFunctions(ctx, r.node(r.p.Steps[steps[0]].From), nodes)
	})
}

func (r *runner) giveFunctions(ctx context.Context, from plan.Node, nodes []plan.Node) ([]string, error) {
	replies, err := r.crew.tell(ctx, from, driver.Cmd("FUNCTION", "DUMP"))
	if err != nil {
		return nil, err
	}
	dump, err := replies[0].Text()
	if err != nil {
		return nil, &refusedError{fmt.Errorf("%s does not give its functions: %w", from.Addr, err)}
	}
	waiting := make([]string, len(nodes))
	for i, n := range nodes {
		waiting[i] = n.Addr.String()
	}
	return waiting, each(nodes, func(n plan.Node) error {
		replies, err := r.crew.tell(ctx, n, driver.Cmd("FUNCTION", "RESTORE", dump))
		if err != nil {
			return err
		}
		if err := replies[0].OK(); err != nil {
			return &refusedError{fmt.Errorf("%s does not take the functions: %w", n.Addr, err)}
		}
		return nil
	})
}

// refusedError is a refusal that waiting does not mend.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// follow makes nodes replicas of masters that they know.
func (r *runner) follow(ctx context.Context, steps []int) error {
	masters := make(map[cluster.NodeID]cluster.NodeID)
	var nodes []plan.Node
	for _, i := range steps {
		step := r.p.Steps[i]
		masters[step.Node] = step.Master
		nodes = append(nodes, r.node(step.Node))
	}
	return r.await(ctx, "the replicas to follow their masters", func(ctx context.Context) ([]string, error) {
		views, err := r.crew.views(ctx, nodes)
		if err != nil {
			return nil, err
		}
		return r.replicate(ctx, views, masters), nil
	})
}

// reset makes a node a stranger. Soft: it keeps its id, by which the others, and
// the same command given again, know it.
func (r *runner) reset(ctx context.Context, steps []int) error {
	step := r.p.Steps[steps[0]]
	return r.await(ctx, fmt.Sprintf("%s to be reset", r.p.Addr(step.Node)), func(ctx context.Context) ([]string, error) {
		s, err := r.survey(ctx)
		if err != nil {
			return nil, err
		}
		return r.resetIn(ctx, step, s)
	})
}

// resetIn resets a node that has nothing any more: the server itself refuses
// only a master with keys, and would give up slots.
func (r *runner) resetIn(ctx context.Context, step plan.Step, s cluster.State) ([]string, error) {
	status, why := r.p.Status(step, s)
	m, _ := s.Get(step.Node)
	switch {
	case status == plan.Done:
		return nil, nil
	case status == plan.Blocked:
		return nil, &refusedError{&StaleError{[]string{why}}}
	case !m.Slots().Empty():
		return nil, &refusedError{fmt.Errorf("%s still has slots %s", m.Addr, m.Slots())}
	case m.IsMaster() && m.Keys() > 0:
		return nil, &refusedError{fmt.Errorf("%s still has %d keys", m.Addr, m.Keys())}
	}
	err := r.crew.order(ctx, r.node(step.Node), driver.Cmd("CLUSTER", "RESET", "SOFT"))
	return []string{m.Addr.String()}, err
}

// renew gives a node that all have forgotten a new id.
func (r *runner) renew(ctx context.Context, steps []int) error {
	step := r.p.Steps[steps[0]]
	return r.await(ctx, fmt.Sprintf("%s to have a new id", r.p.Addr(step.Node)), func(ctx context.Context) ([]string, error) {
		s, err := r.survey(ctx)
		if err != nil {
			return nil, err
		}
		m, known := s.Get(step.Node)
		switch {
		case !known || !m.Reachable():
			return nil, nil
		case len(m.View.Nodes) > 1 || m.Keys() > 0:
			return nil, &refusedError{fmt.Errorf("%s knows others again, or has keys", m.Addr)}
		}
		err = r.crew.order(ctx, r.node(step.Node), driver.Cmd("CLUSTER", "RESET", "HARD"))
		return []string{m.Addr.String()}, err
	})
}

// forgetWatch is longer than a forgotten node is banned for.
const forgetWatch = 65 * time.Second

// forget tells everybody who knows a node to forget it, until nobody does.
func (r *runner) forget(ctx context.Context, steps []int) error {
	step := r.p.Steps[steps[0]]
	what := fmt.Sprintf("all nodes to forget %s", r.p.Addr(step.Node))
	err := r.await(ctx, what, func(ctx context.Context) ([]string, error) { return r.forgetOnce(ctx, step) })
	if err != nil || !step.Watch {
		return err
	}
	r.tell(Event{Kind: Waiting, Text: fmt.Sprintf("%s to come back, or not", r.p.Addr(step.Node))})
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(forgetWatch):
	}
	s, err := r.observe(ctx)
	if err == nil && len(plan.Knowing(s, step.Node)) > 0 {
		err = fmt.Errorf("%s came back: it lives, and introduces itself again", r.p.Addr(step.Node))
	}
	return err
}

// forgetOnce also resets a node again that somebody has met in between.
func (r *runner) forgetOnce(ctx context.Context, step plan.Step) ([]string, error) {
	s, err := r.survey(ctx)
	if err != nil {
		return nil, err
	}
	resets := func(other plan.Step) bool { return other.Action == plan.Reset && other.Node == step.Node }
	if i := slices.IndexFunc(r.p.Steps, resets); i >= 0 && step.Master == "" {
		if waiting, err := r.resetIn(ctx, r.p.Steps[i], s); err != nil || waiting != nil {
			return waiting, err
		}
	}
	if status, why := r.p.Status(step, s); status == plan.Blocked {
		return nil, &refusedError{&StaleError{[]string{why}}}
	}
	knowing := plan.ToForget(step, s)
	err = each(knowing, func(m cluster.Member) error {
		if _, met := m.View.Get(step.Node); !met {
			return nil // a handshake has no id to forget, and ends by itself
		}
		return r.crew.order(ctx, plan.Node{ID: m.ID, Addr: m.Addr}, driver.Cmd("CLUSTER", "FORGET", string(step.Node)))
	})
	waiting := make([]string, len(knowing))
	for i, m := range knowing {
		waiting[i] = m.Addr.String()
	}
	return waiting, err
}

// rejoin lets nodes that have joined meet again those who have dropped them: for
// a minute, servers from Redis 7.2 on pass on that a node was forgotten.
func (r *runner) rejoin(ctx context.Context, s cluster.State) error {
	met := true
	for _, step := range r.p.Steps {
		status, _ := r.p.Status(step, s)
		met = met && (step.Action != plan.Meet || status == plan.Done)
	}
	if met || time.Since(r.met) < meetAgain {
		return nil
	}
	r.met = time.Now()
	views := make(map[cluster.NodeID]cluster.View)
	for _, m := range s.Members {
		views[m.ID] = m.View
	}
	endpoints, err := r.endpoints(ctx)
	if err != nil {
		return err
	}
	return r.meet(ctx, views, endpoints)
}

// lasting lets a membership that others may undo last a moment before it counts.
func (r *runner) lasting(waiting []string) []string {
	switch {
	case !meets(r.p):
		return waiting
	case len(waiting) > 0:
		r.agreed = time.Time{}
		return waiting
	case r.agreed.IsZero():
		r.agreed = time.Now()
	}
	if time.Since(r.agreed) < settling {
		return []string{"the new nodes (have only just joined)"}
	}
	return nil
}

// unjoined are the nodes that are what the plan wants them to be and that are
// not yet seen so by all, or not yet ready for service where that is wanted.
func (r *runner) unjoined(s cluster.State) []string {
	if r.p.Kind == plan.KindCreate {
		return nil
	}
	ready := r.o.Ready == ReadyOK && r.p.Kind != plan.KindDelNode
	var waiting []string
	for _, step := range r.p.Steps {
		m, _ := s.Get(step.Node)
		if step.Action == plan.Replicate || step.Action == plan.Failover {
			waiting = append(waiting, misjudging(m, s)...)
		}
		if old, _ := s.Get(step.Master); step.Action == plan.Failover && old.Reachable() {
			waiting = append(waiting, misjudging(old, s)...)
		}
		if ready {
			waiting = append(waiting, unserving(step, m, s)...)
		}
	}
	return waiting
}

// misjudging are the members that do not see what m has become.
func misjudging(m cluster.Member, s cluster.State) []string {
	var waiting []string
	for _, other := range insiders(s).Members {
		if seen, _ := other.View.Get(m.ID); other.Reachable() && seen.MasterID != m.View.Self().MasterID {
			waiting = append(waiting, fmt.Sprintf("%s (has not heard whose replica %s is)", other.Addr, m.Addr))
		}
	}
	return waiting
}

// unserving are the nodes that cannot do yet what a step has them for.
func unserving(step plan.Step, m cluster.Member, s cluster.State) []string {
	var waiting []string
	switch step.Action {
	case plan.Meet:
		return append(downAmong(m, s), unlinkedWith(m, s)...)
	case plan.Replicate:
		return lagging(m)
	case plan.Failover:
		for _, replica := range s.ReplicasOf(m.ID) {
			waiting = append(waiting, lagging(replica)...)
		}
	}
	return waiting
}

func lagging(m cluster.Member) []string {
	if m.Reachable() && !m.IsMaster() && !m.Replication.LinkUp {
		return []string{fmt.Sprintf("%s (has not got its master's data)", m.Addr)}
	}
	return nil
}

// unlinkedWith are the members between whom and m no bus link is up.
func unlinkedWith(m cluster.Member, s cluster.State) []string {
	var waiting []string
	for _, other := range s.Members {
		there, known := m.View.Get(other.ID)
		here, _ := other.View.Get(m.ID)
		if other.ID != m.ID && other.Reachable() && known && !(there.Linked && here.Linked) {
			waiting = append(waiting, fmt.Sprintf("%s (no bus link with %s)", other.Addr, m.Addr))
		}
	}
	return waiting
}

// downAmong is m where it says that the cluster is down, and nobody else does.
func downAmong(m cluster.Member, s cluster.State) []string {
	if m.ClusterOK {
		return nil
	}
	for _, other := range s.Members {
		if other.ID != m.ID && other.Reachable() && !other.ClusterOK {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s (cluster_state is not ok)", m.Addr)}
}
