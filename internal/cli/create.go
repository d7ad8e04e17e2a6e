package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

type createOptions struct {
	changeOptions
	addrs       []cluster.Addr
	credentials config.Credentials
	replicas    int
	zones       []pair
	replicaOf   []pair
	slots       []pair
	weights     []pair
	wishes      plan.CreateOptions // what all of these amount to
	wait        apply.Readiness
	waitTimeout time.Duration
}

func newCreateCmd(app *App, run func(context.Context, *createOptions) error) *cobra.Command {
	o := &createOptions{wait: apply.ReadyOK}
	if run == nil {
		run = app.runCreate
	}
	cmd := &cobra.Command{
		Use:     "create HOST:PORT...",
		GroupID: groupBuild,
		Short:   "Form a cluster from empty nodes",
		Long: `Forms a cluster from nodes that are empty and belong to none: chooses masters
and replicas so that zones and hosts are shared as little as possible, divides
the slots, and waits until the cluster serves clients. The plan says what of it
could not be had, and why. A create that was interrupted is finished by running
it again with the same nodes and options.

Masters are as many as can have the wanted replicas, the nodes that are named
first. A node that --slots, --weight or --replica-of names as a master is one;
what no option decides is chosen around it. With one master or two no replica
takes over by itself.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib create 10.0.0.1:7000 10.0.0.2:7000 10.0.0.3:7000
  trib create 127.0.0.1:700{0..5} --replicas 1 --yes
  trib create 127.0.0.1:700{0..5} --replicas 1 --dry-run
  trib create a:7000 b:7000 c:7000 --zone a=east --zone b=west --zone c=north
  trib create a:7000 b:7000 c:7000 d:7000 --replica-of d:7000=a:7000
  trib create a:7000 b:7000 c:7000 --slots a:7000=0-8191 --weight b:7000=2`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(app.announced(args)); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	f := cmd.Flags()
	f.Var(number{&o.replicas, 0, 1000}, "replicas", "replicas that each master gets at least")
	f.Var(nodePairs{&o.zones, "HOST=ZONE"}, "zone", "the zone of a host, for every host; may be given several times")
	f.Var(nodePairs{&o.replicaOf, "REPLICA=MASTER"}, "replica-of", "make one node a replica of another; may be given several times")
	f.Var(nodePairs{&o.slots, "MASTER=RANGES"}, "slots", "the slots of a master, such as 0-99,200; may be given several times")
	f.Var(nodePairs{&o.weights, "MASTER=N"}, "weight", "the share of a master in the slots that no --slots names (default 1); may be given several times")
	f.Var(choice[apply.Readiness]{&o.wait, []string{string(apply.ReadyOK), string(apply.ReadyJoined)}}, "wait",
		"for what to wait: until the cluster is ok, or until all nodes have joined")
	f.Lookup("wait").NoOptDefVal = string(apply.ReadyOK)
	f.Var(span{&o.waitTimeout, 0}, "wait-timeout", "how long to wait for anything (default 60s)")
	return cmd
}

func (o *createOptions) complete(args []string) (err error) {
	if len(args) == 0 {
		return usage("no nodes: name every node of the new cluster as HOST:PORT")
	}
	if o.addrs, o.credentials, err = seedsOf(args); err != nil {
		return err
	}
	if err := noSocket(o.addrs); err != nil {
		return err
	}
	if o.wishes, err = o.readWishes(); err != nil {
		return err
	}
	if err := o.wishes.Check(); err != nil {
		return &usageError{err}
	}
	return o.validate()
}

func (app *App) runCreate(ctx context.Context, o *createOptions) error {
	a, err := app.connect(ctx, o.credentials)
	if err != nil {
		return err
	}
	c, err := app.planCreate(ctx, a, o)
	if err != nil {
		return err
	}
	return app.deliver(ctx, c)
}

func (app *App) planCreate(ctx context.Context, a access, o *createOptions) (change, error) {
	s, err := app.observeFresh(ctx, a, o.addrs)
	if err != nil {
		return change{}, err
	}
	p, err := plan.Create(s, o.wishes)
	if err != nil {
		return change{}, err
	}
	c := change{
		command: "create", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.CreatePlan{Plan: p}.Text,
		question: "Can I set the above configuration? (type 'yes' to accept): ",
		apply:    apply.Options{Ready: o.wait, WaitTimeout: o.waitTimeout},
		after:    ui.Check.Report,
		resume:   "run the same create again: it goes on where this one stopped",
	}
	if o.wait == apply.ReadyJoined {
		c.ignore = health.ClusterDown
	}
	return c, nil
}

// observeFresh reads nodes that are to form a cluster, which a pinned context must
// mean.
func (app *App) observeFresh(ctx context.Context, a access, addrs []cluster.Addr) (cluster.State, error) {
	s, err := app.observeNodes(ctx, a, addrs)
	if err != nil {
		return s, err
	}
	return s, app.proveFresh(s)
}

// observeNodes reads nodes that must all answer.
func (app *App) observeNodes(ctx context.Context, a access, addrs []cluster.Addr) (cluster.State, error) {
	app.Terminal.Status("reading the nodes...")
	defer app.Terminal.Status("")
	s := observe.Nodes(ctx, a.reader(), addrs)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	silent := &unreachableError{}
	for _, m := range s.Unreachable() {
		// A node that answers and is unfit is for the plan to refuse.
		if m.Cause == cluster.CauseNotCluster {
			continue
		}
		silent.reasons = append(silent.reasons, m.Addr.String()+" does not answer: "+m.Unreachable)
		if m.Cause == cluster.CauseRefused {
			silent.refused = &driver.AuthError{Addr: m.Addr, Err: errors.New(m.Unreachable)}
		}
	}
	switch {
	case silent.reasons == nil:
		return s, nil
	case !a.encrypted && slices.ContainsFunc(silent.reasons, hungUp):
		return s, &hintError{silent, hintTLS}
	}
	return s, silent
}

// hungUp reports whether a reason is that of a port for TLS, too.
func hungUp(reason string) bool {
	return strings.HasSuffix(reason, syscall.ECONNRESET.Error()) || strings.HasSuffix(reason, io.EOF.Error())
}
