package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/trib-dev/trib/internal/ui"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// longestPlan is more than any plan needs: 16384 steps with a slot each.
const longestPlan = 16 << 20

// readPlan reads a saved plan.
func readPlan(path string) (plan.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return plan.Plan{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestPlan+1))
	if err != nil {
		return plan.Plan{}, err
	}
	if len(text) > longestPlan {
		return plan.Plan{}, fmt.Errorf("%s: longer than any plan", path)
	}
	p, err := plan.Parse(text)
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// vacant refuses a file that is there already, before anything else is done.
func vacant(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--plan-out: %s is there already; nothing was changed", path)
	}
	return nil
}

// savePlan writes the plan where --plan-out says, for its owner only.
func (app *App) savePlan(c change) error {
	path := c.options.planOut
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(c.plan, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--plan-out: %w; nothing was changed", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("--plan-out: %w; nothing was changed", err)
	}
	app.Terminal.Text(func(p *ui.Page) { p.Line("The plan is in %s.", path) })
	return nil
}

// fileOf is the one file that a command works with.
func fileOf(args []string) (string, error) {
	if len(args) != 1 {
		return "", usage("want one FILE with a plan, got %d words", len(args))
	}
	return args[0], nil
}

func newPlanCmd(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "plan",
		GroupID: groupPlans,
		Short:   "Look at saved plans",
		Long: `Looks at plans that --plan-out has saved. A plan is JSON; its schema is
printed by trib plan schema.` + exitCodes(exitRefused, exitUsage),
		Args: cobra.ArbitraryArgs,
		RunE: noCommand,
	}
	cmd.AddCommand(newPlanShowCmd(app, nil), newPlanSchemaCmd(app))
	return cmd
}

func newPlanShowCmd(app *App, run func(context.Context, string) error) *cobra.Command {
	if run == nil {
		run = app.runPlanShow
	}
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Print a saved plan",
		Long: `Prints a saved plan as it was shown before the question. It connects to
nothing; whether the plan still fits the cluster is for trib apply to say.` + exitCodes(exitRefused, exitUsage),
		Example: `  trib plan show move.json
  trib plan show move.json -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := fileOf(args)
			if err != nil {
				return err
			}
			return run(cmd.Context(), file)
		},
	}
}

func (app *App) runPlanShow(_ context.Context, file string) error {
	p, err := readPlan(file)
	if err != nil {
		return err
	}
	return app.Terminal.Show(ui.SavedPlan{Plan: p, Show: picture(p, remembered(p), true)})
}

func newPlanSchemaCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of saved plans",
		Long: `Prints the JSON schema that every saved plan of this version of trib fits, for
programs that read plans or make them.` + exitCodes(exitUsage),
		Example: `  trib plan schema > plan.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(app.Terminal.Out(), plan.Schema())
			return err
		},
	}
}

// picture is how a plan is shown before the question, and when it was saved.
func picture(p plan.Plan, s cluster.State, saved bool) func(*ui.Page) {
	switch p.Kind {
	case plan.KindCreate:
		return ui.CreatePlan{Plan: p}.Text
	case plan.KindResume:
		return ui.ResumePlan{Plan: p}.Text
	}
	for _, step := range p.Steps {
		if step.Action != plan.MoveSlots {
			return ui.StepPlan{Plan: p}.Text
		}
	}
	return ui.MovePlan{Plan: p, State: s, Saved: saved}.Text
}

// remembered is the cluster as far as a plan holds it.
func remembered(p plan.Plan) cluster.State {
	var s cluster.State
	for _, n := range p.Nodes {
		self := cluster.Node{ID: n.ID, Addr: n.Addr, Flags: cluster.FlagMyself | cluster.FlagMaster, Slots: n.Slots}
		s.Members = append(s.Members, cluster.Member{ID: n.ID, Addr: n.Addr, View: cluster.View{Nodes: []cluster.Node{self}}})
	}
	s.Sort()
	return s
}
