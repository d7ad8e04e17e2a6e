package cli

import (
	"context"
	"slices"

	"github.com/trib-dev/trib/pkg/backup"
	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
	"github.com/trib-dev/trib/pkg/ingest"
	"github.com/trib-dev/trib/pkg/move"
)

// deniedAt is what the user may not do at nodes and a command takes there. The
// nodes are asked; what is asked of one that has just gone shows later.
func deniedAt(ctx context.Context, a access, addrs []cluster.Addr, takes []driver.Command) (denied []string, err error) {
	for _, addr := range addrs {
		texts, err := move.Denied(ctx, a.reader(), "", addr, takes)
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		denied = append(denied, texts...)
	}
	return denied, nil
}

// forbidden refuses to begin what some nodes do not allow.
func forbidden(command string, denied []string) error {
	if denied == nil {
		return nil
	}
	return &hintError{&unfitError{denied}, "trib acl " + command + " prints what it takes; --override permissions goes ahead all the same"}
}

// mayImport asks both sides.
func mayImport(ctx context.Context, o *importOptions, to, from access, e ingest.Options) error {
	if slices.Contains(o.override, overridePermissions) {
		return nil
	}
	var origins []cluster.Addr
	for _, origin := range e.Origins {
		origins = append(origins, origin.Addr)
	}
	atSource, err := deniedAt(ctx, from, origins, e.TakenAtSource())
	if err != nil {
		return err
	}
	atTarget, err := deniedAt(ctx, to, mastersOf(e.Cluster), takenByIntake())
	if err != nil {
		return err
	}
	return forbidden("import", append(atSource, atTarget...))
}

// mayRestore asks the masters, to which the temporary server sends keys as the
// source of an import does.
func mayRestore(ctx context.Context, a access, o *restoreOptions, s cluster.State) error {
	if slices.Contains(o.override, overridePermissions) {
		return nil
	}
	denied, err := deniedAt(ctx, a, mastersOf(s), takenByIntake())
	if err != nil {
		return err
	}
	return forbidden("restore", denied)
}

func takenByIntake() []driver.Command {
	_, _, atTarget := ingest.Taken()
	return atTarget
}

// mayBackUp asks the nodes that give their data.
func mayBackUp(ctx context.Context, a access, o *backupOptions, sources []backup.Source) error {
	if slices.Contains(o.override, overridePermissions) {
		return nil
	}
	var addrs []cluster.Addr
	for _, s := range sources {
		addrs = append(addrs, s.Node.Addr)
	}
	denied, err := deniedAt(ctx, a, addrs, takenByBackup)
	if err != nil {
		return err
	}
	return forbidden("backup", denied)
}

// takenByBackup is what receiving data as a replica does takes.
var takenByBackup = []driver.Command{{"REPLCONF", "capa", "eof"}, {"SYNC"}}

func mastersOf(s cluster.State) []cluster.Addr {
	var addrs []cluster.Addr
	for _, m := range s.Masters() {
		if m.Reachable() {
			addrs = append(addrs, m.Addr)
		}
	}
	return addrs
}
