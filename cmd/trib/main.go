// Command trib administers Redis Cluster and Valkey clusters.
package main

import (
	"context"
	"os"

	"github.com/trib-dev/trib/internal/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv), os.Args[1:]))
}
