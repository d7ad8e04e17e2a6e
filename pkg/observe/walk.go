package observe

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// addressLimit is under how many addresses one node is looked for.
const addressLimit = 3

// walk asks everybody whom somebody knows, each as soon as it is heard of.
type walk struct {
	ctx     context.Context
	reader  reader
	g       gate
	known   map[cluster.NodeID]*acquaintance
	answers chan answer
	pending int
}

// acquaintance is a node that somebody knows.
type acquaintance struct {
	addrs  []cluster.Addr // under which it is known, in the order heard
	asked  int            // how many of them have been tried
	busy   bool           // one is being tried
	member cluster.Member // what came of it; the first failure where all failed
}

type answer struct {
	id   cluster.NodeID
	addr cluster.Addr
	reading
}

func newWalk(ctx context.Context, r reader) *walk {
	return &walk{ctx: ctx, reader: r, g: newGate(), known: make(map[cluster.NodeID]*acquaintance), answers: make(chan answer)}
}

// from is the state that is found by asking everybody, beginning with whom
// first knows.
func (w *walk) from(first cluster.Member) cluster.State {
	w.known[first.ID] = &acquaintance{member: first}
	w.listen(first.View)
	for w.pending > 0 {
		w.hear(<-w.answers)
	}
	var s cluster.State
	for id, a := range w.known {
		if a.member.ID == "" {
			a.member = reading{err: errNoAddr}.as(id, cluster.Addr{})
		}
		s.Members = append(s.Members, a.member)
	}
	s.Sort()
	return s
}

// hear takes in what came of asking a node.
func (w *walk) hear(r answer) {
	w.pending--
	a := w.known[r.id]
	a.busy = false
	if m := r.as(r.id, r.addr); m.Reachable() || a.member.ID == "" {
		a.member = m
	}
	w.ask(r.id, a)
	w.listen(a.member.View)
}

// listen learns of nodes from a view. Nodes in handshake have made-up ids: they
// are met under their own soon, or vanish.
func (w *walk) listen(v cluster.View) {
	for _, n := range v.Nodes {
		if n.Flags.Has(cluster.FlagHandshake) {
			continue
		}
		a := w.known[n.ID]
		if a == nil {
			a = &acquaintance{}
			w.known[n.ID] = a
		}
		if n.Addr.Known() && len(a.addrs) < addressLimit && !slices.Contains(a.addrs, n.Addr) {
			a.addrs = append(a.addrs, n.Addr)
			w.ask(n.ID, a)
		}
	}
}

// ask asks a node under the next address, unless it has answered. Nodes may know
// each other under different addresses, and not all of them be right.
func (w *walk) ask(id cluster.NodeID, a *acquaintance) {
	if a.busy || a.member.ID != "" && a.member.Reachable() || a.asked == len(a.addrs) {
		return
	}
	addr := a.addrs[a.asked]
	a.asked++
	a.busy = true
	w.pending++
	go func() {
		defer w.g.enter()()
		w.answers <- answer{id, addr, w.reader.read(w.ctx, addr)}
	}()
}
