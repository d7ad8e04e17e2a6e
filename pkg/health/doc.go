// Package health judges a cluster's state: what is wrong with it, how bad that
// is, what shows it, and what to do. It is pure; package observe gathers the
// state, and whoever asks decides what to make of the findings.
package health
