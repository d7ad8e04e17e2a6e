package apply

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

const (
	// meetAgain is how long nodes that were told to meet may take before they are
	// told again: one round of MEETs leaves maps incomplete for many seconds.
	meetAgain = 400 * time.Millisecond

	// defaultFullMesh is how many nodes can be told to meet every other one. More
	// would drown in handshakes.
	defaultFullMesh = 200

	// patience is how long nodes may take to meet before it is said that they do
	// not reach each other; large clusters, which lean on gossip, get more.
	patience      = 3 * time.Second
	patienceLarge = 15 * time.Second
)

func (r *runner) node(id cluster.NodeID) plan.Node { return plan.Node{ID: id, Addr: r.p.Addr(id)} }

func (r *runner) setEpochs(ctx context.Context, steps []int) error {
	return each(steps, func(i int) error {
		step := r.p.Steps[i]
		epoch := driver.Cmd("CLUSTER", "SET-CONFIG-EPOCH", strconv.FormatUint(step.Epoch, 10))
		return r.crew.order(ctx, r.node(step.Node), epoch)
	})
}

func (r *runner) assignSlots(ctx context.Context, steps []int) error {
	return each(steps, func(i int) error {
		step := r.p.Steps[i]
		n := r.node(step.Node)
		m := observe.Nodes(ctx, r.o.Dialer, []cluster.Addr{n.Addr}).Members[0]
		return r.crew.order(ctx, n, addSlots(step.Slots, m.Features.AddSlotsRange))
	})
}

func addSlots(slots cluster.SlotSet, byRange bool) driver.Command {
	if !byRange {
		cmd := driver.Cmd("CLUSTER", "ADDSLOTS")
		for slot := range slots.All() {
			cmd = append(cmd, strconv.Itoa(slot))
		}
		return cmd
	}
	cmd := driver.Cmd("CLUSTER", "ADDSLOTSRANGE")
	for _, rg := range slots.Ranges() {
		cmd = append(cmd, strconv.Itoa(rg.First), strconv.Itoa(rg.Last))
	}
	return cmd
}

// form lets the nodes meet, each every other, and makes replicas of those that
// are to be ones as soon as they know their master. It ends when all of them
// know each other and each other's slots.
func (r *runner) form(ctx context.Context, steps []int) error {
	masters := make(map[cluster.NodeID]cluster.NodeID)
	for _, i := range steps {
		if step := r.p.Steps[i]; step.Action == plan.Replicate {
			masters[step.Node] = step.Master
		}
	}
	endpoints, err := r.endpoints(ctx)
	if err != nil {
		return err
	}
	var met time.Time
	blocked := false
	begun := time.Now()
	err = r.await(ctx, "the nodes to meet each other", func(ctx context.Context) ([]string, error) {
		views, err := r.crew.views(ctx, r.p.Nodes)
		if err != nil {
			return nil, err
		}
		if time.Since(met) > meetAgain {
			met = time.Now()
			if err := r.meet(ctx, views, endpoints); err != nil {
				return nil, err
			}
		}
		waiting := slices.Concat(r.strangersIn(views), r.unheardIn(views))
		blocked = false
		if waiting != nil && time.Since(begun) > r.patience() {
			if apart := unreached(r.p.Nodes, views); apart != nil {
				waiting, blocked = apart, true
			}
		}
		return append(waiting, r.replicate(ctx, views, masters)...), nil
	})
	return onBus(err, blocked)
}

// patience is never so long that a wait ends without a diagnosis.
func (r *runner) patience() time.Duration {
	if len(r.p.Nodes) > r.o.FullMesh {
		return min(patienceLarge, r.o.WaitTimeout/2)
	}
	return min(patience, r.o.WaitTimeout/2)
}

// endpoint is how a node is named in CLUSTER MEET: the servers resolve no host
// names there, and must be told a bus port that is not where they expect it.
type endpoint []string

func (r *runner) endpoints(ctx context.Context) (map[cluster.NodeID]endpoint, error) {
	views, err := r.crew.views(ctx, r.p.Nodes)
	if err != nil {
		return nil, err
	}
	endpoints := make(map[cluster.NodeID]endpoint, len(r.p.Nodes))
	for _, n := range r.p.Nodes {
		ip, err := resolve(ctx, n.Addr.Host)
		if err != nil {
			return nil, err
		}
		e := endpoint{ip, strconv.Itoa(n.Addr.Port)}
		if bus := views[n.ID].Self().BusPort; bus != 0 && bus != n.Addr.Port+cluster.BusPortOffset {
			e = append(e, strconv.Itoa(bus))
		}
		endpoints[n.ID] = e
	}
	return endpoints, nil
}

func resolve(ctx context.Context, host string) (string, error) {
	if net.ParseIP(host) != nil {
		return host, nil
	}
	ctx, cancel := context.WithTimeout(ctx, driver.ProbeTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	return ips[0], nil
}

// meet tells every node to meet those that it does not know yet, in one
// pipeline each; and owners of slots to meet again those that have not heard of
// them. A node that was greeted before it knew the other one has missed what the
// greeting says, and would hear it with the next ping only, seconds later.
func (r *runner) meet(ctx context.Context, views map[cluster.NodeID]cluster.View, endpoints map[cluster.NodeID]endpoint) error {
	indices := make([]int, len(r.p.Nodes))
	for i := range indices {
		indices[i] = i
	}
	deaf := r.unheard(views)
	return each(indices, func(i int) error {
		n := r.p.Nodes[i]
		strangers := r.p.Strangers(views[n.ID])
		if len(r.p.Nodes) > r.o.FullMesh {
			strangers = r.chords(i, strangers)
		}
		var cmds []driver.Command
		for _, stranger := range append(strangers, deaf[n.ID]...) {
			cmds = append(cmds, append(driver.Cmd("CLUSTER", "MEET"), endpoints[stranger.ID]...))
		}
		if len(cmds) == 0 {
			return nil
		}
		return r.crew.order(ctx, n, cmds...)
	})
}

// chords chooses whom of its strangers the i-th node meets in a large cluster:
// going round the circle of all nodes from it, the first one, the second, the
// fourth and so on. So the first round connects everybody with everybody over
// few others, which gossip needs, and each later round meets some of those
// whom gossip has not brought.
func (r *runner) chords(i int, strangers []plan.Node) []plan.Node {
	strange := make(map[cluster.NodeID]bool, len(strangers))
	for _, n := range strangers {
		strange[n.ID] = true
	}
	var chosen []plan.Node
	passed, next := 0, 1
	for _, n := range slices.Concat(r.p.Nodes[i:], r.p.Nodes[:i]) {
		if !strange[n.ID] {
			continue
		}
		if passed++; passed == next {
			chosen, next = append(chosen, n), 2*next
		}
	}
	return chosen
}

func (r *runner) strangersIn(views map[cluster.NodeID]cluster.View) []string {
	var waiting []string
	for _, n := range r.p.Nodes {
		if strangers := r.p.Strangers(views[n.ID]); len(strangers) > 0 {
			waiting = append(waiting, fmt.Sprintf("%s (does not see %s)", n.Addr, someAddrs(strangers)))
		}
	}
	return atMost(maxUnreached, waiting)
}

// unheard are, by owner, the nodes that know it and not its slots.
func (r *runner) unheard(views map[cluster.NodeID]cluster.View) map[cluster.NodeID][]plan.Node {
	deaf := make(map[cluster.NodeID][]plan.Node)
	for _, n := range r.p.Nodes {
		for _, seen := range views[n.ID].Nodes {
			owner, named := views[seen.ID]
			if named && !seen.Slots.Equal(owner.Self().Slots) {
				deaf[seen.ID] = append(deaf[seen.ID], n)
			}
		}
	}
	return deaf
}

func (r *runner) unheardIn(views map[cluster.NodeID]cluster.View) []string {
	var waiting []string
	deaf := r.unheard(views)
	for _, owner := range r.p.Nodes {
		if nodes := deaf[owner.ID]; len(nodes) > 0 {
			waiting = append(waiting, fmt.Sprintf("%s (has not told its slots to %s)", owner.Addr, someAddrs(nodes)))
		}
	}
	return atMost(maxUnreached, waiting)
}

func someAddrs(nodes []plan.Node) string {
	text := nodes[0].Addr.String()
	if len(nodes) > 1 {
		text += fmt.Sprintf(" and %d more", len(nodes)-1)
	}
	return text
}

// replicate sends REPLICATE to the replicas that know their master, and says
// which ones are not replicas yet. A refusal is only reported: between two
// looks the node may have forgotten the master again.
func (r *runner) replicate(ctx context.Context, views map[cluster.NodeID]cluster.View, masters map[cluster.NodeID]cluster.NodeID) []string {
	var waiting []string
	for _, n := range r.p.Nodes {
		master, wanted := masters[n.ID]
		if !wanted || views[n.ID].Self().MasterID == master {
			continue
		}
		known, ok := views[n.ID].Get(master)
		if !ok || !known.IsMaster() {
			waiting = append(waiting, fmt.Sprintf("%s (does not know its master yet)", n.Addr))
			continue
		}
		if err := r.crew.order(ctx, n, driver.Cmd("CLUSTER", "REPLICATE", string(master))); err != nil {
			waiting = append(waiting, err.Error())
			continue
		}
		waiting = append(waiting, fmt.Sprintf("%s (was just told to replicate)", n.Addr))
	}
	return waiting
}
