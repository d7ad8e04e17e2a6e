package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

type callOptions struct {
	seed         seed
	command      driver.Command
	onlyMasters  bool
	onlyReplicas bool
	nodes        []string
	stdin        bool
	timeout      time.Duration
}

func newCallCmd(app *App, run func(context.Context, *callOptions) error) *cobra.Command {
	o := &callOptions{timeout: 10 * time.Second}
	if run == nil {
		run = app.runCall
	}
	cmd := &cobra.Command{
		Use:         "call SEED CMD [ARG...]",
		GroupID:     groupNodes,
		Short:       "Send a command to all nodes at once",
		Annotations: map[string]string{forwards: ""},
		Long: `Sends a command of the server's to every node of the cluster, to all at the
same time, and shows each node's reply or error. The command is sent as it is:
nothing is checked, asked, locked or tried again, and no redirection is
followed. A node that does not answer is named, and keeps nobody waiting.

Words that begin with a dash stand behind --, except negative numbers.` +
			exitCodes(exitRefused, exitUsage, exitPartial, exitNoSeed, exitInterrupted),
		Example: `  trib call 10.0.0.1:7000 config get maxmemory
  trib call 10.0.0.1:7000 --only-masters bgsave
  trib call 10.0.0.1:7000 --node 3f9a --node 10.0.0.4:7000 ping
  trib call 10.0.0.1:7000 -- echo -n
  trib call 10.0.0.1:7000 -x --only-masters function load replace <lib.lua
  trib call 10.0.0.1:7000 dbsize -o json | jq '.nodes[] | {addr, reply}'`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			if err := o.read(app.In); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.onlyMasters, "only-masters", false, "leave the replicas out")
	f.BoolVar(&o.onlyReplicas, "only-replicas", false, "leave the masters out")
	f.Var(names{&o.nodes}, "node", "only these nodes; may be given several times")
	f.BoolVarP(&o.stdin, "stdin", "x", false, "the last argument is what comes on standard input")
	f.Var(span{&o.timeout, time.Millisecond}, "timeout", "how long to wait for a node's reply")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &hintError{flagError(err), "what begins with a dash and belongs to the command stands behind --"}
	})
	return cmd
}

func (o *callOptions) complete(args []string) (err error) {
	if o.seed, args, err = seedBefore(args); err != nil {
		return err
	}
	o.command = args
	switch {
	case len(args) == 0 || args[0] == "":
		return usage("no CMD: name the command to send to the nodes")
	case o.onlyMasters && o.onlyReplicas:
		return usage("--only-masters and --only-replicas contradict each other")
	case o.nodes != nil && (o.onlyMasters || o.onlyReplicas):
		return usage("--node names the nodes already: --only-masters and --only-replicas do not go with it")
	}
	if why, ok := unanswerable[o.command.Name()]; ok {
		return usage("%s cannot be called: %s", o.command.Name(), why)
	}
	return nil
}

// read takes the last argument from in, to the byte, as redis-cli -x does.
func (o *callOptions) read(in io.Reader) error {
	if !o.stdin {
		return nil
	}
	last, err := io.ReadAll(io.LimitReader(in, maxArgument+1))
	switch {
	case err != nil:
		return fmt.Errorf("standard input: %w", err)
	case len(last) > maxArgument:
		return usage("-x: standard input has more than 512 MiB, which no server takes as an argument")
	}
	o.command = append(o.command, string(last))
	return nil
}

// maxArgument is what servers take by default (proto-max-bulk-len).
const maxArgument = 512 << 20

// unanswerable are commands that do not have one reply, and why.
var unanswerable = map[string]string{
	"MONITOR":      "it goes on for as long as the connection lasts; a call shows one reply of each node",
	"SUBSCRIBE":    "it goes on for as long as the connection lasts; a call shows one reply of each node",
	"PSUBSCRIBE":   "it goes on for as long as the connection lasts; a call shows one reply of each node",
	"SSUBSCRIBE":   "it goes on for as long as the connection lasts; a call shows one reply of each node",
	"SYNC":         "it makes the connection a replica's, and sends all data",
	"PSYNC":        "it makes the connection a replica's, and sends all data",
	"CLIENT REPLY": "it turns replies off, for this connection only",
	"HELLO":        "it changes the protocol, for this connection only",
}

func (app *App) runCall(ctx context.Context, o *callOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	s, err := app.observeCluster(ctx, a, o.seed.addr)
	if err != nil {
		return err
	}
	targets, err := o.choose(s)
	if err != nil {
		return err
	}
	view, err := app.callAll(ctx, a.dialer, o, targets)
	if ctx.Err() != nil && callCode(err) == exitRefused {
		return context.Cause(ctx)
	}
	return errors.Join(app.Terminal.Show(view), err)
}

// choose finds the nodes that are to be called. The role of a node that does not
// answer is what the others say.
func (o *callOptions) choose(s cluster.State) ([]ui.Node, error) {
	wanted := make(map[cluster.NodeID]bool)
	for _, name := range o.nodes {
		m, err := s.Find(name)
		if err != nil {
			return nil, err
		}
		wanted[m.ID] = true
	}
	targets := slices.DeleteFunc(ui.Nodes(s), func(n ui.Node) bool {
		return o.onlyMasters && n.Role != "master" || o.onlyReplicas && n.Role != "replica" || len(wanted) > 0 && !wanted[n.ID]
	})
	if len(targets) == 0 {
		return nil, errors.New("there is no such node in the cluster; nothing was sent")
	}
	return targets, nil
}

// atOnce is how many nodes are called at the same time.
const atOnce = 32

// callError is a call that not every node has answered well.
type callError struct {
	failed  []string
	of      int
	unknown bool // some of them may have done it nevertheless
}

func (e *callError) Error() string {
	return fmt.Sprintf("%d of %d nodes failed: %s", len(e.failed), e.of, some(e.failed))
}

// some names the first few where there are many.
func some(names []string) string {
	const few = 8
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// callAll calls the nodes, which come back in their order.
func (app *App) callAll(ctx context.Context, d driver.Dialer, o *callOptions, targets []ui.Node) (ui.Call, error) {
	hide := secretsOf(o.command)
	view := ui.Call{Schema: ui.Schema, Command: "call", Seed: o.seed.addr.String(), Nodes: make([]ui.Called, len(targets))}
	for _, w := range o.command {
		view.Call = append(view.Call, hide.from(w))
	}
	waiting := app.waiting(targets)
	defer app.Terminal.Status("")
	unknown := make([]bool, len(targets))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, n := range targets {
		g.Go(func() error {
			view.Nodes[i], unknown[i] = o.call(ctx, d, n, hide)
			waiting(n.Addr)
			return nil
		})
	}
	g.Wait()
	failure := &callError{of: len(targets), unknown: slices.Contains(unknown, true)}
	for _, n := range view.Nodes {
		if !n.OK {
			failure.failed = append(failure.failed, n.Addr.String())
		}
	}
	if view.Failed = len(failure.failed); view.Failed > 0 {
		return view, failure
	}
	return view, nil
}

// waiting shows for whom everybody waits. The function takes a node away.
func (app *App) waiting(targets []ui.Node) func(cluster.Addr) {
	var mu sync.Mutex
	var left []string
	show := func() {
		if len(left) > 0 {
			app.Terminal.Status("waiting for " + some(left))
		}
	}
	for _, n := range targets {
		left = append(left, n.Addr.String())
	}
	show()
	return func(answered cluster.Addr) {
		mu.Lock()
		defer mu.Unlock()
		left = slices.DeleteFunc(left, func(name string) bool { return name == answered.String() })
		show()
	}
}

// call calls one node. The outcome is unknown where the command was sent and no
// reply came back.
func (o *callOptions) call(ctx context.Context, d driver.Dialer, n ui.Node, hide hidden) (called ui.Called, unknown bool) {
	called = ui.Called{Addr: n.Addr, ID: n.ID, Role: n.Role}
	if !n.Reachable {
		return called.Silent(n.Unreachable), false
	}
	conn, err := d.Dial(ctx, n.Addr, "")
	if err != nil {
		return called.Silent(hide.from(reason(err, n.Addr))), false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	reply, err := driver.Call(ctx, conn, o.command...)
	switch {
	case err == nil:
		return called.Replied(presentable(reply.Value)), false
	case !driver.IsTransport(err):
		return called.Refused(hide.from(reason(err, n.Addr))), false
	case errors.Is(err, os.ErrDeadlineExceeded):
		return called.Silent(fmt.Sprintf("no reply within %v; it may have been carried out", o.timeout)), true
	}
	return called.Silent(hide.from(reason(err, n.Addr)) + "; it may have been carried out"), true
}

// reason is the error without the address, which stands before it already.
func reason(err error, addr cluster.Addr) string {
	return strings.TrimPrefix(err.Error(), addr.String()+": ")
}

func presentable(value any) any {
	switch v := value.(type) {
	case *driver.ServerError:
		return ui.ReplyError(v.Text)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = presentable(item)
		}
		return items
	}
	return value
}
