// Command trib administers Redis Cluster and Valkey clusters.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/trib-dev/trib/internal/cli"
)

func main() {
	// The collector waits until the heap, these unused bytes included, has doubled:
	// most runs end before.
	ballast := make([]byte, 32<<20)
	code := cli.Main(context.Background(), cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv), os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
