package ui

import (
	"cmp"
	"fmt"
	"strings"
)

// Lab is a set of local servers.
type Lab struct {
	Schema  int       `json:"schema"`
	Command string    `json:"command"`
	Dir     string    `json:"dir"`
	Removed bool      `json:"removed,omitempty"`
	Nodes   []LabNode `json:"nodes"`
	Create  *Outcome  `json:"create,omitempty"` // of the cluster formed on them

	Simulated bool `json:"simulated,omitempty"` // played by trib itself, which runs on
}

// LabNode is one local server.
type LabNode struct {
	Addr      string `json:"addr"`
	Pid       int    `json:"pid"` // 0 when down
	Condition string `json:"condition"`
	Server    string `json:"server"`
	Dir       string `json:"dir"`
}

// Text writes a table of the servers.
func (v Lab) Text(p *Page) {
	rows := make([][]string, len(v.Nodes))
	for i, n := range v.Nodes {
		pid := "-"
		if n.Pid != 0 {
			pid = fmt.Sprint(n.Pid)
		}
		rows[i] = []string{n.Addr, pid, n.Condition, n.Server, cmp.Or(n.Dir, "-")}
	}
	p.table([]string{"address", "pid", "condition", "server", "directory"}, rows, 1)
}

// Usage writes what can be done with a lab that is up.
func (v Lab) Usage(p *Page) {
	if len(v.Nodes) == 0 {
		return
	}
	addr := v.Nodes[0].Addr
	host, port := addr, ""
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		host, port = strings.Trim(addr[:i], "[]"), addr[i+1:]
	}
	p.Blank()
	p.Line("Try:   redis-cli -c -h %s -p %s", host, port)
	p.Line("       trib check %s", addr)
	if v.Simulated {
		p.Line("End:   Ctrl-C")
		return
	}
	p.Line("End:   trib lab down %s", v.Dir)
}
