// Package cli is the command line: the tree of commands, what each asks the
// engine for, and how its errors become hints and exit codes.
package cli
