package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/lock"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// changeOptions belong to every command that changes a cluster.
type changeOptions struct {
	yes       bool
	dryRun    bool
	noLock    bool
	breakLock bool
	planOut   string
	events    string
	progress  ui.ProgressMode
	journalOptions
}

func (o *changeOptions) addFlags(f *pflag.FlagSet) {
	o.addConsent(f)
	defer under(f, sectionChange)()
	f.StringVar(&o.planOut, "plan-out", "", "save the plan in a new `FILE`, for trib apply and trib undo")
	f.StringVar(&o.events, "events", "", "write what happens as lines of JSON to `FILE`, or to a descriptor: /dev/fd/3")
	o.journalOptions.addFlags(f)
}

// addConsent adds the options of a change that is no plan of steps, too.
func (o *changeOptions) addConsent(f *pflag.FlagSet) {
	defer under(f, sectionChange)()
	o.progress = ui.ProgressAuto
	f.BoolVar(&o.yes, "yes", false, "do not ask (also: TRIB_YES=1)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	f.BoolVar(&o.noLock, "no-lock", false, "do not take the lock: for servers that refuse CLIENT SETNAME or CLIENT LIST")
	f.BoolVar(&o.breakLock, "break-lock", false, "take the lock from another operator, for one that hangs")
	f.Var(choice[ui.ProgressMode]{&o.progress, ui.ProgressModes()}, "progress", "how the run is shown on standard error")
}

func (o *changeOptions) validate() error {
	switch {
	case o.yes && o.dryRun:
		return usage("--yes and --dry-run contradict each other")
	case o.noLock && o.breakLock:
		return usage("--no-lock and --break-lock contradict each other")
	}
	return vacant(o.planOut)
}

// change is a plan on its way: shown, confirmed, carried out, verified.
type change struct {
	command  string
	options  *changeOptions
	access   access
	plan     plan.Plan
	state    cluster.State // that the plan was made from
	show     func(*ui.Page)
	question string

	apply  apply.Options
	after  func(ui.Check, *ui.Page) // how to show what was verified
	ignore health.Code              // a finding that is expected afterwards
	resume string                   // what finishes a run that stopped part-way
	staged bool                     // more may follow, and is verified with it
	again  string                   // and what moves the slots that it had not begun, with their number
}

// deliver carries a change out and gives its result.
func (app *App) deliver(ctx context.Context, c change) error {
	outcome, err := app.carryOut(ctx, c)
	if outcome == nil {
		return err
	}
	return errors.Join(err, app.Terminal.Result(outcome))
}

// carryOut brings a change to its end. There is an outcome unless it stopped
// before that; there may be one together with an error.
func (app *App) carryOut(ctx context.Context, c change) (*ui.Outcome, error) {
	app.Terminal.Text(c.text)
	if err := app.savePlan(c); err != nil {
		return nil, err
	}
	outcome := ui.Outcome{Schema: ui.Schema, Command: c.command, Plan: c.plan, Movers: c.movers()}
	if c.done() {
		app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Everything in this plan is done already.") })
		return app.verify(ctx, c, outcome)
	}
	if refusal := c.left().Unmovable(c.state, c.apply.Movers); refusal != nil {
		return nil, refusal
	}
	if c.options.dryRun {
		outcome.DryRun = true
		return &outcome, app.rehearse(ctx, c)
	}
	if err := app.confirm(ctx, c); err != nil {
		return nil, err
	}
	outcome, err := app.apply(ctx, c)
	if err != nil {
		return nil, err
	}
	outcome.Movers = c.movers()
	app.Terminal.Text(outcome.Summary)
	if c.staged {
		return &outcome, nil
	}
	// What is done is verified even if a signal came in its last moment.
	return app.verify(context.WithoutCancel(ctx), c, outcome)
}

// rehearse ends as the run would where that would not begin.
func (app *App) rehearse(ctx context.Context, c change) error {
	c.apply.Dialer = c.access.dialer
	if err := apply.Rehearse(ctx, c.plan, c.apply); err != nil {
		return err
	}
	app.Terminal.Text(func(p *ui.Page) { p.Line("[OK] Dry run: nothing was changed.") })
	return nil
}

// text shows the plan, and how its slots move.
func (c change) text(p *ui.Page) {
	c.show(p)
	ui.Movers{Plan: c.plan, State: c.state, Movers: c.movers()}.Text(p)
}

// movers are those of what is left to move.
func (c change) movers() []plan.Mover { return c.left().Movers(c.state, c.apply.Movers) }

// left is what of the plan is not done.
func (c change) left() plan.Plan {
	left := c.plan
	left.Steps = nil
	for _, step := range c.plan.Steps {
		if status, _ := c.plan.Status(step, c.state); status != plan.Done {
			left.Steps = append(left.Steps, step)
		}
	}
	return left
}

func (c change) done() bool {
	for _, step := range c.plan.Steps {
		if status, _ := c.plan.Status(step, c.state); status != plan.Done {
			return false
		}
	}
	return true
}

// confirm asks, unless somebody has consented beforehand. Where the result is
// not for people, the plan is shown beside the question.
func (app *App) confirm(ctx context.Context, c change) error {
	if c.options.yes || app.Env.Yes() {
		return nil
	}
	if app.Terminal.Format != ui.Table && app.Terminal.Traits().ErrTTY {
		app.Terminal.Say(c.text)
	}
	yes, err := app.Prompter.Confirm(ctx, c.question)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, prompt.ErrNoInput), errors.Is(err, prompt.ErrUnclear):
		return &hintError{errors.New(err.Error() + "; nothing was changed"), "--yes accepts the plan without asking"}
	case err != nil:
		return err
	case !yes:
		return errors.New("declined; nothing was changed")
	}
	return nil
}

// apply carries the plan out. What happens goes to the journal, to --events,
// and onto the screen.
func (app *App) apply(ctx context.Context, c change) (ui.Outcome, error) {
	taker, err := app.takeDown(c)
	if err != nil {
		return ui.Outcome{}, err
	}
	progress := ui.NewProgress(app.Terminal, c.options.progress, c.plan, app.Now)
	defer progress.End()
	narrate := ui.Narrate(app.Terminal)
	c.apply.Dialer = c.access.dialer
	c.apply.Lock = lock.Options{
		Operation: c.command, Holder: app.Holder, Skip: c.options.noLock, Break: c.options.breakLock,
	}
	c.apply.Move.Username = c.access.credentials.User
	c.apply.Move.Password = c.access.credentials.Password.Reveal()
	if movesKeys(c.plan) {
		if err := app.sameEncryption(ctx, c.access, c.state); err != nil {
			taker.end(err)
			return ui.Outcome{}, err
		}
		c.apply.Move.Ports = app.known.ports
	}
	app.next.Store(&c.resume)
	c.apply.Observer = func(e apply.Event) {
		if e.Kind == apply.StepBegun {
			app.begun.Store(true)
		}
		taker.observe(e)
		narrate(e)
		progress.Observe(e)
	}
	err = apply.Run(ctx, c.plan, c.apply)
	outcome := progress.Outcome(c.command)
	err = c.explain(err, c.plan.Cost.Slots-outcome.Slots, taker.journal != nil)
	taker.end(err)
	return outcome, err
}

// movesKeys reports whether nodes send keys to each other in a plan.
func movesKeys(p plan.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Action == plan.MoveSlots || s.Action == plan.GatherKeys })
}

// explain adds how to go on after a run that stopped part-way. What it had not
// begun is in the journal, where there is one.
func (c change) explain(err error, left int, journaled bool) error {
	conflict, differ := errors.AsType[*move.ConflictError](err)
	switch {
	case differ:
		return &hintError{err, conflictHint(conflict, c.plan.Nodes[0].Addr.String(), c.resume)}
	case is[*move.BigKeysError](err) && is[*apply.PartialError](err) && c.again != "" && left > 0:
		return &hintError{err, "with --big-keys move, which blocks both nodes for so long, " + fmt.Sprintf(c.again, left)}
	case is[*move.BigKeysError](err):
		return err
	case is[*apply.PartialError](err) && c.again != "" && left > 0 && !journaled:
		return &hintError{err, fmt.Sprintf(c.again, left)}
	case is[*apply.PartialError](err):
		return &hintError{err, c.resumeBeside(err)}
	}
	return err
}

// resumeBeside is how to go on, by another node where the one that is named there
// has just been lost.
func (c change) resumeBeside(err error) string {
	lost, ok := errors.AsType[*driver.TransportError](err)
	if !ok {
		return c.resume
	}
	words := strings.Split(c.resume, " ")
	i := slices.Index(words, lost.Addr.String())
	other := slices.IndexFunc(c.plan.Nodes, func(n plan.Node) bool { return n.Addr != lost.Addr })
	if i < 0 || other < 0 {
		return c.resume
	}
	words[i] = c.plan.Nodes[other].Addr.String()
	return strings.Join(words, " ")
}

// settling bounds how long nodes may take to agree after a change.
const (
	settling     = 10 * time.Second
	settlingPoll = 250 * time.Millisecond
)

// verify looks at the cluster again and judges it.
func (app *App) verify(ctx context.Context, c change, outcome ui.Outcome) (*ui.Outcome, error) {
	check, err := app.settled(ctx, c)
	if err != nil {
		return nil, err
	}
	app.Terminal.Text(func(p *ui.Page) { c.after(check, p) })
	outcome.Verified(check)
	return &outcome, judge(check, false)
}

// settled checks the cluster until its nodes agree, or long enough.
func (app *App) settled(ctx context.Context, c change) (ui.Check, error) {
	deadline := app.Now().Add(settling)
	for {
		check, err := app.checkAfter(ctx, c)
		if err != nil || !unsettled(check.Findings) || app.Now().After(deadline) {
			return check, err
		}
		select {
		case <-ctx.Done():
			return check, context.Cause(ctx)
		case <-time.After(settlingPoll):
		}
	}
}

func (app *App) checkAfter(ctx context.Context, c change) (ui.Check, error) {
	var seeds []cluster.Addr
	for _, n := range c.plan.Nodes {
		seeds = append(seeds, n.Addr)
	}
	s, err := app.observeCluster(ctx, c.access, seeds...)
	if err != nil {
		return ui.Check{}, err
	}
	if err := app.countForCheck(ctx, c.access, s); err != nil {
		return ui.Check{}, err
	}
	var found []health.Finding
	for _, f := range health.Check(s) {
		if f.Code != c.ignore && !health.IsAdvice(f) {
			found = append(found, f)
		}
	}
	return ui.NewCheck(seeds[0].String(), s, found), nil
}

// unsettled reports whether there is a finding that time may mend. A cluster that
// is down because slots have no owner, or masters no majority, stays so.
func unsettled(found []health.Finding) bool {
	lasting := slices.ContainsFunc(found, func(f health.Finding) bool {
		return f.Code == health.Uncovered || f.Code == health.QuorumLost
	})
	return slices.ContainsFunc(found, func(f health.Finding) bool {
		return health.MayPass(f) && !(lasting && f.Code == health.ClusterDown)
	})
}
