package lock

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Operator is somebody who holds the lock of a cluster, or is about to.
type Operator struct {
	Operation string   `json:"operation"` // what they do
	Holder    string   `json:"holder"`    // who and where, as they say
	Holds     bool     `json:"holds"`     // false while they try
	Nodes     []string `json:"nodes"`     // where they are seen
	Clients   []string `json:"clients"`   // their addresses, as these nodes see them
}

// Is reports whether the operator calls themselves by this name; names are
// written differently on a connection.
func (o Operator) Is(holder string) bool { return o.Holder == clean(holder) }

// Operators lists who works on a cluster now, by what the connections of these
// nodes are called. It takes nothing and changes nothing. Its error is that of a
// node that could not be asked; the others were.
func Operators(ctx context.Context, d driver.Dialer, nodes []cluster.Addr) ([]Operator, error) {
	var mu sync.Mutex
	var found []rival
	var g errgroup.Group
	g.SetLimit(32)
	for _, addr := range nodes {
		g.Go(func() error {
			seen, err := rivalsOn(ctx, d, addr)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, seen...)
			return err
		})
	}
	err := g.Wait()
	return operators(found), err
}

func rivalsOn(ctx context.Context, d driver.Dialer, addr cluster.Addr) ([]rival, error) {
	conn, err := d.Dial(ctx, addr, "")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, err := driver.Call(ctx, conn, "CLIENT", "LIST")
	if err != nil {
		return nil, unsupported(&seat{addr: addr}, err)
	}
	list, err := r.Text()
	return rivals(list, addr.String(), ""), err
}

// operators joins the connections of each, in the order of their runs.
func operators(found []rival) []Operator {
	byRun := make(map[string]*Operator)
	var runs []string
	for _, r := range found {
		o := byRun[r.run]
		if o == nil {
			o = &Operator{Operation: r.operation, Holder: r.holder}
			byRun[r.run] = o
			runs = append(runs, r.run)
		}
		o.Holds = o.Holds || r.phase == holding
		o.Nodes, o.Clients = append(o.Nodes, r.node), append(o.Clients, r.addr)
	}
	slices.Sort(runs)
	var out []Operator
	for _, run := range runs {
		o := byRun[run]
		slices.Sort(o.Nodes)
		slices.Sort(o.Clients)
		o.Nodes, o.Clients = slices.Compact(o.Nodes), slices.Compact(o.Clients)
		out = append(out, *o)
	}
	return out
}
