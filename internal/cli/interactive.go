package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/trib-dev/trib/internal/prompt"
	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
)

// asks reports whether options that are missing may be asked for.
func (app *App) asks(o *changeOptions) bool {
	return !o.yes && !app.Env.Yes() && app.Prompter.Manner() != prompt.Silent
}

// askReshard asks for what the command line does not say: on a screen with lists
// to choose from, and by lines as redis-trib did.
func (app *App) askReshard(ctx context.Context, s cluster.State, o *reshardOptions) error {
	d := dialogue{app.Prompter, app, s, o}
	for _, q := range []struct {
		missing bool
		ask     func(context.Context) error
		option  func() string
	}{
		{o.slots == 0 && !o.names(), d.slots, func() string { return fmt.Sprintf("--slots=%d", o.slots) }},
		{o.to == "", d.target, func() string { return "--to=" + o.to }},
		{len(o.from) == 0 && !o.names(), d.sources, func() string { return "--from=" + strings.Join(o.from, ",") }},
	} {
		if !q.missing {
			continue
		}
		if err := q.ask(ctx); err != nil {
			return unanswered(ctx, err)
		}
		app.line = append(app.line, q.option()) // as if it had been given
	}
	return nil
}

func unanswered(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, prompt.ErrInterrupted):
		return err
	}
	return &hintError{fmt.Errorf("%w; nothing was changed", err), "--slots, --to and --from say the same without being asked"}
}

// dialogue asks for the options of a reshard.
type dialogue struct {
	prompt.Prompter
	app *App
	s   cluster.State
	o   *reshardOptions
}

func (d dialogue) slots(ctx context.Context) error {
	amount := number{&d.o.slots, 1, cluster.SlotCount}
	question := fmt.Sprintf("How many slots do you want to move (from 1 to %d)? ", cluster.SlotCount)
	_, err := d.Input(ctx, question, func(answer string) error {
		if err := amount.Set(strings.TrimSpace(answer)); err != nil {
			return fmt.Errorf("slots %.20q: %w", answer, err)
		}
		return nil
	})
	return err
}

const whichTarget = "What is the receiving node ID? "

func (d dialogue) target(ctx context.Context) error {
	if d.Manner() == prompt.Linewise {
		m, err := d.node(ctx, whichTarget)
		d.o.to = string(m.ID)
		return err
	}
	masters := d.s.Masters()
	i, err := d.Select(ctx, "Which node gets the slots?", labels(masters))
	if err != nil {
		return err
	}
	d.o.to = string(masters[i].ID)
	return nil
}

// node reads the name of a master.
func (d dialogue) node(ctx context.Context, question string) (cluster.Member, error) {
	name, err := d.Line(ctx, question)
	if err != nil {
		return cluster.Member{}, err
	}
	return d.master(name)
}

func (d dialogue) master(name string) (cluster.Member, error) {
	m, err := d.s.Find(strings.TrimSpace(name))
	if err == nil && !m.IsMaster() {
		err = fmt.Errorf("%s is not a master", m.Addr)
	}
	return m, err
}

func (d dialogue) sources(ctx context.Context) error {
	if d.Manner() == prompt.Linewise {
		return d.sourcesByLine(ctx)
	}
	to, err := d.master(d.o.to)
	if err != nil {
		return err
	}
	var givers []cluster.Member
	for _, m := range d.s.Masters() {
		if m.ID != to.ID && !m.Slots().Empty() {
			givers = append(givers, m)
		}
	}
	all := fmt.Sprintf("all of them (%d)", len(givers))
	chosen, err := d.MultiSelect(ctx, "Which nodes give slots?", append([]string{all}, labels(givers)...))
	if err != nil {
		return err
	}
	if chosen[0] == 0 {
		d.o.from = []string{"all"}
		return nil
	}
	for _, i := range chosen {
		d.o.from = append(d.o.from, string(givers[i-1].ID))
	}
	return nil
}

// sourcesByLine reads ids until "done", or "all".
func (d dialogue) sourcesByLine(ctx context.Context) error {
	to, err := d.master(d.o.to)
	if err != nil {
		return err
	}
	d.explain()
	for {
		answer, err := d.Line(ctx, "Source node #"+strconv.Itoa(len(d.o.from)+1)+": ")
		answer = strings.TrimSpace(answer)
		switch {
		case err != nil:
			return err
		case answer == "all":
			d.o.from = []string{"all"}
			return nil
		case answer == "done" && len(d.o.from) == 0:
			return errors.New("no source node was named")
		case answer == "done":
			return nil
		}
		m, err := d.master(answer)
		if err == nil && m.ID == to.ID {
			err = fmt.Errorf("%s is the receiving node", m.Addr)
		}
		if err != nil {
			return err
		}
		d.o.from = append(d.o.from, string(m.ID))
	}
}

// explain is for a reader at a dumb terminal; nobody reads it behind a pipe.
func (d dialogue) explain() {
	if !d.app.Terminal.Traits().ErrTTY {
		return
	}
	d.app.Terminal.Say(func(p *ui.Page) {
		p.Line("Please enter all the source node IDs.")
		p.Line("  Type 'all' to take slots from all the other masters.")
		p.Line("  Type 'done' after the last one.")
	})
}

// labels tell masters apart in a list.
func labels(masters []cluster.Member) []string {
	out := make([]string, len(masters))
	for i, m := range masters {
		out[i] = ui.Safe(fmt.Sprintf("%-21s  %s  %5d slots", m.Addr, m.ID.Short(), m.Slots().Len()))
	}
	return out
}
