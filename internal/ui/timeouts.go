package ui

import "github.com/trib-dev/trib/pkg/cluster"

// Timeouts is the node timeout of every node, as it was and is to be.
type Timeouts struct {
	Schema  int         `json:"schema"`
	Command string      `json:"command"`
	Seed    string      `json:"seed"`
	MS      int         `json:"timeout_ms"`
	DryRun  bool        `json:"dry_run"`
	Failed  int         `json:"failed"`
	Nodes   []TimeoutOf `json:"nodes"`
}

// TimeoutOf is one node.
type TimeoutOf struct {
	Addr   cluster.Addr   `json:"addr"`
	ID     cluster.NodeID `json:"id"`
	Before int64          `json:"before_ms"` // 0 where it could not be read
	Set    bool           `json:"set"`       // it has the new one
	OK     bool           `json:"ok"`        // and keeps it after a restart
	Error  string         `json:"error,omitempty"`
}

// NewTimeouts is what is going to be set.
func NewTimeouts(seed cluster.Addr, ms int, s cluster.State) Timeouts {
	v := Timeouts{Schema: Schema, Command: "set-timeout", Seed: seed.String(), MS: ms}
	for _, m := range s.Members {
		v.Nodes = append(v.Nodes, TimeoutOf{Addr: m.Addr, ID: m.ID, Before: m.NodeTimeout, Error: m.Unreachable})
	}
	return v
}

// Plan says what is going to be set. Its first line is redis-cli's.
func (v Timeouts) Plan(p *Page) {
	p.Line(">>> Reconfiguring node timeout in every cluster node...")
	for _, n := range v.Nodes {
		switch {
		case n.Error != "":
			p.Line("  %s does not answer: %s", n.Addr, n.Error)
		case n.Before == 0:
			p.Line("  %s: %d ms", n.Addr, v.MS)
		default:
			p.Line("  %s: %d ms, now %d ms", n.Addr, v.MS, n.Before)
		}
	}
}

// Results says what every node answered, in redis-cli's lines.
func (v Timeouts) Results(p *Page) {
	for _, n := range v.Nodes {
		if n.OK {
			p.Line("*** New timeout set for %s", n.Addr)
		} else {
			p.Line("ERR setting node-timeout for %s: %s", n.Addr, n.Error)
		}
	}
	p.Line(">>> New node timeout set. %d OK, %d ERR.", len(v.Nodes)-v.Failed, v.Failed)
}
