package lock

import (
	"strings"
)

// A name is the client name of a connection that belongs to a lock:
// trib:<phase>:<operation>:<run>:<holder>. Servers allow no spaces in it.
type name struct {
	phase     string // try or held
	operation string
	run       string // start time and a random part; the lower one came first
	holder    string
}

const (
	prefix  = "trib"
	trying  = "try"
	holding = "held"
)

func (n name) String() string {
	return strings.Join([]string{prefix, n.phase, clean(n.operation), n.run, clean(n.holder)}, ":")
}

// clean keeps what a client name may hold and what separates its parts.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == ':' {
			return '_'
		}
		return r
	}, s)
}

func parseName(s string) (name, bool) {
	parts := strings.SplitN(s, ":", 5)
	if len(parts) != 5 || parts[0] != prefix || parts[1] != trying && parts[1] != holding {
		return name{}, false
	}
	return name{parts[1], parts[2], parts[3], parts[4]}, true
}

// rival is somebody else's connection that carries a lock's name.
type rival struct {
	name
	id   string // of the connection, for CLIENT KILL
	addr string
	node string // where it was seen
}

// rivals reads CLIENT LIST, a client to a line of field=value pairs.
func rivals(list, node, ourRun string) []rival {
	var found []rival
	for line := range strings.Lines(list) {
		fields := make(map[string]string)
		for _, pair := range strings.Fields(line) {
			k, v, _ := strings.Cut(pair, "=")
			fields[k] = v
		}
		n, ok := parseName(fields["name"])
		if ok && n.run != ourRun {
			found = append(found, rival{n, fields["id"], fields["addr"], node})
		}
	}
	return found
}
