// Package ui is what people and programs see of trib: it owns the terminal and
// writes every result as text, JSON or YAML.
//
// Results go to standard output. Standard error carries what is said on the
// way, and carries nothing of a run that succeeds unless it is a terminal.
package ui
