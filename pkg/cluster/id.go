package cluster

import (
	"fmt"
	"strings"
)

// NodeID is the name a cluster node gives itself: 40 lower-case hexadecimal
// digits. It survives restarts and changes of address, but not CLUSTER RESET
// HARD.
type NodeID string

const nodeIDLen = 40

// ParseNodeID reads a full node id. Upper-case digits are accepted and folded.
func ParseNodeID(s string) (NodeID, error) {
	id := strings.ToLower(s)
	if len(id) != nodeIDLen {
		return "", fmt.Errorf("node id %q: want %d hexadecimal digits, got %d characters", clip(s), nodeIDLen, len(s))
	}
	if !isHex(id) {
		return "", fmt.Errorf("node id %q: not hexadecimal", clip(s))
	}
	return NodeID(id), nil
}

// Short is the id's first eight digits, enough for people to tell nodes apart.
func (id NodeID) Short() string {
	return string(id[:min(8, len(id))])
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

// clip keeps error messages readable when a server sends nonsense.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "..."
}
