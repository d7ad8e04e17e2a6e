package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/config"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

type addNodeOptions struct {
	changeOptions
	readyOptions
	nodes       []cluster.Addr // new ones
	seed        seed
	credentials config.Credentials
	replica     bool
	master      string
	zones       plan.Zones
}

func newAddNodeCmd(app *App, run func(context.Context, *addNodeOptions) error) *cobra.Command {
	o := &addNodeOptions{}
	if run == nil {
		run = app.runAddNode
	}
	cmd := &cobra.Command{
		Use:     "add-node NEW... SEED",
		GroupID: groupBuild,
		Short:   "Let empty nodes join a cluster",
		Long: `Lets nodes that are empty and belong to no cluster join the one of SEED, which
stands last: as masters without slots, with the functions of the other masters,
or as replicas. A replica gets the master that needs one most: the one with the
fewest replicas, of these one on another host or in another zone. A node that is
a member already is taken as far as it has come, so an add-node that was
interrupted is finished by running it again.` +
			exitCodes(exitRefused, exitUsage, exitUnhealthy, exitStale, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib add-node 10.0.0.4:7000 10.0.0.1:7000
  trib add-node 10.0.0.4:7001 10.0.0.5:7001 10.0.0.1:7000 --replica
  trib add-node 10.0.0.4:7001 10.0.0.1:7000 --replica --master-id 3f9a --dry-run`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(app.announced(args)); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.changeOptions.addFlags(cmd.Flags())
	o.readyOptions.addFlags(cmd.Flags(), "95s")
	f := cmd.Flags()
	f.BoolVar(&o.replica, "replica", false, "they become replicas")
	f.StringVar(&o.master, "master-id", "", "master of the replicas, by id or address (default: whoever needs one most)")
	addZoneFlag(f, &o.zones)
	return cmd
}

func (o *addNodeOptions) complete(args []string) error {
	if len(args) < 2 {
		return usage("want NEW... SEED: the new nodes, then any node of the cluster, each as HOST:PORT")
	}
	addrs, credentials, err := seedsOf(args)
	if err != nil {
		return err
	}
	last := len(addrs) - 1
	if err := noSocket(addrs[:last]); err != nil {
		return err
	}
	o.nodes, o.seed, o.credentials = addrs[:last], seed{addr: addrs[last]}, credentials
	if o.master != "" && !o.replica {
		return usage("--master-id is for replicas: give --replica, too")
	}
	return o.validate()
}

func (app *App) runAddNode(ctx context.Context, o *addNodeOptions) error {
	a, err := app.connect(ctx, o.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeSettled(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	fresh, err := app.observeNodes(ctx, a, o.nodes)
	if err != nil {
		return err
	}
	s, wish, err := o.resolve(s, fresh, app.zones(o.zones))
	if err != nil {
		return err
	}
	p, err := plan.AddNode(s, wish)
	if err != nil {
		return err
	}
	return app.deliver(ctx, change{
		command: "add-node", options: &o.changeOptions, access: a, plan: p, state: s,
		show:     ui.MemberPlan{Plan: p, State: s, Seed: o.seed.addr}.Text,
		question: "Can I add what is shown above? (type 'yes' to accept): ",
		apply:    o.engine(),
		after:    ui.Added(len(o.nodes)),
		resume:   again,
	})
}

// resolve finds the nodes behind the names, and adds those to the state that the
// cluster does not know.
func (o *addNodeOptions) resolve(s, fresh cluster.State, zones plan.Zones) (cluster.State, plan.AddNodeOptions, error) {
	wish := plan.AddNodeOptions{Replica: o.replica, Zones: zones}
	if o.master != "" {
		m, err := s.Find(o.master)
		if err != nil {
			return s, wish, err
		}
		wish.Master = m.ID
	}
	at := make(map[cluster.Addr]cluster.NodeID)
	for _, m := range fresh.Members {
		for addr, id := range at {
			if id == m.ID {
				return s, wish, usage("%s and %s are the same node %s", addr, m.Addr, m.ID)
			}
		}
		at[m.Addr] = m.ID
		if _, member := s.Get(m.ID); !member {
			s.Members = append(s.Members, m)
		}
	}
	for _, addr := range o.nodes {
		wish.New = append(wish.New, at[addr])
	}
	s.Sort()
	return s, wish, nil
}
