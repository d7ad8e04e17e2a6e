package observe

import (
	"errors"
	"os"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

var (
	errNoAddr     = errors.New("its address is not known")
	errNotCluster = errors.New("not a cluster node: it runs without cluster-enabled yes")
)

// causeOf sorts the reasons for which a node could not be read.
func causeOf(err error) cluster.Cause {
	var refused *driver.AuthError
	switch {
	case errors.Is(err, errNoAddr):
		return cluster.CauseNoAddr
	case errors.Is(err, errNotCluster):
		return cluster.CauseNotCluster
	case errors.As(err, &refused), driver.HasCode(err, "NOAUTH"), driver.HasCode(err, "WRONGPASS"),
		driver.Mentions(err, "invalid password"), driver.Mentions(err, "without any password configured"):
		return cluster.CauseRefused
	case errors.Is(err, os.ErrDeadlineExceeded):
		// A dial that timed out is another error: nothing took the connection.
		return cluster.CausePaused
	case driver.IsTransport(err):
		return cluster.CauseDead
	}
	return cluster.CauseUnreadable
}
