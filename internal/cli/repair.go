package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/observe"
	"github.com/trib-dev/trib/pkg/plan"
)

// repair goes from stage to stage, each planned from what the one before has
// left, shown and confirmed.
type repair struct {
	app     *App
	command string // "fix" or "resume"
	o       *fixOptions
	a       access

	done  *ui.Outcome // of all stages so far; nil before the first one
	last  change
	made  []string // fingerprints of the stages
	named []string // what was said to be undecided
}

func (app *App) runFix(ctx context.Context, o *fixOptions) error {
	a, err := app.connect(ctx, o.seed.credentials)
	if err != nil {
		return err
	}
	return app.repair(ctx, a, o, "fix")
}

// repair repairs a cluster in the name of a command.
func (app *App) repair(ctx context.Context, a access, o *fixOptions, command string) error {
	r := &repair{app: app, command: command, o: o, a: a}
	for {
		s, p, left, err := r.look(ctx)
		switch {
		case err != nil:
			return r.stopped(p, err)
		case len(p.Steps) == 0 && r.done == nil:
			return app.fixNothing(o, p, left, s, command)
		case len(p.Steps) == 0 || slices.Contains(r.made, p.Fingerprint):
			return r.finish(ctx, p, left)
		}
		if over, err := r.stage(ctx, s, p, left); over || err != nil {
			return err
		}
	}
}

// look observes the cluster and plans the next stage.
func (r *repair) look(ctx context.Context) (cluster.State, plan.Plan, []plan.Undecided, error) {
	s, err := r.app.observeBroken(ctx, r.a, r.o.seed.addr)
	if err != nil {
		return s, plan.Plan{}, nil, err
	}
	observe.ForHeal(ctx, r.a.reader(), s)
	if ctx.Err() != nil {
		return s, plan.Plan{}, nil, context.Cause(ctx)
	}
	wish := r.o.heal()
	wish.Begun = r.app.begunGathering(r.o.journalOptions, s)
	p, left := plan.Repair(s, wish)
	p.Warnings = append(p.Warnings, r.unsaid(left, len(p.Steps) == 0)...)
	return s, p, left, nil
}

// unsaid is what is undecided and was not named before an earlier stage; at the
// end only what is well as it is, since the error names the rest.
func (r *repair) unsaid(left []plan.Undecided, end bool) []string {
	var texts []string
	for _, u := range left {
		if text := u.String(); (u.Advice || !end) && !slices.Contains(r.named, text) {
			texts = append(texts, text)
		}
	}
	r.named = append(r.named, texts...)
	return texts
}

// stage carries one out. It is over where nothing is to be changed.
func (r *repair) stage(ctx context.Context, s cluster.State, p plan.Plan, left []plan.Undecided) (over bool, err error) {
	r.last = r.o.change(r.a, p, s)
	r.last.command = r.command
	if r.done != nil {
		options := r.o.changeOptions
		options.planOut = "" // it has the first stage
		r.last.options = &options
	}
	outcome, err := r.app.carryOut(ctx, r.last)
	if err != nil {
		return true, r.stopped(p, err)
	}
	r.made = append(r.made, p.Fingerprint)
	r.add(*outcome)
	if r.o.dryRun {
		return true, errors.Join(undecided(left), r.app.Terminal.Result(*r.done))
	}
	return false, nil
}

// add makes one outcome of all stages.
func (r *repair) add(next ui.Outcome) {
	if r.done == nil {
		r.done = &next
		return
	}
	p := r.done.Plan
	p.Steps = append(p.Steps, next.Plan.Steps...)
	for _, n := range next.Plan.Nodes {
		if !slices.ContainsFunc(p.Nodes, func(known plan.Node) bool { return known.ID == n.ID }) {
			p.Nodes = append(p.Nodes, n)
		}
	}
	p.Reasons = append(p.Reasons, next.Plan.Reasons...)
	p.Warnings = append(p.Warnings, next.Plan.Warnings...)
	p.Cost.Slots += next.Plan.Cost.Slots
	p.Cost.Keys += next.Plan.Cost.Keys
	r.done.Plan = p
	r.done.Slots += next.Slots
	r.done.Keys += next.Keys
	r.done.ElapsedMS += next.ElapsedMS
	r.done.Notices = append(r.done.Notices, next.Notices...)
}

// finish verifies what all stages have come to. The last plan has no steps, or
// those of a stage that did not last.
func (r *repair) finish(ctx context.Context, p plan.Plan, left []plan.Undecided) error {
	if len(p.Steps) > 0 {
		return r.stopped(p, errors.New("what was repaired did not last: "+p.Describe(p.Steps[0])))
	}
	if p.Warnings != nil {
		r.app.Terminal.Text(func(page *ui.Page) {
			for _, w := range p.Warnings {
				page.Line("[WARNING] %s", w)
			}
		})
	}
	outcome, err := r.app.verify(context.WithoutCancel(ctx), r.last, *r.done)
	if err == nil || is[*unhealthyError](err) {
		err = errors.Join(undecided(left), err)
	}
	if outcome == nil {
		return err
	}
	return errors.Join(err, r.app.Terminal.Result(outcome))
}

// stopped is an error that came after earlier stages have changed something.
func (r *repair) stopped(p plan.Plan, err error) error {
	if r.done == nil || is[*apply.PartialError](err) {
		return err
	}
	partial := &apply.PartialError{Done: len(r.done.Plan.Steps), Left: len(p.Steps), Cause: fmt.Errorf("the next stage: %w", err)}
	return &hintError{partial, "trib fix " + r.o.seed.addr.String()}
}

// observeBroken gives servers time for what they do by themselves about a node
// that has just died.
func (app *App) observeBroken(ctx context.Context, a access, seeds ...cluster.Addr) (cluster.State, error) {
	begun := app.Now()
	for {
		s, err := app.observeSettled(ctx, a, seeds...)
		if err != nil {
			return s, err
		}
		what, patience := plan.Pending(s)
		if what == "" || app.Now().Sub(begun).Milliseconds() > patience {
			return s, nil
		}
		app.Terminal.Status(fmt.Sprintf("waiting for %s...", what))
		select {
		case <-ctx.Done():
			return s, context.Cause(ctx)
		case <-time.After(settlingPoll):
		}
	}
}
