package serve

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// releases are the servers that the simulator was compared with.
func releases() []cluster.Server {
	return []cluster.Server{
		{Flavor: "redis", Version: "6.0.16"},
		{Flavor: "redis", Version: "7.0.15"},
		{Flavor: "redis", Version: "8.0.2"},
		{Flavor: "valkey", Version: "8.1.1"},
		{Flavor: "valkey", Version: "9.1.2"},
	}
}

// nameOf is the name of a release: redis-7.0.
func nameOf(s cluster.Server) string {
	return s.Flavor + "-" + s.Version[:strings.LastIndexByte(s.Version, '.')]
}

// Names are the servers that can be simulated.
func Names() []string {
	var names []string
	for _, s := range releases() {
		names = append(names, nameOf(s))
	}
	return names
}

// Named is the server of that name; Redis 7.0 without one.
func Named(name string) (cluster.Server, error) {
	for _, s := range releases() {
		if nameOf(s) == cmp.Or(name, "redis-7.0") {
			return s, nil
		}
	}
	return cluster.Server{}, fmt.Errorf("%q cannot be simulated: want one of %s", name, strings.Join(Names(), ", "))
}
