// Command trib administers Redis Cluster and Valkey clusters.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/trib-dev/trib/internal/cli"
)

func main() {
	// The collector waits until the heap has doubled. Most runs end before they
	// have as much garbage as these bytes, which no memory stands behind; a view
	// of a thousand nodes is no reason to let it grow five times.
	ballast := make([]byte, 32<<20)
	code := cli.Main(context.Background(), cli.System(os.Stdin, os.Stdout, os.Stderr, os.Getenv), os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(code)
}
