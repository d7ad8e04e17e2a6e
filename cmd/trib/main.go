// Command trib administers Redis Cluster and Valkey clusters.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/trib-dev/trib/internal/cli"
)

func main() {
	debug.SetGCPercent(400) // most runs end before there is much garbage
	os.Exit(cli.Main(context.Background(), cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv), os.Args[1:]))
}
