package cli

import (
	"context"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// estimate adds to a plan of moves what its keys weigh and how long they take,
// by a sample of those that it moves.
func (app *App) estimate(ctx context.Context, a access, s cluster.State, p *plan.Plan, o plan.MoverOptions) error {
	leaving := make(map[cluster.NodeID]cluster.SlotSet)
	for _, step := range p.Steps {
		leaving[step.From] = leaving[step.From].Union(step.Slots)
	}
	app.Terminal.Status("sampling key sizes...")
	defer app.Terminal.Status("")
	sample := observe.Sizes(ctx, a.reader(), s, func(m cluster.Member) cluster.SlotSet { return leaving[m.ID] })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.Estimate(s, sample.Average, o)
	for _, key := range sample.Biggest {
		p.WarnOfBigKey(key.Node, key.Name, key.Bytes)
	}
	return nil
}
