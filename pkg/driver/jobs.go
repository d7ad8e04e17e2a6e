package driver

import "github.com/trib-dev/trib/pkg/cluster"

// JobsCommand asks a node of the dialect for the slots that it moves by itself,
// or has moved. ReadJobs reads the reply.
func JobsCommand(d cluster.Dialect) Command {
	if d == cluster.Migration {
		return Cmd("CLUSTER", "MIGRATION", "STATUS", "ALL")
	}
	return Cmd("CLUSTER", "GETSLOTMIGRATIONS")
}

// ReadJobs reads the reply to JobsCommand.
func ReadJobs(r Reply) ([]cluster.Job, error) {
	if r.Err != nil {
		return nil, r.Err
	}
	return cluster.ParseJobs(r.Value)
}
