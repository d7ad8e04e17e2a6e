package plan_test

import (
	"strings"
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/plan"
)

// atomicMasters are three masters that move slots by themselves.
func atomicMasters() cluster.State {
	s := threeMasters()
	for i := range s.Members {
		s.Members[i].Features.Atomic = cluster.MigrateSlots
	}
	return s
}

func TestMoverOf(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(a, b *cluster.Member)
		wish   plan.MoverOptions
		want   plan.Method
		why    string
		none   bool
	}{
		"both can":          {nil, plan.MoverOptions{}, plan.MethodAtomic, "both nodes have CLUSTER MIGRATESLOTS", false},
		"classic asked for": {nil, plan.MoverOptions{Method: plan.MethodClassic}, plan.MethodClassic, "it was asked for", false},
		"one cannot": {
			func(_, b *cluster.Member) { b.Features.Atomic = cluster.NoDialect },
			plan.MoverOptions{Method: plan.MethodAuto},
			plan.MethodClassic, "10.0.0.2:7000 (redis 7.0.15) has no atomic slot migration", false,
		},
		"and should": {
			func(_, b *cluster.Member) { b.Features.Atomic = cluster.NoDialect },
			plan.MoverOptions{Method: plan.MethodAtomic},
			plan.MethodAtomic, "10.0.0.2:7000 (redis 7.0.15) has no", true,
		},
		"two dialects": {
			func(a, _ *cluster.Member) { a.Features.Atomic = cluster.Migration },
			plan.MoverOptions{},
			plan.MethodClassic, "10.0.0.1:7000 has CLUSTER MIGRATION, and 10.0.0.2:7000 has CLUSTER MIGRATESLOTS", false,
		},
		"no password to show": {
			func(_, b *cluster.Member) { b.Admission.DemandsPassword = true },
			plan.MoverOptions{},
			plan.MethodClassic, "10.0.0.2:7000 demands a password and 10.0.0.1:7000 has none", false,
		},
		"a password to show": {
			func(a, b *cluster.Member) { a.Admission.HasPassword, b.Admission.DemandsPassword = true, true },
			plan.MoverOptions{},
			plan.MethodAtomic, "both", false,
		},
		"a module": {
			func(a, _ *cluster.Member) { a.Admission.Modules = []string{"search", "json"} },
			plan.MoverOptions{},
			plan.MethodClassic, "10.0.0.1:7000 has loaded what forbids it: module search, json", false,
		},
		"a limit": {nil, plan.MoverOptions{Classic: "--max-keys/s"}, plan.MethodClassic, "--max-keys/s needs it", false},
	} {
		s := atomicMasters()
		if tt.change != nil {
			tt.change(&s.Members[0], &s.Members[1])
		}
		got := plan.MoverOf(s.Members[0], s.Members[1], tt.wish)
		if got.Method != tt.want || got.Obstacle != tt.none || !strings.HasPrefix(got.Why, tt.why) {
			t.Errorf("%s: %s since %q, obstacle %v; want %s since %q", name, got.Method, got.Why, got.Obstacle, tt.want, tt.why)
		}
	}
}

// TestUnmovable: what the servers do by themselves is waited for where a plan
// would do the same, and nothing else touches it.
func TestUnmovable(t *testing.T) {
	atomic, classic := plan.MoverOptions{}, plan.MoverOptions{Method: plan.MethodClassic}
	for name, tt := range map[string]struct {
		kind  plan.Kind
		steps []plan.Step
		state string
		wish  plan.MoverOptions
		want  bool
	}{
		"a part of it":       {plan.KindReshard, []plan.Step{moveStep("a", "b", "0-499")}, "snapshotting", atomic, false},
		"in another way":     {plan.KindReshard, []plan.Step{moveStep("a", "b", "0-499")}, "snapshotting", classic, true},
		"more than it":       {plan.KindReshard, []plan.Step{moveStep("a", "b", "0-50")}, "snapshotting", atomic, true},
		"to somebody else":   {plan.KindReshard, []plan.Step{moveStep("a", "c", "0-499")}, "snapshotting", atomic, true},
		"one that is over":   {plan.KindReshard, []plan.Step{moveStep("a", "c", "0-499")}, "success", atomic, false},
		"one that failed":    {plan.KindReshard, []plan.Step{moveStep("a", "c", "0-499")}, "failed", atomic, false},
		"of other nodes":     {plan.KindForget, []plan.Step{{Action: plan.Forget, Node: nodeID("c")}}, "snapshotting", atomic, false},
		"of one of its ends": {plan.KindFailover, []plan.Step{{Action: plan.Failover, Node: nodeID("c"), Master: nodeID("b")}}, "snapshotting", atomic, true},
		"a repair anywhere":  {plan.KindFix, []plan.Step{{Action: plan.ClaimSlots, Node: nodeID("c")}}, "snapshotting", atomic, true},
		"nothing to do":      {plan.KindFix, nil, "snapshotting", atomic, false},
	} {
		s := atomicMasters()
		s.Members[0].Jobs = []cluster.Job{{
			ID: "j", Slots: must(cluster.ParseSlotSet("0-99")), From: nodeID("a"), To: nodeID("b"), Export: true, State: tt.state,
		}}
		got := plan.Plan{Kind: tt.kind, Steps: tt.steps}.Unmovable(s, tt.wish)
		if (got != nil) != tt.want || got != nil && !strings.Contains(got.Error(), "are moving slots 0-99 by themselves (snapshotting)") {
			t.Errorf("%s: %v, want a refusal: %v", name, got, tt.want)
		}
	}
}

// TestResumeWaits: what the servers move is a step of resume, and no other.
func TestResumeWaits(t *testing.T) {
	s := atomicMasters()
	s.Members[1].Jobs = []cluster.Job{
		{ID: "j", Slots: must(cluster.ParseSlotSet("0-99")), From: nodeID("a"), To: nodeID("b"), State: "receiving-snapshot"},
		{ID: "k", Slots: must(cluster.ParseSlotSet("200-299")), From: nodeID("a"), To: nodeID("b"), State: "failed", Message: "OOM"},
		{ID: "l", Slots: must(cluster.ParseSlotSet("1000-1099")), From: nodeID("a"), To: nodeID("b"), State: "success"},
	}
	p, err := plan.Resume(s)
	if err != nil || len(p.Steps) != 1 || p.Steps[0].Slots.String() != "0-99" || len(p.Reasons) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestResumeWaitsForNothing where a job has nothing more to do, or no master at
// an end of it.
func TestResumeWaitsForNothing(t *testing.T) {
	for name, job := range map[string]cluster.Job{
		"the target has the slots": {From: nodeID("a"), To: nodeID("b"), Slots: must(cluster.ParseSlotSet("6000-6099"))},
		"from a replica":           {From: nodeID("d"), To: nodeID("b"), Slots: must(cluster.ParseSlotSet("0-99"))},
		"to a replica":             {From: nodeID("b"), To: nodeID("d"), Slots: must(cluster.ParseSlotSet("6000-6099"))},
	} {
		s := parseState("a 10.0.0.1:7000 0-5460\nb 10.0.0.2:7000 5461-16383\nd 10.0.0.4:7000 replica=a")
		job.ID, job.State = "j", "receiving-snapshot"
		s.Members[1].Jobs = []cluster.Job{job}
		if p, err := plan.Resume(s); err != nil || len(s.Running()) != 1 || p.Steps != nil || p.Reasons != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestGivenUp(t *testing.T) {
	s := atomicMasters()
	job := func(slots, state string) cluster.Job {
		return cluster.Job{ID: slots + state, Slots: must(cluster.ParseSlotSet(slots)), From: nodeID("a"), To: nodeID("b"), Export: true, State: state}
	}
	s.Members[0].Jobs = []cluster.Job{ // newest first
		job("0-9", "success"), job("0-9", "failed"), job("20-29", "cancelled"), job("20-29", "failed"), job("1000-1009", "failed"),
	}
	given := plan.GivenUp(s)
	if len(given) != 1 || given[0].State != "cancelled" {
		t.Errorf("%+v", given)
	}
	want := "came to nothing (cancelled: no reason given); they are where they were"
	if text := plan.DescribeFailure(given[0], s); !strings.HasSuffix(text, want) {
		t.Errorf("%q, want %q at its end", text, want)
	}
}
