package cli

import (
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/trib-dev/trib/pkg/apply"
	"github.com/trib-dev/trib/pkg/move"
	"github.com/trib-dev/trib/pkg/plan"
)

// moveOptions belong to every command that moves slots.
type moveOptions struct {
	method       plan.Method
	pipeline     int
	timeout      time.Duration
	waitReplicas int
	maxBlock     time.Duration
	maxPause     time.Duration
	maxKeys      int
	maxBytes     int64
	big          move.Policy
	bigBytes     int64
	bigMembers   int
	finalise     move.Order
	override     []string
	conflict     conflictOptions
}

func (o *moveOptions) addFlags(f *pflag.FlagSet) {
	defer under(f, sectionMove)()
	o.waitReplicas = 1
	o.big = move.BigWarn
	o.finalise = move.TargetFirst
	o.method = plan.MethodAuto
	f.BoolFunc("use-atomic-slot-migration", "", func(string) error { o.method = plan.MethodAtomic; return nil })
	f.MarkHidden("use-atomic-slot-migration")
	f.Var(choice[plan.Method]{&o.method, []string{"auto", "classic", "atomic"}}, "method", "who moves the slots: trib key by key, or the servers by themselves")
	f.Var(number{&o.pipeline, 1, 10000}, "pipeline", "most keys in one MIGRATE (default 100)")
	f.Var(span{&o.timeout, time.Millisecond}, "timeout", "of one MIGRATE (default 5s, or a third of the node timeout)")
	f.Var(number{&o.waitReplicas, 0, 1000}, "wait-replicas", "replicas of the target that must have each batch, where it has so many")
	f.Var(span{&o.maxBlock, time.Millisecond}, "max-block", "how long one MIGRATE should block the nodes at most (default 10ms)")
	f.Var(span{&o.maxPause, time.Millisecond}, "max-pause", "how long clients wait at most when servers hand slots over (default 100ms)")
	f.Var(number{&o.maxKeys, 1, 1e9}, "max-keys/s", "most keys to move in a second, over all nodes")
	f.Var(size{&o.maxBytes}, "max-bytes/s", "most memory to move in a second, over all nodes, such as 20M")
	f.Var(choice[move.Policy]{&o.big, []string{"warn", "skip", "move"}}, "big-keys", "what to do about big keys")
	f.Var(size{&o.bigBytes}, "big-key-bytes", "memory from which a key is big (default 16M)")
	f.Var(number{&o.bigMembers, 1, 1e9}, "big-key-members", "members from which a key is big (default 100000)")
	f.Var(choice[move.Order]{&o.finalise, []string{"target", "source"}}, "finalise", "which end is told first that a slot has moved")
	o.conflict.addFlags(f)
	f.Var(words{&o.override, overrides()}, "override", "do not let `OBSTACLE` keep it from starting: "+strings.Join(overrides(), ", "))
}

// Obstacles of commands that do not work by plans; health goes beside those of the
// engine, too.
const (
	overrideHealth      = "health"
	overridePermissions = string(plan.ObstaclePermissions)
)

func overrides() []string {
	codes := []string{overrideHealth}
	for _, code := range plan.ObstacleCodes() {
		codes = append(codes, string(code))
	}
	return codes
}

// apply are the options for the engine.
func (o *moveOptions) apply() apply.Options {
	var override []plan.ObstacleCode
	for _, code := range o.override {
		override = append(override, plan.ObstacleCode(code))
	}
	return apply.Options{Move: o.engine(), Movers: o.movers(), Override: override}
}

// movers are how slots are to be moved. The servers know no limits.
func (o *moveOptions) movers() plan.MoverOptions {
	m := plan.MoverOptions{Method: o.method}
	for _, asked := range []struct {
		flag string
		set  bool
	}{
		{"--max-keys/s", o.maxKeys > 0},
		{"--max-bytes/s", o.maxBytes > 0},
		{"--big-keys skip", o.big == move.BigSkip},
		{"--wait-replicas", o.waitReplicas > 1},
		{"--finalise source", o.finalise == move.SourceFirst},
	} {
		if asked.set {
			m.Classic = asked.flag
		}
	}
	return m
}

// consistent refuses an atomic move with what only a classic one can do.
func (o *moveOptions) consistent() error {
	if m := o.movers(); m.Method == plan.MethodAtomic && m.Classic != "" {
		return usage("--method atomic and %s contradict each other: only a classic move knows it", m.Classic)
	}
	return nil
}

func (o *moveOptions) engine() move.Options {
	m := move.Options{
		Batch: o.pipeline, Timeout: o.timeout, MaxBlock: o.maxBlock, MaxPause: o.maxPause, WaitReplicas: o.waitReplicas, Finalise: o.finalise,
		Big:    move.BigKeys{Policy: o.big, Bytes: o.bigBytes, Members: int64(o.bigMembers)},
		Decide: o.conflict.decide(),
	}
	if o.waitReplicas == 0 {
		m.WaitReplicas = -1
	}
	if o.maxKeys > 0 || o.maxBytes > 0 {
		m.Throttle = move.NewThrottle(int64(o.maxKeys), o.maxBytes)
	}
	return m
}
