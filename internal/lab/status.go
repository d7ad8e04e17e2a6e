package lab

import "context"

// Condition is how a server is doing.
type Condition string

// The conditions of a server.
const (
	Up     Condition = "up"     // runs and answers
	Silent Condition = "silent" // runs and does not answer: paused, loading, or hung
	Down   Condition = "down"   // does not run
)

// NodeStatus is one line of a lab's status.
type NodeStatus struct {
	Addr      string    `json:"addr"`
	Port      int       `json:"port"`
	Pid       int       `json:"pid"` // 0 when down
	Dir       string    `json:"dir"`
	Server    string    `json:"server"`
	Version   string    `json:"version"`
	Condition Condition `json:"condition"`
}

// Status looks at every server, at all of them at the same time.
func (l *Lab) Status(ctx context.Context) []NodeStatus {
	status := make([]NodeStatus, len(l.nodes))
	index := make(map[*Node]int, len(l.nodes))
	for i, n := range l.nodes {
		index[n] = i
	}
	_ = l.each(func(n *Node) error {
		status[index[n]] = n.status(ctx)
		return nil
	})
	return status
}

func (n *Node) status(ctx context.Context) NodeStatus {
	s := NodeStatus{
		Addr: n.Addr(), Port: n.port, Pid: n.Pid(), Dir: n.Dir(),
		Server: n.server.Kind, Version: n.server.Version, Condition: Down,
	}
	switch {
	case s.Pid == 0:
	case n.answers(ctx):
		s.Condition = Up
	default:
		s.Condition = Silent
	}
	return s
}
