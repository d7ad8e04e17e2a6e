package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flags are the flags of a node in CLUSTER NODES.
type Flags uint16

// The flags that servers from Redis 6.0 to 8 and Valkey 8 to 9 print. A flag
// that is not among them sets FlagOther.
const (
	FlagMyself     Flags = 1 << iota // the node that was asked
	FlagMaster                       // may own slots
	FlagReplica                      // printed as "slave"
	FlagSuspect                      // "fail?": unreachable for this one node
	FlagFailed                       // "fail": a majority of masters agreed
	FlagHandshake                    // not yet met; its id is made up
	FlagNoAddr                       // no address is known for it
	FlagNoFailover                   // a replica that will not promote itself
	FlagOther                        // a flag this version does not know
)

// Has reports whether all flags of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Node is one line of CLUSTER NODES: what one node says of another, or of
// itself.
type Node struct {
	ID       NodeID
	Addr     Addr              // Host is empty where the server printed none
	BusPort  int               // cluster bus port; 0 where not printed
	Hostname string            // cluster-announce-hostname; may be empty
	Aux      map[string]string // shard-id, tls-port, ... (Redis 7.2+, Valkey)

	Flags    Flags
	MasterID NodeID // of a replica; empty for a master
	Heard    int64  // when it last answered a ping, in ms since 1970 by the clock of who says so; 0 for never
	Epoch    uint64 // config epoch; a replica's line shows its master's
	Linked   bool   // the bus link towards it is up

	Slots     SlotSet
	Migrating map[int]NodeID // slot -> target; printed on the node's own line only
	Importing map[int]NodeID // slot -> source; likewise
}

// IsMaster reports whether the node is a master that has been met.
func (n Node) IsMaster() bool { return n.Flags.Has(FlagMaster) && !n.Flags.Has(FlagHandshake) }

// View is one node's opinion of the whole cluster, itself included.
type View struct {
	Nodes []Node // in the order printed
	self  int
}

// Self is the line of the node whose view this is; the zero Node in the zero
// View.
func (v View) Self() Node {
	if len(v.Nodes) == 0 {
		return Node{}
	}
	return v.Nodes[v.self]
}

// Get finds a node by its id.
func (v View) Get(id NodeID) (Node, bool) {
	for _, n := range v.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// ParseNodes reads the reply to CLUSTER NODES. It returns an error, and no
// view, unless every line is understood, exactly one is "myself", ids are
// distinct and no slot has two owners.
func ParseNodes(text string) (View, error) {
	lines := min(strings.Count(text, "\n")+1, 4096) // of a sane view
	v := View{self: -1, Nodes: make([]Node, 0, lines)}
	seen := make(map[NodeID]bool, lines)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		n, err := parseNode(line)
		if err != nil {
			return View{}, fmt.Errorf("CLUSTER NODES line %q: %w", clip(line), err)
		}
		if seen[n.ID] {
			return View{}, fmt.Errorf("CLUSTER NODES: node %s twice", n.ID)
		}
		seen[n.ID] = true
		if n.Flags.Has(FlagMyself) {
			if v.self >= 0 {
				return View{}, fmt.Errorf("CLUSTER NODES: two nodes say myself")
			}
			v.self = len(v.Nodes)
		}
		v.Nodes = append(v.Nodes, n)
	}
	if v.self < 0 {
		return View{}, fmt.Errorf("CLUSTER NODES: no line says myself")
	}
	if err := v.checkOwners(); err != nil {
		return View{}, err
	}
	return v, nil
}

// checkOwners looks at ranges, of which a view has far fewer than slots.
func (v View) checkOwners() error {
	type claim struct {
		SlotRange
		owner NodeID
	}
	var claims []claim
	for _, n := range v.Nodes {
		for _, r := range n.Slots.ranges {
			claims = append(claims, claim{r, n.ID})
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(claims); i++ {
		if before, c := claims[i-1], claims[i]; c.First <= before.Last {
			return fmt.Errorf("CLUSTER NODES: slot %d belongs to %s and to %s", c.First, before.owner, c.owner)
		}
	}
	return nil
}

// A line has eight fields, then the slots.
const nodeFields = 8

func parseNode(line string) (Node, error) {
	f := strings.Fields(line)
	if len(f) < nodeFields {
		return Node{}, fmt.Errorf("%d fields, want at least %d", len(f), nodeFields)
	}
	var n Node
	var err error
	if n.ID, err = ParseNodeID(f[0]); err != nil {
		return Node{}, err
	}
	if err := n.parseEndpoint(f[1]); err != nil {
		return Node{}, err
	}
	n.Flags = parseFlags(f[2])
	if f[3] != "-" {
		if n.MasterID, err = ParseNodeID(f[3]); err != nil {
			return Node{}, err
		}
	}
	if n.Heard, err = strconv.ParseInt(f[5], 10, 64); err != nil {
		return Node{}, fmt.Errorf("time of its last answer %q", clip(f[5]))
	}
	if n.Epoch, err = strconv.ParseUint(f[6], 10, 64); err != nil {
		return Node{}, fmt.Errorf("config epoch %q", clip(f[6]))
	}
	switch f[7] {
	case "connected":
		n.Linked = true
	case "disconnected":
	default:
		return Node{}, fmt.Errorf("link state %q", clip(f[7]))
	}
	return n, n.parseSlots(f[nodeFields:])
}

// parseEndpoint reads ip:port@busport[,hostname[,name=value]...]. The ip is
// empty while a node does not know its own, and ":0@0" is a node without
// address.
func (n *Node) parseEndpoint(s string) error {
	parts := strings.Split(s, ",")
	hostport, bus, hasBus := strings.Cut(parts[0], "@")
	i := strings.LastIndexByte(hostport, ':')
	if i < 0 {
		return fmt.Errorf("address %q", clip(s))
	}
	n.Addr.Host = strings.Trim(hostport[:i], "[]")
	var err error
	if n.Addr.Port, err = parsePortOrZero(hostport[i+1:]); err != nil {
		return err
	}
	if hasBus {
		if n.BusPort, err = parsePortOrZero(bus); err != nil {
			return err
		}
	}
	if len(parts) > 1 {
		n.Hostname = parts[1]
	}
	return n.parseAux(parts[min(2, len(parts)):])
}

func (n *Node) parseAux(parts []string) error {
	for _, p := range parts {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return fmt.Errorf("auxiliary field %q", clip(p))
		}
		if n.Aux == nil {
			n.Aux = make(map[string]string)
		}
		n.Aux[name] = value
	}
	return nil
}

func parsePortOrZero(s string) (int, error) {
	port, err := parseNumber(s, 65535)
	if err != nil || s == "" {
		return 0, fmt.Errorf("port %q", clip(s))
	}
	return port, nil
}

func parseFlags(s string) Flags {
	var flags Flags
	for name := range strings.SplitSeq(s, ",") {
		flags |= flagNamed(name)
	}
	return flags
}

func flagNamed(name string) Flags {
	switch name {
	case "myself":
		return FlagMyself
	case "master", "primary":
		return FlagMaster
	case "slave", "replica":
		return FlagReplica
	case "fail?":
		return FlagSuspect
	case "fail":
		return FlagFailed
	case "handshake":
		return FlagHandshake
	case "noaddr":
		return FlagNoAddr
	case "nofailover":
		return FlagNoFailover
	case "noflags":
		return 0
	}
	return FlagOther
}

func (n *Node) parseSlots(tokens []string) error {
	ranges := make([]SlotRange, 0, len(tokens))
	total := 0
	for _, t := range tokens {
		if strings.HasPrefix(t, "[") {
			if err := n.parseOpenSlot(t); err != nil {
				return err
			}
			continue
		}
		r, err := ParseSlotRange(t)
		if err != nil {
			return err
		}
		total += r.Len()
		ranges = append(ranges, r)
	}
	n.Slots = NewSlotSet(ranges...)
	if n.Slots.Len() != total {
		return fmt.Errorf("a slot stands twice")
	}
	return nil
}

// parseOpenSlot reads [slot->-target] (migrating) and [slot-<-source]
// (importing).
func (n *Node) parseOpenSlot(t string) error {
	body := strings.TrimSuffix(strings.TrimPrefix(t, "["), "]")
	if len(body) != len(t)-2 {
		return fmt.Errorf("open slot %q", clip(t))
	}
	open := &n.Migrating
	number, peer, ok := strings.Cut(body, "->-")
	if !ok {
		open = &n.Importing
		if number, peer, ok = strings.Cut(body, "-<-"); !ok {
			return fmt.Errorf("open slot %q", clip(t))
		}
	}
	slot, err := ParseSlot(number)
	if err != nil {
		return err
	}
	id, err := ParseNodeID(peer)
	if err != nil {
		return err
	}
	if _, twice := (*open)[slot]; twice {
		return fmt.Errorf("slot %d is open twice", slot)
	}
	if *open == nil {
		*open = make(map[int]NodeID)
	}
	(*open)[slot] = id
	return nil
}
