package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// Version is the version of the plan's JSON form.
const Version = 1

// Kind says what a plan is for.
type Kind string

// The kinds of plans.
const (
	KindCreate  Kind = "create"  // form a cluster from fresh nodes
	KindReshard Kind = "reshard" // move slots between masters
	KindResume  Kind = "resume"  // finish what an interrupted operation left
	KindUndo    Kind = "undo"    // move the slots of another plan back

	KindAddNode   Kind = "add-node"  // let nodes join
	KindDelNode   Kind = "del-node"  // let a node leave
	KindReplicate Kind = "replicate" // make a node a replica
	KindFailover  Kind = "failover"  // make a replica the master
	KindForget    Kind = "forget"    // let all forget a node that is gone
	KindRebalance Kind = "rebalance" // share the slots among the masters
	KindDrain     Kind = "drain"     // move all slots off a node
	KindFix       Kind = "fix"       // repair who owns which slot
)

// Plan is a list of steps, with what it relied on and what it will cost.
type Plan struct {
	Version     int      `json:"version"`
	Kind        Kind     `json:"kind"`
	Fingerprint string   `json:"fingerprint"` // of the state it was made from, as far as it relied on it
	Nodes       []Node   `json:"nodes"`       // every node that a step names
	Steps       []Step   `json:"steps"`
	Cost        Cost     `json:"cost"`
	Reasons     []string `json:"reasons,omitempty"`  // why it is as it is, for people
	Warnings    []string `json:"warnings,omitempty"` // what could not be had, for people
}

// Node is a node that a plan names.
type Node struct {
	ID    cluster.NodeID  `json:"id"`
	Addr  cluster.Addr    `json:"addr"`
	Zone  string          `json:"zone,omitempty"` // where create was told
	Slots cluster.SlotSet `json:"slots,omitzero"` // of a node that slots move between: what it had when the plan was made, for people
}

// Action is what a step does.
type Action string

// The actions, each with the fields of Step that it uses.
const (
	SetEpoch    Action = "set-epoch"    // Node, Epoch: give a fresh node its config epoch
	AssignSlots Action = "assign-slots" // Node, Slots: give a fresh node slots that nobody owns
	Join        Action = "join"         // every node of the plan meets every other
	Replicate   Action = "replicate"    // Node, Master: make a node without slots a replica
	MoveSlots   Action = "move-slots"   // From, To, Slots: with their keys, under traffic
	CloseSlots  Action = "close-slots"  // Node, Slots, Dead: clear open states that no longer mean anything
	PinSlots    Action = "pin-slots"    // From, To, Slots: From gives up any claim, and imports them from To to keep its keys
	ClaimSlots  Action = "claim-slots"  // Node, Slots, Dead: claim slots that nobody else claims
	GatherKeys  Action = "gather-keys"  // From, To, Slots: bring keys to To, which owns their slots
	DropKeys    Action = "drop-keys"    // From, To, Slots: delete keys of which To, the owner of their slots, has equal ones
	DiscardKeys Action = "discard-keys" // From, To, Slots: and those that To lacks
	BumpEpoch   Action = "bump-epoch"   // Node, Epoch: raise a master's config epoch to Epoch at least

	Meet          Action = "meet"           // Node: it and every other node of the plan meet
	CopyFunctions Action = "copy-functions" // From, Node: give a node without functions those of a master
	Reset         Action = "reset"          // Node: make it a stranger to all others
	Renew         Action = "renew"          // Node: give a stranger a new id, so that it may join again at once
	Forget        Action = "forget"         // Node, Watch: every other node forgets it; Master: only that one does
	Failover      Action = "failover"       // Node, Master, Mode: the replica takes its master's place
)

// Gathers reports whether the action is about keys on a node that does not own
// their slots.
func (a Action) Gathers() bool { return a == GatherKeys || a == DropKeys || a == DiscardKeys }

// Step is one thing to do. Which fields are set depends on the action.
type Step struct {
	Action Action          `json:"action"`
	Node   cluster.NodeID  `json:"node,omitempty"`
	Epoch  uint64          `json:"epoch,omitempty"`
	Master cluster.NodeID  `json:"master,omitempty"`
	From   cluster.NodeID  `json:"from,omitempty"`
	To     cluster.NodeID  `json:"to,omitempty"`
	Slots  cluster.SlotSet `json:"slots,omitzero"`
	Mode   FailoverMode    `json:"mode,omitempty"`
	Watch  bool            `json:"watch,omitempty"` // look again after a minute: it may come back
	Dead   bool            `json:"dead,omitempty"`  // nodes that everybody takes for dead count for nothing
}

// Addr is where the plan's node id is reached.
func (p Plan) Addr(id cluster.NodeID) cluster.Addr {
	for _, n := range p.Nodes {
		if n.ID == id {
			return n.Addr
		}
	}
	return cluster.Addr{}
}

// Describe says in words what a step does.
func (p Plan) Describe(s Step) string {
	switch s.Action {
	case SetEpoch:
		return fmt.Sprintf("set config epoch %d on %s", s.Epoch, p.Addr(s.Node))
	case AssignSlots:
		return fmt.Sprintf("assign %s (%s) to %s", count(s.Slots.Len(), "slot"), s.Slots, p.Addr(s.Node))
	case Join:
		return "join " + count(len(p.Nodes), "node")
	case Replicate:
		return fmt.Sprintf("make %s a replica of %s", p.Addr(s.Node), p.Addr(s.Master))
	case MoveSlots:
		return fmt.Sprintf("move %s (%s) from %s to %s", count(s.Slots.Len(), "slot"), s.Slots, p.Addr(s.From), p.Addr(s.To))
	case CloseSlots:
		return fmt.Sprintf("clear the open state of slots %s on %s", s.Slots, p.Addr(s.Node))
	}
	switch s.Action {
	case PinSlots:
		return fmt.Sprintf("let %s keep its keys of slots %s until they are at %s", p.Addr(s.From), s.Slots, p.Addr(s.To))
	case ClaimSlots:
		return fmt.Sprintf("give %s (%s) to %s", count(s.Slots.Len(), "slot"), s.Slots, p.Addr(s.Node))
	case BumpEpoch:
		return fmt.Sprintf("give %s a config epoch of its own, %d or higher", p.Addr(s.Node), s.Epoch)
	case GatherKeys:
		return fmt.Sprintf("bring the keys of slots %s from %s to their owner %s", s.Slots, p.Addr(s.From), p.Addr(s.To))
	case DropKeys:
		return fmt.Sprintf("delete the keys of slots %s on %s of which their owner %s has equal ones", s.Slots, p.Addr(s.From), p.Addr(s.To))
	case DiscardKeys:
		return fmt.Sprintf("delete the keys of slots %s on %s, also those that their owner %s lacks", s.Slots, p.Addr(s.From), p.Addr(s.To))
	}
	return p.describeMember(s)
}

// Refusal is a plan that cannot be made because of the cluster's state: a
// failed precondition, not a mistake on the command line.
type Refusal struct {
	Reasons []string // one for each thing that stands in the way
	Hint    string   // what to do about it; may be empty
}

func (r *Refusal) Error() string { return strings.Join(r.Reasons, "; ") }

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Reasons: []string{fmt.Sprintf(format, args...)}}
}

// fingerprint condenses the facts that a plan relied on.
func fingerprint(facts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(facts, "\n")))
	return hex.EncodeToString(sum[:8])
}

func nodeOf(m cluster.Member) Node { return Node{ID: m.ID, Addr: m.Addr} }
