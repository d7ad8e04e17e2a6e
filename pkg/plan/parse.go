package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// kinds are the kinds that a saved plan may have.
var kinds = []Kind{
	KindCreate, KindReshard, KindRebalance, KindDrain, KindResume, KindUndo,
	KindAddNode, KindDelNode, KindReplicate, KindFailover, KindForget, KindFix,
}

// forms are the fields that a step of each action has, beside the action; those
// with a question mark may be absent.
var forms = map[Action][]string{
	SetEpoch:    {"node", "epoch"},
	AssignSlots: {"node", "slots"},
	Join:        {},
	Replicate:   {"node", "master"},
	MoveSlots:   {"from", "to", "slots"},
	CloseSlots:  {"node", "slots", "dead?"},
	PinSlots:    {"from", "to", "slots"},
	ClaimSlots:  {"node", "slots", "dead?"},
	GatherKeys:  {"from", "to", "slots"},
	DropKeys:    {"from", "to", "slots"},
	DiscardKeys: {"from", "to", "slots"},
	BumpEpoch:   {"node", "epoch"},

	Meet:          {"node"},
	CopyFunctions: {"from", "node"},
	Reset:         {"node"},
	Renew:         {"node"},
	Forget:        {"node", "master?", "watch?"},
	Failover:      {"node", "master", "mode?"},
}

// SyntaxError is a text that is no plan.
type SyntaxError struct {
	Path    string // of what is wrong: "steps[3].from"; empty for the whole
	Problem string
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return "not a plan: " + e.Problem
	}
	return fmt.Sprintf("not a plan: %s: %s", e.Path, e.Problem)
}

func wrong(path, format string, args ...any) error {
	return &SyntaxError{path, fmt.Sprintf(format, args...)}
}

// Parse reads a plan as it is saved: its JSON form, written by trib or by
// another program. It is strict: what is read says the same when it is written
// again, every node is listed, and every step has the fields of its action and
// no others. Whether the plan fits a cluster is for [Plan.Status] to say.
//
// Its error is a *SyntaxError.
func Parse(text []byte) (Plan, error) {
	var head struct{ Version json.Number }
	if err := decode(text, &head); err != nil {
		return Plan{}, syntax("", err)
	}
	if head.Version.String() != fmt.Sprint(Version) {
		return Plan{}, wrong("version", "%.20q; this trib reads version %d", head.Version.String(), Version)
	}
	p, err := read(text)
	if err != nil {
		return Plan{}, err
	}
	if err := sameAgain(text, p); err != nil {
		return Plan{}, err
	}
	return p, p.check()
}

// read decodes nodes and steps one by one, so that errors can name them.
func read(text []byte) (Plan, error) {
	var raw struct {
		Plan
		Nodes []json.RawMessage `json:"nodes"`
		Steps []json.RawMessage `json:"steps"`
	}
	if err := decode(text, &raw); err != nil {
		return Plan{}, syntax("", err)
	}
	p := raw.Plan
	var err error
	if p.Nodes, err = decodeList[Node]("nodes", raw.Nodes); err != nil {
		return Plan{}, err
	}
	p.Steps, err = decodeList[Step]("steps", raw.Steps)
	return p, err
}

func decodeList[T any](name string, raw []json.RawMessage) ([]T, error) {
	if raw == nil {
		return nil, nil
	}
	list := make([]T, len(raw))
	for i, text := range raw {
		if err := decode(text, &list[i]); err != nil {
			return nil, syntax(fmt.Sprintf("%s[%d]", name, i), err)
		}
	}
	return list, nil
}

// decode reads one JSON value and nothing after it. Numbers keep their digits.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the plan")
	}
	return nil
}

func syntax(path string, err error) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case ok && e.Field != "":
		return wrong(under(path, e.Field), "it must not be a %s", e.Value)
	case ok:
		return wrong(path, "it must not be a %s", e.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return wrong(path, "it ends too early")
	}
	return wrong(path, "%s", strings.TrimPrefix(err.Error(), "json: "))
}

func under(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// sameAgain refuses a text that holds anything which the plan read from it does
// not say, or says otherwise.
func sameAgain(text []byte, p Plan) error {
	written, err := json.Marshal(p)
	if err != nil {
		return wrong("", "%v", err)
	}
	var given, kept any
	if err := errors.Join(decode(text, &given), decode(written, &kept)); err != nil {
		return wrong("", "%v", err)
	}
	return compare("", given, kept)
}

// compare walks two JSON values and names the first difference.
func compare(path string, given, kept any) error {
	switch kept := kept.(type) {
	case map[string]any:
		return compareObjects(path, given, kept)
	case []any:
		list, _ := given.([]any)
		for i := range min(len(list), len(kept)) {
			if err := compare(fmt.Sprintf("%s[%d]", path, i), list[i], kept[i]); err != nil {
				return err
			}
		}
	default:
		if given != kept {
			return wrong(path, "%.80q is written %.80q", fmt.Sprint(given), fmt.Sprint(kept))
		}
	}
	return nil
}

func compareObjects(path string, given any, kept map[string]any) error {
	object, ok := given.(map[string]any)
	if !ok {
		return wrong(path, "want an object")
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, known := kept[name]; !known {
			return wrong(under(path, name), "unknown, or without a value")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		if _, there := object[name]; !there {
			return wrong(under(path, name), "missing")
		}
		if err := compare(under(path, name), object[name], kept[name]); err != nil {
			return err
		}
	}
	return nil
}

// check holds a plan to what every plan is.
func (p Plan) check() error {
	if !slices.Contains(kinds, p.Kind) {
		return wrong("kind", "unknown kind %.40q", string(p.Kind))
	}
	if p.Cost.Slots < 0 || p.Cost.Slots > cluster.SlotCount {
		return wrong("cost.slots", "want 0 to %d", cluster.SlotCount)
	}
	if p.Cost.Keys < -1 {
		return wrong("cost.keys", "want a count, or -1 where it is not known")
	}
	if p.Cost.Bytes < -1 {
		return wrong("cost.bytes", "want a size, or -1 where it is not known")
	}
	if p.Cost.EstimateMS < -1 {
		return wrong("cost.estimate_ms", "want a time, or -1 where it is not known")
	}
	if err := p.checkNodes(); err != nil {
		return err
	}
	var given cluster.SlotSet
	for i, step := range p.Steps {
		path := fmt.Sprintf("steps[%d]", i)
		if err := p.checkStep(path, step); err != nil {
			return err
		}
		if step.Action != MoveSlots && step.Action != AssignSlots {
			continue
		}
		if twice := given.Intersect(step.Slots); !twice.Empty() {
			return wrong(path+".slots", "an earlier step moves slots %s already", twice)
		}
		given = given.Union(step.Slots)
	}
	return nil
}

func (p Plan) checkNodes() error {
	if len(p.Steps) > 0 && len(p.Nodes) == 0 {
		return wrong("nodes", "there are steps and no nodes")
	}
	seen := make(map[cluster.NodeID]bool)
	for i, n := range p.Nodes {
		path := fmt.Sprintf("nodes[%d]", i)
		if id, err := cluster.ParseNodeID(string(n.ID)); err != nil || id != n.ID {
			return wrong(path+".id", "%.80q is not a node id: want 40 lower-case hexadecimal digits", string(n.ID))
		}
		if seen[n.ID] {
			return wrong(path+".id", "%s stands twice", n.ID)
		}
		seen[n.ID] = true
	}
	return nil
}

func (p Plan) checkStep(path string, step Step) error {
	want, ok := forms[step.Action]
	if !ok {
		return wrong(path+".action", "unknown action %.40q", string(step.Action))
	}
	fields := step.fields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(want, name) && !slices.Contains(want, name+"?") {
			return wrong(path+"."+name, "%s has no such field", step.Action)
		}
	}
	for _, name := range want {
		if fields[name] == nil && !strings.HasSuffix(name, "?") {
			return wrong(path+"."+name, "%s needs it", step.Action)
		}
	}
	return p.checkEnds(path, step)
}

// fields are the fields of the step that have a value, without the action.
func (step Step) fields() map[string]any {
	fields := make(map[string]any)
	if text, err := json.Marshal(step); err == nil {
		json.Unmarshal(text, &fields)
	}
	delete(fields, "action")
	return fields
}

func (p Plan) checkEnds(path string, step Step) error {
	ends := []struct {
		name string
		id   cluster.NodeID
	}{{"node", step.Node}, {"master", step.Master}, {"from", step.From}, {"to", step.To}}
	for _, end := range ends {
		listed := slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.ID == end.id })
		if end.id != "" && !listed {
			return wrong(path+"."+end.name, "%.80q is not among the nodes", string(end.id))
		}
	}
	if step.From != "" && step.From == step.To {
		return wrong(path+".to", "the same node as from")
	}
	if step.Master != "" && step.Master == step.Node {
		return wrong(path+".master", "the same node as node")
	}
	return nil
}
