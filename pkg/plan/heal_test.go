package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/health"
	"github.com/trib-dev/trib/pkg/plan"
)

// heal says what is repaired, and then what is not.
func (ses *session) heal(t *testing.T, d *datadriven.TestData, heal func(cluster.State, plan.HealOptions) (plan.Plan, []plan.Undecided)) string {
	var o plan.HealOptions
	if arg, ok := d.Arg("only"); ok {
		for _, code := range arg.Vals {
			o.Only = append(o.Only, health.Code(code))
		}
	}
	if arg, ok := d.Arg("slots"); ok {
		o.Slots = must(cluster.ParseSlotSet(strings.Join(arg.Vals, ",")))
	}
	for _, policy := range plan.ForeignPolicies() {
		if d.HasArg(string(policy)) {
			o.ForeignKeys = policy
		}
	}
	o.Takeover, o.TakeFromDead, o.SpreadReplicas = d.HasArg("takeover"), d.HasArg("dead"), d.HasArg("spread")
	if d.HasArg("reuse") {
		o.Orphans = plan.OrphansReuse
	}
	var left []plan.Undecided
	text := ses.plan(t, func() (p plan.Plan, err error) { p, left = heal(ses.s, o); return p, nil })
	for _, u := range left {
		text += fmt.Sprintf("undecided: %s", u)
		if u.Flag != "" {
			text += " [" + u.Flag + "]"
		}
		if u.Advice {
			text += " (advice)"
		}
		text += "\n"
	}
	return text
}
